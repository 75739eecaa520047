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
    first = np.asarray(boxes_t4, np.float64)[:, None, :]
    second = np.asarray(boxes_n4, np.float64)[None, :, :]
    width_tn = np.minimum(first[..., 2], second[..., 2])
    width_tn -= np.maximum(first[..., 0], second[..., 0])
    height_tn = np.minimum(first[..., 3], second[..., 3])
    height_tn -= np.maximum(first[..., 1], second[..., 1])
    common_tn = np.maximum(width_tn, 0) * np.maximum(height_tn, 0)
    union_tn = _areas(first) + _areas(second) - common_tn
    overlap_tn: Float64Array = np.zeros_like(common_tn)
    np.divide(common_tn, union_tn, out=overlap_tn, where=union_tn > 0)
    return overlap_tn


def assigned(cost_tn: Float64Array, allowed_tn: BoolArray) -> tuple[Int64Array, Int64Array]:
    """
    Choose pairs: as many as allowed, and among those choices the cheapest.

    Args:
        cost_tn: cost of each pair, 0..1000.
        allowed_tn: pairs that may be chosen.

    Returns:
        rows and columns of the chosen pairs, each int64[M], ascending in rows.
    """
    # Rows and columns without any partner would only slow the solver down.
    rows = np.flatnonzero(allowed_tn.any(axis=1))
    columns = np.flatnonzero(allowed_tn.any(axis=0))
    if rows.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    small = np.ix_(rows, columns)
    chosen_rows, chosen_columns = linear_sum_assignment(
        np.where(allowed_tn[small], cost_tn[small], _FORBIDDEN))
    rows, columns = rows[chosen_rows], columns[chosen_columns]
    kept = allowed_tn[rows, columns]
    return rows[kept], columns[kept]


def _areas(boxes: Float64Array) -> Float64Array:
    areas: Float64Array = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
    return areas
