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
How much of the image each raw output can see, layer by layer through the graph.

For every row and every column of a tensor the first and last pixel of the image that can reach it
are followed, exactly, through strides, paddings, resizing and branches. Beyond the border the
pixels continue evenly, so that the result does not shrink where a receptive field is larger than
the image. This is the theoretical receptive field; what a trained network really uses is
a smaller, bell-shaped part of it (Luo et al., Understanding the Effective Receptive Field, 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from ped_perception.engine.costs import attributes_of, SizedGraph

IntArray = NDArray[np.int64]
WINDOWS = frozenset({'AveragePool', 'Conv', 'LpPool', 'MaxPool'})
# Shapes alone do not tell whether these mix all rows and columns: they do.
GLOBAL = frozenset({'GlobalAveragePool', 'GlobalMaxPool', 'MatMul', 'Gemm', 'Einsum'})


@dataclass(frozen=True)
class ReceptiveField:
    """
    What one raw output sees.

    Attributes:
        head: name of the tensor.
        shape: of it.
        stride_yx: pixels from one cell to the next; None where cells have no place any more.
        size_hw: rows and columns of the image that reach one cell, of the cell with most; those
            of the whole image where all of it does.
        whole_image: whether all of it does, by a global layer.
    """

    head: str
    shape: tuple[int, ...]
    stride_yx: tuple[float, float] | None
    size_hw: tuple[int, int]
    whole_image: bool


@dataclass(frozen=True, eq=False)
class _Span:
    """First and last pixel that reach each position along one axis, and pixels per position."""

    axis: int
    first_n: NDArray[np.float64]
    last_n: NDArray[np.float64]
    stride: float

    def gather(self, low_n: IntArray, high_n: IntArray, factor: float = 1.0) -> _Span:
        """Join positions ``low_n`` to ``high_n``, which may lie beyond the border."""
        return _Span(self.axis, self._at(self.first_n, low_n), self._at(self.last_n, high_n),
                     self.stride * factor)

    def moved(self, axis: int) -> _Span:
        """Give the same along another axis."""
        return _Span(axis, self.first_n, self.last_n, self.stride)

    def _at(self, values_n: NDArray[np.float64], index_n: IntArray) -> NDArray[np.float64]:
        inside_n = np.clip(index_n, 0, len(values_n) - 1)
        return values_n[inside_n] + (index_n - inside_n) * self.stride


_Field = tuple[_Span, _Span] | None         # rows and columns; None: the whole image


def receptive_fields(sized: SizedGraph) -> tuple[ReceptiveField, ...]:
    """Find the receptive field of every raw output of the network."""
    height, width = sized.size_hw
    fields: dict[str, _Field] = {sized.image: (_whole_axis(1, height), _whole_axis(2, width))}
    for node in sized.nodes:
        if node.name in sized.decoding:
            continue
        found = _after(node, sized, fields)
        fields.update(dict.fromkeys(node.output, found))
    return tuple(_describe(sized, name, fields[name]) for name in sized.heads)


def _describe(sized: SizedGraph, name: str, field: _Field) -> ReceptiveField:
    if field is None:
        return ReceptiveField(name, sized.shapes[name], None, sized.size_hw, True)
    rows, columns = (int((span.last_n - span.first_n).max()) + 1 for span in field)
    return ReceptiveField(name, sized.shapes[name], (field[0].stride, field[1].stride),
                          (rows, columns), False)


def _whole_axis(axis: int, size: int) -> _Span:
    pixels_n = np.arange(size, dtype=np.float64)
    return _Span(axis, pixels_n, pixels_n, 1.0)


def _after(node: onnx.NodeProto, sized: SizedGraph, fields: dict[str, _Field]) -> _Field:
    known = [fields[name] for name in node.input if name in fields]
    if not known or any(field is None for field in known) or node.op_type in GLOBAL:
        return None
    parts = [field for field in known if field is not None]
    spans = [_axis_after(node, sized, [part[index] for part in parts]) for index in (0, 1)]
    rows, columns = spans
    return None if rows is None or columns is None else (rows, columns)


def _axis_after(node: onnx.NodeProto, sized: SizedGraph, spans: list[_Span]) -> _Span | None:
    """Follow one axis; None when what a layer does with it is not known."""
    span, attributes = spans[0], attributes_of(node)
    source, goal = sized.shapes[node.input[0]], sized.shapes[node.output[0]]
    if node.op_type in WINDOWS:
        return _window(span, attributes, _kernel_of(node, sized, attributes), goal)
    if node.op_type == 'ConvTranspose':
        return _transposed(span, attributes, _kernel_of(node, sized, attributes), goal)
    if node.op_type in _SPECIAL:
        return _SPECIAL[node.op_type](node, sized, span)
    if node.op_type == 'Reshape':
        # Channels may be regrouped in front of rows and columns, as ShuffleNet does.
        from_end = span.axis - len(source)
        same = source[from_end:] == goal[from_end:] and from_end >= -2
        return span.moved(len(goal) + from_end) if same else None
    return _joined(spans, goal, len(span.first_n))


def _joined(spans: list[_Span], goal: tuple[int, ...], size: int) -> _Span | None:
    """Join branches that meet in an element-wise layer or a Concat of channels."""
    axis = spans[0].axis
    if any(span.axis != axis or len(span.first_n) != size for span in spans):
        return None
    if axis >= len(goal) or goal[axis] != size:
        return None
    return _Span(axis, np.min([span.first_n for span in spans], axis=0),
                 np.max([span.last_n for span in spans], axis=0), spans[0].stride)


def _kernel_of(node: onnx.NodeProto, sized: SizedGraph,
               attributes: dict[str, Any]) -> tuple[int, ...]:
    if 'kernel_shape' in attributes:
        return tuple(attributes['kernel_shape'])
    return sized.shapes[node.input[1]][2:]


def _window(span: _Span, attributes: dict[str, Any], kernel: tuple[int, ...],
            goal: tuple[int, ...]) -> _Span:
    at = span.axis - 2
    stride = attributes.get('strides', (1, 1))[at]
    reach = (kernel[at] - 1) * attributes.get('dilations', (1, 1))[at]
    count = goal[span.axis]
    low_n = np.arange(count, dtype=np.int64) * stride - _padding(
        span, attributes, stride, reach, count, at)
    return span.gather(low_n, low_n + reach, stride)


def _padding(span: _Span, attributes: dict[str, Any], stride: int, reach: int, count: int,
             at: int) -> int:
    """Give the padding in front of an axis."""
    mode = attributes.get('auto_pad', b'NOTSET')
    if mode not in (b'SAME_UPPER', b'SAME_LOWER'):
        return int(attributes.get('pads', (0, 0, 0, 0))[at])
    total = max((count - 1) * stride + reach + 1 - len(span.first_n), 0)
    return total // 2 if mode == b'SAME_UPPER' else total - total // 2


def _transposed(span: _Span, attributes: dict[str, Any], kernel: tuple[int, ...],
                goal: tuple[int, ...]) -> _Span:
    at = span.axis - 2
    stride = attributes.get('strides', (1, 1))[at]
    reach = (kernel[at] - 1) * attributes.get('dilations', (1, 1))[at]
    # Input i writes to i * stride - pad up to that plus reach.
    place_n = np.arange(goal[span.axis], dtype=np.int64) + attributes.get('pads', (0, 0))[at]
    return span.gather(-((reach - place_n) // stride), place_n // stride, 1 / stride)


def _resized(node: onnx.NodeProto, sized: SizedGraph, span: _Span) -> _Span | None:
    attributes, count = attributes_of(node), sized.shapes[node.output[0]][span.axis]
    mode = attributes.get('mode', b'nearest')
    factor = count / len(span.first_n)
    if mode not in (b'nearest', b'linear') or attributes.get('antialias'):
        return None
    where = attributes.get('coordinate_transformation_mode', b'half_pixel')
    index_n = np.arange(count, dtype=np.float64)
    place_n: NDArray[np.float64]
    if where == b'asymmetric':
        place_n = index_n / factor
    elif where == b'align_corners':
        place_n = index_n * ((len(span.first_n) - 1) / max(count - 1, 1))
    else:
        place_n = (index_n + 0.5) / factor - 0.5
    if mode == b'linear':
        low_n = np.floor(place_n).astype(np.int64)
        return span.gather(low_n, np.ceil(place_n).astype(np.int64), 1 / factor)
    rounding = attributes.get('nearest_mode', b'round_prefer_floor')
    rounded_n = {b'floor': np.floor, b'ceil': np.ceil}.get(
        rounding, lambda values_n: np.ceil(values_n - 0.5))(place_n).astype(np.int64)
    inside_n = np.clip(rounded_n, 0, len(span.first_n) - 1)
    return span.gather(inside_n, inside_n, 1 / factor)


def _transpose(node: onnx.NodeProto, sized: SizedGraph, span: _Span) -> _Span:
    order = attributes_of(node).get('perm', range(len(sized.shapes[node.input[0]]))[::-1])
    return span.moved(list(order).index(span.axis))


def _sliced(node: onnx.NodeProto, sized: SizedGraph, span: _Span) -> _Span | None:
    values = [sized.arrays.get(name) for name in node.input[1:]]
    if any(value is None for value in values):
        return None
    starts, ends, *rest = (value.tolist() for value in values if value is not None)
    axes = rest[0] if rest else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    rank = len(sized.shapes[node.input[0]])
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % rank == span.axis:
            taken_n = np.arange(len(span.first_n), dtype=np.int64)[start:end:step]
            return span.gather(taken_n, taken_n, step)
    return span


def _padded(node: onnx.NodeProto, sized: SizedGraph, span: _Span) -> _Span | None:
    pads = sized.arrays.get(node.input[1])
    count = sized.shapes[node.output[0]][span.axis]
    if pads is None or len(node.input) > 3:
        return None
    index_n = np.arange(count, dtype=np.int64) - int(pads[span.axis])
    return span.gather(index_n, index_n)


_SPECIAL: dict[str, Callable[[onnx.NodeProto, SizedGraph, _Span], _Span | None]] = {
    'Pad': _padded, 'Resize': _resized, 'Slice': _sliced, 'Transpose': _transpose}
