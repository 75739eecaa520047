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

Looks at a few rows only. A picture is sampled as if it were about 640 pixels wide: 16 rows spread
over its height, and beside each the rows one, two and eight sampled pixels below. Differences of
brightness over these three distances, squared and averaged, tell fine detail from noise: noise
adds the same to all of them, so it drops out of their differences, while a sharp edge adds in
proportion to the distance and a blurred one in proportion to its square (the structure function
of turbulence research, Kolmogorov 1941, used here as a measure of focus).
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
_ROWS = 16
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
def _rows_of(height: int, width: int) -> tuple[Int64Array, int]:
    """
    Give the rows that are looked at in pictures of one size, and every which column.

    Returns:
        int64[4, 16], or [1, 16] for pictures too small to compare rows and columns; and the step.
    """
    step = max(1, round(width / _WIDTH))
    room = height - _DISTANCES[-1] * step
    enough = room >= _ROWS and width // step >= TILES_XY[0] + 2 * _DISTANCES[-1]
    tops_n = ((np.arange(_ROWS) + 0.5) * (room if enough else height) / _ROWS).astype(np.int64)
    return np.array(_DISTANCES if enough else _DISTANCES[:1])[:, None] * step + tops_n, step


def sample_of(pixels: Pixels) -> Uint8Array:
    """
    Copy the pixels that are looked at, green only.

    Args:
        pixels: uint8[H, W, 3] BGR, or in a native layout.

    Returns:
        uint8[4, 16, W], the rows and those 1, 2 and 8 sampled pixels below each; [1, 16, W] of
        pictures too small to have them.
    """
    rows_dn, step = _rows_of(pixels.shape[0], pixels.shape[1])
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
        sample_dnw: uint8[4 or 1, 16, W], as ``sample_of`` gives it.
        directions: in which detail and focus are looked for.
    """
    size = sample_dnw[0].size
    counts = cv2.calcHist([sample_dnw[0]], [0], None, [256], [0, 256]).ravel()
    darker = counts.cumsum()
    bright_grey = darker.searchsorted(_BRIGHT_SHARE * size)
    saturated_share = 1 - darker[_SATURATED_GREY - 1] / size
    flat_share = sharpness = math.nan
    if len(sample_dnw) == len(_DISTANCES):
        fine_dtt, coarse_dtt = _gains(sample_dnw, directions)
        flat_share = _flat_share(fine_dtt, float(bright_grey))
        sharpness = _sharpness(fine_dtt, coarse_dtt)
    return ImageMeasures(float(bright_grey), float(saturated_share), flat_share, sharpness)


def _gains(sample_dnw: Uint8Array, directions: Directions) -> tuple[Float32Array, Float32Array]:
    """
    Give by how much squared differences grow with the distance.

    Args:
        sample_dnw: uint8[4, 16, W].
        directions: D of them.

    Returns:
        float32[D, 8, 16], from distance 1 to 2 and from 1 to 8.
    """
    margin, (columns, rows) = _DISTANCES[-1], TILES_XY
    width = (sample_dnw.shape[2] - 2 * margin) // columns * columns
    # All in one array: a call of OpenCV costs more than what it does to a few rows.
    there_nw = np.concatenate([
        sample_dnw[index * down, :, margin + right * distance:][:, :width]
        for right, down in directions for index, distance in enumerate(_DISTANCES) if index])
    here_nw = cv2.repeat(sample_dnw[0, :, margin:margin + width], len(there_nw) // _ROWS, 1)
    difference_nw = cv2.absdiff(there_nw, here_nw)
    squares = tiled(cv2.multiply(difference_nw, difference_nw, dtype=cv2.CV_32F), columns,
                    rows * len(there_nw) // _ROWS).reshape(len(directions), -1, rows, columns)
    gains_dltt = squares[:, 1:] - squares[:, :1]
    return gains_dltt[:, 0], gains_dltt[:, 1]


def tiled(values_nw: NDArray[Any], columns: int, rows: int) -> NDArray[Any]:
    """Average over tiles: float32[N, W] to float32[rows, columns]."""
    means: NDArray[Any] = cv2.resize(values_nw, (columns, rows), interpolation=cv2.INTER_AREA)
    return means


def _flat_share(fine_dtt: Float32Array, bright_grey: float) -> float:
    least_grey2 = max(_LEAST_DETAIL_GREY2, _DETAIL_GREY2 * min(1, bright_grey / _DAYLIGHT_GREY))
    # Absolute values: in an interlaced picture the rows next to each other differ the most.
    least_dtt: BoolArray = np.abs(fine_dtt) < least_grey2
    return float(np.count_nonzero(least_dtt.all(axis=0)) / least_dtt[0].size)


def _sharpness(fine_dtt: Float32Array, coarse_dtt: Float32Array) -> float:
    """
    Give the share of the contrast over eight pixels that lies between one and two of them.

    Of the direction in which it is least: shaken pictures are sharp across the movement.
    """
    columns, rows = _REGIONS_XY
    both = np.concatenate([fine_dtt, coarse_dtt]).reshape(-1, TILES_XY[0])
    fine_dr, coarse_dr = tiled(both, columns, 2 * len(fine_dtt) * rows).reshape(
        2, len(fine_dtt), -1).tolist()
    found = []
    for fine_r, coarse_r in zip(fine_dr, coarse_dr, strict=True):
        ratios = sorted(abs(fine) / coarse for fine, coarse in zip(fine_r, coarse_r, strict=True)
                        if coarse > _CONTRAST_GREY2)
        if len(ratios) >= _LEAST_REGIONS:
            found.append(ratios[int(_SHARPEST * len(ratios))])
    return min(found, default=math.nan)
