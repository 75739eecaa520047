# Copyright 2026 The ped_perception authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""
Small random networks written the way exporters of the model families write them.

Sizes and batches are frozen into Reshape and into grids where the real exports do so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto

STRIDES = (8, 16, 32)


class Net:
    """Collects nodes and constants of one network with the input ``data``."""

    def __init__(self, size_hw=(64, 96), batch=1, seed=3, shape=None, dtype=TensorProto.FLOAT):
        self.size_hw, self.batch = size_hw, batch
        self._rng = np.random.default_rng(seed)
        self._nodes, self._constants = [], []
        self._dtype, self._shape = dtype, shape or (batch, 3, *(size_hw or ('H', 'W')))

    def constant(self, values, dtype=np.float32):
        """Add a constant; returns its name."""
        name = f'constant_{len(self._constants)}'
        self._constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, op, *inputs, outputs=1, **attributes):
        """Add a node; returns the name of its output, or a list of names."""
        names = [f'{op}_{len(self._nodes)}_{index}' for index in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def random(self, *shape, scale=0.5):
        """Add a random constant; returns its name."""
        return self.constant(self._rng.normal(0, scale, shape))

    def conv(self, channels, stride, source='data', inputs=3):
        """One strided convolution with bias; incomplete cells count."""
        return self.node('Conv', source,
                         self.random(channels, inputs, stride, stride, scale=0.5 / stride),
                         self.random(channels), kernel_shape=[stride, stride],
                         strides=[stride, stride], auto_pad='SAME_UPPER')

    def reshape(self, source, *sizes):
        """Reshape to constant sizes."""
        return self.node('Reshape', source, self.constant(sizes, np.int64))

    def cut(self, source, start, end, axis):
        """Slice along one axis."""
        return self.node('Slice', source, *(self.constant([value], np.int64)
                                            for value in (start, end, axis)))

    def concat(self, *sources, axis):
        """Concatenate."""
        return self.node('Concat', *sources, axis=axis)

    def halves(self, source):
        """Chunk the channels in two, as torch.onnx does since 1.13: by half of Shape[1]."""
        one = self.constant([1], np.int64)
        count = self.node('Gather', self.node('Shape', source), one, axis=0)
        half = self.node('Div', self.node('Add', count, one), self.constant([2], np.int64))
        middle, end = (self.node('Mul', half, self.constant([index], np.int64))
                       for index in (1, 2))
        return [self.node('Slice', source, start, stop, one)
                for start, stop in ((self.constant([0], np.int64), middle), (middle, end))]

    def turn(self, source):
        """Swap the last two of three axes."""
        return self.node('Transpose', source, perm=[0, 2, 1])

    def grid(self, offset):
        """Points in cells [2,A] and strides [1,A] of the size of the export."""
        points, steps = [], []
        for stride in STRIDES:
            y, x = np.mgrid[:self.size_hw[0] // stride, :self.size_hw[1] // stride]
            points.append(np.stack([x.ravel(), y.ravel()]) + offset)
            steps.append(np.full((1, x.size), stride))
        return np.concatenate(points, 1), np.concatenate(steps, 1)

    def save(self, path: Path, outputs: dict) -> Path:
        """Write the file; outputs: by name in the file a tensor and its shape, None: any."""
        values = []
        for name, (tensor, shape) in outputs.items():
            self.node('Identity', tensor)
            self._nodes[-1].output[0] = name
            values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        graph = helper.make_graph(
            self._nodes, 'tiny', [helper.make_tensor_value_info('data', self._dtype,
                                                                self._shape)],
            values, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)],
                                  ir_version=9)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        return path


def yolox(path, classes=80, kind='table', sigmoid=True, size_hw=(64, 96), batch=1, shape=None):
    """YOLOX; kind 'table' and 'heads' are raw, 'decoded' has constant grids."""
    net, heads = Net(size_hw, batch, shape=shape), {}
    for stride in STRIDES:
        parts = [net.conv(channels, stride) for channels in (4, 1, classes)]
        if sigmoid:
            parts[1:] = [net.node('Sigmoid', part) for part in parts[1:]]
        heads[stride] = net.concat(*parts, axis=1)
    if kind == 'heads':
        return net.save(path, {f'out{stride}': (head, (batch, 5 + classes, None, None))
                               for stride, head in heads.items()})
    first = batch if isinstance(batch, int) else 0
    flat = [net.reshape(head, first, 5 + classes, -1) for head in heads.values()]
    table = net.turn(net.concat(*flat, axis=2))
    if kind == 'decoded':
        points, steps = net.grid(0.0)
        table = _yolox_boxes(net, table, net.constant(points.T[None]), net.constant(steps.T[None]))
    return net.save(path, {'output': (table, (batch, None, 5 + classes))})


def yolox_with_computed_grids(path, classes=80):
    """YOLOX decoded, of any size: its grids follow from shapes that the file does not state."""
    net = Net(None, 'N')
    levels, image = [], net.halves(net.conv(6, 1))[1]
    for stride in STRIDES:
        chances = net.node('Sigmoid', net.conv(1 + classes, stride, image))
        head = net.concat(net.conv(4, stride, image), chances, axis=1)
        shape = net.node('Shape', head)
        sizes = net.cut(shape, 2, 4, 0)
        axes = []
        for axis, other in ((1, 0), (0, 1)):    # x is the second of rows and columns
            count = net.node('Gather', sizes, net.constant(axis, np.int64), axis=0)
            places = net.node('Range', net.constant(0, np.int64), count,
                              net.constant(1, np.int64))
            places = net.node('Unsqueeze', places, net.constant([other], np.int64))
            axes.append(net.reshape(net.node('Expand', places, sizes), -1, 1))
        points = net.node('Cast', net.concat(*axes, axis=1), to=TensorProto.FLOAT)
        target = net.concat(net.cut(shape, 0, 2, 0), net.constant([-1], np.int64), axis=0)
        table = net.turn(net.node('Reshape', head, target))
        levels.append(_yolox_boxes(net, table, points, net.constant(float(stride))))
    return net.save(path, {'output': (net.concat(*levels, axis=1), None)})


def _yolox_boxes(net, table, points, step):
    place = net.node('Add', net.cut(table, 0, 2, 2), points)
    size = net.node('Exp', net.cut(table, 2, 4, 2))
    return net.concat(net.node('Mul', place, step), net.node('Mul', size, step),
                      net.cut(table, 4, 1 << 60, 2), axis=2)


def _ultralytics(net, classes, chunks=False):
    """Decode corners in cells, both [1,2,A]; strides [1,1,A]; probabilities [1,C,A]."""
    image, inputs = 'data', 3
    if chunks:
        left, right = net.halves(net.conv(8, 1))
        image, inputs = net.concat(*net.halves(net.node('Add', left, right)), right, axis=1), 8
    flat = [net.reshape(net.concat(net.conv(64, stride, image, inputs),
                                   net.conv(classes, stride, image, inputs), axis=1),
                        1, 64 + classes, -1) for stride in STRIDES]
    bins, logits = net.node('Split', net.concat(*flat, axis=2),
                            net.constant([64, classes], np.int64), outputs=2, axis=1)
    points, steps = net.grid(0.5)
    sides = net.node('Transpose', net.reshape(bins, 1, 4, 16, points.shape[1]),
                     perm=[0, 2, 1, 3])
    sides = net.node('Conv', net.node('Softmax', sides, axis=1),
                     net.constant(np.arange(16).reshape(1, 16, 1, 1)))
    sides = net.reshape(sides, 1, 4, points.shape[1])
    anchors = net.constant(points[None])
    first = net.node('Sub', anchors, net.cut(sides, 0, 2, 1))
    last = net.node('Add', anchors, net.cut(sides, 2, 4, 1))
    return first, last, net.constant(steps[None]), net.node('Sigmoid', logits)


def ultralytics(path, classes=80, size_hw=(64, 96), chunks=False):
    """YOLOv8 and its successors: [1,4+C,A]; chunks: as plain torch.onnx writes its C2f."""
    net = Net(size_hw)
    first, last, step, chances = _ultralytics(net, classes, chunks)
    centre = net.node('Div', net.node('Add', first, last), net.constant(2.0))
    boxes = net.node('Mul', net.concat(centre, net.node('Sub', last, first), axis=1), step)
    return net.save(path, {'output0': (net.concat(boxes, chances, axis=1),
                                       None if chunks else (1, 4 + classes, None))})


def end_to_end(path, classes=80, count=50, size_hw=(64, 96)):
    """YOLOv10: the best boxes by their best class, then the best of their classes."""
    net = Net(size_hw)
    first, last, step, chances = _ultralytics(net, classes)
    boxes = net.turn(net.node('Mul', net.concat(first, last, axis=1), step))
    chances = net.turn(chances)
    most = net.node('ReduceMax', chances, axes=[-1], keepdims=0)
    top = net.constant([count], np.int64)
    last_axis = net.constant([-1], np.int64)

    def taken(source, index, columns):
        index = net.node('Tile', net.node('Unsqueeze', index, last_axis),
                         net.constant([1, 1, columns], np.int64))
        return net.node('GatherElements', source, index, axis=1)

    _, index = net.node('TopK', most, top, outputs=2, axis=-1)
    boxes, chances = taken(boxes, index, 4), taken(chances, index, classes)
    scores, index = net.node('TopK', net.node('Flatten', chances), top, outputs=2, axis=-1)
    number = net.constant(classes, np.int64)
    label = net.node('Cast', net.node('Mod', index, number), to=TensorProto.FLOAT)
    boxes = taken(boxes, net.node('Div', index, number), 4)
    rows = net.concat(boxes, *(net.node('Unsqueeze', name, last_axis)
                               for name in (scores, label)), axis=2)
    return net.save(path, {'output0': (rows, (1, count, 6))})


def nanodet(path, bins=8, classes=80, size_hw=(64, 96)):
    """NanoDet-m or -g: the table of its export."""
    net = Net(size_hw)
    flat = [net.reshape(net.concat(net.node('Sigmoid', net.conv(classes, stride)),
                                   net.conv(4 * bins, stride), axis=1), 1, classes + 4 * bins, -1)
            for stride in STRIDES]
    return net.save(path, {'output': (net.turn(net.concat(*flat, axis=2)),
                                      (1, None, classes + 4 * bins))})


def nanodet_plus(path, classes=80, heads=False, size_hw=(64, 96)):
    """NanoDet-Plus: the table of its export, or raw heads."""
    net, levels = Net(size_hw), {}
    for stride in (*STRIDES, 64):
        levels[stride] = net.conv(classes + 32, stride)
    if heads:
        return net.save(path, {f'out{stride}': (level, (1, classes + 32, None, None))
                               for stride, level in levels.items()})
    flat = []
    for level in levels.values():
        logits, bins = net.node('Split', level, net.constant([classes, 32], np.int64),
                                outputs=2, axis=1)
        whole = net.concat(net.node('Sigmoid', logits), bins, axis=1)
        flat.append(net.reshape(whole, 1, classes + 32, -1))
    table = net.turn(net.concat(*flat, axis=2))
    return net.save(path, {'output': (table, (1, None, classes + 32))})


def picodet(path, classes=80, flat=True, size_hw=(64, 96)):
    """Make a PicoDet with its alignment head; flat: [1,A,channels], batch and cells frozen."""
    net, outputs = Net(size_hw), {}
    for stride in (*STRIDES, 64):
        cells = -(-size_hw[0] // stride) * -(-size_hw[1] // stride)
        chance = net.node('Mul', *(net.node('Sigmoid', net.conv(channels, stride))
                                   for channels in (classes, 1)))
        chance = net.node('Sqrt', net.node('Add', chance, net.constant(1e-9)))
        for name, tensor, channels in (('cls', chance, classes),
                                       ('reg', net.conv(32, stride), 32)):
            outputs[f'{name}{stride}'] = (
                (net.turn(net.reshape(tensor, 1, channels, cells)), (1, None, channels))
                if flat else (tensor, (1, channels, None, None)))
    return net.save(path, outputs)


def detr(path, classes=80, names=('pred_logits', 'pred_boxes'), queries=60, batch=1,
         size_hw=(64, 96)):
    """RT-DETR and its kin: queries that look at the picture once, with two heads."""
    net = Net(size_hw, batch)
    seen = net.turn(net.reshape(net.conv(16, 16), batch, 16, -1))
    keys = net.node('Transpose', net.reshape(seen, batch, -1, 2, 8), perm=[0, 2, 3, 1])
    asked = net.node('Transpose', net.reshape(net.random(1, queries, 16, scale=3.0), 1, queries,
                                              2, 8), perm=[0, 2, 1, 3])
    weights = net.node('Softmax', net.node('MatMul', asked, keys), axis=-1)
    values = net.node('Transpose', keys, perm=[0, 1, 3, 2])
    answer = net.node('Transpose', net.node('MatMul', weights, values), perm=[0, 2, 1, 3])
    answer = net.reshape(answer, batch, queries, 16)
    logits, boxes = (net.node('Add', net.random(channels),
                              net.node('MatMul', answer, net.random(16, channels)))
                     for channels in (classes, 4))
    tensors = dict(zip(names, (logits, net.node('Sigmoid', boxes)), strict=True))
    return net.save(path, {name: (tensor, (batch, queries, 4 if tensor != logits else classes))
                           for name, tensor in tensors.items()})


def ssd(path, classes=91, tensorflow=False, names=('scores', 'boxes'), size_hw=(64, 96)):
    """SSD with 3 anchors a cell; TensorFlow's takes uint8 [1,h,w,3] and gives y, x, y, x."""
    shape = (1, *size_hw, 3) if tensorflow else None
    net = Net(size_hw, shape=shape, dtype=TensorProto.UINT8 if tensorflow else TensorProto.FLOAT)
    source, scores, places, priors = 'data', [], [], []
    if tensorflow:
        source = net.node('Cast', source, to=TensorProto.FLOAT)
        source = net.node('Mul', source, net.constant(1 / 127.5))
        source = net.node('Transpose', source, perm=[0, 3, 1, 2])
    for stride in (16, 32):
        rows, columns = size_hw[0] // stride, size_hw[1] // stride
        for channels, found in ((classes, scores), (4, places)):
            head = net.node('Transpose', net.conv(3 * channels, stride, source),
                            perm=[0, 2, 3, 1])
            found.append(net.reshape(head, 1, rows * columns * 3, channels))
        y, x, size = np.mgrid[:rows, :columns, 1:4].reshape(3, -1)
        priors.append(np.stack([(x + 0.5) / columns, (y + 0.5) / rows, size / 5, size / 4], 1))
    chances = net.concat(*scores, axis=1)
    chances = (net.node('Sigmoid', chances) if tensorflow
               else net.node('Softmax', chances, axis=2))
    prior, found = np.concatenate(priors)[None], net.concat(*places, axis=1)
    size = net.node('Mul', net.node('Exp', net.cut(found, 2, 4, 2)),
                    net.constant(prior[..., 2:] / 2))
    centre = net.node('Add', net.node('Mul', net.cut(found, 0, 2, 2), net.constant(0.1)),
                      net.constant(prior[..., :2]))
    corners = [net.node('Sub', centre, size), net.node('Add', centre, size)]
    if tensorflow:
        order = net.constant([1, 0], np.int64)
        corners = [net.node('Gather', corner, order, axis=2) for corner in corners]
        names = ('raw_detection_scores', 'raw_detection_boxes')
    outputs = {names[0]: (chances, (1, None, classes)),
               names[1]: (net.concat(*corners, axis=2), (1, None, 4))}
    if tensorflow:
        outputs['detection_scores'] = (net.node('ReduceMax', chances, axes=[2], keepdims=0),
                                       (1, None))
    return net.save(path, outputs)
