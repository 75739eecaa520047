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

"""Raw pictures: bytes written by hand, cv_bridge, round trips, padding, and malformed images."""

from __future__ import annotations

import array
import os
from pathlib import Path

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.encodings import bgr_from_raw, known_encodings, raw_from_bgr
from ped_perception.core.errors import ImageError
import pytest

SHARED = Path(os.environ.get('PED_SHARED_DATA', Path(__file__).parents[2] / '../shared/data'))

ONE_PLANE_OF_BYTES = ('bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', 'uyvy', 'yuyv', 'yuv422',
                      'yuv422_yuy2')
BAYER = tuple(f'bayer_{pattern}{bits}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')
              for bits in (8, 16))


def decode(rows, encoding, height, width, step=None, is_bigendian=False):
    return bgr_from_raw(rows.tobytes(), encoding=encoding, height=height, width=width,
                        step=rows.shape[1] if step is None else step, is_bigendian=is_bigendian)


def smooth_picture(height, width, seed=0):
    """Colours without edges, so that what subsampling loses stays small; channels differ."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    coarse[..., 0] //= 4  # less blue than red: a swap shows
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def street_picture():
    path = next((SHARED / 'nuscenes6').rglob('*FRONT*.jpg'), None)
    if path is None:
        pytest.skip('no shared test data')
    # Half the size: a colour filter or subsampling then loses what it loses on a sharp picture.
    return cv2.resize(cv2.imread(str(path)), (800, 450), interpolation=cv2.INTER_AREA)


@pytest.fixture(params=['smooth', 'street'])
def picture(request):
    return smooth_picture(90, 160) if request.param == 'smooth' else street_picture()


RED = (0, 0, 255)
# Two rows of four red pixels (BT.601, limited range: Y 81, U 90, V 240).
BY_HAND = [
    ('bgr8', [0, 0, 255] * 8, 'as it is'),
    ('rgb8', [255, 0, 0] * 8, 'red first'),
    ('bgra8', [0, 0, 255, 255] * 8, 'transparency has no part in the colour'),
    ('rgba8', [255, 0, 0, 255] * 8, 'red first, and transparency'),
    ('uyvy', [90, 81, 240, 81] * 4, 'U Y V Y'),
    ('yuv422', [90, 81, 240, 81] * 4, 'the old name of uyvy'),
    ('yuyv', [81, 90, 81, 240] * 4, 'Y U Y V'),
    ('yuv422_yuy2', [81, 90, 81, 240] * 4, 'the old name of yuyv'),
    ('nv12', [81] * 8 + [90, 240] * 2, 'U before V'),
    ('nv21', [81] * 8 + [240, 90] * 2, 'V before U'),
    ('nv24', [81] * 8 + [90, 240] * 8, 'chroma of each pixel'),
    ('i420', [81] * 8 + [90] * 2 + [240] * 2, 'plane of U before plane of V'),
]


@pytest.mark.parametrize(('encoding', 'data', 'why'), BY_HAND, ids=[row[0] for row in BY_HAND])
def test_red_written_by_hand(encoding, data, why):
    image = bgr_from_raw(bytes(data), encoding=encoding, height=2, width=4,
                         step=len(data) // 2 if encoding in ONE_PLANE_OF_BYTES else 4,
                         is_bigendian=False)
    assert image.shape == (2, 4, 3)
    assert np.abs(image.astype(int) - RED).max() <= 2, why
    rows, _ = raw_from_bgr(np.full((2, 4, 3), RED, np.uint8), encoding)
    assert rows.ravel().tolist() == data


@pytest.mark.parametrize('encoding', BAYER)
def test_bayer_names_say_where_the_colours_are(encoding):
    pattern = encoding.removeprefix('bayer_')[:4]
    values = {'r': 200, 'g': 90, 'b': 20}
    block = np.array([[values[colour] for colour in pattern[:2]],
                      [values[colour] for colour in pattern[2:]]], np.uint8)
    mosaic = np.tile(block, (4, 3))
    if encoding.endswith('16'):
        mosaic = (mosaic.astype('<u2') << 8 | 0x7f).view(np.uint8)
    image = decode(mosaic, encoding, 8, 6)
    np.testing.assert_array_equal(image, np.full((8, 6, 3), (20, 90, 200)))


def test_sixteen_bits_lose_their_low_byte_in_either_order():
    values = np.array([[0x0000, 0x00ff, 0x0100], [0x7fff, 0xff00, 0xffff]], np.uint16)
    for order in '<>':
        image = decode(values.astype(f'{order}u2').view(np.uint8), 'mono16', 2, 3,
                       is_bigendian=order == '>')
        np.testing.assert_array_equal(image[..., 0], [[0, 0, 1], [0x7f, 0xff, 0xff]])
        assert (image == image[..., :1]).all()


def seen_by_cv_bridge(rows, step, encoding, picture):
    cv_bridge = pytest.importorskip('cv_bridge')
    messages = pytest.importorskip('sensor_msgs.msg')
    message = messages.Image(height=picture.shape[0], width=picture.shape[1], encoding=encoding,
                             step=step, data=array.array('B', rows.tobytes()))
    return cv_bridge.CvBridge().imgmsg_to_cv2(message, 'bgr8')


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8'])
def test_agrees_with_cv_bridge_where_that_is_right(encoding, picture):
    rows, step = raw_from_bgr(picture, encoding)
    np.testing.assert_array_equal(decode(rows, encoding, *picture.shape[:2]),
                                  seen_by_cv_bridge(rows, step, encoding, picture))


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8'])
def test_bayer_names_are_those_of_cv_bridge(encoding):
    """That interpolates otherwise: edges differ; where there are none colours are the same."""
    picture = smooth_picture(90, 160)
    rows, step = raw_from_bgr(picture, encoding)
    error = np.abs(decode(rows, encoding, 90, 160).astype(int)
                   - seen_by_cv_bridge(rows, step, encoding, picture))
    assert error[2:-2, 2:-2].max() <= 4, 'another pattern would be off by 20 and more'


@pytest.mark.parametrize('encoding', known_encodings())
def test_round_trip(encoding, picture):
    rows, step = raw_from_bgr(picture, encoding)
    assert rows.dtype == np.uint8
    assert rows.shape[1] == step
    back = decode(rows, encoding, *picture.shape[:2])
    if encoding.startswith('mono'):
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    error = np.abs(back.astype(int) - picture)
    if encoding in ('bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', 'mono16'):
        assert error.max() == 0
    else:  # interpolated colours; swapped ones are off by 20 and more
        assert error.mean(axis=(0, 1)).max() < 3


def padded(rows, encoding, height, pad):
    """Lengthen the rows of all planes as a driver does whose step is larger by ``pad``."""
    noise = np.random.default_rng(pad).integers(0, 256, (rows.size, 2 * pad), np.uint8)
    planes = [(rows[:height], pad)]
    if encoding == 'nv24':
        planes.append((rows[height:].reshape(height, -1), 2 * pad))
    elif encoding == 'i420':
        planes.append((rows[height:].reshape(height, -1), pad // 2))
    elif encoding.startswith('nv'):
        planes.append((rows[height:], pad))
    lengthened = [np.hstack([plane, noise[:len(plane), :extra]]) for plane, extra in planes]
    return np.concatenate([plane.ravel() for plane in lengthened])


@settings(deadline=None, max_examples=150)
@given(encoding=st.sampled_from(known_encodings()), half_height=st.integers(2, 12),
       half_width=st.integers(2, 12), half_pad=st.integers(0, 9), seed=st.integers(0, 99))
def test_padding_of_rows_changes_nothing(encoding, half_height, half_width, half_pad, seed):
    height, width, pad = 2 * half_height, 2 * half_width, 2 * half_pad
    picture = smooth_picture(height, width, seed)
    rows, step = raw_from_bgr(picture, encoding)
    data = padded(rows, encoding, height, pad)
    np.testing.assert_array_equal(
        decode(data[None], encoding, height, width, step + pad),
        decode(rows, encoding, height, width))


@settings(deadline=None, max_examples=60)
@given(encoding=st.sampled_from(('bgr8', 'rgb8', 'mono8', 'mono16', 'nv24', *BAYER)),
       height=st.integers(3, 20), width=st.integers(3, 20), pad=st.integers(0, 3))
def test_odd_sizes_and_odd_steps(encoding, height, width, pad):
    picture = smooth_picture(height, width)
    rows, step = raw_from_bgr(picture, encoding)
    back = decode(padded(rows, encoding, height, pad)[None], encoding, height, width, step + pad)
    np.testing.assert_array_equal(back, decode(rows, encoding, height, width))
    assert back.shape == picture.shape


@pytest.mark.parametrize(('encoding', 'step'), [('nv12', 12), ('nv21', 12), ('i420', 12),
                                                ('nv24', 24)])
def test_step_as_bytes_of_all_planes_divided_by_the_height(encoding, step):
    rows, _ = raw_from_bgr(smooth_picture(6, 8), encoding)
    np.testing.assert_array_equal(decode(rows, encoding, 6, 8, step), decode(rows, encoding, 6, 8))


@pytest.mark.parametrize('step', [24, 31])
def test_bgr8_is_not_copied(step):
    data = np.arange(6 * step, dtype=np.uint8)
    image = bgr_from_raw(data, encoding='bgr8', height=6, width=8, step=step, is_bigendian=False)
    assert np.shares_memory(image, data)
    assert image[5, 7].tolist() == data[5 * step + 21:5 * step + 24].tolist()


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, lambda b: array.array('B', b),
                                  lambda b: np.frombuffer(b, np.uint8)])
def test_takes_every_kind_of_buffer(kind):
    image = bgr_from_raw(kind(bytes(range(12)) + b'more than needed'), encoding='rgb8', height=2,
                         width=2, step=6, is_bigendian=False)
    assert image[0, 0].tolist() == [2, 1, 0]


MALFORMED = [
    # encoding, height, width, step, bytes, message, why
    ('bgr9', 2, 2, 6, 12, "'bgr9' is unknown.*bgr8.*nv12", 'says what is known'),
    ('', 2, 2, 6, 12, "'' is unknown", 'a driver that fills in nothing'),
    ('16UC1', 2, 2, 4, 8, "'16UC1' is unknown", 'depth is no picture'),
    ('bgr8', 0, 0, 0, 0, '0x0 pixels', 'the driver is not ready yet'),
    ('bgr8', 2, 0, 0, 0, '0x2 pixels', 'no columns'),
    ('bgr8', 2, 2, 6, 11, '11 bytes.*takes 12', 'cut short by one byte'),
    ('bgr8', 2, 2, 6, 0, '0 bytes', 'no data at all'),
    ('bgr8', 2, 2, 8, 15, '15 bytes.*takes 16', 'padding of the last row counts'),
    ('bgr8', 2, 2, 5, 12, 'step of 5.*takes 6', 'rows would overlap'),
    ('mono16', 2, 2, 2, 8, 'step of 2.*takes 4', 'pixels have two bytes'),
    ('yuv422', 2, 3, 6, 12, 'width that is a multiple of 2', 'two pixels share their colour'),
    ('nv12', 3, 4, 4, 18, 'height that is a multiple of 2', 'two rows share their colour'),
    ('i420', 4, 3, 3, 18, 'width that is a multiple of 2', 'two pixels share their colour'),
    ('nv12', 4, 4, 4, 23, '23 bytes.*takes 24', 'the chroma plane is cut short'),
    ('i420', 4, 4, 5, 30, 'step of 5 bytes is odd', 'chroma rows would begin at half bytes'),
    ('bayer_rggb8', 2, 9, 9, 18, 'at least 3x3', 'OpenCV would give a black picture'),
]


@pytest.mark.parametrize(('encoding', 'height', 'width', 'step', 'size', 'message', 'why'),
                         MALFORMED, ids=[row[-1] for row in MALFORMED])
def test_malformed_images_say_what_is_wrong(encoding, height, width, step, size, message, why):
    with pytest.raises(ImageError, match=message):
        bgr_from_raw(bytes(size), encoding=encoding, height=height, width=width, step=step,
                     is_bigendian=False)


@settings(deadline=None, max_examples=300)
@given(encoding=st.sampled_from((*known_encodings(), 'mono', '32FC1')),
       height=st.integers(0, 9), width=st.integers(0, 9), step=st.integers(0, 60),
       size=st.integers(0, 700), is_bigendian=st.booleans())
def test_any_message_gives_its_picture_or_an_image_error(encoding, height, width, step, size,
                                                         is_bigendian):
    try:
        image = bgr_from_raw(bytes(size), encoding=encoding, height=height, width=width,
                             step=step, is_bigendian=is_bigendian)
    except ImageError:
        return
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8


def test_only_sizes_the_encoding_can_have_are_written():
    with pytest.raises(ImageError, match='5x4'):
        raw_from_bgr(np.zeros((4, 5, 3), np.uint8), 'uyvy')
    with pytest.raises(ImageError, match='unknown'):
        raw_from_bgr(np.zeros((4, 4, 3), np.uint8), 'jpeg')
