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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.types import BoolArray, Float32Array, Float64Array, Int64Array
from scipy.optimize import linear_sum_assignment

# More than any sum of costs of allowed pairs, and small enough to keep their digits.
_FORBIDDEN = 1e6


@dataclass(frozen=True, eq=False)
class Pairs:
    """
    Some pairs of T boxes with N others.

    Attributes:
        rows_p: int64[P], ascending, which of the T.
        columns_p: int64[P], which of the N.
        overlap_p: float64[P], intersection over union.
    """

    rows_p: Int64Array
    columns_p: Int64Array
    overlap_p: Float64Array

    def __getitem__(self, chosen: Int64Array | BoolArray) -> Pairs:
        """Keep some."""
        # Taking by number is several times as fast as indexing with an array.
        numbers = chosen.nonzero()[0] if chosen.dtype == np.bool_ else chosen
        return Pairs(self.rows_p.take(numbers), self.columns_p.take(numbers),
                     self.overlap_p.take(numbers))


def overlapping_pairs(boxes_t4: NDArray[np.floating], boxes_n4: NDArray[np.floating]) -> Pairs:
    """
    Find the pairs of boxes that have some area in common: few of many, in a picture of people.

    Args:
        boxes_t4: ``x1 y1 x2 y2`` in pixels.
        boxes_n4: likewise.
    """
    # Column by column, no [T, N, 4] in between. For who meets whom half the digits will do.
    ax1, ay1, ax2, ay2 = np.ascontiguousarray(np.transpose(boxes_t4), np.float32)
    bx1, by1, bx2, by2 = np.ascontiguousarray(np.transpose(boxes_n4), np.float32)
    meet_tn = ax1[:, None] < bx2
    meet_tn &= bx1 < ax2[:, None]
    meet_tn &= ay1[:, None] < by2
    meet_tn &= by1 < ay2[:, None]
    met_p = meet_tn.ravel().nonzero()[0]
    rows_p = met_p // max(1, len(bx1))
    columns_p = met_p - rows_p * len(bx1)
    a_4p = np.array(boxes_t4.T, np.float64, order='C').take(rows_p, axis=1)
    b_4p = np.array(boxes_n4.T, np.float64, order='C').take(columns_p, axis=1)
    width_p, height_p = np.minimum(a_4p[2:], b_4p[2:]) - np.maximum(a_4p[:2], b_4p[:2])
    a_side_2p, b_side_2p = a_4p[2:] - a_4p[:2], b_4p[2:] - b_4p[:2]
    common_p = width_p * height_p
    union_p = a_side_2p[0] * a_side_2p[1] + b_side_2p[0] * b_side_2p[1] - common_p
    # Turned boxes have a negative side and no common area with anything.
    real = ((width_p > 0) & (height_p > 0) & (union_p > 0)).nonzero()[0]
    return Pairs(rows_p.take(real), columns_p.take(real), common_p.take(real) / union_p.take(real))


def pairs_with_detections(boxes_t4: Float64Array, boxes_n4: Float32Array) -> tuple[Pairs, Pairs]:
    """
    Find the pairs of tracks and detections, and of detections with each other, that overlap.

    Args:
        boxes_t4: ``x1 y1 x2 y2`` in pixels.
        boxes_n4: likewise.
    """
    pairs = overlapping_pairs(np.concatenate([boxes_t4, boxes_n4]), boxes_n4)
    tracks = int(pairs.rows_p.searchsorted(len(boxes_t4)))
    return (Pairs(pairs.rows_p[:tracks], pairs.columns_p[:tracks], pairs.overlap_p[:tracks]),
            Pairs(pairs.rows_p[tracks:] - len(boxes_t4), pairs.columns_p[tracks:],
                  pairs.overlap_p[tracks:]))


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
    overlap_tn: Float64Array = np.zeros((len(boxes_t4), len(boxes_n4)))
    pairs = overlapping_pairs(boxes_t4, boxes_n4)
    overlap_tn[pairs.rows_p, pairs.columns_p] = pairs.overlap_p
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
    rows_p, columns_p = np.nonzero(allowed_tn)
    chosen = assigned_pairs(rows_p, columns_p, cost_tn[rows_p, columns_p])
    return rows_p[chosen], columns_p[chosen]


def assigned_pairs(rows_p: Int64Array, columns_p: Int64Array, cost_p: Float64Array,
                   max_cost: float = _FORBIDDEN) -> Int64Array:
    """
    Choose among pairs: as many as there can be, and among those choices the cheapest.

    Args:
        rows_p: int64[P], ascending.
        columns_p: int64[P].
        cost_p: float64[P], 0..1000.
        max_cost: what a pair fewer costs. With a small one a pair is left out where it would
            make the others dearer by more than it saves: one good pair instead of two bad ones.

    Returns:
        int64[M], ascending, which of the pairs.
    """
    if not len(rows_p):
        return np.zeros(0, np.int64)
    # What costs no less than a pair fewer is never chosen.
    worth: Int64Array = (cost_p < max_cost).nonzero()[0]
    rows_p, columns_p, cost_p = rows_p.take(worth), columns_p.take(worth), cost_p.take(worth)
    if not len(worth):
        return worth
    row_count, row_of_p = _renumbered(rows_p)
    column_count, column_of_p = _renumbered(columns_p)
    # Where everybody's cheapest is a different one, nothing can be cheaper.
    least = np.full(row_count, max_cost)
    np.minimum.at(least, row_of_p, cost_p)
    cheapest = (cost_p == least.take(row_of_p)).nonzero()[0]
    if len(cheapest) == row_count and np.bincount(column_of_p.take(cheapest)).max() == 1:
        chosen: Int64Array = worth[cheapest]
        return chosen
    cost = np.full((row_count, column_count), max_cost)
    pair = np.zeros(cost.shape, np.int64)
    cost[row_of_p, column_of_p] = cost_p
    pair[row_of_p, column_of_p] = worth
    best = linear_sum_assignment(cost)
    return np.sort(pair[best][cost[best] < max_cost])


def _renumbered(numbers_p: Int64Array) -> tuple[int, Int64Array]:
    """Count different numbers and give each its place among them; without sorting any."""
    place = np.cumsum(np.bincount(numbers_p) > 0) - 1
    return int(place[-1]) + 1, place.take(numbers_p)
