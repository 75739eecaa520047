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
What each layer of a typed graph costs: parameters, multiplications, bytes.

Counted from the graph and its shapes; nothing is run. A MAC is one multiplication with its
addition, in convolutions and matrix products; what other layers compute is small beside the
bytes they move, and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import math
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import tensor_info
from ped_perception.engine.structure import Arrays, decoding_layers, HEAVY

Stage: TypeAlias = Literal['front', 'trunk', 'head', 'decode']
STAGES: tuple[Stage, ...] = ('front', 'trunk', 'head', 'decode')
FRONT = 'front/'
# Their constants are sizes, scales and positions: nothing that was learned.
NOT_LEARNED = frozenset({
    'Clip', 'Expand', 'Gather', 'GatherElements', 'Pad', 'QuantizeLinear', 'Reshape', 'Resize',
    'Slice', 'Split', 'Squeeze', 'Tile', 'TopK', 'Unsqueeze'})


@dataclass(frozen=True)
class Layer:
    """
    One node of the graph.

    Attributes:
        name: of the node.
        operator: ONNX operator.
        stage: 'front' normalises, 'trunk' serves several heads, 'head' one, 'decode' makes boxes.
        shape: of the first output.
        dtype: element type of the first output, 'float16' for instance.
        parameters: learned numbers; constants of front and decode are none.
        macs: multiplications with addition, of the whole batch.
        weight_bytes: of all constants, each counted where it is read first.
        activation_bytes: of all outputs.
    """

    name: str
    operator: str
    stage: Stage
    shape: tuple[int, ...]
    dtype: str
    parameters: int
    macs: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True, eq=False)
class SizedGraph:
    """
    A typed graph at one batch size, every shape known.

    Attributes:
        nodes: in the order they run.
        arrays: constants by name.
        shapes: of all tensors and constants by name.
        dtypes: like shapes.
        image: name of the input, uint8[N,h,w,3].
        outputs: names.
        decoding: names of the nodes behind the last convolutions.
        heads: tensors that those read: the raw outputs of the network.
        metadata: what the file says about itself.
    """

    nodes: tuple[onnx.NodeProto, ...]
    arrays: Arrays
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    image: str
    outputs: tuple[str, ...]
    decoding: frozenset[str]
    heads: tuple[str, ...]
    metadata: dict[str, str]

    def bytes_of(self, name: str) -> int:
        """Size of a tensor or constant."""
        return math.prod(self.shapes[name]) * np.dtype(self.dtypes[name]).itemsize

    @property
    def size_hw(self) -> tuple[int, int]:
        """Network input, pixels."""
        _, height, width, _ = self.shapes[self.image]
        return height, width


def size_graph(model: onnx.ModelProto, batch: int) -> SizedGraph:
    """
    Find every shape of a typed graph at a batch size.

    Args:
        model: images uint8[N,h,w,3] in, see ``engine.graph``; not changed.
        batch: N.

    Raises:
        ModelError: a shape is not known, or the input is not that of a typed graph.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    try:
        graph = shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True).graph
    except shape_inference.InferenceError as error:
        raise ModelError(f'The shapes of the graph are not known: {error}') from error
    arrays: Arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    dtypes = {name: str(array.dtype) for name, array in arrays.items()}
    for info in map(tensor_info, (*graph.input, *graph.value_info, *graph.output)):
        sizes = tuple(size for size in info.shape if isinstance(size, int))
        if len(sizes) == len(info.shape):
            shapes[info.name], dtypes[info.name] = sizes, info.dtype
    unknown = [name for node in graph.node for name in node.output if name and name not in shapes]
    if unknown:
        raise ModelError(f'The shape of {unknown[0]} is not known before the network runs.')
    image = graph.input[0].name
    if len(shapes[image]) != 4 or shapes[image][3] != 3:
        raise ModelError(f'{image} {shapes[image]} is not images [N,h,w,3]: not a typed graph.')
    decoding = frozenset(decoding_layers(graph, arrays))
    return SizedGraph(
        tuple(graph.node), arrays, shapes, dtypes, image,
        tuple(value.name for value in graph.output), decoding, _heads(graph, decoding),
        {entry.key: entry.value for entry in model.metadata_props})


def layers_of(sized: SizedGraph) -> tuple[Layer, ...]:
    """Count what every node costs, in the order they run."""
    stages = _stages(sized)
    counted: set[str] = set()
    layers = []
    for node in sized.nodes:
        constants = [name for name in node.input if name in sized.arrays and name not in counted]
        counted.update(constants)
        outputs = [name for name in node.output if name]
        stage = stages[node.name]
        learned = _learned(node, constants) if stage in ('trunk', 'head') else ()
        layers.append(Layer(
            node.name, node.op_type, stage, sized.shapes[outputs[0]], sized.dtypes[outputs[0]],
            sum(sized.arrays[name].size for name in learned), macs_of(node, sized.shapes),
            sum(sized.bytes_of(name) for name in constants),
            sum(sized.bytes_of(name) for name in outputs)))
    return tuple(layers)


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node by name."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def macs_of(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Count the multiplications with addition of one node, the whole batch."""
    if node.op_type not in HEAVY:
        return 0
    output = math.prod(shapes[node.output[0]])
    first, second = (shapes[name] for name in node.input[:2])
    if node.op_type == 'Conv':          # weights [out, in / groups, *kernel]
        return output * math.prod(second[1:])
    if node.op_type == 'ConvTranspose':     # weights [in, out / groups, *kernel]
        return math.prod(first) * math.prod(second[1:])
    if node.op_type == 'Einsum':
        return _einsum_macs(attributes_of(node)['equation'].decode(), first, second)
    inner = first[0] if node.op_type == 'Gemm' and attributes_of(node).get('transA') else first[-1]
    return output * inner


def _einsum_macs(equation: str, first: tuple[int, ...], second: tuple[int, ...]) -> int:
    terms = equation.replace(' ', '').split('->')[0].split(',')
    if '...' in equation or len(terms) != 2:
        raise ModelError(f'The cost of Einsum {equation} is not known.')
    return math.prod({**dict(zip(terms[0], first, strict=True)),
                      **dict(zip(terms[1], second, strict=True))}.values())


def _learned(node: onnx.NodeProto, constants: Iterable[str]) -> tuple[str, ...]:
    if node.op_type in NOT_LEARNED:
        return ()
    if node.op_type == 'DequantizeLinear':      # scale and zero point belong to the format
        return tuple(name for name in constants if name == node.input[0])
    return tuple(constants)


def _heads(graph: onnx.GraphProto, decoding: frozenset[str]) -> tuple[str, ...]:
    made = {name for node in graph.node if node.name not in decoding for name in node.output}
    read = [name for node in graph.node if node.name in decoding for name in node.input]
    return tuple(dict.fromkeys(name for name in read if name in made))


def _stages(sized: SizedGraph) -> dict[str, Stage]:
    """
    Tell the stages apart by position: a layer that reaches one raw output only is of its head.

    Where there is one raw output all layers do; then its head is what comes with and behind the
    last convolution.
    """
    reached: dict[str, set[str]] = {name: {name} for name in sized.heads}
    stages: dict[str, Stage] = {}
    single_done = False
    for node in reversed(sized.nodes):
        if node.name in sized.decoding:
            stages[node.name] = 'decode'
            continue
        heads = set().union(*(reached.get(name, set()) for name in node.output))
        for name in node.input:
            reached.setdefault(name, set()).update(heads)
        alone = not single_done if len(sized.heads) == 1 else len(heads) == 1
        stages[node.name] = ('front' if node.name.startswith(FRONT)
                             else 'head' if alone else 'trunk')
        single_done = single_done or node.op_type in HEAVY
    return stages
