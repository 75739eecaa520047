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
How a person looks: colour histograms that tell people apart who cross each other's way.

A histogram each of the upper and the lower half of the body, compared by the Bhattacharyya
coefficient as in Comaniciu et al., "Kernel-Based Object Tracking" (2003). Colours are read at a
fixed number of points of a box, so that the cost does not grow with the size of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from ped_perception.core.native import NativePixels, Pixels
from ped_perception.core.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    Uint8Array,
)

# The inner half of the width and four fifths of the height: little background.
_COLUMNS = np.linspace(0.25, 0.75, 7)[:-1] + 0.25 / 6
_ROWS = np.linspace(0.1, 0.9, 17)[:-1] + 0.4 / 16
_HALVES = 2
# Brightness and two opponent chromas, red against blue and green against both. Clothes and
# streets are mostly grey: stretched, their chroma fills the levels that there are.
_LEVELS, _STRETCH = 5, 2.0
_DEPTH_BITS = 5


def _colour_table() -> Uint8Array:
    """Give, of each BGR of five bits a channel as OpenCV packs them, the number of its colour."""
    values = (np.arange(1 << _DEPTH_BITS) + 0.5) * (256 >> _DEPTH_BITS)
    red, green, blue = np.meshgrid(values, values, values, indexing='ij')
    axes = np.stack([(blue + green + red) / 3, 128 + _STRETCH * (red - blue),
                     128 + _STRETCH * (green - (red + blue) / 2)])
    levels = np.rint(np.clip(axes / 255, 0, 1) * (_LEVELS - 1)).astype(np.intp)
    bins = np.ravel_multi_index(tuple(levels), (_LEVELS,) * 3)
    # Many combinations are no colour at all.
    table: Uint8Array = np.unique(bins, return_inverse=True)[1].reshape(-1).astype(np.uint8)
    return table


_BIN_OF_COLOUR = _colour_table()
_COLOURS = int(_BIN_OF_COLOUR.max()) + 1
LOOK_SIZE = _HALVES * _COLOURS

_POINTS = len(_ROWS) * len(_COLUMNS) // _HALVES
# A look is of length one: each half has half of it.
_ROOTS = np.sqrt(np.arange(_POINTS + 1) / (_POINTS * _HALVES)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Looks:
    """
    What N detections of a picture look like.

    Attributes:
        looks_nd: float32[N, LOOK_SIZE], rows of length one: their scalar product is the
            Bhattacharyya coefficient of two people, 1 for the same colours, 0 for none in
            common. All zeros where no picture was given.
        there_e: int64[E], which elements of looks_nd are not zero, ascending: a handful of the
            hundreds of a person, as clothes have few colours.
        amount_e: float32[E], those elements.
    """

    looks_nd: Float32Array
    there_e: Int64Array
    amount_e: Float32Array

    @property
    def known(self) -> bool:
        """Whether there was a picture: all looks are known, or none."""
        return len(self.there_e) > 0

    @cached_property
    def stretches(self) -> tuple[Int64Array, Int64Array]:
        """Where the colours of each detection begin in amount_e, and how many they are."""
        count_n = np.bincount(self.there_e // LOOK_SIZE, minlength=len(self.looks_nd))
        return count_n.cumsum() - count_n, count_n


def unknown_looks(count: int) -> Looks:
    """Say that nothing is known of the looks of some detections."""
    return Looks(np.zeros((count, LOOK_SIZE), np.float32), np.zeros(0, np.int64),
                 np.zeros(0, np.float32))


def looks_from_boxes(pixels: Pixels, boxes_n4: Float32Array) -> Looks:
    """
    Describe the colours of the people in a picture.

    Args:
        pixels: uint8[H, W, 3] BGR, or in a native layout.
        boxes_n4: ``x1 y1 x2 y2`` in pixels of the picture.
    """
    count = len(boxes_n4)
    if not count:
        return unknown_looks(0)
    height, width = pixels.shape[:2]
    # People come last in all arrays: arithmetic then runs over long rows.
    x1_n, y1_n, x2_n, y2_n = np.ascontiguousarray(boxes_n4.T)
    x_cn = x1_n + (x2_n - x1_n) * _COLUMNS[:, None]
    y_rn = y1_n + (y2_n - y1_n) * _ROWS[:, None]
    x_cn = np.minimum(np.maximum(x_cn, 0), width - 1).astype(np.int32)
    y_rn = np.minimum(np.maximum(y_rn, 0), height - 1).astype(np.int32)
    if isinstance(pixels, NativePixels):
        y_rcn, x_rcn = np.broadcast_arrays(y_rn[:, None], x_cn)
        colour_m3 = pixels.points(y_rcn.ravel(), x_rcn.ravel())
        colour_mn3: Uint8Array = colour_m3.reshape(-1, count, 3)
    else:
        # Two coordinates of 16 bits each, x in the lower half.
        points_rcn = (y_rn << 16)[:, None] | x_cn
        points_mn2 = points_rcn.astype('<i4', copy=False).view('<i2').reshape(-1, count, 2)
        # OpenCV gathers in a fraction of the time of an index.
        colour_mn3 = np.asarray(
            cv2.remap(pixels, points_mn2, np.empty(0), cv2.INTER_NEAREST), np.uint8)
    packed_mn = cv2.cvtColor(colour_mn3, cv2.COLOR_BGR2BGR555).view(np.uint16)
    bin_hmn = _BIN_OF_COLOUR.take(packed_mn).reshape(_HALVES, _POINTS, count)
    # Number the histograms through, person by person, so that one count fills them all.
    first_h1n = np.arange(0, count * LOOK_SIZE, _COLOURS).reshape(count, _HALVES).T[:, None]
    counts = np.bincount((bin_hmn + first_h1n).ravel(), minlength=count * LOOK_SIZE)
    there_e = (counts > 0).nonzero()[0]
    amount_e = _ROOTS.take(counts.take(there_e))
    looks_nd = np.zeros((count, LOOK_SIZE), np.float32)
    looks_nd.ravel()[there_e] = amount_e
    return Looks(looks_nd, there_e, amount_e)


def look_distances(like_kp: Float32Array, known_p: BoolArray) -> Float64Array:
    """
    Tell how far what is seen is from the nearest that is remembered.

    Args:
        like_kp: see :func:`likenesses`.
        known_p: bool[P], the pairs that could be compared.

    Returns:
        float64[P], 0 for the same colours, 1 for none in common, 0 where not known.
    """
    distance_p: Float64Array = np.subtract(1, like_kp.max(axis=0), dtype=np.float64)
    distance_p *= known_p
    return distance_p


def likenesses(looks_tkd: Float32Array, counts_t: Int64Array, looks: Looks,
               rows_p: Int64Array, columns_p: Int64Array) -> Float32Array:
    """
    Give the Bhattacharyya coefficients of all that is remembered of people with what is seen.

    Args:
        looks_tkd: float32[T, K, LOOK_SIZE], K looks of each person, zeros where not known.
        counts_t: int64[T], how many of them are known, the first ones.
        looks: of the detections.
        rows_p: int64[P], of the pairs to compare; few of many as a rule, which is why this is no
            product of matrices.
        columns_p: int64[P].

    Returns:
        float32[K, P], zero for a look that is not known.
    """
    most = looks_tkd.shape[1]
    like_kp: Float32Array = np.zeros((most, len(rows_p)), np.float32)
    look_q, pair_q = (counts_t.take(rows_p) > np.arange(most)[:, None]).nonzero()
    if not len(pair_q) or not looks.known:
        return like_kp
    first_n, count_n = looks.stretches
    column_q = columns_p.take(pair_q)
    count_q = count_n.take(column_q)
    start_q = count_q.cumsum() - count_q
    # The terms of all the sums in one row: how much of each colour of a detection, times how
    # much of it is remembered, which is as far from its place as the two rows are apart.
    at_f = np.arange(count_q.sum()) + (first_n.take(column_q) - start_q).repeat(count_q)
    apart_q = (rows_p.take(pair_q) * most + look_q - column_q) * LOOK_SIZE
    terms_f = looks_tkd.ravel().take(looks.there_e.take(at_f) + apart_q.repeat(count_q))
    terms_f *= looks.amount_e.take(at_f)
    like_kp[look_q, pair_q] = np.add.reduceat(terms_f, start_q)
    return like_kp
