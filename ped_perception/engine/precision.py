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

"""Typing a float32 network as float16, but for the layers that need float32."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, TensorProto
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import tensor_info

Arrays = dict[str, NDArray[Any]]


def to_half(graph: onnx.GraphProto, arrays: Arrays, keep_fp32: Sequence[str],
            prefix: str) -> set[str]:
    """
    Type weights and activations as float16.

    Args:
        graph: of a float32 network, with inferred shapes; changed.
        arrays: its constants; changed.
        keep_fp32: names of nodes that stay float32; of nameless ones, of their results.
        prefix: of all names in the graph, unknown to the user.

    Returns:
        The activations that are float32 nevertheless: the results of the layers kept.

    Raises:
        ModelError: a constant does not fit into float16, or there is no such node.
    """
    kept = _keep(graph, arrays, keep_fp32, prefix)
    # These inputs are float32 whatever the type of the data.
    fixed = {name for node in graph.node if node.op_type == 'Resize' for name in node.input[1:]}
    fixed |= {name for node in kept for name in node.input}
    results = {name for node in kept for name in node.output}
    for name, array in arrays.items():
        if array.dtype == np.float32 and name not in fixed:
            arrays[name] = _half(name.removeprefix(prefix), array)
    for node in graph.node:
        if results.isdisjoint(node.output):
            _type_attributes(node)
    return _cast_around(graph, results)


def _type_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if node.op_type == 'Cast' and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif (attribute.type == onnx.AttributeProto.TENSOR
              and attribute.t.data_type == TensorProto.FLOAT):
            values = numpy_helper.to_array(attribute.t)
            attribute.t.CopyFrom(numpy_helper.from_array(_half(node.name, values)))


def _keep(graph: onnx.GraphProto, arrays: Arrays, names: Sequence[str],
          prefix: str) -> list[onnx.NodeProto]:
    """Find nodes by name and give them constants of their own."""
    layers = {(node.name or node.output[0]).removeprefix(prefix): node for node in graph.node}
    kept = []
    for name in dict.fromkeys(name.removeprefix(prefix) for name in names):
        if name not in layers:
            near = ', '.join(get_close_matches(name, layers, cutoff=0.0))
            raise ModelError(f'The model has no layer {name!r} to keep in float32; the nearest '
                             f'names: {near}.')
        kept.append(layers[name])
        for index, source in enumerate(layers[name].input):
            if source in arrays:
                # Another layer may share the array, and read it as float16.
                layers[name].input[index] = f'{prefix}{name}/kept_{index}'
                arrays[layers[name].input[index]] = arrays[source]
    return kept


def _cast_around(graph: onnx.GraphProto, results: set[str]) -> set[str]:
    """Cast what float32 layers read of float16 ones, and the other way round."""
    floats = {value.name for value in (*graph.value_info, *graph.output, *graph.input)
              if tensor_info(value).dtype == 'float32'}
    kept = results & floats
    nodes: list[onnx.NodeProto] = []
    cast: set[str] = set()
    for node in graph.node:
        is_kept = not results.isdisjoint(node.output)
        for index, source in enumerate(node.input):
            if source not in floats or (source in kept) == is_kept:
                continue
            node.input[index] = f'{source}/{"fp32" if is_kept else "fp16"}'
            if node.input[index] not in cast:
                cast.add(node.input[index])
                kind = TensorProto.FLOAT if is_kept else TensorProto.FLOAT16
                nodes.append(helper.make_node('Cast', [source], [node.input[index]],
                                              node.input[index], to=kind))
        nodes.append(node)
    graph_nodes = onnx.GraphProto(node=nodes).node      # copies: the old ones go with the list
    del graph.node[:]
    graph.node.extend(graph_nodes)
    return kept


def _half(name: str, array: NDArray[Any]) -> NDArray[Any]:
    finite = array[np.isfinite(array)]
    if finite.size and np.abs(finite).max() > np.finfo(np.float16).max:
        raise ModelError(f'Constant {name} reaches {np.abs(finite).max():.4g}, more than float16 '
                         'can hold; keep its layer in float32 (--keep-fp32), or take precision '
                         'fp32.')
    return array.astype(np.float16)
