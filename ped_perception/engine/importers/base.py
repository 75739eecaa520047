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

"""What an importer is asked, and what it answers; one importer per model family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args, Protocol

from ped_perception.core.errors import ModelError
from ped_perception.engine.cut import Saving
from ped_perception.engine.graph import ChannelOrder, GraphBuilder, Precision, TensorInfo
from ped_perception.engine.trunk import Trunk

MAX_SIZE = 8192


@dataclass(frozen=True)
class FamilyDefaults:
    """How models of a family are usually trained, for files that nobody described."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: ChannelOrder
    top_k: int
    class_count: int = 80
    class_index: int = 0


@dataclass(frozen=True)
class ImportSpec:
    """
    Everything about an import that the file itself does not say.

    Attributes:
        size_hw: network input, pixels.
        class_index: which class of the file is the pedestrian.
        class_count: classes the file was trained on.
        top_k: candidates per image.
        mean, std: grey levels 0-255, in ``channel_order``: x → (x - mean) / std.
        channel_order: what the trunk expects; images come in as BGR always.
        precision: type of the trunk's weights and activations.
        keep_fp32: layers of the trunk that stay float32 in a graph of precision fp16.
    """

    size_hw: tuple[int, int]
    class_index: int
    class_count: int
    top_k: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: ChannelOrder
    precision: Precision = 'fp32'
    keep_fp32: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(0 < size <= MAX_SIZE for size in self.size_hw):
            raise ModelError(f'Input size {self.size_hw[1]}x{self.size_hw[0]} is not within '
                             f'1..{MAX_SIZE} pixels.')
        if not 0 <= self.class_index < self.class_count:
            raise ModelError(f'Class index {self.class_index} is not within '
                             f'0..{self.class_count - 1}.')
        if self.top_k < 1:
            raise ModelError(f'top_k is {self.top_k}; at least 1 candidate is needed.')
        if len(self.mean) != 3 or len(self.std) != 3 or not all(v > 0 for v in self.std):
            raise ModelError(f'mean {self.mean} and std {self.std} need three values each, '
                             'those of std positive.')
        for value, kind in ((self.channel_order, ChannelOrder), (self.precision, Precision)):
            if value not in get_args(kind):
                raise ModelError(f'{value!r} is none of {", ".join(get_args(kind))}.')


@dataclass(frozen=True)
class Reduced:
    """
    What ``Importer.reduce`` did and found out.

    Attributes:
        saving: of the cut head.
        activated: the network's scores are probabilities already, not logits.
    """

    saving: Saving
    activated: bool = False


class Importer(Protocol):
    """
    One model family.

    ``import_model`` calls, in this order: ``match`` on the file, ``reduce`` on the trunk at its
    final size, ``decode`` on the trunk's outputs inside the new graph.

    Attributes:
        family: name.
        layout: the outputs of this family, for people.
        stride: input sizes must be multiples of it.
        defaults: how models of the family are usually trained.
        decodes_itself: the file computes the boxes, so it may hold grids of one input size.
        kept_outputs: outputs that are used if there are more; empty: all.
    """

    family: str
    layout: str
    stride: int
    defaults: FamilyDefaults
    decodes_itself: bool = False
    kept_outputs: tuple[str, ...] = ()

    def match(self, trunk: Trunk) -> str | None:
        """Return why a network is of this family, or None if it is not."""

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """Cut what the wanted class does not need; raises ModelError on wrong outputs."""

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """Add the decoding; returns boxes float32[N,K,4] xyxy px and scores float32[N,K]."""


def check_size(size_hw: tuple[int, int], stride: int) -> None:
    """
    Check that the network's coarsest grid covers the input exactly.

    Raises:
        ModelError: with the nearest sizes that do.
    """
    if not any(size % stride for size in size_hw):
        return
    (low_h, high_h), (low_w, high_w) = (
        (max(size // stride, 1) * stride, -(-size // stride) * stride) for size in size_hw)
    raise ModelError(f'Input size {size_hw[1]}x{size_hw[0]}: width and height must be multiples '
                     f'of {stride}. Nearest: {low_w}x{low_h} or {high_w}x{high_h}.')


def check_exported_size(trunk: Trunk, size_hw: tuple[int, int]) -> None:
    """
    Check that a network that decodes its boxes itself can do so at a size.

    Its grids may be constants, and those of another size can have equally many cells.

    Raises:
        ModelError: it cannot, with what to do.
    """
    height, width = size_hw
    old = trunk.exported_hw
    if old is not None and old != size_hw:
        raise ModelError(f'The model decodes its boxes itself and was exported for {old[1]}x'
                         f'{old[0]}: export it for {width}x{height}, or without the decoding.')
    if old is None and not trunk.works_at((height + 128, width + 256)):
        raise ModelError(
            'The size of its input is free, but the decoding inside the model works for some '
            f'sizes only: export it for {width}x{height}, or without the decoding.')
