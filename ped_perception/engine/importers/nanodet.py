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
NanoDet-m and NanoDet-g (RangiLyu, github.com/RangiLyu/nanodet).

Either one raw head per level [N, classes + 4·bins, h/s, w/s], or the table [N, A, classes +
4·bins] that its export_onnx.py writes, in which classes are probabilities already. A side's
distance from the cell centre is a distribution over bins (generalised focal loss,
arXiv:2006.04388): its expectation, in strides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ped_perception.core.errors import ModelError
from ped_perception.engine.cut import Saving
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import (
    anchor_count,
    are_probabilities,
    boxes_from_bins,
    grid_points,
    joined_anchors,
    NANODET_COCO,
    probabilities,
    table_channels,
)
from ped_perception.engine.trunk import Trunk

STRIDES = (8, 16, 32)
COCO_CLASSES = 80


class NanoDet(Importer):
    """Importer of the family ``nanodet``."""

    family = 'nanodet'
    layout = ('three heads float32[N, classes + 4*bins, h/s, w/s], s = 8, 16, 32, or their table '
              'float32[N,A,classes+4*bins]')
    stride = STRIDES[-1]
    defaults = FamilyDefaults(mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395),
                              channel_order='bgr', top_k=256, class_count=COCO_CLASSES)

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``; only heads of COCO models can be told from other families."""
        outputs = trunk.outputs
        channels = {info.shape[1] for info in outputs if len(info.shape) == 4}
        count = (table_channels(outputs[0], trunk, STRIDES, channels_last=True)
                 if len(outputs) == 1 else
                 channels.pop() if len(outputs) == len(STRIDES) and len(channels) == 1 else None)
        if count not in NANODET_COCO:
            return None
        return (f'{count} channels = {COCO_CLASSES} classes + 4 x {NANODET_COCO[count]} bins on '
                '3 levels')

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        heads, channels = _in_order(trunk.outputs, spec.size_hw)
        bins, rest = divmod(channels - spec.class_count, 4)
        if rest or bins < 2:
            raise ModelError(f'NanoDet heads of {channels} channels do not hold '
                             f'{spec.class_count} classes and 4 distributions.')
        keep = [spec.class_index, *range(spec.class_count, channels)]
        if len(heads) == 1:
            activated = are_probabilities(trunk, heads[0].name, 2, spec.class_index)
            return Reduced(trunk.keep(heads[0].name, 2, keep), activated)
        saving = Saving()
        for head in heads:
            saving += trunk.keep_channels(head.name, keep)
        return Reduced(saving)

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``."""
        heads, channels = _in_order(list(outputs.values()), spec.size_hw)
        sides = channels - 1
        bins = sides // 4
        centres, steps = grid_points(spec.size_hw, STRIDES, 0.5)
        joined = joined_anchors(builder, heads, channels)
        logits, values = builder.nodes('Split', [joined, builder.shape(1, sides)],
                                       ['decode/logits', 'decode/bins'], axis=1)
        # The best are found by logit and only they are decoded: softmax over 256 anchors
        # instead of all 5,040, with the same result.
        best = builder.best(builder.reshape(logits, (0, len(centres)), 'decode/logits_na'),
                            len(centres), spec.top_k)
        boxes = boxes_from_bins(builder, values, bins, best, centres, steps)
        return boxes, probabilities(builder, best.scores_nk, activated)


def _in_order(outputs: Sequence[TensorInfo],
              size_hw: tuple[int, int]) -> tuple[list[TensorInfo], int]:
    """Check the outputs; give the table, or the heads in the order of ``STRIDES``; channels."""
    anchors = anchor_count(size_hw, STRIDES)
    if len(outputs) == 1 and len(outputs[0].shape) == 3:
        _, found, count = outputs[0].shape
        if found == anchors and isinstance(count, int):
            return list(outputs), count
    by_cells = {info.shape[2:]: info for info in outputs}
    wanted = [(size_hw[0] // stride, size_hw[1] // stride) for stride in STRIDES]
    channels = {info.shape[1] for info in outputs if len(info.shape) == 4}
    count = channels.pop() if len(channels) == 1 else None
    if set(by_cells) != set(wanted) or not isinstance(count, int):
        seen = '; '.join(str(info) for info in outputs)
        raise ModelError(f'NanoDet at {size_hw[1]}x{size_hw[0]} needs three heads with equal '
                         f'channels and {wanted} cells, or a table of {anchors} anchors; this '
                         f'model has: {seen}.')
    return [by_cells[cells] for cells in wanted], count
