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
Small random networks written the way exporters of the YOLO families write them.

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

    def conv(self, channels, stride, source='data', inputs=3):
        """One strided convolution with bias."""
        weight = self._rng.normal(0, 0.5 / stride, (channels, inputs, stride, stride))
        return self.node('Conv', source, self.constant(weight),
                         self.constant(self._rng.normal(0, 0.5, channels)),
                         kernel_shape=[stride, stride], strides=[stride, stride])

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
        """Write the file; outputs: shape by name in the file, with the tensor in front."""
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
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        return path


def yolox(path, classes=80, kind='table', sigmoid=True, size_hw=(64, 96), batch=1):
    """YOLOX; kind 'table' and 'heads' are raw, 'decoded' has constant grids."""
    net, heads = Net(size_hw, batch), {}
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
        step = net.constant(steps.T[None])
        place = net.node('Add', net.cut(table, 0, 2, 2), net.constant(points.T[None]))
        size = net.node('Exp', net.cut(table, 2, 4, 2))
        table = net.concat(net.node('Mul', place, step), net.node('Mul', size, step),
                           net.cut(table, 4, 1 << 60, 2), axis=2)
    return net.save(path, {'output': (table, (batch, None, 5 + classes))})


def _ultralytics(net, classes):
    """Decode corners in cells, both [1,2,A]; strides [1,1,A]; probabilities [1,C,A]."""
    flat = [net.reshape(net.concat(net.conv(64, stride), net.conv(classes, stride), axis=1),
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


def ultralytics(path, classes=80, size_hw=(64, 96)):
    """YOLOv8 and its successors: [1,4+C,A]."""
    net = Net(size_hw)
    first, last, step, chances = _ultralytics(net, classes)
    centre = net.node('Div', net.node('Add', first, last), net.constant(2.0))
    boxes = net.node('Mul', net.concat(centre, net.node('Sub', last, first), axis=1), step)
    return net.save(path, {'output0': (net.concat(boxes, chances, axis=1),
                                       (1, 4 + classes, None))})


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
