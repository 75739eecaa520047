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
DETR family: RT-DETR (arXiv:2304.08069), D-FINE (arXiv:2410.13842), RF-DETR, and their kin.

Outputs: class logits [N,Q,classes] of a sigmoid (not the softmax of the first DETR), and boxes
[N,Q,4] centre and size as shares of the input. RT-DETR and D-FINE take RGB / 255 (their
ConvertPILImage); RF-DETR takes RGB with ImageNet mean and deviation, calls its outputs 'dets'
and 'labels', and counts classes by COCO's ids, person = 1 (rfdetr/deploy/export.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import (
    are_probabilities,
    check_class_count,
    corners_from_cxcywh,
    IMAGENET,
    in_pixels,
    pair_of,
    probabilities,
    refuse,
    take_rows,
)
from ped_perception.engine.trunk import Trunk

RF_NAMES = {'dets', 'labels'}
RF_CLASSES = 91
MANY_QUERIES = 1000             # no model of the family has more


class Detr(Importer):
    """Importer of the families ``detr`` (RT-DETR, D-FINE) and ``rfdetr``."""

    stride = 1          # the file is bound to its size anyway, and that one is right
    decodes_itself = True

    def __init__(self, is_rf: bool) -> None:
        self._is_rf = is_rf
        self.family = 'rfdetr' if is_rf else 'detr'
        self.layout = ('logits float32[N,Q,classes] and boxes float32[N,Q,4], centre and size '
                       'as shares, ' + ('RF-DETR' if is_rf else 'RT-DETR, D-FINE'))
        self.defaults = (
            FamilyDefaults(*IMAGENET, 'rgb', 300, class_count=RF_CLASSES, class_index=1)
            if is_rf else
            FamilyDefaults((0.0, 0.0, 0.0), (255.0, 255.0, 255.0), 'rgb', 300))

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``; the two are told apart by names and COCO's class counts."""
        pair = pair_of(trunk.outputs)
        if pair is None:
            return None
        logits, boxes = pair
        queries, classes = boxes.shape[1], logits.shape[2]
        names = {info.name.lower() for info in pair}
        if any('score' in name or 'conf' in name for name in names) or (
                isinstance(queries, int) and queries > MANY_QUERIES):
            return None
        if names == RF_NAMES:
            is_rf = [True]
        else:
            is_rf = [False, True] if classes not in (80, RF_CLASSES) else [classes != 80]
        if self._is_rf not in is_rf:
            return None
        return f'{classes} logits and a box for each of {queries} queries'

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        logits, _ = _pair(trunk.outputs)
        check_class_count(logits.shape[2], spec)
        activated = are_probabilities(trunk, logits.name, 2, spec.class_index)
        return Reduced(trunk.keep(logits.name, 2, [spec.class_index]), activated)

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``."""
        logits, boxes = _pair(list(outputs.values()))
        queries = boxes.shape[1]
        assert isinstance(queries, int), '_pair() has checked it'
        best = builder.best(builder.reshape(logits.name, (0, queries), 'decode/logits_na'),
                            queries, spec.top_k)
        taken = take_rows(builder, boxes.name, 4, best, 'decode/shares')
        corners = corners_from_cxcywh(builder, taken)
        return (in_pixels(builder, corners, spec.size_hw),
                probabilities(builder, best.scores_nk, activated))


def _pair(outputs: Sequence[TensorInfo]) -> tuple[TensorInfo, TensorInfo]:
    pair = pair_of(outputs)
    if pair is None or not isinstance(pair[1].shape[1], int):
        raise refuse(outputs, 'two outputs: logits [N,Q,classes] and boxes [N,Q,4]')
    return pair
