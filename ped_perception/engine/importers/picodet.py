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
PicoDet (arXiv:2111.00902, PaddleDetection) without its postprocessing.

Exported with export.post_process=False: four outputs of classes [N, A, classes], probabilities
already, and four of distances [N, A, 4·8], one of each for the strides 8, 16, 32 and 64 (also
taken as [N, channels, h, w]). A side is a distribution over 8 bins from the cell's centre
(cell_offset 0.5). Input: RGB, ImageNet mean and deviation (PaddleDetection's NormalizeImage).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math

from ped_perception.core.errors import ModelError
from ped_perception.engine.cut import Saving
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import (
    are_probabilities,
    boxes_from_bins,
    check_class_count,
    grid_cells,
    grid_points,
    IMAGENET,
    probabilities,
    refuse,
)
from ped_perception.engine.trunk import Trunk

STRIDES = (8, 16, 32, 64)
BINS = 8
SIDES = 4 * BINS


class PicoDet(Importer):
    """Importer of the family ``picodet``."""

    family = 'picodet'
    layout = ('four outputs float32[N,A,classes] and four float32[N,A,32], or [N,channels,h,w], '
              'of strides 8, 16, 32, 64')
    stride = 32         # the coarsest grid is rounded up
    defaults = FamilyDefaults(*IMAGENET, channel_order='rgb', top_k=256)

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``."""
        channels = [_channels(info) for info in trunk.outputs]
        others = {count for count in channels if count != SIDES}
        if (len(channels) != 2 * len(STRIDES) or channels.count(SIDES) != len(STRIDES)
                or len(others) != 1 or None in others):
            return None
        return f'four outputs with {others.pop()} classes and four with 4 x {BINS} bins'

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        saving, activated = Saving(), set[bool]()
        for info, _ in _pairs(trunk.outputs, spec.size_hw, spec.class_count):
            check_class_count(_channels(info), spec)
            axis = _axis(info)
            activated.add(are_probabilities(trunk, info.name, axis, spec.class_index))
            saving += trunk.keep(info.name, axis, [spec.class_index])
        if len(activated) != 1:
            raise ModelError('Some scores of the model are logits and some probabilities.')
        return Reduced(saving, activated.pop())

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``."""
        pairs = _pairs(list(outputs.values()), spec.size_hw, 1)
        points, steps = grid_points(spec.size_hw, STRIDES, 0.5)
        scores, bins = (
            builder.node('Concat', [_flat(builder, info) for info in infos],
                         'decode/anchors', axis=2)
            for infos in zip(*pairs, strict=True))
        best = builder.best(builder.reshape(scores, (0, len(points)), 'decode/scores_na'),
                            len(points), spec.top_k)
        return (boxes_from_bins(builder, bins, BINS, best, points, steps),
                probabilities(builder, best.scores_nk, activated))


def _axis(info: TensorInfo) -> int:
    return 1 if len(info.shape) == 4 else 2


def _channels(info: TensorInfo) -> int | None:
    channels = info.shape[_axis(info)] if len(info.shape) in (3, 4) else None
    return channels if isinstance(channels, int) else None


def _flat(builder: GraphBuilder, info: TensorInfo) -> str:
    """Arrange one output as [N,R,A]."""
    if len(info.shape) == 3:
        return builder.node('Transpose', [info.name], 'decode/flat', perm=[0, 2, 1])
    return builder.reshape(info.name, (0, _channels(info) or 0, -1), 'decode/flat')


def _pairs(outputs: Sequence[TensorInfo], size_hw: tuple[int, int],
           classes: int) -> list[tuple[TensorInfo, TensorInfo]]:
    """Classes and distances of each level, checked against the input size."""
    cells = grid_cells(size_hw, STRIDES)
    found: dict[tuple[bool, int], TensorInfo] = {}
    for info in outputs:
        where = info.shape[2:] if len(info.shape) == 4 else info.shape[1:2]
        places = math.prod(size for size in where if isinstance(size, int))
        found[_channels(info) == SIDES, places] = info
    wanted = [height * width for height, width in cells]
    keys = {(is_sides, places) for is_sides in (False, True) for places in wanted}
    if len(outputs) != len(keys) or set(found) != keys or classes == SIDES:
        raise refuse(outputs, f'outputs [N,A,classes], not {SIDES}, and [N,A,{SIDES}] of A = '
                              f'{wanted} anchors at {size_hw[1]}x{size_hw[0]}')
    return [(found[False, places], found[True, places]) for places in wanted]
