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

"""What a network's graph is made of: its input, its constants, the layers that decode."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, TensorProto
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import tensor_info, TensorInfo
from ped_perception.engine.shapes import ImageInput

Arrays = dict[str, NDArray[Any]]
CONSTANT_TYPES: dict[str, type[np.generic]] = {
    'value_float': np.float32, 'value_floats': np.float32, 'value_int': np.int64,
    'value_ints': np.int64}
HEAVY = frozenset({'Conv', 'ConvTranspose', 'Einsum', 'Gemm', 'MatMul'})


def image_input(graph: onnx.GraphProto, prefix: str) -> ImageInput:
    """
    Find the one image input, and make it float32.

    Args:
        graph: of a file; constants are dropped from its inputs.
        prefix: of all names in the graph, unknown to the user.

    Raises:
        ModelError: there is not exactly one, or it is no image.
    """
    constants = {tensor.name for tensor in graph.initializer}
    values = [value for value in graph.input if value.name not in constants]
    inputs = [tensor_info(value) for value in values]
    first = inputs[0] if inputs else TensorInfo('', '', ())
    channels_last = first.shape[1:2] != (3,) and first.shape[3:] == (3,)
    batch, *rest = first.shape or (None,)
    fits = (len(inputs) == 1 and len(rest) == 3 and first.dtype in ('float32', 'uint8')
            and (channels_last or rest[0] == 3 or not isinstance(rest[0], int)))
    if not fits:
        seen = ', '.join(str(info).removeprefix(prefix) for info in inputs) or 'none'
        raise ModelError(
            'A model must have one input, float32 or uint8 [N,3,h,w] or [N,h,w,3]; this one '
            f'has: {seen}. Export the network alone, in float32, without resizing and '
            'postprocessing (of RT-DETR and D-FINE: pred_logits and pred_boxes, without the '
            'postprocessor, which is what needs orig_target_sizes).')
    # Whole numbers are as good in float32, and only that can be normalised in front.
    values[0].type.tensor_type.elem_type = TensorProto.FLOAT
    kept = onnx.GraphProto(input=values)
    del graph.input[:]
    graph.input.extend(kept.input)
    height, width = rest[:2] if channels_last else rest[1:]
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return ImageInput(first.name, channels_last, size,
                      batch if isinstance(batch, int) and batch > 0 else 1)


def unfold_constants(graph: onnx.GraphProto) -> Arrays:
    """Take the constants, and the nodes that only hold or cast one, out of a graph."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        value = _constant_value(node, arrays)
        if value is None:
            kept.append(node)
        else:
            arrays[node.output[0]] = value
    nodes = onnx.GraphProto(node=kept).node     # copies: the old ones go with their list
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    return arrays


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own: layers are called by it."""
    seen: set[str] = set()
    for node in graph.node:
        if not node.name or node.name in seen:
            node.name = node.output[0]
        seen.add(node.name)


def prune(graph: onnx.GraphProto, outputs: set[str]) -> None:
    """Keep some outputs and what they need."""
    needed, nodes = set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    kept = onnx.GraphProto(
        node=nodes[::-1], output=[value for value in graph.output if value.name in outputs])
    del graph.node[:], graph.output[:]
    graph.node.extend(kept.node)
    graph.output.extend(kept.output)


def decoding_layers(graph: onnx.GraphProto, arrays: Arrays) -> list[str]:
    """Name the layers behind the last convolutions and matrix products."""
    read_by_heavy: set[str] = set()
    names = []
    for node in reversed(graph.node):
        if not read_by_heavy.isdisjoint(node.output) or _is_heavy(node, arrays):
            read_by_heavy |= set(node.input)
        else:
            names.append(node.name)
    return names[::-1]


def value_info(info: TensorInfo) -> onnx.ValueInfoProto:
    """Describe a tensor the way ONNX does."""
    kind = {'float32': 'float', 'float64': 'double'}.get(info.dtype, info.dtype)
    return helper.make_tensor_value_info(info.name, TensorProto.DataType.Value(kind.upper()),
                                         info.shape)


def _constant_value(node: onnx.NodeProto, arrays: Arrays) -> NDArray[Any] | None:
    attribute = node.attribute[0] if node.attribute else None
    if node.op_type == 'Constant' and attribute is not None:
        value = helper.get_attribute_value(attribute)
        if attribute.name == 'value':
            return numpy_helper.to_array(value)
        kind = CONSTANT_TYPES.get(attribute.name)
        return None if kind is None else np.array(value, kind)
    source = arrays.get(node.input[0]) if node.input else None
    if source is None or attribute is None or node.op_type != 'Cast':
        return source if node.op_type == 'Identity' else None
    return source.astype(helper.tensor_dtype_to_np_dtype(attribute.i))


def _is_heavy(node: onnx.NodeProto, arrays: Arrays) -> bool:
    if node.op_type not in HEAVY:
        return False
    weight = arrays.get(node.input[1])
    # The expectation over bins 0, 1, 2 … is written as a convolution by some: it decodes.
    return weight is None or not np.array_equal(weight.reshape(-1), np.arange(weight.size))
