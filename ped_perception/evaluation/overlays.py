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

"""Pictures with what was right and wrong in them, as a report shows them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ped_perception.core.draw import draw_box
from ped_perception.core.types import Float64Array, Uint8Array
from ped_perception.evaluation.mistakes import Judged

# BGR.
RIGHT_COLOUR, FALSE_COLOUR, MISSED_COLOUR = (80, 200, 60), (0, 165, 255), (60, 60, 255)
LEGEND = ('Green: found, with its score. Red: labelled, but missed. Orange: a detection '
          'with no label there, or too far beside one to count.')
# A part shown is this many times as wide as the boxes in it, in the shape of a screen, and not
# smaller than what a reader recognises a street by.
_MARGIN = 3.0
_SHAPE = 4 / 3
_SMALLEST_PX = 240


def drawn(image_hw3: Uint8Array, one: Judged) -> Uint8Array:
    """
    Give a copy of a picture with the boxes of a run, coloured as :data:`LEGEND` says.

    Args:
        image_hw3: uint8[H, W, 3] BGR; stays as it is.
        one: of this picture.
    """
    drawn_hw3 = np.array(image_hw3, order='C')
    for box_xyxy in one.missed_m4.tolist():
        draw_box(drawn_hw3, box_xyxy, '', MISSED_COLOUR)
    # The best detection is drawn last, on top of the others.
    for rows, colour in ((one.right_rows, RIGHT_COLOUR), (one.false_rows, FALSE_COLOUR)):
        for row in reversed(rows.tolist()):
            draw_box(drawn_hw3, one.published.boxes_n4[row].tolist(),
                     f'{one.published.scores_n[row]:.2f}', colour)
    return drawn_hw3


def part_around(boxes_n4: Float64Array, source_hw: tuple[int, int]) -> tuple[slice, slice]:
    """
    Choose the part of a picture in which some boxes are easy to see.

    Args:
        boxes_n4: float64[N, 4], ``x1 y1 x2 y2`` in pixels; with none it is the whole picture.
        source_hw: height and width of the picture.

    Returns:
        rows and columns.
    """
    height, width = source_hw
    if not len(boxes_n4):
        return slice(0, height), slice(0, width)
    low_xy, high_xy = boxes_n4[:, :2].min(axis=0), boxes_n4[:, 2:].max(axis=0)
    tallest = float((boxes_n4[:, 3] - boxes_n4[:, 1]).max())
    spread_x, spread_y = (high_xy - low_xy).tolist()
    wanted_h = max(_SMALLEST_PX, _MARGIN * tallest, spread_y + tallest,
                   (spread_x + tallest) / _SHAPE)
    centre_x, centre_y = ((low_xy + high_xy) / 2).tolist()
    return (_window(centre_y, wanted_h, height), _window(centre_x, wanted_h * _SHAPE, width))


def boxes_of(*parts: Iterable[Iterable[float]]) -> Float64Array:
    """Put boxes together, float64[N, 4]."""
    return np.array([list(box) for part in parts for box in part], np.float64).reshape(-1, 4)


def _window(centre: float, wanted: float, size: int) -> slice:
    length = min(round(wanted), size)
    begin = min(max(0, round(centre - length / 2)), size - length)
    return slice(begin, begin + length)
