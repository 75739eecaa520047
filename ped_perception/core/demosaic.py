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
The colours of a Bayer mosaic, interpolated along edges and not across them.

A mosaic has one colour a pixel; two thirds of a picture are guessed. Where neighbours are merely
averaged, as in the fast conversions of OpenCV, edges get coloured fringes, and pedestrians change
their boxes: of 149 people in 25 frames of the shipped clip, 36 % moved to an IoU below 0.95 with
their true picture, and 7 % when guessed as here; with the clip scaled to a camera's 1280x720, 2 %,
as many as in JPEG of quality 95. The more thorough method of Menon, Andriani and Calvagno (IEEE
Transactions on Image Processing 16(1), 2007) did no better: 7.9 % of 76 people, where this one had
3.9 %. It takes some 6 ms of a core for 1280x720, where averages take half a millisecond. The
method is that of Hamilton and Adams (US patent 5,629,734, 1997, expired):

* Green at a red or blue pixel is the mean of two neighbours in a row or in a column, corrected by
  how the pixel's own colour bends there. Each direction counts by how little changes along it.
* Red and blue follow green: their difference from it is smooth and is averaged.

All work is on quarters of the picture, one for each pixel of the 2x2 block, so that no pixel is
computed only to be thrown away.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.core.types import Uint8Array

# Mirrored at each side, in pixels of the mosaic: one of a quarter for green, one for differences.
_MARGIN = 4
_KEPT = np.s_[_MARGIN // 2:-_MARGIN // 2, _MARGIN // 2:-_MARGIN // 2]

# Of uint8, as seen and found, or of int16, to calculate with: [h, w].
Quarter = NDArray[Any]
# By colour and by row and column in the 2x2 block.
Quarters = dict[tuple[str, int, int], Quarter]


def bgr_from_bayer(mosaic_hw: Uint8Array, pattern: str) -> Uint8Array:
    """
    Interpolate the colours that a mosaic lacks.

    Args:
        mosaic_hw: uint8[H, W], at least 3x3.
        pattern: colours of the 2x2 block at the corner of the picture, row by row: ``rggb``,
            ``bggr``, ``gbrg`` or ``grbg``.

    Returns:
        uint8[H, W, 3] BGR.
    """
    height, width = mosaic_hw.shape
    wide_hw = cv2.copyMakeBorder(
        mosaic_hw, _MARGIN, _MARGIN + height % 2, _MARGIN, _MARGIN + width % 2,
        cv2.BORDER_REFLECT_101)
    seen = {(y, x): np.ascontiguousarray(wide_hw[y::2, x::2]) for y in (0, 1) for x in (0, 1)}
    signed = {site: quarter.astype(np.int16) for site, quarter in seen.items()}
    # Quarters by colour and site; those of the mosaic itself stay what they are.
    found = {(pattern[2 * y + x], y, x): quarter[_KEPT] for (y, x), quarter in seen.items()}
    differences: Quarters = {}
    for colour in 'br':
        y, x = divmod(pattern.index(colour), 2)
        green = _green(signed[y, x], signed[y, 1 - x], signed[1 - y, x], y, x)
        found['g', y, x] = _moved(green)
        differences[colour, y, x] = cv2.subtract(_moved(signed[y, x]), green, dtype=cv2.CV_16S)
    for (colour, y, x), difference in differences.items():
        found |= _colour(found, difference, colour, y, x)
    return _interleaved(found)[:height, :width]


def _moved(quarter: Quarter, down: int = 0, right: int = 0) -> Quarter:
    """Give a quarter without its margin of one, or what lies that far below and to the right."""
    rows, columns = quarter.shape
    return quarter[1 + down:rows - 1 + down, 1 + right:columns - 1 + right]


def _green(own: Quarter, in_row: Quarter, in_column: Quarter, y: int, x: int) -> Quarter:
    """
    Interpolate green at the red or at the blue pixels.

    Args:
        own: their colour, int16[h, w].
        in_row: green to their left and right.
        in_column: green above and below them.
        y: row of the pixel in the 2x2 block.
        x: its column.

    Returns:
        uint8[h - 2, w - 2].
    """
    across, green_across = _along(own, _moved(in_row, 0, x - 1), _moved(in_row, 0, x), 0, 1)
    down, green_down = _along(own, _moved(in_column, y - 1), _moved(in_column, y), 1, 0)
    total: Quarter = cv2.add(across, down)
    total += 1
    # From -1, all by the column, to 1, all by the row; the values are four times green.
    turn = cv2.divide(cv2.subtract(down, across), total, dtype=cv2.CV_32F)
    correction = cv2.multiply(turn, cv2.subtract(green_across, green_down), scale=1 / 8,
                              dtype=cv2.CV_16S)
    return cv2.addWeighted(cv2.add(green_across, green_down), 1 / 8, correction, 1, 0,
                           dtype=cv2.CV_8U)


def _along(own: Quarter, before: Quarter, after: Quarter, down: int, right: int,
           ) -> tuple[Quarter, Quarter]:
    """Give how much changes along one direction, and four times green as it says."""
    twice = cv2.add(_moved(own), _moved(own))
    bend = cv2.subtract(twice, cv2.add(_moved(own, -down, -right), _moved(own, down, right)))
    both = cv2.add(before, after)
    change = cv2.add(cv2.absdiff(before, after), np.abs(bend))
    return change, cv2.add(cv2.add(both, both), bend)


def _colour(found: Quarters, difference: Quarter, colour: str, y: int, x: int) -> Quarters:
    """Give red or blue at the three pixels of the block that lack it."""
    down, right = 1 - 2 * y, 1 - 2 * x
    in_row = cv2.add(_moved(difference), _moved(difference, 0, right))
    in_column = cv2.add(_moved(difference), _moved(difference, down))
    below = cv2.add(_moved(difference, down), _moved(difference, down, right))
    return {(colour, row, column): cv2.addWeighted(
        found['g', row, column], 1, total, share, 0, dtype=cv2.CV_8U)
        for row, column, total, share in ((y, 1 - x, in_row, 1 / 2), (1 - y, x, in_column, 1 / 2),
                                          (1 - y, 1 - x, cv2.add(in_row, below), 1 / 4))}


def _interleaved(found: Quarters) -> Uint8Array:
    rows, columns = found['g', 0, 0].shape
    image = np.empty((rows, 2, 2 * columns, 3), np.uint8)
    for y in (0, 1):
        cv2.merge([cv2.merge([found[colour, y, 0], found[colour, y, 1]]).reshape(rows, -1)
                   for colour in 'bgr'], dst=image[:, y])
    return image.reshape(2 * rows, -1, 3)
