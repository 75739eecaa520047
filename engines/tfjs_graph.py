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

"""Reading a TensorFlow.js graph model, and the one pattern to be recognised in it."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field, replace
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ConversionError(Exception):
    """The TensorFlow.js model uses something this converter does not know."""


@dataclass(frozen=True)
class TfNode:
    """One TensorFlow node, its attributes decoded to Python values."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TfGraph:
    """Nodes by name, and the values of the constants among them."""

    nodes: dict[str, TfNode]
    constants: dict[str, NDArray[Any]]


def read_tfjs(path: Path) -> TfGraph:
    """
    Read ``model.json`` and its weight files; float16 weights come back as float32.

    Raises:
        ConversionError: a quantisation other than float16, or weight files of a wrong length.
    """
    document = json.loads(path.read_text())
    nodes = {
        node['name']: TfNode(
            node['name'], node['op'],
            tuple(_tensor_name(name) for name in node.get('input', []) if name[0] != '^'),
            {key: _attribute(value) for key, value in node.get('attr', {}).items()})
        for node in document['modelTopology']['node']}
    constants: dict[str, NDArray[Any]] = {}
    for group in document['weightsManifest']:
        data = b''.join((path.parent / name).read_bytes() for name in group['paths'])
        offset = 0
        for weight in group['weights']:
            quantization = weight.get('quantization') or {'dtype': weight['dtype']}
            if 'scale' in quantization:
                raise ConversionError(f'{weight["name"]}: integer weights are not supported')
            dtype, count = np.dtype(quantization['dtype']), math.prod(weight['shape'])
            if offset + count * dtype.itemsize > len(data):
                raise ConversionError(f'{path}: the weight files end inside {weight["name"]}')
            array = np.frombuffer(data, dtype, count, offset).reshape(weight['shape'])
            constants[weight['name']] = array.astype(weight['dtype'])
            offset += array.nbytes
        if offset != len(data):
            raise ConversionError(f'{path}: {len(data) - offset} bytes of weights left over')
    return TfGraph(nodes, constants)


def _tensor_name(name: str) -> str:
    return name[:-2] if name.endswith(':0') else name


def _attribute(value: dict[str, Any]) -> Any:
    if 's' in value:
        return b64decode(value['s']).decode()
    if 'list' in value:
        items = value['list']
        return ([int(item) for item in items['i']] if 'i' in items
                else [b64decode(item).decode() for item in items.get('s', [])])
    for key, kind in (('i', int), ('f', float), ('b', bool)):
        if key in value:
            return kind(value[key])
    return None


def with_hard_swish(graph: TfGraph) -> TfGraph:
    """
    Recognise x·relu6(x + 3)/6 and relu6(x + 3)/6, which TensorFlow spells out.

    One node instead of four is what runtimes have fast kernels for. Weight compression
    rounded the 1/6 of these files to a float16 (2.4e-4 off); the author's 1/6 comes back.
    """
    nodes = dict(graph.nodes)
    for node in graph.nodes.values():
        if node.op != 'Mul':
            continue
        for gate, other in (node.inputs, node.inputs[::-1]):
            argument = _relu6_argument(graph, gate)
            if argument is None:
                continue
            factor = graph.nodes[other]
            if _is_sixth(graph, other):
                nodes[node.name] = TfNode(node.name, 'HardSigmoid', (argument,))
            elif factor.op == 'Mul' and any(
                    names[0] == argument and _is_sixth(graph, names[1])
                    for names in (factor.inputs, factor.inputs[::-1])):
                nodes[node.name] = TfNode(node.name, 'HardSwish', (argument,))
    return replace(graph, nodes=nodes)


def _scalar(graph: TfGraph, name: str) -> float | None:
    value = graph.constants.get(name)
    return float(value.ravel()[0]) if value is not None and value.size == 1 else None


def _is_sixth(graph: TfGraph, name: str) -> bool:
    value = _scalar(graph, name)
    return value is not None and math.isclose(value, 1 / 6, rel_tol=5e-4)


def _relu6_argument(graph: TfGraph, name: str) -> str | None:
    """Return x if ``name`` is relu6(x + 3)."""
    relu = graph.nodes[name]
    add = graph.nodes[relu.inputs[0]] if relu.op == 'Relu6' else None
    if add is None or add.op not in ('Add', 'AddV2'):
        return None
    for argument, other in (add.inputs, add.inputs[::-1]):
        if _scalar(graph, other) == 3.0:
            return argument
    return None
