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
How a demand for channels passes through each operator, for ``engine.cut``.

A rule is asked for the channels that are wanted of a node's outputs. It answers which channels
it then needs of its inputs and how the node changes; None where the operator needs them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
import math
from typing import Any

import numpy as np
import onnx
from onnx import helper
from ped_perception.engine.demand import Arrays, Demand, Rule, Shapes, Step, Wanted
from ped_perception.engine.shapes import sizes

ONE_BY_ONE = frozenset({
    'Abs', 'Cast', 'Clip', 'Elu', 'Erf', 'Exp', 'Gelu', 'HardSigmoid', 'HardSwish', 'Identity',
    'LeakyRelu', 'Log', 'Mish', 'Neg', 'Reciprocal', 'Relu', 'Selu', 'Sigmoid', 'Softplus',
    'Softsign', 'Sqrt', 'Tanh'})
BROADCASTING = frozenset({'Add', 'Div', 'Max', 'Min', 'Mul', 'Pow', 'Sub'})
PRODUCERS = frozenset({'Conv', 'Gemm', 'MatMul'})


def rule_of(node: onnx.NodeProto) -> Rule:
    """Look up the rule of an operator; that of an unknown one always answers None."""
    if node.op_type in ONE_BY_ONE:
        return _one_by_one
    if node.op_type in BROADCASTING:
        return _broadcasting
    return RULES.get(node.op_type, _unknown)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Value of an attribute, or what it is when it is not there."""
    found = next((item for item in node.attribute if item.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def _nothing() -> None:
    """Change nothing: the operator does not count channels."""


def _unknown(_node: onnx.NodeProto, _outputs: Wanted, _arrays: Arrays,
             _shapes: Shapes) -> Step | None:
    return None


def _rank(shapes: Shapes, name: str) -> int:
    return len(shapes[name].shape) if name in shapes else 0


def _axis(value: int, rank: int) -> int:
    return value + rank if value < 0 else value


def _one_by_one(node: onnx.NodeProto, outputs: Wanted, _arrays: Arrays,
                _shapes: Shapes) -> Step | None:
    (demand,) = outputs
    return Step({0: demand}, outputs, _nothing) if demand else None


def _slice_constant(node: onnx.NodeProto, arrays: Arrays, index: int, axis: int,
                    channels: Sequence[int]) -> None:
    """Cut a constant input, under a new name: several nodes may share it."""
    values = np.take(arrays[node.input[index]], channels, axis)
    node.input[index] = f'{node.name}/kept_{index}'
    arrays[node.input[index]] = values


def _broadcasting(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
                  shapes: Shapes) -> Step | None:
    (demand,) = outputs
    if demand is None or any(name not in shapes for name in node.input):
        return None
    wants: dict[int, Demand] = {}
    constants: list[tuple[int, int]] = []
    for index, name in enumerate(node.input):
        axis = demand.axis - _rank(shapes, node.output[0]) + _rank(shapes, name)
        if axis < 0 or shapes[name].shape[axis] == 1:
            continue
        if name in arrays:
            constants.append((index, axis))
        else:
            wants[index] = Demand(axis, demand.channels)

    def apply() -> None:
        """Slice the constants."""
        for index, axis in constants:
            _slice_constant(node, arrays, index, axis, demand.channels)

    return Step(wants, outputs, apply, frozenset(index for index, _ in constants))


def _concat(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
            shapes: Shapes) -> Step | None:
    (demand,) = outputs
    axis = _axis(attribute(node, 'axis', 0), _rank(shapes, node.output[0]))
    if demand is None or any(name in arrays or name not in shapes for name in node.input):
        return None
    if axis != demand.axis:
        return Step(dict.fromkeys(range(len(node.input)), demand), outputs, _nothing)
    wants, dropped, start = {}, [], 0
    for index, name in enumerate(node.input):
        size = shapes[name].shape[axis]
        if not isinstance(size, int):
            return None
        inside = tuple(channel - start for channel in demand.channels
                       if start <= channel < start + size)
        if inside:
            wants[index] = Demand(axis, inside)
        else:
            dropped.append(index)
        start += size

    def apply() -> None:
        """Leave out the inputs of which nothing is wanted."""
        node.input[:] = [name for index, name in enumerate(node.input) if index not in dropped]

    return Step(wants, outputs, apply, frozenset(dropped))


def _split(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
           shapes: Shapes) -> Step | None:
    axis = _axis(attribute(node, 'axis', 0), _rank(shapes, node.input[0]))
    counts = [shapes[name].shape[axis] if name in shapes else None for name in node.output]
    if any(demand is not None and demand.axis != axis for demand in outputs):
        return None
    channels: list[int] = []
    kept, start = [], 0
    for demand, count in zip(outputs, counts, strict=True):
        if not isinstance(count, int):
            return None
        mine = demand.channels if demand else range(count)
        channels += [start + channel for channel in mine]
        kept.append(len(mine))
        start += count

    def apply() -> None:
        """Write the sizes of the parts that are left."""
        node.input[:] = [node.input[0], f'{node.name}/kept_sizes']
        arrays[node.input[1]] = np.array(kept, np.int64)
        others = [item for item in node.attribute if item.name == 'axis']
        del node.attribute[:]
        node.attribute.extend(others)

    return Step({0: Demand(axis, tuple(channels))}, outputs, apply)


def _reshape(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
             shapes: Shapes) -> Step | None:
    (demand,) = outputs
    if demand is None or node.input[1] not in arrays or node.input[0] not in shapes:
        return None
    old, new = sizes(shapes, node.input[0]), sizes(shapes, node.output[0])
    if old is None or new is None:
        return None
    size, behind = new[demand.axis], math.prod(new[demand.axis + 1:])
    # The same elements lie behind both axes, so the channels are the last part of it.
    axis = next((axis for axis in range(1, len(old)) if old[axis] % size == 0
                 and math.prod(old[axis + 1:]) == behind), None)
    if axis is None:
        return None
    repeats = old[axis] // size
    channels = tuple(block * size + channel for block in range(repeats)
                     for channel in demand.channels)
    target = [int(item) for item in arrays[node.input[1]]]

    def apply() -> None:
        """Write the number of channels that are left into the target shape."""
        if target[demand.axis] > 0:
            target[demand.axis] = len(demand.channels)
        node.input[1] = f'{node.name}/kept_sizes'
        arrays[node.input[1]] = np.array(target, np.int64)

    if target[demand.axis] == 0 and repeats != 1:
        return None
    return Step({0: Demand(axis, channels)}, outputs, apply, frozenset({1}))


def _transpose(node: onnx.NodeProto, outputs: Wanted, _arrays: Arrays,
               shapes: Shapes) -> Step | None:
    (demand,) = outputs
    order = attribute(node, 'perm', list(range(_rank(shapes, node.input[0])))[::-1])
    return (Step({0: Demand(order[demand.axis], demand.channels)}, outputs, _nothing)
            if demand else None)


def _new_axes(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays, shapes: Shapes,
              sign: int) -> Step | None:
    """Squeeze (sign -1: axes of the input go) and Unsqueeze (1: axes of the output come)."""
    (demand,) = outputs
    if demand is None or len(node.input) < 2 or node.input[1] not in arrays:
        return None
    whole = node.output[0] if sign > 0 else node.input[0]
    gone = {_axis(int(axis), _rank(shapes, whole)) for axis in arrays[node.input[1]].reshape(-1)}
    left = [axis for axis in range(_rank(shapes, whole)) if axis not in gone]
    if sign > 0 and demand.axis in gone:
        return None
    axis = left.index(demand.axis) if sign > 0 else left[demand.axis]
    return Step({0: Demand(axis, demand.channels)}, outputs, _nothing, frozenset({1}))


def _slice(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
           shapes: Shapes) -> Step | None:
    (demand,) = outputs
    if any(name and name not in arrays for name in node.input[1:]):
        return None
    values = [arrays[name].reshape(-1).copy() if name else None for name in node.input[1:]]
    starts, ends, axes, steps = [*values, None, None][:4]
    assert starts is not None, 'a Slice always has it'
    assert ends is not None, 'a Slice always has it'
    rank = _rank(shapes, node.input[0])
    places = [_axis(int(axis), rank) for axis in (range(rank) if axes is None else axes)]
    if demand is None:
        size = shapes[node.output[0]].shape[places[0]] if node.output[0] in shapes else None
        if len(places) > 1 or not isinstance(size, int):
            return None
        demand = Demand(places[0], tuple(range(size)), weak=True)
    if demand.axis not in places:
        return Step({0: demand}, outputs, _nothing)
    place = places.index(demand.axis)
    size = shapes[node.input[0]].shape[demand.axis]
    if not isinstance(size, int) or (steps is not None and steps[place] < 1):
        return None
    step = 1 if steps is None else int(steps[place])
    taken = range(size)[slice(int(starts[place]), int(ends[place]), step)]
    channels = tuple(taken[channel] for channel in demand.channels)

    def apply() -> None:
        """Take all of its input, which holds the wanted channels and no others."""
        starts[place], ends[place] = 0, len(channels)
        for index, array in ((1, starts), (2, ends), (4, steps)):
            if array is None:
                continue
            if index == 4:
                array[place] = 1
            node.input[index] = f'{node.name}/kept_{index}'
            arrays[node.input[index]] = array

    return Step({0: Demand(demand.axis, channels, demand.weak)}, outputs, apply)


def _gather(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
            shapes: Shapes) -> Step | None:
    """One element or several of another axis, as in stack(levels)[-1]."""
    (demand,) = outputs
    index = arrays.get(node.input[1])
    axis = _axis(attribute(node, 'axis', 0), _rank(shapes, node.input[0]))
    if demand is None or index is None or index.ndim > 1 or node.input[0] in arrays:
        return None
    if index.ndim == 1 and axis == demand.axis:
        return None
    shift = 1 if index.ndim == 0 and demand.axis >= axis else 0
    return Step({0: Demand(demand.axis + shift, demand.channels)}, outputs, _nothing,
                frozenset({1}))


def _softmax(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
             shapes: Shapes) -> Step | None:
    (demand,) = outputs
    axis = _axis(attribute(node, 'axis', -1), _rank(shapes, node.input[0]))
    return _one_by_one(node, outputs, arrays, shapes) if demand and demand.axis != axis else None


def _producer(node: onnx.NodeProto, outputs: Wanted, arrays: Arrays,
              shapes: Shapes) -> Step | None:
    """Conv, Gemm or MatMul with constant weights."""
    (demand,) = outputs
    if demand is None or not set(node.input[1:]) <= set(arrays):
        return None
    rank = _rank(shapes, node.output[0])
    if node.op_type == 'Conv':
        if demand.axis != 1 or attribute(node, 'group', 1) != 1:
            return None
        axis = 0
    else:
        if demand.axis != rank - 1 or arrays[node.input[1]].ndim != 2:
            return None
        axis = 0 if node.op_type == 'Gemm' and attribute(node, 'transB', 0) else 1

    def apply() -> None:
        """Slice the weights and the bias."""
        _slice_constant(node, arrays, 1, axis, demand.channels)
        if len(node.input) > 2:
            bias = arrays[node.input[2]]
            if bias.ndim and bias.shape[-1] > 1:
                _slice_constant(node, arrays, 2, bias.ndim - 1, demand.channels)

    return Step({}, outputs, apply, frozenset(range(1, len(node.input))))


RULES: dict[str, Rule] = {
    'Concat': _concat, 'Conv': _producer, 'Gather': _gather, 'Gemm': _producer,
    'MatMul': _producer, 'Reshape': _reshape, 'Slice': _slice, 'Softmax': _softmax,
    'Split': _split, 'Squeeze': partial(_new_axes, sign=-1), 'Transpose': _transpose,
    'Unsqueeze': partial(_new_axes, sign=1)}
