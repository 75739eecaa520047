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
NanoDet-Plus (github.com/RangiLyu/nanodet): NanoDet with four levels and its own centres.

Either the table [N, A, classes + 4·8] that its export_onnx.py writes, in which classes are
probabilities already, or four raw heads [N, classes + 4·8, h/s, w/s]. A side's distance is a
distribution over 8 bins, from the cell's upper left corner: unlike NanoDet its
get_single_level_center_priors adds no half. Input: as NanoDet (its config files).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ped_perception.engine.cut import Saving
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import (
    anchor_count,
    are_probabilities,
    boxes_from_bins,
    check_class_count,
    grid_cells,
    grid_points,
    joined_anchors,
    probabilities,
    refuse,
    table_channels,
)
from ped_perception.engine.trunk import Trunk

STRIDES = (8, 16, 32, 64)
BINS = 8
SIDES = 4 * BINS


class NanoDetPlus(Importer):
    """Importer of the family ``nanodet-plus``."""

    family = 'nanodet-plus'
    layout = ('float32[N,A,classes+32] of strides 8, 16, 32, 64, or four heads '
              'float32[N,classes+32,h/s,w/s]')
    stride = 32         # the coarsest grid is rounded up
    defaults = FamilyDefaults(mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395),
                              channel_order='bgr', top_k=256)

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``; unless the file tells its size, only COCO models can be told."""
        outputs, coco = trunk.outputs, SIDES + self.defaults.class_count
        if len(outputs) == 1:
            channels = table_channels(outputs[0], trunk, STRIDES, channels_last=True)
            if channels is None or (trunk.exported_hw is None and channels != coco):
                return None
        else:
            channels = _head_channels(outputs)
            if channels != coco:
                return None
        if channels <= SIDES:
            return None
        return f'{channels} channels = {channels - SIDES} classes + 4 x {BINS} bins on 4 levels'

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        outputs = _in_order(trunk.outputs, spec.size_hw)
        axis = 2 if len(outputs) == 1 else 1
        channels = outputs[0].shape[axis]
        check_class_count(channels - SIDES if isinstance(channels, int) else channels, spec)
        activated = are_probabilities(trunk, outputs[0].name, axis, spec.class_index)
        keep = [spec.class_index, *range(spec.class_count, spec.class_count + SIDES)]
        saving = Saving()
        for info in outputs:
            saving += trunk.keep(info.name, axis, keep)
        return Reduced(saving, activated)

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``."""
        infos = _in_order(list(outputs.values()), spec.size_hw)
        points, steps = grid_points(spec.size_hw, STRIDES, 0.0)
        joined = joined_anchors(builder, infos, 1 + SIDES)
        scores, bins = builder.nodes('Split', [joined, builder.shape(1, SIDES)],
                                     ['decode/class', 'decode/bins'], axis=1)
        best = builder.best(builder.reshape(scores, (0, len(points)), 'decode/scores_na'),
                            len(points), spec.top_k)
        return (boxes_from_bins(builder, bins, BINS, best, points, steps),
                probabilities(builder, best.scores_nk, activated))


def _head_channels(outputs: Sequence[TensorInfo]) -> int | None:
    """Count the channels of four heads [N,R,h,w], None if that is not what they are."""
    channels = {info.shape[1] for info in outputs if len(info.shape) == 4}
    count = channels.pop() if len(channels) == 1 else None
    return count if len(outputs) == len(STRIDES) and isinstance(count, int) else None


def _in_order(outputs: Sequence[TensorInfo], size_hw: tuple[int, int]) -> list[TensorInfo]:
    """Check the outputs; give the one table, or the heads in the order of ``STRIDES``."""
    anchors, cells = anchor_count(size_hw, STRIDES), grid_cells(size_hw, STRIDES)
    if len(outputs) == 1 and len(outputs[0].shape) == 3 and outputs[0].shape[1] == anchors:
        return list(outputs)
    by_cells = {info.shape[2:]: info for info in outputs}
    if set(by_cells) == set(cells) and _head_channels(outputs):
        return [by_cells[cell] for cell in cells]
    raise refuse(outputs, f'one output [N,{anchors},classes+{SIDES}], or heads [N,classes+{SIDES}'
                          f',h,w] of {cells} cells at {size_hw[1]}x{size_hw[0]}')
