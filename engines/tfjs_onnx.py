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
A TensorFlow graph rewritten as a plain NCHW ONNX model.

TensorFlow computes in NHWC and writes padding, bias and normalisation as nodes of their own.
Here every TensorFlow tensor is followed as a *permuted view* of an ONNX tensor, so transposes
cost nothing and none is left; padding becomes an attribute of the convolution that follows,
bias, scale and batch normalisation become part of the convolution before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, TensorProto
from tfjs_graph import ConversionError, TfGraph, TfNode, with_hard_swish

NCHW = (0, 1, 2, 3)
NHWC = (0, 2, 3, 1)
OPSET = 17
IR_VERSION = 9


@dataclass(frozen=True)
class View:
    """A TensorFlow tensor as a view of an ONNX tensor."""

    name: str
    axes: tuple[int, ...]                # ONNX axis of each TensorFlow axis
    shape: tuple[int, ...]               # of the ONNX tensor, at the model's native input size
    pads: tuple[tuple[int, int], ...] = ()   # still to be applied, per ONNX axis
    fill: float = 0.0                    # value of those pads


class Converter:
    """Walks a TensorFlow graph in order and writes the ONNX graph; use ``convert`` once."""

    def __init__(self, graph: TfGraph, source: str, shape_nchw: tuple[int, ...],
                 axes: tuple[int, ...]) -> None:
        self._graph = with_hard_swish(graph)
        self._views = {source: View('images', axes, shape_nchw)}
        self._nodes: list[onnx.NodeProto] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        self._consumers: Counter[str] = Counter()

    def convert(self, outputs: dict[str, str]) -> onnx.ModelProto:
        """
        Convert what the outputs need.

        Args:
            outputs: TensorFlow tensor → name of the ONNX output. Outputs are in ONNX order
                (NCHW), whatever order TensorFlow saw them in.
        """
        for name in self._order(outputs):
            node = self._graph.nodes[name]
            handler = getattr(self, f'_op_{node.op}', None)
            if handler is None:
                raise ConversionError(f'{name}: operator {node.op} is not supported')
            self._views[name] = handler(node)
        ends = {self._views[source].name: end for source, end in outputs.items()}
        for proto in self._nodes:
            proto.input[:] = [ends.get(name, name) for name in proto.input]
            proto.output[:] = [ends.get(name, name) for name in proto.output]
        channels = {end: self._views[source].shape[1] for source, end in outputs.items()}
        return self._model(channels)

    def _order(self, outputs: dict[str, str]) -> list[str]:
        needs: dict[str, list[str]] = {}
        waiting = list(outputs)
        self._consumers.update(outputs)
        while waiting:
            name = waiting.pop()
            if name in needs:
                continue
            needs[name] = [source for source in self._graph.nodes[name].inputs
                           if source not in self._graph.constants and source not in self._views]
            self._consumers.update(set(self._graph.nodes[name].inputs))
            waiting += needs[name]
        return list(TopologicalSorter(needs).static_order())

    def _model(self, channels: dict[str, int]) -> onnx.ModelProto:
        floating, casts, stored = TensorProto.FLOAT, [], []
        for name, array in self._arrays.items():
            half = array.astype(np.float16)
            learned = name.endswith(('/weight', '/bias'))
            if learned and np.array_equal(half.astype(np.float32), array):
                # Stored as float16 only where that loses nothing: the sources are float16.
                stored.append(numpy_helper.from_array(half, f'{name}.half'))
                casts.append(helper.make_node('Cast', [f'{name}.half'], [name],
                                              name=f'{name}.cast', to=floating))
            else:
                stored.append(numpy_helper.from_array(array, name))
        images = helper.make_tensor_value_info('images', floating, ['N', 3, 'H', 'W'])
        ends = [helper.make_tensor_value_info(name, floating, ['N', count, None, None])
                for name, count in channels.items()]
        graph = helper.make_graph(casts + self._nodes, 'trunk', [images], ends, stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)],
                                 ir_version=IR_VERSION)

    # -- reading inputs ---------------------------------------------------------------------

    def _constant(self, name: str) -> NDArray[Any] | None:
        return self._graph.constants.get(name)

    def _required(self, node: TfNode, index: int) -> NDArray[Any]:
        value = self._constant(node.inputs[index])
        if value is None:
            raise ConversionError(f'{node.name}: input {index} must be a constant')
        return value

    def _view(self, node: TfNode, index: int = 0, padded: bool = False) -> View:
        view = self._views[node.inputs[index]]
        if view.pads and not padded:
            raise ConversionError(f'{node.name}: {node.op} of a padded tensor')
        return view

    def _emit(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def _store(self, name: str, array: NDArray[Any]) -> str:
        self._arrays[name] = np.ascontiguousarray(array, np.float32)
        return name

    # -- layout -----------------------------------------------------------------------------

    def _op_Identity(self, node: TfNode) -> View:
        return self._view(node, padded=True)

    def _op_Transpose(self, node: TfNode) -> View:
        view = self._view(node, padded=True)
        return replace(view, axes=tuple(view.axes[int(k)] for k in self._required(node, 1)))

    def _op_Pad(self, node: TfNode) -> View:
        view, amounts = self._view(node), self._required(node, 1)
        pads = {axis: (int(before), int(after))
                for axis, (before, after) in zip(view.axes, amounts, strict=True)}
        fill = float(self._required(node, 2)) if node.op == 'PadV2' else 0.0
        if all(pad == (0, 0) for pad in pads.values()):
            return view
        if (pads[0], pads[1]) != ((0, 0), (0, 0)):
            raise ConversionError(f'{node.name}: only height and width can be padded')
        return replace(view, pads=tuple(pads[axis] for axis in range(4)), fill=fill)

    _op_PadV2 = _op_Pad

    def _window(self, node: TfNode, view: View, kernel: list[int], strides: list[int],
                fill: float) -> tuple[list[int], tuple[int, int]]:
        """ONNX pads and output size of a sliding window; SAME pads more at the end."""
        if view.axes != NHWC:
            raise ConversionError(f'{node.name}: expects NHWC, got axes {view.axes}')
        size = view.shape[2:]
        pads = [(0, 0), (0, 0)]
        if view.pads:
            if node.attributes['padding'] != 'VALID' or view.fill != fill:
                raise ConversionError(f'{node.name}: padded twice, or with {view.fill}')
            pads = list(view.pads[2:])
        elif node.attributes['padding'] == 'SAME':
            totals = [max((math.ceil(size[i] / strides[i]) - 1) * strides[i]
                          + kernel[i] - size[i], 0) for i in (0, 1)]
            pads = [(total // 2, total - total // 2) for total in totals]
        out = [(size[i] + sum(pads[i]) - kernel[i]) // strides[i] + 1 for i in (0, 1)]
        return [pads[0][0], pads[1][0], pads[0][1], pads[1][1]], (out[0], out[1])

    # -- operators --------------------------------------------------------------------------

    def _op_Conv2D(self, node: TfNode) -> View:
        kernel = self._required(node, 1)
        return self._convolution(node, kernel.transpose(3, 2, 0, 1), 1)

    def _op_DepthwiseConv2dNative(self, node: TfNode) -> View:
        kernel = self._required(node, 1)
        height, width, channels, _ = kernel.shape
        weight = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, height, width)
        return self._convolution(node, weight, channels)

    _op__FusedConv2D = _op_Conv2D
    _op_FusedDepthwiseConv2dNative = _op_DepthwiseConv2dNative

    def _convolution(self, node: TfNode, weight: NDArray[Any], groups: int) -> View:
        if set(node.attributes.get('dilations') or [1]) != {1}:
            raise ConversionError(f'{node.name}: dilated convolutions are not supported')
        view, strides = self._view(node, padded=True), node.attributes['strides'][1:3]
        kernel = list(weight.shape[2:])
        pads, size = self._window(node, view, kernel, strides, fill=0.0)
        fused = node.attributes.get('fused_ops') or []
        # Every convolution gets a bias, so that whatever follows has something to fold into.
        bias = self._required(node, 2) if 'BiasAdd' in fused else np.zeros(len(weight))
        out = self._emit(
            'Conv', node.name,
            [view.name, self._store(f'{node.name}/weight', weight),
             self._store(f'{node.name}/bias', bias)],
            kernel_shape=kernel, strides=strides, pads=pads, group=groups)
        for activation in fused[1:] if 'BiasAdd' in fused else fused:
            out = self._activation(activation, f'{node.name}/{activation}', out)
        return View(out, NHWC, (view.shape[0], len(weight), *size))

    def _activation(self, op: str, name: str, source: str) -> str:
        if op == 'Relu':
            return self._emit('Relu', name, [source])
        if op != 'Relu6':
            raise ConversionError(f'{name}: fused {op} is not supported')
        bounds = [self._store('relu6/low', np.array(0.0)),
                  self._store('relu6/high', np.array(6.0))]
        return self._emit('Clip', name, [source, *bounds])

    def _op_Relu(self, node: TfNode) -> View:
        view = self._view(node)
        return replace(view, name=self._activation(node.op, node.name, view.name))

    _op_Relu6 = _op_Relu

    def _op_LeakyRelu(self, node: TfNode) -> View:
        view = self._view(node)
        return replace(view, name=self._emit('LeakyRelu', node.name, [view.name],
                                             alpha=node.attributes['alpha']))

    def _op_Sigmoid(self, node: TfNode) -> View:
        view = self._view(node)
        return replace(view, name=self._emit('Sigmoid', node.name, [view.name]))

    def _op_HardSigmoid(self, node: TfNode) -> View:
        view = self._view(node)
        return replace(view, name=self._emit('HardSigmoid', node.name, [view.name],
                                             alpha=1 / 6, beta=0.5))

    def _op_HardSwish(self, node: TfNode) -> View:
        view = self._view(node)
        return replace(view, name=self._emit('HardSwish', node.name, [view.name]))

    def _op_MaxPool(self, node: TfNode) -> View:
        view = self._view(node, padded=True)
        kernel, strides = node.attributes['ksize'][1:3], node.attributes['strides'][1:3]
        pads, size = self._window(node, view, kernel, strides, fill=-math.inf)
        out = self._emit('MaxPool', node.name, [view.name],
                         kernel_shape=kernel, strides=strides, pads=pads)
        return View(out, NHWC, (*view.shape[:2], *size))

    def _op_Mean(self, node: TfNode) -> View:
        view = self._view(node)
        axes = sorted(view.axes[int(axis)] for axis in self._required(node, 1).ravel())
        if axes != [2, 3] or not node.attributes.get('keep_dims'):
            raise ConversionError(f'{node.name}: only the mean over height and width is known')
        out = self._emit('GlobalAveragePool', node.name, [view.name])
        return replace(view, name=out, shape=(*view.shape[:2], 1, 1))

    def _op_ConcatV2(self, node: TfNode) -> View:
        views = [self._view(node, index) for index in range(len(node.inputs) - 1)]
        if len({view.axes for view in views}) != 1:
            raise ConversionError(f'{node.name}: operands in different layouts')
        axis = views[0].axes[int(self._required(node, -1))]
        shape = list(views[0].shape)
        shape[axis] = sum(view.shape[axis] for view in views)
        out = self._emit('Concat', node.name, [view.name for view in views], axis=axis)
        return replace(views[0], name=out, shape=tuple(shape))

    def _op_ResizeBilinear(self, node: TfNode) -> View:
        """Sizes of the file become scales, so that any input size works."""
        view, size = self._view(node), [int(value) for value in self._required(node, 1)]
        if view.axes != NHWC or node.attributes.get('align_corners'):
            raise ConversionError(f'{node.name}: this kind of resize is not supported')
        scales = [size[i] / view.shape[2 + i] for i in (0, 1)]
        shape = (*view.shape[:2], *size)
        half_pixel = node.attributes.get('half_pixel_centers')
        if half_pixel and scales == [0.5, 0.5]:
            # Half size with half-pixel centres is exactly the mean of 2x2.
            out = self._emit('AveragePool', node.name, [view.name],
                             kernel_shape=[2, 2], strides=[2, 2])
            return View(out, NHWC, shape)
        mode = 'half_pixel' if half_pixel else 'asymmetric'
        factors = self._store(f'{node.name}/scales', np.array([1, 1, *scales]))
        out = self._emit('Resize', node.name, [view.name, '', factors], mode='linear',
                         coordinate_transformation_mode=mode)
        return View(out, NHWC, shape)

    # -- arithmetic, folded into the convolution before where there is one --------------------

    def _op_Add(self, node: TfNode) -> View:
        for index in (0, 1):
            value = self._constant(node.inputs[index])
            if value is not None:
                return self._fold(node, 1 - index, np.ones(1), value)
        return self._pairwise('Add', node)

    _op_AddV2 = _op_Add
    _op_BiasAdd = _op_Add

    def _op_Mul(self, node: TfNode) -> View:
        for index in (0, 1):
            value = self._constant(node.inputs[index])
            if value is not None:
                return self._fold(node, 1 - index, value, np.zeros(1))
        return self._pairwise('Mul', node)

    def _op_FusedBatchNormV3(self, node: TfNode) -> View:
        gamma, beta, mean, variance = (self._required(node, index) for index in range(1, 5))
        scale = gamma / np.sqrt(variance.astype(np.float64) + node.attributes['epsilon'])
        return self._fold(node, 0, scale, beta - mean * scale)

    _op_FusedBatchNorm = _op_FusedBatchNormV3

    def _pairwise(self, op: str, node: TfNode) -> View:
        first, second = self._view(node, 0), self._view(node, 1)
        if first.axes != second.axes:
            raise ConversionError(f'{node.name}: operands in different layouts')
        out = self._emit(op, node.name, [first.name, second.name])
        shape = tuple(max(pair) for pair in zip(first.shape, second.shape, strict=True))
        return View(out, first.axes, shape)

    def _fold(self, node: TfNode, index: int, scale: NDArray[Any],
              shift: NDArray[Any]) -> View:
        """Apply x·scale + shift, per channel or scalar, to the convolution that gives x."""
        view, source = self._view(node, index), node.inputs[index]
        weight = self._arrays.get(f'{view.name}/weight')
        if weight is None or self._consumers[source] != 1:
            raise ConversionError(f'{node.name}: {node.op} does not follow a convolution')
        channels = view.shape[1]
        by_channel = {(): True, (1,): True, (channels,): view.axes[-1] == 1,
                      (channels, 1, 1): view.axes == NCHW}
        for value in (scale, shift):
            if not by_channel.get(tuple(value.shape), False):
                raise ConversionError(f'{node.name}: constant of shape {value.shape} '
                                      f'for {channels} channels')
        factor = scale.reshape(-1).astype(np.float64)
        bias = self._arrays[f'{view.name}/bias']
        self._store(f'{view.name}/weight', weight * factor[:, None, None, None])
        self._store(f'{view.name}/bias', bias * factor + shift.reshape(-1))
        return view
