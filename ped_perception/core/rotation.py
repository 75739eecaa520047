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

"""Pictures of cameras that are mounted on their side or upside down, and their boxes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from ped_perception.core.types import Detections, Float32Array, Tracks, Uint8Array

_CODES = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}


def upright_from_source(image_hw3: Uint8Array, quarter_turns: int) -> Uint8Array:
    """
    Turn a picture; without a turn it is given as it is.

    Args:
        image_hw3: uint8[H, W, 3].
        quarter_turns: clockwise, 0 to 3.
    """
    if quarter_turns == 0:
        return image_hw3
    return np.asarray(cv2.rotate(image_hw3, _CODES[quarter_turns]), np.uint8)


def source_from_upright_boxes(boxes_n4: Float32Array, source_hw: tuple[int, int],
                              quarter_turns: int) -> Float32Array:
    """
    Map boxes of a turned picture back to the picture of the camera.

    Args:
        boxes_n4: float32[N, 4], pixels of the turned picture.
        source_hw: height and width in pixels of the picture of the camera.
        quarter_turns: clockwise, by which the picture was turned, 0 to 3.
    """
    x1_n, y1_n, x2_n, y2_n = boxes_n4.T
    height, width = source_hw
    corners = {0: (x1_n, y1_n, x2_n, y2_n),
               1: (y1_n, height - x2_n, y2_n, height - x1_n),
               2: (width - x2_n, height - y2_n, width - x1_n, height - y1_n),
               3: (width - y2_n, x1_n, width - y1_n, x2_n)}[quarter_turns]
    return np.stack(corners, axis=1).astype(np.float32)


def source_from_upright_detections(detections: Detections, source_hw: tuple[int, int],
                                   quarter_turns: int) -> Detections:
    """Give detections in pixels of the camera; see :func:`source_from_upright_boxes`."""
    if quarter_turns == 0:
        return detections
    return replace(detections, source_hw=source_hw, boxes_n4=source_from_upright_boxes(
        detections.boxes_n4, source_hw, quarter_turns))


def source_from_upright_tracks(tracks: Tracks, source_hw: tuple[int, int], quarter_turns: int,
                               ) -> Tracks:
    """Give tracks in pixels of the camera; see :func:`source_from_upright_boxes`."""
    if quarter_turns == 0:
        return tracks
    return replace(tracks, source_hw=source_hw, boxes_t4=source_from_upright_boxes(
        tracks.boxes_t4, source_hw, quarter_turns))
