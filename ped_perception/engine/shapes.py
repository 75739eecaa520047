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
Shapes of a network at another input size and batch, and what an exporter froze, made free.

Exporters write the batch and the image size of the export into Reshape. Where the shape in
front tells what a number stands for, it is replaced; where not, inference at the new size or at
a batch of two fails, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, shape_inference
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import tensor_info, TensorInfo

Arrays = dict[str, NDArray[Any]]
Shapes = Mapping[str, TensorInfo]
LARGE = 4096            # elements: no shape, axis or index of a network is that long


@dataclass(frozen=True)
class ImageInput:
    """
    The image input of a network.

    Attributes:
        name: of the tensor.
        channels_last: [N,h,w,3] instead of [N,3,h,w].
        exported_hw: the size in the file, None where it is free.
        exported_batch: the batch in the file, 1 where it is free.
    """

    name: str
    channels_last: bool
    exported_hw: tuple[int, int] | None
    exported_batch: int

    def shape(self, batch: int | str, size_hw: tuple[int, int]) -> tuple[int | str, ...]:
        """Shape at a batch and a size."""
        return (batch, *size_hw, 3) if self.channels_last else (batch, 3, *size_hw)


def infer(model: onnx.ModelProto, arrays: Arrays, image: ImageInput, batch: int | str,
          size_hw: tuple[int, int], strict: bool = True) -> dict[str, TensorInfo]:
    """
    Infer type and shape of every tensor.

    Args:
        model: its graph's nodes; shapes noted in it count for nothing.
        arrays: its constants.
        image: its input.
        batch: of the input.
        size_hw: of the input.
        strict: False leaves out what cannot be inferred.

    Raises:
        ModelError: the network does not work with this input.
    """
    inputs = [helper.make_tensor_value_info(image.name, onnx.TensorProto.FLOAT,
                                            image.shape(batch, size_hw))]
    constants = []
    for name, array in arrays.items():
        # Weights only matter by their shape; without them inference takes milliseconds.
        if array.size > LARGE:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            inputs.append(helper.make_tensor_value_info(name, kind, array.shape))
        else:
            constants.append(numpy_helper.from_array(np.asarray(array, order='C'), name))
    outputs = [onnx.ValueInfoProto(name=value.name, type=onnx.TypeProto(
        tensor_type=onnx.TypeProto.Tensor(elem_type=value.type.tensor_type.elem_type)))
        for value in model.graph.output]
    skeleton = helper.make_model(
        helper.make_graph(model.graph.node, 'skeleton', inputs, outputs, constants),
        opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        result = shape_inference.infer_shapes(skeleton, check_type=strict, strict_mode=strict,
                                              data_prop=True).graph
    except shape_inference.InferenceError as error:
        # The first of its lines is the cause, the others follow from it.
        raise ModelError(str(error).split('Inference error(s): ')[-1].splitlines()[0]) from error
    known = {value.name: tensor_info(value)
             for value in (*result.input, *result.value_info, *result.output)}
    known.update((name, TensorInfo(name, str(array.dtype), array.shape))
                 for name, array in arrays.items())
    if strict:
        _check_reshapes(model.graph, arrays, known)
    return known


def free_batch(graph: onnx.GraphProto, arrays: Arrays, exported: Shapes) -> None:
    """
    Let every Reshape to the exported batch copy the batch of its input instead.

    At the exported batch nothing changes; at another one it is right if the first axis is the
    batch, and if it is not, ``check_batch`` finds out.

    Args:
        graph: the nodes; changed.
        arrays: the constants; changed.
        exported: shapes at the exported batch.
    """
    for node in graph.node:
        target = reshape_target(node, arrays)
        source = sizes(exported, node.input[0]) if target is not None else None
        if target and source and target[0] == source[0]:
            _set_target(node, arrays, [0, *target[1:]])


def free_size(graph: onnx.GraphProto, arrays: Arrays, exported: Shapes,
              wanted: Shapes) -> bool:
    """
    Let every Reshape to sizes of the export follow the new size, where that is possible.

    Args:
        graph: the nodes; changed.
        arrays: the constants; changed.
        exported: shapes at the size of the export.
        wanted: shapes at the new size, at the same batch, as far as they are known.

    Returns:
        Whether something changed, so that more shapes may be known now.
    """
    changed = False
    for node in graph.node:
        target = reshape_target(node, arrays)
        old, new = (sizes(shapes, node.input[0]) if target is not None else None
                    for shapes in (exported, wanted))
        goal = sizes(exported, node.output[0]) if target is not None else None
        if not target or old is None or new is None or goal is None or -1 in target:
            continue
        followed = _follow(old, new, goal)
        goal = () if followed is None else tuple(
            0 if size == 0 else new_size for size, new_size in zip(target, followed, strict=True))
        if goal and list(goal) != target:
            _set_target(node, arrays, list(goal))
            changed = True
    return changed


def settle_reshapes(graph: onnx.GraphProto, arrays: Arrays, one: Shapes, two: Shapes) -> None:
    """
    Replace Reshape shapes that the network computes by constants: only the batch is free.

    Args:
        graph: the nodes; changed.
        arrays: the constants; changed.
        one: shapes at a batch of one, at the final size.
        two: shapes at a batch of two.
    """
    for node in graph.node:
        if node.op_type != 'Reshape' or node.input[1] in arrays:
            continue
        first, second = (sizes(shapes, node.output[0]) for shapes in (one, two))
        sources = [sizes(shapes, node.input[0]) for shapes in (one, two)]
        if first is None or second is None:
            continue
        free = [axis for axis, pair in enumerate(zip(first, second, strict=True))
                if pair[0] != pair[1]]
        if len(free) <= 1:
            target = [-1 if axis in free else size for axis, size in enumerate(first)]
            if [first[0], second[0]] == [shape[0] for shape in sources if shape]:
                target[0] = 0
            _set_target(node, arrays, target)


def check_batch(names: list[str], one: Shapes, two: Shapes) -> None:
    """
    Check that outputs grow with the batch and in nothing else.

    Raises:
        ModelError: one does not.
    """
    for name in names:
        first, second = sizes(one, name), sizes(two, name)
        if first is None or second is None:
            continue
        if second[0] != 2 * first[0] or second[1:] != first[1:]:
            raise ModelError(f'a batch of 1 gives {one[name]}, a batch of 2 {two[name]}')


def reshape_target(node: onnx.NodeProto, arrays: Arrays) -> list[int] | None:
    """Constant shape of a Reshape in which 0 means 'as before'; else None."""
    if node.op_type != 'Reshape' or node.input[1] not in arrays:
        return None
    if any(item.name == 'allowzero' and item.i for item in node.attribute):
        return None
    return [int(size) for size in arrays[node.input[1]].reshape(-1)]


def sizes(shapes: Shapes, name: str) -> tuple[int, ...] | None:
    """Sizes of a tensor, None if some are unknown or there are none."""
    shape = shapes[name].shape if name in shapes else ()
    known = tuple(size for size in shape if isinstance(size, int))
    return known if shape and len(known) == len(shape) else None


def _set_target(node: onnx.NodeProto, arrays: Arrays, target: list[int]) -> None:
    # Under a new name: several nodes may share one constant.
    node.input[1] = f'{node.output[0]}/sizes'
    arrays[node.input[1]] = np.array(target, np.int64)


def _check_reshapes(graph: onnx.GraphProto, arrays: Arrays, shapes: Shapes) -> None:
    """Count the elements; the inference of ONNX believes any constant shape."""
    for node in graph.node:
        if reshape_target(node, arrays) is None:
            continue
        source, goal = sizes(shapes, node.input[0]), sizes(shapes, node.output[0])
        if source and goal and math.prod(source) != math.prod(goal):
            raise ModelError(f'{node.name} turns {list(source)} into {list(goal)}')


def _follow(old: tuple[int, ...], new: tuple[int, ...],
            goal: tuple[int, ...]) -> tuple[int, ...] | None:
    """Say what ``goal``, made of ``old``, is when made of ``new``; None if it is not clear."""
    if len(old) != len(new) or math.prod(old) != math.prod(goal):
        return None
    if old != new and goal.count(1) > old.count(1):
        return None     # an axis of 1 may count windows, and then it is the one that grows
    before = [math.prod(old[:axis]) for axis in range(len(old) + 1)]
    result = []
    for axis, size in enumerate(goal):
        first, last = math.prod(goal[:axis]), math.prod(goal[:axis + 1])
        if first in before and last in before:      # whole axes of the old shape, merged
            result.append(math.prod(new[before.index(first):before.index(last)]))
        else:
            result.append(size)
    return tuple(result) if math.prod(result) == math.prod(new) else None
