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
Pictures in the layout of the camera, for backends that crop and scale them where the network runs.

A GPU reads YUV as cheaply as BGR, so nobody has to convert the whole picture first. Whatever else
looks at it looks at little: some rows, a few points of a box, a small copy. That little is read
here with the same arithmetic (OpenCV's) as the whole, which is decoded when somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_Uint8Array = NDArray[np.uint8]
_Indices = NDArray[np.integer[Any]]

# Encoding, as ROS or drivers name it → layout.
NATIVE_LAYOUTS = {'nv12': 'nv12', 'yuyv': 'yuyv', 'yuv422_yuy2': 'yuyv', 'uyvy': 'uyvy',
                  'yuv422': 'uyvy'}

# A row of luma and its row of chroma, side by side pixel by pixel, are a row of YUYV.
_ROW_CODES = {'nv12': cv2.COLOR_YUV2BGR_YUY2, 'yuyv': cv2.COLOR_YUV2BGR_YUY2,
              'uyvy': cv2.COLOR_YUV2BGR_UYVY}
# Which of the two bytes of a pixel is its luma.
_LUMA_AT = {'yuyv': 0, 'uyvy': 1}
# Luma is of limited range, 16 to 235.
_GREY_OF_LUMA = np.rint(np.clip((np.arange(256) - 16) * (255 / 219), 0, 255)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class NativePixels:
    """
    A picture as the camera packs it; ``core.raw`` makes them and checks them.

    Attributes:
        layout: one of the values of ``NATIVE_LAYOUTS``.
        rows_rs: uint8[rows, step], the bytes as they came, padding included; read-only, may be a
            view of a message. ``nv12`` has half as many rows again, of chroma, below the luma.
        size_hw: height and width in pixels; the width is even, for ``nv12`` the height too.
    """

    layout: str
    rows_rs: _Uint8Array
    size_hw: tuple[int, int]

    def __post_init__(self) -> None:
        """Make the bytes read-only."""
        view = self.rows_rs.view()
        view.flags.writeable = False
        object.__setattr__(self, 'rows_rs', view)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Give the shape of the picture as BGR."""
        return (*self.size_hw, 3)

    @functools.cached_property
    def image_hw3(self) -> _Uint8Array:
        """The whole picture, uint8[H, W, 3] BGR; decoded by the first who asks."""
        height, width = self.size_hw
        if self.layout == 'nv12':
            return _converted(self.rows_rs[:, :width], cv2.COLOR_YUV2BGR_NV12)
        return _converted(self.rows_rs[:, :2 * width].reshape(height, width, 2),
                          _ROW_CODES[self.layout])

    def rows(self, rows_k: _Indices) -> _Uint8Array:
        """
        Give some rows of the picture as BGR, exactly as in the whole.

        Args:
            rows_k: integers [K], of the picture, in any order.

        Returns:
            uint8[K, W, 3].
        """
        height, width = self.size_hw
        if self.layout == 'nv12':
            # Not np.stack, which takes five times as long.
            pairs_kw2 = np.asarray(cv2.merge([self.rows_rs[rows_k, :width], self.rows_rs[
                height + rows_k // 2, :width]]), np.uint8)
        else:
            pairs_kw2 = self.rows_rs[rows_k, :2 * width].reshape(len(rows_k), width, 2)
        return _converted(pairs_kw2, _ROW_CODES[self.layout])

    def points(self, y_m: _Indices, x_m: _Indices) -> _Uint8Array:
        """
        Give some pixels as BGR, exactly as in the whole.

        Args:
            y_m: integers [M], rows.
            x_m: integers [M], columns.

        Returns:
            uint8[M, 3].
        """
        if self.layout == 'nv12':
            luma_m, chroma_y_m, chroma_x_m, step = (
                self.rows_rs[y_m, x_m], self.size_hw[0] + y_m // 2, x_m & ~1, 1)
        else:
            luma_at = _LUMA_AT[self.layout]
            luma_m, chroma_y_m, chroma_x_m, step = (
                self.rows_rs[y_m, 2 * x_m + luma_at], y_m, 2 * (x_m & ~1) + 1 - luma_at, 2)
        blueness_m = self.rows_rs[chroma_y_m, chroma_x_m]
        redness_m = self.rows_rs[chroma_y_m, chroma_x_m + step]
        pairs_m22 = np.stack([luma_m, blueness_m, luma_m, redness_m], axis=1).reshape(-1, 2, 2)
        return _converted(pairs_m22, cv2.COLOR_YUV2BGR_YUY2)[:, 0]

    def small_grey(self, size_xy: tuple[int, int]) -> _Uint8Array:
        """
        Scale the brightness as ``cv2.resize`` does with INTER_LINEAR.

        Args:
            size_xy: width and height wanted.

        Returns:
            uint8[h, w], the grey of the BGR picture scaled; colours that BGR cannot hold and
            rounding make a difference of a few grey levels.
        """
        height, width = self.size_hw
        if self.layout == 'nv12':
            luma_hw = cv2.resize(self.rows_rs[:height, :width], size_xy)
        else:
            packed_hw2 = self.rows_rs[:, :2 * width].reshape(height, width, 2)
            luma_hw = cv2.resize(packed_hw2, size_xy)[:, :, _LUMA_AT[self.layout]]
        grey_hw: _Uint8Array = _GREY_OF_LUMA[luma_hw]
        return grey_hw


Pixels = _Uint8Array | NativePixels


def bgr_from_pixels(pixels: Pixels) -> _Uint8Array:
    """Give a picture as uint8[H, W, 3] BGR, decoding it where nobody did."""
    return pixels.image_hw3 if isinstance(pixels, NativePixels) else pixels


def _converted(pixels: _Uint8Array, code: int) -> _Uint8Array:
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
