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

"""Whose box is whose, and the average precision that follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.association import overlaps_from_boxes
from ped_perception.core.types import Float32Array


def overlaps(boxes_n4: Float32Array, boxes_m4: Float32Array) -> Float32Array:
    """Give the intersection over union of every box with every other: float32[N, M]."""
    return overlaps_from_boxes(boxes_n4, boxes_m4).astype(np.float32)


def partners(boxes_n4: Float32Array, boxes_m4: Float32Array,
             iou: float) -> tuple[NDArray[np.intp], Float32Array]:
    """
    Give every box, best first, the free box of the others that it overlaps most.

    Args:
        boxes_n4: float32[N, 4], best score first.
        boxes_m4: float32[M, 4]; each is given away once.
        iou: smallest overlap that counts.

    Returns:
        Index of the partner or -1, intp[N], and the overlap, float32[N].
    """
    partner_n = np.full(len(boxes_n4), -1, np.intp)
    overlap_n = np.zeros(len(boxes_n4), np.float32)
    if not len(boxes_m4):
        return partner_n, overlap_n
    iou_nm = overlaps(boxes_n4, boxes_m4)
    for index in range(len(boxes_n4)):
        best = int(iou_nm[index].argmax())
        if iou_nm[index, best] >= iou:
            partner_n[index], overlap_n[index] = best, iou_nm[index, best]
            iou_nm[:, best] = -1.0
    return partner_n, overlap_n


def average_precision(found: Sequence[tuple[Float32Array, Float32Array]],
                      labels: Sequence[Float32Array], iou: float) -> float:
    """
    Average precision over many pictures, in percent, with 101 points of recall as COCO has it.

    Args:
        found: boxes float32[N, 4] and scores float32[N] of every picture, best first.
        labels: float32[M, 4] of every picture.
        iou: smallest overlap that counts.
    """
    scores = np.concatenate([scores_n for _, scores_n in found])
    hits = np.concatenate([partners(boxes_n4, boxes_m4, iou)[0] >= 0
                           for (boxes_n4, _), boxes_m4 in zip(found, labels, strict=True)])
    total = sum(len(boxes_m4) for boxes_m4 in labels)
    if not total or not len(scores):
        return 0.0
    right = np.cumsum(hits[np.argsort(-scores, kind='stable')])
    precision = right / np.arange(1, len(right) + 1)
    best_later = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    at = np.searchsorted(right / total, np.linspace(0, 1, 101))
    return float(100 * best_later[at].mean())
