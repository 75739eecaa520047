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
Raw camera pictures: every encoding a driver emits, to BGR and back.

One table holds what is known of each encoding. Names are those of ROS
``sensor_msgs/image_encodings.hpp`` (``yuv422`` is ``uyvy``, ``yuv422_yuy2`` is ``yuyv``), and
``nv12`` and ``i420``, which drivers emit although that list lacks them.

* YUV is read as BT.601 limited range, as OpenCV and nearly every camera have it.
* 16 bit become 8 by dropping the low byte. That is fixed on purpose: a stretch of each picture
  would let brightness jump from frame to frame.
* Bayer names are those of the 2x2 block at the corner of the picture. (OpenCV names the block one
  row and one column further.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from ped_perception.core.bt601 import BGR_FROM_YUV, YUV_FROM_BGR
from ped_perception.core.demosaic import bgr_from_bayer
from ped_perception.core.errors import ImageError
from ped_perception.core.native import NATIVE_LAYOUTS, NativePixels, Pixels
from ped_perception.core.types import Uint8Array

# rows: uint8[rows, step] of the message, height, width, is_bigendian -> uint8[H, W, 3] BGR
Decode = Callable[[Uint8Array, int, int, bool], Uint8Array]
# uint8[H, W, 3] BGR -> uint8[rows, bytes], without padding, 16 bit as little endian
Encode = Callable[[Uint8Array], Uint8Array]
# uint8[rows, W] -> uint8[H, W, 3] BGR
Convert = Callable[[Uint8Array], Uint8Array]


@dataclass(frozen=True)
class _Layout:
    """
    What is known of one encoding.

    Attributes:
        row_bytes: for one pixel in a row of the first plane.
        decode: to BGR.
        encode: from BGR.
        half_planes: halves of a picture height that the planes take together: 2 for one plane.
        multiple_hw: height and width must be multiples of these.
        least: smallest height and width.
    """

    row_bytes: int
    decode: Decode
    encode: Encode
    half_planes: int = 2
    multiple_hw: tuple[int, int] = (1, 1)
    least: int = 1

    def rows(self, height: int) -> int:
        """Give the number of rows that all planes take together."""
        return height * self.half_planes // 2


def known_encodings() -> tuple[str, ...]:
    """Give the names of all encodings that can be read and written."""
    return tuple(_LAYOUTS)


def bgr_from_raw(data: Any, *, encoding: str, height: int, width: int, step: int,
                 is_bigendian: bool) -> Uint8Array:
    """
    Decode the payload of a raw image.

    Args:
        data: bytes, array.array, memoryview or uint8 array; not copied where it need not be.
        encoding: one of ``known_encodings()``.
        height: of the picture in pixels.
        width: of the picture in pixels.
        step: bytes from one row to the next, padding included; with several planes that of the
            first one. Drivers that give the bytes of all planes divided by the height are
            understood too.
        is_bigendian: order of the bytes of 16-bit encodings.

    Returns:
        uint8[H, W, 3] BGR. For ``bgr8`` a view of ``data``, strided where rows are padded.

    Raises:
        ImageError: of an unknown encoding, a size the encoding cannot have, or too few bytes.
    """
    layout, rows_rs = _checked(data, encoding, height, width, step)
    return layout.decode(rows_rs, height, width, is_bigendian)


def pixels_from_raw(data: Any, *, encoding: str, height: int, width: int, step: int,
                    is_bigendian: bool, native: Collection[str]) -> Pixels:
    """
    Give a raw image as it is where its layout is wanted, else decoded; see ``bgr_from_raw``.

    Args:
        native: layouts of ``NATIVE_LAYOUTS`` that are not to be decoded.
    """
    layout, rows_rs = _checked(data, encoding, height, width, step)
    name = NATIVE_LAYOUTS.get(encoding, '')
    return (NativePixels(name, rows_rs, (height, width)) if name in native
            else layout.decode(rows_rs, height, width, is_bigendian))


def raw_from_bgr(image_hw3: Uint8Array, encoding: str) -> tuple[Uint8Array, int]:
    """
    Encode a picture as a camera would: the inverse of ``bgr_from_raw``.

    Args:
        image_hw3: uint8[H, W, 3] BGR.
        encoding: one of ``known_encodings()``.

    Returns:
        uint8[rows, step] and step. ``rows`` is H, more with several planes. 16 bit are little
        endian. May be a view of the picture.

    Raises:
        ImageError: of an unknown encoding or a size the encoding cannot have.
    """
    rows = _layout(encoding, *image_hw3.shape[:2]).encode(image_hw3)
    return rows, rows.shape[1]


def _checked(data: Any, encoding: str, height: int, width: int, step: int,
             ) -> tuple[_Layout, Uint8Array]:
    """Give the layout and uint8[rows, step] of a message that does not contradict itself."""
    layout = _layout(encoding, height, width)
    flat = np.frombuffer(data, np.uint8) if memoryview(data).nbytes else np.empty(0, np.uint8)
    rows = layout.rows(height)
    stride = _stride(encoding, layout, height, width, step, flat.size)
    return layout, flat[:rows * stride].reshape(rows, stride)


def _layout(encoding: str, height: int, width: int) -> _Layout:
    try:
        layout = _LAYOUTS[encoding]
    except KeyError:
        raise ImageError(f'the encoding {encoding!r} is unknown. Let the driver publish one of '
                         f'{" ".join(known_encodings())}') from None
    if height < 1 or width < 1:
        raise ImageError(f'an image of {width}x{height} pixels has no picture in it. '
                         'Check that the driver fills in width and height')
    multiple_h, multiple_w = layout.multiple_hw
    if height % multiple_h or width % multiple_w:
        raise ImageError(
            f'{encoding} needs a width that is a multiple of {multiple_w} and a height that is a '
            f'multiple of {multiple_h}, not {width}x{height}. Set another size or encoding in '
            'the driver')
    if min(height, width) < layout.least:
        raise ImageError(f'{encoding} needs at least {layout.least}x{layout.least} pixels for '
                         f'its colours, not {width}x{height}. Set a larger size in the driver')
    return layout


def _stride(encoding: str, layout: _Layout, height: int, width: int, step: int, size: int) -> int:
    """Give the bytes from row to row of the first plane, checked against the data."""
    least = width * layout.row_bytes
    if step < least:
        raise ImageError(f'a step of {step} bytes is too short for a row of {width} pixels of '
                         f'{encoding}, which takes {least}. The driver must set step to the '
                         'bytes of a row, padding included')
    rows = layout.rows(height)
    if size >= rows * step:
        return step
    if size >= rows * least and step * height == rows * least:
        return least
    raise ImageError(f'{size} bytes of data are too few for {width}x{height} {encoding} with a '
                     f'step of {step}, which takes {rows * step}. The message was cut short or '
                     'the driver fills it in wrongly')


def _pixels(rows: Uint8Array, width: int, channels: int) -> Uint8Array:
    return rows[:, :width * channels].reshape(len(rows), width, channels)


def _convert(image: Uint8Array, code: int) -> Uint8Array:
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def _decode_bgr(rows: Uint8Array, height: int, width: int, is_bigendian: bool) -> Uint8Array:
    return _pixels(rows, width, 3)


def _decode_pixels(rows: Uint8Array, height: int, width: int, is_bigendian: bool, *,
                   channels: int, code: int) -> Uint8Array:
    return _convert(_pixels(rows, width, channels), code)


def _decode_one_byte(rows: Uint8Array, height: int, width: int, is_bigendian: bool, *,
                     to_bgr: Convert) -> Uint8Array:
    # Also for nv21: its chroma rows lie below the picture, with the same stride.
    return to_bgr(rows[:, :width])


def _decode_native(rows: Uint8Array, height: int, width: int, is_bigendian: bool, *,
                   layout: str) -> Uint8Array:
    return NativePixels(layout, rows, (height, width)).image_hw3


def _decode_two_bytes(rows: Uint8Array, height: int, width: int, is_bigendian: bool, *,
                      to_bgr: Convert) -> Uint8Array:
    high_byte = cv2.extractChannel(_pixels(rows, width, 2), 0 if is_bigendian else 1)
    return to_bgr(np.asarray(high_byte, np.uint8))


def _decode_i420(rows: Uint8Array, height: int, width: int, is_bigendian: bool) -> Uint8Array:
    stride = rows.shape[1]
    if stride % 2:
        raise ImageError(f'a step of {stride} bytes is odd: rows of the chroma planes of i420 '
                         'are half as long. The driver must set an even step')
    if stride != width:
        chroma = rows[height:].reshape(height, stride // 2)[:, :width // 2]
        rows = np.vstack([rows[:height, :width], chroma.reshape(height // 2, width)])
    return _convert(rows, cv2.COLOR_YUV2BGR_I420)


def _decode_nv24(rows: Uint8Array, height: int, width: int, is_bigendian: bool) -> Uint8Array:
    yuv = np.empty((height, width, 3), np.uint8)
    yuv[:, :, 0] = rows[:height, :width]
    yuv[:, :, 1:] = _pixels(rows[height:].reshape(height, -1), width, 2)
    return np.asarray(cv2.transform(yuv, BGR_FROM_YUV), np.uint8)


def _yuv_planes(image_hw3: Uint8Array, divide_y: int, divide_x: int,
                ) -> tuple[Uint8Array, Uint8Array]:
    """Give luma [H, W] and the averaged chroma [H / divide_y, W / divide_x, 2]."""
    yuv = np.asarray(cv2.transform(image_hw3, YUV_FROM_BGR), np.uint8)
    height, width = yuv.shape[:2]
    chroma = cv2.resize(np.ascontiguousarray(yuv[:, :, 1:]),
                        (width // divide_x, height // divide_y), interpolation=cv2.INTER_AREA)
    return yuv[:, :, 0], np.asarray(chroma, np.uint8)


def _encode_bgr(image_hw3: Uint8Array) -> Uint8Array:
    return image_hw3.reshape(len(image_hw3), -1)


def _encode_pixels(image_hw3: Uint8Array, *, code: int) -> Uint8Array:
    return _encode_bgr(_convert(image_hw3, code))


def _encode_two_bytes(image_hw3: Uint8Array, *, encode: Encode) -> Uint8Array:
    high_byte = encode(image_hw3)
    pixels = np.zeros((*high_byte.shape, 2), np.uint8)
    pixels[:, :, 1] = high_byte
    return _encode_bgr(pixels)


def _encode_packed(image_hw3: Uint8Array, *, luma_at: int) -> Uint8Array:
    luma, chroma = _yuv_planes(image_hw3, 1, 2)
    pixels = np.empty((*luma.shape, 2), np.uint8)
    pixels[:, :, luma_at] = luma
    pixels[:, 0::2, 1 - luma_at] = chroma[:, :, 0]
    pixels[:, 1::2, 1 - luma_at] = chroma[:, :, 1]
    return _encode_bgr(pixels)


def _encode_two_planes(image_hw3: Uint8Array, *, divide: int, first: int = 0) -> Uint8Array:
    luma, chroma = _yuv_planes(image_hw3, divide, divide)
    return np.vstack([luma, chroma[:, :, [first, 1 - first]].reshape(-1, luma.shape[1])])


def _encode_i420(image_hw3: Uint8Array) -> Uint8Array:
    luma, chroma = _yuv_planes(image_hw3, 2, 2)
    return np.vstack([luma, np.moveaxis(chroma, 2, 0).reshape(-1, luma.shape[1])])


def _encode_bayer(image_hw3: Uint8Array, *, pattern: str) -> Uint8Array:
    mosaic = np.empty(image_hw3.shape[:2], np.uint8)
    for index, colour in enumerate(pattern):
        y, x = divmod(index, 2)
        mosaic[y::2, x::2] = image_hw3[y::2, x::2, 'bgr'.index(colour)]
    return mosaic


def _pixel_layout(channels: int, to_bgr: int, from_bgr: int) -> _Layout:
    return _Layout(channels, partial(_decode_pixels, channels=channels, code=to_bgr),
                   partial(_encode_pixels, code=from_bgr))


def _packed_layout(layout: str, luma_at: int) -> _Layout:
    return _Layout(2, partial(_decode_native, layout=layout),
                   partial(_encode_packed, luma_at=luma_at), multiple_hw=(1, 2))


def _two_plane_layout(decode: Decode, first: int) -> _Layout:
    return _Layout(1, decode, partial(_encode_two_planes, divide=2, first=first),
                   half_planes=3, multiple_hw=(2, 2))


def _one_channel_layouts(to_bgr: Convert, encode: Encode, least: int) -> tuple[_Layout, _Layout]:
    """Give the layouts with 8 and with 16 bits."""
    return (_Layout(1, partial(_decode_one_byte, to_bgr=to_bgr), encode, least=least),
            _Layout(2, partial(_decode_two_bytes, to_bgr=to_bgr),
                    partial(_encode_two_bytes, encode=encode), least=least))


def _layouts() -> dict[str, _Layout]:
    uyvy, yuyv = _packed_layout('uyvy', luma_at=1), _packed_layout('yuyv', luma_at=0)
    layouts = {
        'bgr8': _Layout(3, _decode_bgr, _encode_bgr),
        'rgb8': _pixel_layout(3, cv2.COLOR_RGB2BGR, cv2.COLOR_BGR2RGB),
        'bgra8': _pixel_layout(4, cv2.COLOR_BGRA2BGR, cv2.COLOR_BGR2BGRA),
        'rgba8': _pixel_layout(4, cv2.COLOR_RGBA2BGR, cv2.COLOR_BGR2RGBA),
        'uyvy': uyvy, 'yuv422': uyvy, 'yuyv': yuyv, 'yuv422_yuy2': yuyv,
        'nv12': _two_plane_layout(partial(_decode_native, layout='nv12'), first=0),
        'nv21': _two_plane_layout(partial(_decode_one_byte, to_bgr=partial(
            _convert, code=cv2.COLOR_YUV2BGR_NV21)), first=1),
        'nv24': _Layout(1, _decode_nv24, partial(_encode_two_planes, divide=1), half_planes=6),
        'i420': _Layout(1, _decode_i420, _encode_i420, half_planes=3, multiple_hw=(2, 2)),
    }
    layouts['mono8'], layouts['mono16'] = _one_channel_layouts(
        partial(_convert, code=cv2.COLOR_GRAY2BGR),
        partial(_encode_pixels, code=cv2.COLOR_BGR2GRAY), least=1)
    for pattern in ('rggb', 'bggr', 'gbrg', 'grbg'):
        # A smaller mosaic does not have every colour beside every pixel.
        layouts[f'bayer_{pattern}8'], layouts[f'bayer_{pattern}16'] = _one_channel_layouts(
            partial(bgr_from_bayer, pattern=pattern), partial(_encode_bayer, pattern=pattern),
            least=3)
    return layouts


_LAYOUTS = _layouts()
