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
What a picture shows, measured on a few rows of it: brightness, detail, focus.

Looks at a few rows only. A picture is sampled as if it were about 640 pixels wide: 8 or 16 rows
spread over its height, and beside each the rows one, two and eight sampled pixels below.
Differences of brightness over these three distances, squared and averaged, tell fine detail from
noise: noise adds the same to all of them, so it drops out of their differences, while a sharp edge
adds in proportion to the distance and a blurred one in proportion to its square (the structure
function of turbulence research, Kolmogorov 1941, used here as a measure of focus).
"""

from __future__ import annotations

from dataclasses import dataclass
import functools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.core.native import NativePixels, Pixels
from ped_perception.core.types import BoolArray, Float32Array, Int64Array, Uint8Array

# The picture is sampled as if it were this wide: blur that scaling to the network removes anyway
# is none.
_WIDTH = 640
# Rows that show most pictures to be fine, and those that judge the others.
FEW_ROWS, ROWS = 8, 16
_DISTANCES = (0, 1, 2, 8)
# Right and down: two pairs of directions at right angles.
Directions = tuple[tuple[int, int], ...]
UPRIGHT: Directions = ((1, 0), (0, 1))
ASKEW: Directions = ((1, 1), (-1, 1))
# Regions, in which focus is judged, are of 4x2 tiles each.
TILES_XY = (16, 8)
_REGIONS_XY = (4, 4)

_SATURATED_GREY = 250
_BRIGHT_SHARE = 0.98
# Squared grey levels. A tile's fine detail: below this a wall, a cloth or a cloudless sky. At
# night there is less of it everywhere, but noise hides what is below the least.
_DETAIL_GREY2 = 4.0
_LEAST_DETAIL_GREY2 = 2.0
_DAYLIGHT_GREY = 128
# A region says something about focus where the brightness varies by this much, noise apart.
_CONTRAST_GREY2 = 40.0
_LEAST_REGIONS = 3
# Sharpest quarter: in a picture in focus some regions are out of it nevertheless.
_SHARPEST = 0.75


@dataclass(frozen=True)
class ImageMeasures:
    """
    What was measured of one picture; NaN for what it is too small or too uniform to tell.

    Attributes:
        bright_grey: 98 % of the picture are this bright at most.
        saturated_share: of the picture.
        flat_share: of the picture, without detail.
        sharpness: of the sharpest quarter, about 0.3 in a good picture, 0 for no edges at all.
    """

    bright_grey: float
    saturated_share: float
    flat_share: float
    sharpness: float


@functools.lru_cache(maxsize=16)
def _rows_of(height: int, width: int, count: int) -> tuple[Int64Array, int]:
    """
    Give the rows that are looked at in pictures of one size, and every which column.

    Returns:
        int64[4, N], or [1, N] for pictures too small to compare rows and columns; and the step.
    """
    step = max(1, round(width / _WIDTH))
    room = height - _DISTANCES[-1] * step
    enough = room >= ROWS and width // step >= TILES_XY[0] + 2 * _DISTANCES[-1]
    tops_n = ((np.arange(count) + 0.5) * (room if enough else height) / count).astype(np.int64)
    return np.array(_DISTANCES if enough else _DISTANCES[:1])[:, None] * step + tops_n, step


def sample_of(pixels: Pixels, count: int = ROWS) -> Uint8Array:
    """
    Copy the pixels that are looked at, green only.

    Args:
        pixels: uint8[H, W, 3] BGR, or in a native layout.
        count: N rows, 8 or 16.

    Returns:
        uint8[4, N, W], the rows and those 1, 2 and 8 sampled pixels below each; [1, N, W] of
        pictures too small to have them.
    """
    rows_dn, step = _rows_of(pixels.shape[0], pixels.shape[1], count)
    green_dnw = (pixels.rows(rows_dn.ravel())[:, ::step, 1].reshape(*rows_dn.shape, -1)
                 if isinstance(pixels, NativePixels) else pixels[:, ::step, 1][rows_dn])
    return np.ascontiguousarray(green_dnw)


def measures_of(image_hw3: Uint8Array) -> ImageMeasures:
    """
    Measure what one picture shows.

    Args:
        image_hw3: uint8[H, W, 3] BGR of any size.
    """
    return measures_of_sample(sample_of(image_hw3), UPRIGHT + ASKEW)


def measures_of_sample(sample_dnw: Uint8Array, directions: Directions) -> ImageMeasures:
    """
    Measure what the sample of a picture shows.

    Args:
        sample_dnw: uint8[4 or 1, N, W], as ``sample_of`` gives it.
        directions: in which detail and focus are looked for.
    """
    counts = cv2.calcHist([sample_dnw[0]], [0], None, [256], [0, 256]).ravel()
    darker, size = counts.cumsum(), sample_dnw[0].size
    bright_grey = float(darker.searchsorted(_BRIGHT_SHARE * size))
    saturated_share = 1 - darker.item(_SATURATED_GREY - 1) / size
    flat_share = sharpness = math.nan
    if len(sample_dnw) == len(_DISTANCES):
        gains_ldtt = _gains(sample_dnw, directions)
        flat_share = _flat_share(gains_ldtt[0], bright_grey)
        sharpness = _sharpness(gains_ldtt)
    return ImageMeasures(bright_grey, saturated_share, flat_share, sharpness)


def _gains(sample_dnw: Uint8Array, directions: Directions) -> Float32Array:
    """
    Give by how much squared differences grow with the distance.

    Args:
        sample_dnw: uint8[4, N, W].
        directions: D of them.

    Returns:
        float32[2, D, 8, 16], from distance 1 to 2 and from 1 to 8.
    """
    margin, (columns, rows) = _DISTANCES[-1], TILES_XY
    tile = (sample_dnw.shape[2] - 2 * margin) // columns
    width = tile * columns
    here_nw = sample_dnw[0, :, margin:margin + width]
    differences_ldnw = np.empty(
        (len(_DISTANCES) - 1, len(directions), len(here_nw), width), np.uint8)
    for index, distance in enumerate(_DISTANCES[1:]):
        for (right, down), difference_nw in zip(directions, differences_ldnw[index], strict=True):
            first = margin + right * distance
            cv2.absdiff(sample_dnw[(index + 1) * down, :, first:first + width], here_nw,
                        dst=difference_nw)
    # Whole numbers as long as possible: half the memory, and the sums are exact.
    squares_nw = differences_ldnw.astype(np.uint16).reshape(-1, tile)
    squares_nw *= squares_nw
    sums_nt = cv2.reduce(squares_nw, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F).reshape(-1, columns)
    means_ldtt = tiled(sums_nt, columns, len(sums_nt) * rows // len(here_nw)).reshape(
        len(differences_ldnw), -1, rows, columns)
    gains_ldtt: Float32Array = means_ldtt[1:] - means_ldtt[0]
    gains_ldtt *= np.float32(1 / tile)
    return gains_ldtt


def tiled(values_nw: NDArray[Any], columns: int, rows: int) -> NDArray[Any]:
    """Average over tiles: float32[N, W] to float32[rows, columns]."""
    means: NDArray[Any] = cv2.resize(values_nw, (columns, rows), interpolation=cv2.INTER_AREA)
    return means


def _flat_share(fine_dtt: Float32Array, bright_grey: float) -> float:
    least_grey2 = max(_LEAST_DETAIL_GREY2, _DETAIL_GREY2 * min(1, bright_grey / _DAYLIGHT_GREY))
    # Absolute values: in an interlaced picture the rows next to each other differ the most.
    least_dtt: BoolArray = np.abs(fine_dtt) < least_grey2
    return float(np.count_nonzero(least_dtt.all(axis=0)) / least_dtt[0].size)


def _sharpness(gains_ldtt: Float32Array) -> float:
    """
    Give the share of the contrast over eight pixels that lies between one and two of them.

    Of the direction in which it is least: shaken pictures are sharp across the movement.
    """
    columns, rows = _REGIONS_XY
    count = gains_ldtt.shape[1]
    fine_dr, coarse_dr = tiled(gains_ldtt.reshape(-1, TILES_XY[0]), columns,
                               2 * count * rows).reshape(2, count, -1).tolist()
    found = []
    for fine_r, coarse_r in zip(fine_dr, coarse_dr, strict=True):
        ratios = sorted(abs(fine) / coarse for fine, coarse in zip(fine_r, coarse_r, strict=True)
                        if coarse > _CONTRAST_GREY2)
        if len(ratios) >= _LEAST_REGIONS:
            found.append(ratios[int(_SHARPEST * len(ratios))])
    return min(found, default=math.nan)
