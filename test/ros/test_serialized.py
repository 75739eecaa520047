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

"""Pictures as they come off the wire, against the middleware's own serialisation."""

from __future__ import annotations

import contextlib
import struct

from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.errors import ImageError
from ped_perception.ros.serialized import (
    compressed_image_from_serialized,
    image_from_serialized,
)
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

DATA = bytes(range(1, 49))


def header(frame_id='front'):
    return Header(stamp=Time(sec=-3, nanosec=999_999_999), frame_id=frame_id)


def image(frame_id='front', encoding='bgr8', data=DATA):
    return Image(header=header(frame_id), height=2, width=7, encoding=encoding, is_bigendian=1,
                 step=24, data=data)


# Texts of any length: what follows them is aligned.
@pytest.mark.parametrize('frame_id', ['', 'a', 'ab', 'abc', 'abcd', 'kamera_für_vorn'])
@pytest.mark.parametrize('encoding', ['', 'bgr8', 'rgba8', 'mono16', 'bayer_rggb8'])
def test_an_image_has_the_fields_that_were_sent(frame_id, encoding):
    sent = image(frame_id, encoding)
    received = image_from_serialized(serialize_message(sent))
    assert received.header == sent.header
    for name in ('height', 'width', 'encoding', 'is_bigendian', 'step'):
        assert getattr(received, name) == getattr(sent, name), name
    assert received.data.tobytes() == DATA


@pytest.mark.parametrize('text', ['', 'jpeg', 'bgra8; jpeg compressed bgr8'])
@pytest.mark.parametrize('frame_id', ['', 'front'])
def test_a_compressed_image_has_the_fields_that_were_sent(frame_id, text):
    sent = CompressedImage(header=header(frame_id), format=text, data=DATA[:5])
    received = compressed_image_from_serialized(serialize_message(sent))
    assert (received.header, received.format) == (sent.header, text)
    assert received.data.tobytes() == DATA[:5]


def test_pixels_are_not_copied():
    serialized = serialize_message(image())
    received = image_from_serialized(serialized)
    assert np.shares_memory(received.data, np.frombuffer(serialized, np.uint8))
    assert not received.data.flags.writeable


def test_an_image_without_pixels_is_one():
    received = image_from_serialized(serialize_message(image(data=b'')))
    assert (received.data.shape, received.data.dtype) == ((0,), np.uint8)


@pytest.mark.parametrize(('start', 'order'), [
    (b'\0\0\0\0', '>'), (b'\0\1\0\0', '<'), (b'\0\6\0\0', '>'), (b'\0\7\0\0', '<')])
def test_both_orders_of_bytes_are_read(start, order):
    serialized = start + struct.pack(
        f'{order}iI I2s2x II I5s Bxx I I3s', 5, 6, 2, b'f', 480, 640, 5, b'mono8'[:4] + b'\0',
        1, 640, 3, b'xyz')
    received = image_from_serialized(serialized)
    assert (received.header.stamp.sec, received.header.frame_id) == (5, 'f')
    assert (received.height, received.width, received.encoding) == (480, 640, 'mono')
    assert (received.is_bigendian, received.step) == (1, 640)
    assert received.data.tobytes() == b'xyz'


@settings(deadline=None)
@given(st.data())
def test_what_is_cut_short_is_no_image(data):
    serialized = serialize_message(image())
    # Behind the pixels there may be up to three bytes of alignment.
    cut = data.draw(st.integers(0, len(serialized) - 4))
    with pytest.raises(ImageError, match=r'cut short|no plain CDR'):
        image_from_serialized(serialized[:cut])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_an_image_or_an_image_error(junk):
    for start in (b'', b'\0\1\0\0'):
        with contextlib.suppress(ImageError):
            assert image_from_serialized(start + junk).data.ndim == 1
