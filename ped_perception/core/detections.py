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

"""From the candidates of all views of a picture to its pedestrians."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.types import BoolArray, Candidates, Detections, Float32Array, Frame, View
from ped_perception.core.views import source_from_network_boxes

# How near, in pixels of the network input, a box must come to an inner edge of a crop to count
# as cut by it. The boxes of a cut person end within this distance of the edge.
EDGE_TOLERANCE_PX = 4.0

# A box cut by a crop is a duplicate when this share of it lies within a box of another view:
# their IoU says nothing, as one shows half of what the other shows.
CUT_BOX_OVERLAP = 0.6


def detections_from_candidates(frame: Frame, candidates: Candidates, slots: Sequence[int],
                               views: Sequence[View], *, score_threshold: float,
                               nms_iou: float, min_height_px: float = 0.0,
                               max_detections: int = 100) -> Detections:
    """
    Threshold, undo the views, merge them, suppress duplicates, clip to the picture.

    A box cut by the inner edge of a crop yields to any box of another view that covers it,
    whatever their scores; where no other view saw the person, it stays.

    Args:
        frame: whose pedestrians these are.
        candidates: of the whole batch.
        slots: of the batch that belong to the frame.
        views: through which those slots were filled.
        score_threshold: smallest score kept.
        nms_iou: two boxes that overlap more than this (IoU) are one person.
        min_height_px: smallest height kept, pixels of the source picture.
        max_detections: most pedestrians given, the best.
    """
    boxes_parts, scores_parts, cut_parts = [], [], []
    for slot, view in zip(slots, views, strict=True):
        scores_k = candidates.scores_nk[slot]
        # Scores come sorted, so what passes is a prefix. Written so that NaN does not pass.
        count = int(np.count_nonzero(scores_k >= score_threshold))
        boxes_n4 = source_from_network_boxes(candidates.boxes_nk4[slot, :count], view)
        boxes_parts.append(boxes_n4)
        scores_parts.append(scores_k[:count])
        cut_parts.append(_cut_by_crop(boxes_n4, view))
    boxes_n4 = np.concatenate(boxes_parts)
    scores_n = np.concatenate(scores_parts)
    cut_n = np.concatenate(cut_parts)

    height, width = frame.source_hw
    boxes_n4 = np.clip(boxes_n4, 0, np.array([width, height, width, height], np.float32))
    sizes_n2 = boxes_n4[:, 2:] - boxes_n4[:, :2]
    sound_n = (sizes_n2[:, 0] > 0) & (sizes_n2[:, 1] > 0) & (sizes_n2[:, 1] >= min_height_px)
    if not sound_n.all():
        boxes_n4, scores_n, cut_n = boxes_n4[sound_n], scores_n[sound_n], cut_n[sound_n]

    kept, scores_m = suppress_duplicates(boxes_n4, scores_n, cut_n, nms_iou)
    return Detections(frame.camera, frame.stamp_ns, frame.frame_id, frame.source_hw,
                      boxes_n4[kept[:max_detections]], scores_m[:max_detections])


def suppress_duplicates(boxes_n4: Float32Array, scores_n: Float32Array, cut_n: BoolArray,
                        nms_iou: float) -> tuple[NDArray[np.intp], Float32Array]:
    """
    Greedy non-maximum suppression that prefers whole boxes to cut ones.

    A whole box that replaces a cut one is as sure as the surer of the two: both saw the person.

    Args:
        boxes_n4: float32[N, 4] of one picture.
        scores_n: float32[N].
        cut_n: bool[N], the box was cut by the inner edge of a crop.
        nms_iou: largest IoU that two kept boxes may have.

    Returns:
        Indices of the M boxes kept, best score first, and their scores, float32[M].
    """
    order = np.lexsort((-scores_n, cut_n))
    boxes_n4, cut_n, scores_n = boxes_n4[order], cut_n[order], scores_n[order]
    first_cut = len(order) - int(cut_n.sum())
    inter_nn = intersections(boxes_n4, boxes_n4)
    area_n = np.diagonal(inter_nn)
    # inter / union > t, without dividing by the zero area of a degenerate box.
    duplicate_nn = inter_nn > nms_iou * (area_n[:, None] + area_n[None, :] - inter_nn)
    if first_cut < len(order):
        duplicate_nn |= (inter_nn > CUT_BOX_OVERLAP * area_n[None, :]) & cut_n[None, :]
    alive_n = np.ones(len(order), np.bool_)
    # Most are the duplicate of nobody but themselves.
    for i in (np.count_nonzero(duplicate_nn, axis=1) > 1).nonzero()[0].tolist():
        if alive_n[i]:
            if i < first_cut < len(order):
                replaced_n = duplicate_nn[i, first_cut:] & alive_n[first_cut:]
                scores_n[i] = max(scores_n[i], scores_n[first_cut:].max(
                    initial=0, where=replaced_n))
            alive_n[i + 1:] &= ~duplicate_nn[i, i + 1:]
    rows = alive_n.nonzero()[0]
    rows = rows[np.argsort(-scores_n[rows], kind='stable')]
    return order[rows], scores_n[rows]


def intersections(boxes_n4: Float32Array, boxes_m4: Float32Array) -> Float32Array:
    """Give the areas that the boxes share pairwise, float32[N, M] in square pixels."""
    # Coordinates first: four times as fast as arrays of [N, M, 2].
    n_4n, m_4m = np.ascontiguousarray(boxes_n4.T), np.ascontiguousarray(boxes_m4.T)
    sides_2nm = np.minimum(n_4n[2:, :, None], m_4m[2:, None])
    sides_2nm -= np.maximum(n_4n[:2, :, None], m_4m[:2, None])
    np.maximum(sides_2nm, 0, out=sides_2nm)
    shared_nm: Float32Array = sides_2nm[0]
    shared_nm *= sides_2nm[1]
    return shared_nm


def _cut_by_crop(boxes_n4: Float32Array, view: View) -> BoolArray:
    """Tell which boxes end at an edge of the crop that is not an edge of the picture."""
    x1, y1, x2, y2 = view.crop_xyxy
    source_h, source_w = view.source_hw
    tolerance_x = EDGE_TOLERANCE_PX / view.scale_xy[0]
    tolerance_y = EDGE_TOLERANCE_PX / view.scale_xy[1]
    cut_n = np.zeros(len(boxes_n4), np.bool_)
    if x1 > 0:
        cut_n |= boxes_n4[:, 0] < x1 + tolerance_x
    if y1 > 0:
        cut_n |= boxes_n4[:, 1] < y1 + tolerance_y
    if x2 < source_w:
        cut_n |= boxes_n4[:, 2] > x2 - tolerance_x
    if y2 < source_h:
        cut_n |= boxes_n4[:, 3] > y2 - tolerance_y
    return cut_n
