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
Float16 computed on a machine without it: what a GPU would round, rounded.

ONNX Runtime's CPU provider runs the convolutions of a float16 graph in float32 and rounds only
here and there, so it says nothing about float16. Here every result that the graph types as
float16 is rounded to it, and everything in between is float32. That is what a GPU does with
float32 accumulators; where it accumulates in float16 it is a little worse than this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference, TensorProto
from ped_perception.core.errors import import_extra
from ped_perception.core.types import Float32Array, Uint8Array

LARGEST_HALF = float(np.finfo(np.float16).max)
# They only move values that are rounded already.
MOVES = frozenset({'Concat', 'DepthToSpace', 'Expand', 'Flatten', 'Gather', 'GatherElements',
                   'Identity', 'MaxPool', 'Pad', 'Relu', 'Reshape', 'Slice', 'Split', 'Squeeze',
                   'Transpose', 'Unsqueeze'})


def half_layers(graph: onnx.ModelProto) -> dict[str, str]:
    """Give the float16 results of a typed graph that are computed: tensor → layer."""
    types = _element_types(graph)
    return {name: node.name or name for node in graph.graph.node
            if node.op_type not in MOVES for name in node.output
            if types.get(name) == TensorProto.FLOAT16}


def half_emulation(graph: onnx.ModelProto, *, switched: bool = False) -> onnx.ModelProto:
    """
    Rewrite a float16 graph so that any runtime computes it with float16's rounding.

    Args:
        graph: typed graph of precision fp16; not changed.
        switched: add an input bool[] ``NAME/switch`` for every result of ``half_layers``, which
            turns its rounding on. Weights are always rounded.

    Returns:
        A graph without float16 arithmetic, of the same inputs and outputs.
    """
    layers = half_layers(graph)
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    inner = result.graph
    for tensor in inner.initializer:
        _widen(tensor)
    nodes = list(inner.node)
    emulated: list[onnx.NodeProto] = []
    for node in nodes:
        for attribute in node.attribute:
            if node.op_type == 'Cast' and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
            elif attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
        names = [name for name in node.output if name in layers]
        node.output[:] = [f'{name}/exact' if name in layers else name for name in node.output]
        emulated.append(node)
        for name in names:
            emulated += _rounding(name, switched)
            if switched:
                inner.input.append(
                    helper.make_tensor_value_info(f'{name}/switch', TensorProto.BOOL, []))
    copies = onnx.GraphProto(node=emulated).node
    del inner.node[:]
    inner.node.extend(copies)
    return result


def _rounding(name: str, switched: bool) -> list[onnx.NodeProto]:
    result = f'{name}/rounded' if switched else name
    nodes = [helper.make_node('Cast', [f'{name}/exact'], [f'{name}/half'],
                              to=TensorProto.FLOAT16),
             helper.make_node('Cast', [f'{name}/half'], [result], to=TensorProto.FLOAT)]
    if switched:
        nodes.append(helper.make_node(
            'Where', [f'{name}/switch', result, f'{name}/exact'], [name]))
    return nodes


def activation_ranges(graph: onnx.ModelProto, tensors: Iterable[str],
                      inputs: Iterable[Uint8Array]) -> dict[str, float]:
    """
    Measure how large results become, to be held against ``LARGEST_HALF``.

    Args:
        graph: typed graph of precision fp32, in which an overflow is still a number.
        tensors: names of results; those that the graph does not have are left out.
        inputs: uint8[n, h, w, 3], as the network takes them.

    Returns:
        Largest absolute value by tensor, over all inputs.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    probed = onnx.ModelProto()
    probed.CopyFrom(graph)
    there = {name for node in probed.graph.node for name in node.output}
    names = [name for name in tensors if name in there]
    del probed.graph.output[:]
    for name in names:
        probed.graph.node.append(helper.make_node('Abs', [name], [f'{name}/abs']))
        probed.graph.node.append(
            helper.make_node('ReduceMax', [f'{name}/abs'], [f'{name}/largest'], keepdims=0))
        probed.graph.output.append(
            helper.make_tensor_value_info(f'{name}/largest', TensorProto.FLOAT, []))
    session = _session(probed)
    largest = np.zeros(len(names))
    for batch_nhw3 in inputs:
        largest = np.maximum(largest, session.run(None, {'images': batch_nhw3}))
    return dict(zip(names, largest.tolist(), strict=True))


def rounding_damage(graph: onnx.ModelProto, batch_nhw3: Uint8Array) -> dict[str, float]:
    """
    Measure what rounding each result alone does to the scores.

    Args:
        graph: typed graph of precision fp16.
        batch_nhw3: uint8[n, h, w, 3], as the network takes it.

    Returns:
        Mean change of a score by layer, the most damaging first. Takes one inference for each.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    layers, session = half_layers(graph), _session(half_emulation(graph, switched=True))

    def scores(rounded: str) -> Float32Array:
        """Give the scores with one layer rounded; none for an empty name."""
        switches = {f'{name}/switch': np.array(name == rounded) for name in layers}
        (scores_nk,) = session.run(['scores'], {'images': batch_nhw3, **switches})
        return np.asarray(scores_nk, np.float32)

    exact_nk = scores('')
    damage = {layer: float(np.nan_to_num(np.abs(scores(tensor) - exact_nk), nan=1.0).mean())
              for tensor, layer in layers.items()}
    return dict(sorted(damage.items(), key=lambda item: -item[1]))


def _session(graph: onnx.ModelProto) -> Any:
    ort: Any = import_extra('onnxruntime', 'onnxruntime')
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(graph.SerializeToString(), options,
                                providers=['CPUExecutionProvider'])


def _element_types(graph: onnx.ModelProto) -> dict[str, int]:
    inferred = shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True).graph
    return {value.name: value.type.tensor_type.elem_type
            for value in (*inferred.value_info, *inferred.output)}


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
