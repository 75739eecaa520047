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
Pictures as the middleware serialised them (CDR), read without copying their pixels.

rclpy makes of a serialised message a structure of C and of that Python objects: twice the bytes of
a picture, a quarter of what receiving it costs. Here the pixels stay where they were received.
Plain CDR, version 1 or 2 (OMG DDSI-RTPS 2.5, section 10; OMG DDS-XTYPES 1.3, section 7.4): nothing
in these messages is aligned to more than four bytes, which is all that the two differ in.
"""

from __future__ import annotations

from dataclasses import dataclass
import struct

from builtin_interfaces.msg import Time
import numpy as np
from ped_perception.core.errors import ImageError
from ped_perception.core.types import Uint8Array
from std_msgs.msg import Header

# First two bytes -> order of bytes, as of module struct.
_ORDERS = {b'\x00\x00': '>', b'\x00\x01': '<', b'\x00\x06': '>', b'\x00\x07': '<'}
_START = 4


@dataclass(frozen=True, eq=False)
class ReceivedImage:
    """sensor_msgs/Image with the same fields; ``data`` is a view of what was received."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Uint8Array


@dataclass(frozen=True, eq=False)
class ReceivedCompressedImage:
    """sensor_msgs/CompressedImage with the same fields; ``data`` is a view as well."""

    header: Header
    format: str    # noqa: A003 - the name of the field
    data: Uint8Array


def image_from_serialized(serialized: bytes) -> ReceivedImage:
    """
    Read a sensor_msgs/Image.

    Raises:
        ImageError: these bytes are none.
    """
    reader = _Reader(serialized)
    return ReceivedImage(reader.header(), reader.uint32(), reader.uint32(), reader.string(),
                         reader.uint8(), reader.uint32(), reader.uint8s())


def compressed_image_from_serialized(serialized: bytes) -> ReceivedCompressedImage:
    """
    Read a sensor_msgs/CompressedImage.

    Raises:
        ImageError: these bytes are none.
    """
    reader = _Reader(serialized)
    return ReceivedCompressedImage(reader.header(), reader.string(), reader.uint8s())


class _Reader:
    """Takes one field after the other."""

    def __init__(self, serialized: bytes) -> None:
        order = _ORDERS.get(serialized[:2])
        if order is None or len(serialized) < _START:
            raise ImageError(f'a message of {len(serialized)} bytes begins with '
                             f'{serialized[:4].hex() or "nothing"}, which is no plain CDR. Use '
                             f'another RMW_IMPLEMENTATION on both sides')
        self._bytes, self._order, self._at = serialized, order, _START

    def header(self) -> Header:
        """Take a std_msgs/Header."""
        stamp = Time(sec=self._number('i', 4), nanosec=self._number('I', 4))
        return Header(stamp=stamp, frame_id=self.string())

    def uint32(self) -> int:
        """Take a number of four bytes."""
        return self._number('I', 4)

    def uint8(self) -> int:
        """Take a number of one byte."""
        return self._number('B', 1)

    def string(self) -> str:
        """Take a text, which ends with a zero."""
        return bytes(self._counted()).rstrip(b'\0').decode('utf-8', 'replace')

    def uint8s(self) -> Uint8Array:
        """Take an array of bytes: a view."""
        return np.asarray(self._counted(), np.uint8)

    def _counted(self) -> memoryview:
        count = self.uint32()
        found = memoryview(self._bytes)[self._at:self._at + count]
        if len(found) < count:
            raise ImageError(f'a message of {len(self._bytes)} bytes says that it has {count} '
                             f'more at byte {self._at}. It is cut short: use the same '
                             f'RMW_IMPLEMENTATION on both sides')
        self._at += count
        return found

    def _number(self, kind: str, size: int) -> int:
        self._at += -(self._at - _START) % size
        try:
            number: int = struct.unpack_from(self._order + kind, self._bytes, self._at)[0]
        except struct.error as error:
            raise ImageError(f'a message of {len(self._bytes)} bytes is cut short: use the same '
                             f'RMW_IMPLEMENTATION on both sides') from error
        self._at += size
        return number
