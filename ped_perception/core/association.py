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

"""Which detection belongs to which track: overlap, and the best assignment of pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.types import BoolArray, Float64Array, Int64Array
from scipy.optimize import linear_sum_assignment

# More than any sum of costs of allowed pairs, and small enough to keep their digits.
_FORBIDDEN = 1e6


def overlaps_from_boxes(boxes_t4: NDArray[np.floating], boxes_n4: NDArray[np.floating],
                        ) -> Float64Array:
    """
    Give the intersection over union of each pair of boxes.

    Args:
        boxes_t4: ``x1 y1 x2 y2`` in pixels.
        boxes_n4: likewise.

    Returns:
        float64[T, N] in 0..1; zero where both boxes are empty.
    """
    # Column by column: contiguous rows of the result, no [T, N, 4] in between.
    ax1, ay1, ax2, ay2 = np.asarray(boxes_t4, np.float64).T[:, :, None]
    bx1, by1, bx2, by2 = np.asarray(boxes_n4, np.float64).T
    common_tn = np.minimum(ax2, bx2)
    common_tn -= np.maximum(ax1, bx1)
    height_tn = np.minimum(ay2, by2)
    height_tn -= np.maximum(ay1, by1)
    np.maximum(common_tn, 0, out=common_tn)
    np.maximum(height_tn, 0, out=height_tn)
    common_tn *= height_tn
    union_tn = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - common_tn
    overlap_tn: Float64Array = np.zeros_like(common_tn)
    np.divide(common_tn, union_tn, out=overlap_tn, where=union_tn > 0)
    return overlap_tn


def assigned(cost_tn: Float64Array, allowed_tn: BoolArray, max_cost: float = np.inf,
             ) -> tuple[Int64Array, Int64Array]:
    """
    Choose pairs: as many as allowed, and among those choices the cheapest.

    Args:
        cost_tn: cost of each pair, 0..1000.
        allowed_tn: pairs that may be chosen.
        max_cost: what a pair fewer costs. With a finite one a pair is left out where it would
            make the others dearer by more than it saves: one good pair instead of two bad ones.

    Returns:
        rows and columns of the chosen pairs, each int64[M], ascending in rows.
    """
    # Rows and columns without any partner would only slow the solver down.
    rows = np.flatnonzero(allowed_tn.any(axis=1))
    columns = np.flatnonzero(allowed_tn.any(axis=0))
    if rows.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    small = np.ix_(rows, columns)
    worst = min(max_cost, _FORBIDDEN)
    cost = np.where(allowed_tn[small], np.minimum(cost_tn[small], worst), worst)
    chosen_rows, chosen_columns = linear_sum_assignment(cost)
    rows, columns = rows[chosen_rows], columns[chosen_columns]
    kept = cost[chosen_rows, chosen_columns] < worst
    return rows[kept], columns[kept]
