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
How the camera itself moved between two pictures, seen in the background.

Corners outside of people are followed with sparse optical flow (Lucas and Kanade 1981, in the
pyramidal form of Bouguet 2000) on a small grey picture, and a similarity is fitted to them by
RANSAC (Fischler and Bolles 1981). Four numbers hold what shakes boxes: yaw, pitch, roll and the
mean expansion of driving; more would follow single near objects instead of the scene.
"""

from __future__ import annotations

import cv2
import numpy as np
from ped_perception.core.native import NativePixels, Pixels
from ped_perception.core.types import Float32Array, Float64Array, Uint8Array

_WIDTH = 240
# Pictures are hardly higher than wide, but one column of pixels must not become millions of rows.
_MAX_HEIGHT = 4 * _WIDTH
_MAX_CORNERS = 80
_MIN_CORNERS = 12
_MIN_DISTANCE = 8
# A fit that few corners agree to is a fit to something else than the background.
_MIN_SHARE = 0.5
_TOLERANCE_PX = 1.0
# Between two pictures no camera in traffic does more than this.
_MAX_SCALE, _MAX_TURN_RAD, _MAX_SHIFT = 1.25, 0.35, 0.3


class BackgroundMotion:
    """The movement of one camera; one thread at a time. Keeps a small copy of one picture."""

    def __init__(self) -> None:
        """Begin without a picture."""
        self._grey: Uint8Array | None = None
        self._source_hw = (0, 0)
        self._boxes_n4: Float32Array = np.zeros((0, 4), np.float32)
        # The picture that was looked at ahead, and how the background moved since the last one
        # that was taken.
        self._ahead: Pixels | None = None
        self._moved_33: Float64Array | None = None

    def look_ahead(self, pixels: Pixels, wanted: bool) -> None:
        """
        Look at a picture before it is taken; see :meth:`take`.

        Args:
            pixels: uint8[H, W, 3] BGR, or in a native layout.
            wanted: whether anybody is there to be carried along; most of the work is else left.
        """
        moved_33 = None
        if wanted:
            moved_33 = self.moved(pixels)
        else:
            self.remember(pixels)
        if self._ahead is not None:
            # That picture was never taken: its movement counts all the same.
            moved_33 = (None if moved_33 is None or self._moved_33 is None
                        else moved_33 @ self._moved_33)
        self._ahead, self._moved_33 = pixels, moved_33

    def take(self, pixels: Pixels, wanted: bool) -> Float64Array | None:
        """
        Tell how the background moved since the picture that was taken before.

        Args:
            pixels: BGR or in a native layout; the same object where it was looked at ahead.
            wanted: as for :meth:`look_ahead`.

        Returns:
            float64[3, 3] as of :meth:`moved`, None where it is not known or not wanted.
        """
        if self._ahead is not pixels:
            self.look_ahead(pixels, wanted)
        self._ahead = None
        return self._moved_33

    def moved(self, pixels: Pixels) -> Float64Array | None:
        """
        Take in the next picture.

        Args:
            pixels: uint8[H, W, 3] BGR, or in a native layout.

        Returns:
            float64[3, 3] homography (a similarity) from pixels of the picture before to pixels
            of this one; None for the first picture, after a change of size, and when the two
            show no common background: too dark, too little texture, or a cut.
        """
        before, before_hw, boxes_n4 = self._grey, self._source_hw, self._boxes_n4
        now = self.remember(pixels)
        if before is None or before_hw != self._source_hw:
            return None
        zoom_xy = np.array(self._source_hw[::-1]) / np.array(now.shape[::-1])
        corners_k12 = _corners(before, boxes_n4 / np.tile(zoom_xy, 2))
        found = _fitted(before, now, corners_k12)
        return None if found is None else _enlarged(found, zoom_xy)

    def remember(self, pixels: Pixels) -> Uint8Array:
        """
        Take in the next picture where nobody asks how the camera moved up to it.

        Args:
            pixels: uint8[H, W, 3] BGR, or in a native layout.

        Returns:
            uint8[h, w], the small grey copy that is kept.
        """
        source_hw = pixels.shape[0], pixels.shape[1]
        height = round(_WIDTH * source_hw[0] / source_hw[1])
        size_xy = (_WIDTH, min(max(height, 1), _MAX_HEIGHT))
        if isinstance(pixels, NativePixels):
            grey: Uint8Array = pixels.small_grey(size_xy)
        else:
            small_hw3 = cv2.resize(pixels, size_xy, interpolation=cv2.INTER_LINEAR)
            grey = np.asarray(cv2.cvtColor(small_hw3, cv2.COLOR_BGR2GRAY), np.uint8)
        self._grey, self._source_hw = grey, source_hw
        self._boxes_n4 = np.zeros((0, 4), np.float32)
        return grey

    def hide(self, boxes_n4: Float32Array) -> None:
        """
        Say where people are in the newest picture: they are not to be taken for background.

        Args:
            boxes_n4: float32[N, 4], ``x1 y1 x2 y2`` in pixels.
        """
        self._boxes_n4 = boxes_n4


def homography_from_rotation(camera_matrix_33: Float64Array,
                             now_from_previous_33: Float64Array) -> Float64Array:
    """
    Say how the picture moves when the camera turns, for a camera whose odometry is known.

    Args:
        camera_matrix_33: of an undistorted picture, ``K`` of CameraInfo.
        now_from_previous_33: rotation from the optical frame of the picture before to the
            optical frame of this picture.

    Returns:
        float64[3, 3] for :meth:`Tracker.step`, its last element 1. What the camera travels is
        left out: it moves near things only.
    """
    # CameraInfo counts from the centre of the first pixel, boxes from its outer corner.
    corner_33 = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    matrix_33 = corner_33 @ camera_matrix_33
    homography_33 = matrix_33 @ now_from_previous_33 @ np.linalg.inv(matrix_33)
    scaled: Float64Array = homography_33 / homography_33[2, 2]
    return scaled


def _corners(grey_hw: Uint8Array, boxes_n4: Float64Array) -> Float32Array:
    mask = np.full(grey_hw.shape, 255, np.uint8)
    limits = np.tile(grey_hw.shape[::-1], 2)
    for x1, y1, x2, y2 in np.clip(boxes_n4, 0, limits).astype(int).tolist():
        mask[y1:y2 + 1, x1:x2 + 1] = 0
    corners = cv2.goodFeaturesToTrack(grey_hw, _MAX_CORNERS, 0.01, _MIN_DISTANCE, mask=mask)
    # OpenCV gives None, against its annotation, where it finds no corner.
    found: Float32Array = np.asarray([] if corners is None else corners, np.float32)
    return found.reshape(-1, 1, 2)


def _fitted(before_hw: Uint8Array, now_hw: Uint8Array, corners_k12: Float32Array,
            ) -> Float64Array | None:
    """Fit a similarity, float64[2, 3] in small pixels, or say that there is none."""
    if len(corners_k12) < _MIN_CORNERS:
        return None
    moved_k12, found_k1, _ = cv2.calcOpticalFlowPyrLK(
        before_hw, now_hw, corners_k12, np.empty_like(corners_k12), winSize=(11, 11), maxLevel=3,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03))
    found_k = found_k1[:, 0] == 1
    if found_k.sum() < _MIN_CORNERS:
        return None
    fit_23, agreed = cv2.estimateAffinePartial2D(
        corners_k12[found_k], moved_k12[found_k], ransacReprojThreshold=_TOLERANCE_PX)
    if fit_23 is None or agreed.sum() < max(_MIN_CORNERS, _MIN_SHARE * len(corners_k12)):
        return None
    scale = float(np.hypot(fit_23[0, 0], fit_23[1, 0]))
    turn_rad = float(np.arctan2(fit_23[1, 0], fit_23[0, 0]))
    middle_2 = np.array(now_hw.shape[::-1]) / 2
    shift = float(np.abs(fit_23[:, :2] @ middle_2 + fit_23[:, 2] - middle_2).max())
    if not (1 / _MAX_SCALE < scale < _MAX_SCALE and abs(turn_rad) < _MAX_TURN_RAD
            and shift < _MAX_SHIFT * now_hw.shape[1]):
        return None
    return np.asarray(fit_23, np.float64)


def _enlarged(fit_23: Float64Array, zoom_xy: Float64Array) -> Float64Array:
    # Corners are counted from the centre of the first small pixel, boxes from its outer corner.
    source_from_small = np.diag([*zoom_xy, 1.0])
    source_from_small[:2, 2] = zoom_xy / 2
    small_33 = np.vstack([fit_23, [0.0, 0.0, 1.0]])
    homography_33: Float64Array = source_from_small @ small_33 @ np.linalg.inv(source_from_small)
    return homography_33
