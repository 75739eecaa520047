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

"""Draw what was found into a picture, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from ped_perception.core.types import Detections, Uint8Array

# BGR. Amber on black stands out from streets, trees and skies alike.
BOX_COLOUR = (0, 190, 255)
_DARK = (20, 20, 20)
_WHITE = (255, 255, 255)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Of the picture's height, so that a VGA and a 4K picture look the same on one screen.
_LINE_SHARE = 1 / 360
_TEXT_SHARE = 1 / 45
# A label wider than its box would hide the neighbours of people far away: only the box is drawn.
_LABEL_BOX_RATIO = 2.5


def draw_detections(image_hw3: Uint8Array, detections: Detections) -> Uint8Array:
    """
    Give a copy of a picture with a box around each pedestrian and its score above.

    Args:
        image_hw3: uint8[H, W, 3] BGR; stays as it is.
        detections: in pixels of this picture.

    Returns:
        uint8[H, W, 3] BGR, writable.
    """
    drawn_hw3 = np.array(image_hw3, order='C')
    # The best detection is drawn last, on top of the others.
    for box, score in reversed(list(zip(
            detections.boxes_n4.tolist(), detections.scores_n.tolist(), strict=True))):
        draw_box(drawn_hw3, box, f'{score:.2f}')
    return drawn_hw3


def draw_caption(image_hw3: Uint8Array, text: str) -> None:
    """
    Write a line of text into the upper left corner of a picture, on a dark ground.

    Args:
        image_hw3: uint8[H, W, 3] BGR, drawn into.
        text: letters of ASCII; OpenCV's font has no others.
    """
    scale, (text_width, text_height), baseline = _text_size(image_hw3, text)
    cv2.rectangle(image_hw3, (0, 0), (text_width + 12, text_height + baseline + 8), _DARK,
                  cv2.FILLED)
    cv2.putText(image_hw3, text, (6, text_height + 5), _FONT, scale, _WHITE, 1, cv2.LINE_AA)


def _text_size(image_hw3: Uint8Array, text: str) -> tuple[float, tuple[int, int], int]:
    """Give font scale, width and height, and what hangs below the line, in pixels."""
    wanted_px = max(8, round(image_hw3.shape[0] * _TEXT_SHARE))
    scale = cv2.getFontScaleFromHeight(_FONT, wanted_px, 1)
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, 1)
    return scale, (width, height), baseline


def draw_box(image_hw3: Uint8Array, box_xyxy: Sequence[float], label: str,
             colour: tuple[int, int, int] = BOX_COLOUR) -> None:
    """
    Draw a box with a label above, or none where the label is much wider than the box.

    Args:
        image_hw3: uint8[H, W, 3] BGR, drawn into.
        box_xyxy: ``x1 y1 x2 y2`` in pixels.
        label: letters of ASCII; '' for none.
        colour: BGR.
    """
    height, width = image_hw3.shape[:2]
    line = max(1, round(height * _LINE_SHARE))
    left, top, right, bottom = (round(value) for value in box_xyxy)
    # Boxes end at the outer corner of their last pixel, cv2 draws that pixel too.
    right, bottom = max(left, right - 1), max(top, bottom - 1)
    cv2.rectangle(image_hw3, (left, top), (right, bottom), _DARK, 2 * line + 1)
    cv2.rectangle(image_hw3, (left, top), (right, bottom), colour, line)
    scale, (text_width, text_height), baseline = _text_size(image_hw3, label)
    if not label or text_width > _LABEL_BOX_RATIO * (right - left + 1):
        return
    label_height = text_height + baseline + 2
    # Above the box where there is room, else inside it; never outside the picture.
    label_top = top - label_height if top >= label_height else top
    label_left = max(0, min(left, width - text_width - 4))
    cv2.rectangle(image_hw3, (label_left, label_top),
                  (label_left + text_width + 3, label_top + label_height), colour, cv2.FILLED)
    cv2.putText(image_hw3, label, (label_left + 2, label_top + text_height + 2), _FONT, scale,
                _DARK, 1, cv2.LINE_AA)
