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
Layers grouped as TensorRT fuses them, what each group moves, and the memory all of it needs.

Three rules stand for the many of TensorRT. An element-wise layer joins the layer before it when
nobody else reads that one's result: the two count once, and the result between them is never
written. A layer that only renames or dequantises (Reshape, DequantizeLinear, …) costs nothing and
shares the memory. A Concat costs nothing either: what it joins is written into its place at once.

The peak is the largest sum of the results that are alive at the same time, in the order of the
graph, without the network's input and outputs, which TensorRT does not count either. Channels are
rounded up to a multiple of four, as the layouts of tensor cores need; that TensorRT-RTX does so
shows in what it asks for when only the first convolution of NanoDet-g is built: 5.9 MB an image
more, four channels where the picture has three. Alignment, gaps and copies in other layouts are
not counted.

On top of that TensorRT-RTX 1.7.1 reserves scratch memory, whatever the size of the images: by the
totals, 8.192 MB for each stream that branches of the network run on side by side. Its verbose log
tells the layers of a plan with sizes, formats and streams; doc/models.md has the figures. How many
streams it takes cannot be foreseen. ``SCRATCH_BYTES`` is that of the two that NanoDet-g gets.
Other flavours of TensorRT choose by timing and may need more or less.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import onnx
from ped_perception.engine.costs import Layer, SizedGraph
from ped_perception.engine.structure import HEAVY

ELEMENTWISE = frozenset({
    'Abs', 'Add', 'BatchNormalization', 'Cast', 'Clip', 'Div', 'Elu', 'Erf', 'Exp', 'Gelu',
    'HardSigmoid', 'HardSwish', 'LeakyRelu', 'Log', 'Max', 'Min', 'Mish', 'Mul', 'Neg', 'PRelu',
    'Pow', 'QuantizeLinear', 'Relu', 'Sigmoid', 'Sqrt', 'Sub', 'Tanh'})
RENAMING = frozenset({'DequantizeLinear', 'Flatten', 'Identity', 'Reshape', 'Squeeze',
                      'Unsqueeze'})

SCRATCH_BYTES = 16_384_000
CHANNELS_PER_PIXEL = 4


@dataclass(frozen=True)
class Kernel:
    """
    Layers that run as one.

    Attributes:
        name: of the layer that costs most: the first convolution or matrix product, else the
            first layer.
        layers: names of all.
        dtype: of the arithmetic: 'int8' where weights or inputs are dequantised.
        macs: of the whole batch.
        weight_bytes: constants read.
        moved_bytes: results of others read, constants read and results written.
    """

    name: str
    layers: tuple[str, ...]
    dtype: str
    macs: int
    weight_bytes: int
    moved_bytes: int


@dataclass(frozen=True)
class Schedule:
    """
    Kernels in the order they run, and the memory of their results.

    Attributes:
        kernels: see there.
        live_bytes: what is alive while each of them runs.
    """

    kernels: tuple[Kernel, ...]
    live_bytes: tuple[int, ...]

    @property
    def peak_bytes(self) -> int:
        """Memory for activations that all of it needs."""
        return max(self.live_bytes, default=0)


def schedule(sized: SizedGraph, layers: tuple[Layer, ...]) -> Schedule:
    """
    Group the layers and follow the life of every result.

    Args:
        sized: the graph.
        layers: of it, see ``costs.layers_of``.
    """
    groups = _groups(sized)
    costs = {layer.name: layer for layer in layers}
    places = _Places(sized, groups)
    kernels = [_kernel(sized, group, costs, places) for group in groups]
    return Schedule(tuple(kernels), tuple(places.live_bytes()))


def _groups(sized: SizedGraph) -> list[list[onnx.NodeProto]]:
    readers: dict[str, int] = {}
    for node in sized.nodes:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    for name in sized.outputs:
        readers[name] = readers.get(name, 0) + 1
    groups: list[list[onnx.NodeProto]] = []
    last: dict[str, int] = {}           # group whose last result this is
    for node in sized.nodes:
        joined = [last[name] for name in node.input
                  if node.op_type in ELEMENTWISE and name in last and readers[name] == 1
                  and math.prod(sized.shapes[name]) == math.prod(sized.shapes[node.output[0]])]
        # The latest: all else that the layer reads is there by then.
        at = max(joined, default=len(groups))
        if at == len(groups):
            groups.append([])
        groups[at].append(node)
        for name in node.input:
            last.pop(name, None)
        if node.op_type not in RENAMING and node.op_type != 'Concat':
            last.update(dict.fromkeys(node.output, at))
    return _in_order(sized, groups)


def _in_order(sized: SizedGraph,
              groups: list[list[onnx.NodeProto]]) -> list[list[onnx.NodeProto]]:
    """Sort groups by their last node: a layer that joined may read what came in between."""
    position = {node.name: index for index, node in enumerate(sized.nodes)}
    return sorted(groups, key=lambda group: position[group[-1].name])


def _kernel(sized: SizedGraph, group: list[onnx.NodeProto], costs: dict[str, Layer],
            places: _Places) -> Kernel:
    names = tuple(node.name for node in group)
    main = next((node for node in group if node.op_type in HEAVY), group[0])
    weights = sum(costs[name].weight_bytes for name in names)
    if _is_free(group):
        weights = moved = 0
    else:
        inside = {name for node in group for name in node.output}
        read = {name for node in group for name in node.input
                if name and name not in inside and name not in sized.arrays}
        # Through a renaming the bytes are those of what is really there.
        moved = weights + sum(sized.bytes_of(places.origin(name)) for name in read) + sum(
            sized.bytes_of(name) for name in group[-1].output if name)
    dtype = 'int8' if any(sized.dtypes[places.origin(name)] == 'int8' for name in main.input
                          if name) else costs[main.name].dtype
    return Kernel(main.name, names, dtype, sum(costs[name].macs for name in names), weights,
                  moved)


def _is_free(group: list[onnx.NodeProto]) -> bool:
    return len(group) == 1 and (group[0].op_type in RENAMING or group[0].op_type == 'Concat')


class _Places:
    """Which results share memory, and from which kernel to which it is taken."""

    def __init__(self, sized: SizedGraph, groups: list[list[onnx.NodeProto]]) -> None:
        self._sized, self._count = sized, len(groups)
        self._source: dict[str, str] = {}
        self._joined: dict[str, str] = {}       # what a Concat joins lies in its result
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        for group in groups:
            if not _is_free(group):
                continue
            node = group[0]
            if node.op_type in RENAMING:
                self._source[node.output[0]] = node.input[0]
            else:
                for name in node.input:
                    self._joined.setdefault(self.origin(name), node.output[0])
        for index, group in enumerate(groups):
            inside = {name for node in group for name in node.output}
            read = {name for node in group for name in node.input} - inside
            for name in (*read, *group[-1].output):
                self._touch(name, index)
        for name in (sized.image, *sized.outputs):
            self._first.pop(self._place(name), None)

    def origin(self, name: str) -> str:
        """Tensor or constant that a renamed one really is."""
        while name in self._source:
            name = self._source[name]
        return name

    def live_bytes(self) -> list[int]:
        """Bytes taken while each kernel runs."""
        live = [0] * self._count
        for name, first in self._first.items():
            for index in range(first, self._last[name] + 1):
                live[index] += self._allocated(name)
        return live

    def _allocated(self, name: str) -> int:
        shape, size = self._sized.shapes[name], self._sized.bytes_of(name)
        if len(shape) != 4:
            return size
        return size // shape[1] * (math.ceil(shape[1] / CHANNELS_PER_PIXEL) * CHANNELS_PER_PIXEL)

    def _place(self, name: str) -> str:
        name = self.origin(name)
        while name in self._joined:
            name = self.origin(self._joined[name])
        return name

    def _touch(self, name: str, index: int) -> None:
        place = self._place(name)
        if place and place not in self._sized.arrays:
            self._first.setdefault(place, index)
            self._last[place] = index
