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
Compressed camera pictures: JPEG and PNG as cameras and ROS image_transport publish them.

The payload's own first bytes decide how it is read, not what the message's format says: drivers
write "jpeg", "jpg", "bgra8; jpeg compressed bgr8" or nothing. From the format, in the pattern
``ORIGINAL; CODEC compressed [STORED]`` of ``sensor_msgs/CompressedImage``, come only

* the order of colours: files hold true colours unless STORED is one of the ``rgb`` encodings,
  which says that red and blue were swapped on writing,
* mosaics: image_transport writes ``bayer_*`` pictures to PNG as they are,
* refusals: depth is no picture.

Decoders are the part of a perception system that strangers' bytes reach first. So only two are
open, and the declared size is read and limited before any pixel is decoded.

JPEG is decoded by libjpeg-turbo itself (simplejpeg) where that is installed: it takes a third of
the time that OpenCV takes for the same pixels, and says when data is missing.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from ped_perception.core.errors import ImageError
from ped_perception.core.raw import bgr_from_raw
from ped_perception.core.types import Uint8Array

MAX_PIXELS = 2 ** 26
"""Larger pictures are refused: 64 Mpixel, twice an 8K camera."""

_MAX_SEGMENTS = 4096  # in the header of a JPEG; real ones have ten to some hundred (Exif, ICC)
_MISSING_DATA = 'premature end'    # what libjpeg says, of a segment or of the file
_JPEG_START = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'
_PNG_START = b'\x89PNG\r\n\x1a\n'
_START_OF_FRAME = frozenset(range(0xc0, 0xd0)) - {0xc4, 0xc8, 0xcc}
_START_OF_SCAN = 0xda
_WITHOUT_LENGTH = frozenset([0x00, 0x01, 0xff, *range(0xd0, 0xd8)])


def bgr_from_compressed(data: Any, *, image_format: str) -> Uint8Array:
    """
    Decode the payload of a compressed image.

    An orientation in Exif is ignored: the calibration belongs to the sensor as it is mounted.
    16-bit PNG become 8 bit by dropping the low byte. Transparency is dropped.

    Args:
        data: bytes, array.array, memoryview or uint8 array.
        image_format: field `format` of the message; see the text of this module.

    Returns:
        uint8[H, W, 3] BGR, new memory.

    Raises:
        ImageError: not JPEG or PNG, cut short, damaged, a depth image, empty or too large.
            A JPEG that lost data in its middle but kept its end marker is found out where
            simplejpeg is installed, and where its data do not happen to go on making sense.
    """
    original, stored = _encodings_from_format(image_format)
    if original.startswith(('16uc', '32fc')) or 'compresseddepth' in image_format.lower():
        raise ImageError(f'format {image_format!r} is a depth image. Subscribe to the colour or '
                         'infrared picture of this camera')
    payload = bytes(data)
    size_hw_from_compressed(payload, image_format=image_format)
    is_png = payload.startswith(_PNG_START)
    if is_png and not stored and original.startswith('bayer_'):
        mosaic = _decode(payload, cv2.IMREAD_GRAYSCALE)
        height, width = mosaic.shape
        return bgr_from_raw(mosaic.ravel(), encoding=original.replace('16', '8'), height=height,
                            width=width, step=width, is_bigendian=False)
    image = _decode(payload, cv2.IMREAD_COLOR) if is_png else _decode_jpeg(payload)
    if stored.startswith('rgb'):
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
    return image


def size_hw_from_compressed(data: Any, *, image_format: str) -> tuple[int, int]:
    """
    Read height and width from the header of a compressed image; no pixel is decoded.

    Args:
        data: as for :func:`bgr_from_compressed`.
        image_format: field `format` of the message, for the error.

    Raises:
        ImageError: not JPEG or PNG, cut short, empty or too large.
    """
    payload = bytes(data)
    if payload.startswith(_PNG_START):
        height, width = _png_size(payload)
    elif payload.startswith(_JPEG_START):
        height, width = _jpeg_size(payload)
    else:
        raise ImageError(f'{len(payload)} bytes that start with {payload[:4].hex() or "nothing"} '
                         f'(format {image_format!r}) are neither JPEG nor PNG. Let the driver '
                         'publish one of these')
    _check_size(height, width)
    return height, width


def _encodings_from_format(text: str) -> tuple[str, str]:
    """Give ORIGINAL and STORED of the format, '' where they are missing."""
    original, _, codec = text.lower().partition(';')
    _, _, stored = codec.partition('compressed')
    return original.strip(), stored.strip()


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ImageError(f'the payload declares a picture of {width}x{height} pixels. '
                         'It is damaged or comes from a faulty encoder')
    if height * width > MAX_PIXELS:
        raise ImageError(f'the payload declares a picture of {width}x{height} pixels, the limit '
                         f'is {MAX_PIXELS} altogether. It is damaged, or set a smaller size in '
                         'the driver')


def _png_size(payload: bytes) -> tuple[int, int]:
    if payload[12:16] != b'IHDR':
        raise ImageError('the PNG does not begin with its header (IHDR). It is damaged')
    # Decoders differ in what they make of a PNG without its end, so it is looked for here.
    if payload.rfind(b'IEND') < 0:
        raise ImageError(f'the PNG of {len(payload)} bytes is cut short: it has no end (IEND)')
    return int.from_bytes(payload[20:24], 'big'), int.from_bytes(payload[16:20], 'big')


def _jpeg_size(payload: bytes) -> tuple[int, int]:
    """
    Walk through the header of a JPEG and give the height and width it declares.

    Decoders fill what is missing of a JPEG with grey and report success, so the end marker is
    looked for here; behind the header, because a thumbnail there has an end marker too.
    """
    size = (0, 0)
    position = 2
    for _ in range(_MAX_SEGMENTS):
        position = payload.find(b'\xff', position)  # skips stray bytes as libjpeg does
        if position < 0 or position + 4 > len(payload):
            break
        marker = payload[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 1
            continue
        if marker in _START_OF_FRAME:
            size = (int.from_bytes(payload[position + 5:position + 7], 'big'),
                    int.from_bytes(payload[position + 7:position + 9], 'big'))
        if marker == _START_OF_SCAN:
            if payload.rfind(_JPEG_END, position) < 0:
                raise ImageError(f'the JPEG of {len(payload)} bytes is cut short: it has no end '
                                 'marker. Frames are lost on the way, or the camera drops data')
            return size
        position += 2 + int.from_bytes(payload[position + 2:position + 4], 'big')
    raise ImageError(f'the JPEG of {len(payload)} bytes has a header without a picture behind '
                     'it. It is cut short or damaged')


@functools.cache
def _simplejpeg() -> Any | None:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _decode_jpeg(payload: bytes) -> Uint8Array:
    turbo = _simplejpeg()
    if turbo is not None:
        try:
            return np.asarray(turbo.decode_jpeg(payload, colorspace='BGR'), np.uint8)
        except ValueError as error:
            if _MISSING_DATA in str(error).lower():
                raise ImageError(f'the JPEG of {len(payload)} bytes has lost data within: part '
                                 'of the picture is grey or smeared. Frames are lost on the '
                                 'way, or the camera drops data') from error
            # Stray bytes between markers, as some cameras leave them, do no harm; and there are
            # kinds of JPEG that it does not read.
    return _decode(payload, cv2.IMREAD_COLOR)


def _decode(payload: bytes, flag: int) -> Uint8Array:
    try:
        image = cv2.imdecode(np.frombuffer(payload, np.uint8),
                             flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ImageError(f'the payload of {len(payload)} bytes is damaged: {error}') from error
    if image is None:
        raise ImageError(f'the payload of {len(payload)} bytes is damaged: it cannot be decoded')
    return np.asarray(image, np.uint8)
