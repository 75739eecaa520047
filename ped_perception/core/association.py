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
    a_4t = np.array(boxes_t4.T, np.float64, order='C')
    b_4n = np.array(boxes_n4.T, np.float64, order='C')
    rows_p, columns_p = pairs_across(a_4t, b_4n)
    height_p = _common_length(a_4t[1::2], b_4n[1::2], rows_p, columns_p)
    meet = (height_p > 0).nonzero()[0]
    rows_p, columns_p = rows_p.take(meet), columns_p.take(meet)
    common_p = height_p.take(meet) * _common_length(a_4t[::2], b_4n[::2], rows_p, columns_p)
    area_t, area_n = ((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a_4t, b_4n))
    union_p = area_t.take(rows_p) + area_n.take(columns_p) - common_p
    # Turned boxes have a negative side and no common area with anything.
    real = ((common_p > 0) & (union_p > 0)).nonzero()[0]
    return Pairs(rows_p.take(real), columns_p.take(real), common_p.take(real) / union_p.take(real))


def pairs_across(boxes_4t: Float64Array, boxes_4n: Float64Array) -> tuple[Int64Array, Int64Array]:
    """
    Find at least those pairs of boxes that overlap from left to right, and not many more.

    The others are sorted by their left edges: those of one box are then a stretch of them. That
    takes a third of the time of comparing every box with every other where there are hundreds.

    Args:
        boxes_4t: rows x1, y1, x2, y2 in pixels; one whose x2 is left of its x1 is overlapped by
            what reaches over both.
        boxes_4n: likewise.

    Returns:
        int64[P] which of the T, ascending, and int64[P] which of the N.
    """
    order_n = boxes_4n[0].argsort()
    left_n = boxes_4n[0].take(order_n)
    # A box of no numbers must not hide the others, and a turned one is no wider than nothing.
    widest = np.fmax.reduce(boxes_4n[2] - boxes_4n[0], initial=0)
    first_t = left_n.searchsorted(boxes_4t[0] - widest)
    count_t = np.maximum(left_n.searchsorted(boxes_4t[2]) - first_t, 0)
    rows_p: Int64Array = np.arange(len(count_t)).repeat(count_t)
    # Count on from the first of each box.
    place_p = np.arange(len(rows_p)) - (count_t.cumsum() - count_t - first_t).repeat(count_t)
    return rows_p, order_n.take(place_p)


def _common_length(a_2t: Float64Array, b_2n: Float64Array, rows_p: Int64Array,
                   columns_p: Int64Array) -> Float64Array:
    """Give what two stretches (first, last) have in common, below zero for a gap between them."""
    length_p: Float64Array = np.minimum(a_2t[1].take(rows_p), b_2n[1].take(columns_p))
    length_p -= np.maximum(a_2t[0].take(rows_p), b_2n[0].take(columns_p))
    return length_p


def pairs_with_detections(boxes_t4: Float64Array, boxes_n4: Float32Array, mutual: bool,
                          ) -> tuple[Pairs, Pairs | None]:
    """
    Find the pairs of tracks and detections, and of detections with each other, that overlap.

    Args:
        boxes_t4: ``x1 y1 x2 y2`` in pixels.
        boxes_n4: likewise.
        mutual: whether those with each other are wanted, None in their place otherwise.
    """
    if not mutual:
        return overlapping_pairs(boxes_t4, boxes_n4), None
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
    # What costs no less than a pair fewer is never chosen.
    worth: Int64Array = (cost_p < max_cost).nonzero()[0]
    if not len(worth):
        return worth
    rows_p, columns_p, cost_p = rows_p.take(worth), columns_p.take(worth), cost_p.take(worth)
    least_t = np.full(rows_p[-1] + 1, max_cost)
    np.minimum.at(least_t, rows_p, cost_p)
    cheapest_p = cost_p == least_t.take(rows_p)
    open_p = _contested(rows_p, columns_p, cheapest_p)
    chosen: Int64Array = (cheapest_p & ~open_p).nonzero()[0]
    still_open = open_p.nonzero()[0]
    if len(still_open):
        best = _least_total(rows_p.take(still_open), columns_p.take(still_open),
                            cost_p.take(still_open), max_cost)
        chosen = np.sort(np.concatenate([chosen, still_open.take(best)]))
    return worth.take(chosen)


def _contested(rows_p: Int64Array, columns_p: Int64Array, cheapest_p: BoolArray) -> BoolArray:
    """
    Tell which pairs are tied, over any number of others, to a place that several cheapest want.

    Where everybody's cheapest is a different one, nothing can be cheaper; and what pairs do not
    tie together has no part in each other's choice. In a picture of people a few are left, and
    the time of the best assignment grows with the third power of their number.
    """
    cheapest = cheapest_p.nonzero()[0]
    open_t = np.bincount(rows_p.take(cheapest)) > 1
    open_n = np.bincount(columns_p.take(cheapest), minlength=columns_p.max() + 1) > 1
    open_p = open_t.take(rows_p) | open_n.take(columns_p)
    tied, before = open_p.nonzero()[0], 0
    while len(tied) > before:
        before = len(tied)
        open_t[rows_p.take(tied)] = open_n[columns_p.take(tied)] = True
        open_p = open_t.take(rows_p) | open_n.take(columns_p)
        tied = open_p.nonzero()[0]
    return open_p


def _least_total(rows_p: Int64Array, columns_p: Int64Array, cost_p: Float64Array,
                 max_cost: float) -> Int64Array:
    """Choose the pairs of the least total, a pair fewer counted as max_cost."""
    row_count, row_of_p = _renumbered(rows_p)
    column_count, column_of_p = _renumbered(columns_p)
    cost = np.full((row_count, column_count), max_cost)
    pair = np.zeros(cost.shape, np.int64)
    cost[row_of_p, column_of_p] = cost_p
    pair[row_of_p, column_of_p] = np.arange(len(rows_p))
    best = linear_sum_assignment(cost)
    chosen: Int64Array = pair[best][cost[best] < max_cost]
    return chosen


def _renumbered(numbers_p: Int64Array) -> tuple[int, Int64Array]:
    """Count different numbers and give each its place among them; without sorting any."""
    place = np.cumsum(np.bincount(numbers_p) > 0) - 1
    return int(place[-1]) + 1, place.take(numbers_p)
