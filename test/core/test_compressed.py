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

"""Compressed pictures: formats of image_transport, damage, and strangers' bytes."""

from __future__ import annotations

import array
import os
from pathlib import Path
import struct
import zlib

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core import compressed
from ped_perception.core.encodings import (
    bgr_from_compressed,
    raw_from_bgr,
    size_hw_from_compressed,
)
from ped_perception.core.errors import ImageError
import pytest

SHARED = Path(os.environ.get('PED_SHARED_DATA', Path(__file__).parents[2] / '../shared/data'))
MALFORMED = sorted((SHARED / 'malformed_images/files').glob('*'))


def smooth_picture():
    coarse = np.random.default_rng(3).integers(0, 256, (4, 5, 3), np.uint8)
    coarse[..., 0] //= 4  # less blue than red: a swap shows
    return cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC)


PICTURE = smooth_picture()
GREY = cv2.cvtColor(PICTURE, cv2.COLOR_BGR2GRAY)


def encoded(kind, image):
    return cv2.imencode(f'.{kind}', image)[1].tobytes()


JPEG = encoded('jpg', PICTURE)
PNG = encoded('png', PICTURE)

# What the compressed plugin of image_transport writes (compressed_publisher.cpp, ROS 2): the
# picture in BGR for OpenCV's encoder, so that the file has true colours, whatever the original.
FORMATS = [
    ('jpeg', JPEG, 'drivers that encode themselves'),
    ('jpg', JPEG, 'or call it so'),
    ('', JPEG, 'or say nothing'),
    ('png', PNG, 'drivers that encode themselves'),
    ('png', JPEG, 'the payload knows better than its name'),
    ('rgb8; jpeg compressed bgr8', JPEG, 'image_transport, rgb8 camera'),
    ('bgr8; jpeg compressed bgr8', JPEG, 'image_transport, bgr8 camera'),
    ('bgra8; jpeg compressed bgr8', JPEG, 'image_transport, bgra8 camera'),
    ('yuv422_yuy2; jpeg compressed bgr8', JPEG, 'image_transport, webcam'),
    ('rgb8; png compressed bgr8', PNG, 'image_transport, rgb8 camera'),
    ('rgb8; png compressed', PNG, 'pattern not kept: true colours, as the definition has it'),
    ('bgr8;jpeg compressed bgr8', JPEG, 'no blank'),
    ('rgb8; jpeg compressed rgb8', encoded('jpg', PICTURE[..., ::-1]), 'red and blue swapped'),
    ('rgb8; png compressed rgb8', encoded('png', PICTURE[..., ::-1]), 'red and blue swapped'),
    ('bgra8; png compressed bgra8', encoded('png', cv2.cvtColor(PICTURE, cv2.COLOR_BGR2BGRA)),
     'transparency dropped'),
    ('bgr16; png compressed bgr16', encoded('png', PICTURE.astype(np.uint16) << 8 | 0xff),
     'high byte of 16 bits'),
    ('rgb16; png compressed rgb16',
     encoded('png', PICTURE[..., ::-1].astype(np.uint16) << 8), '16 bits and swapped'),
]


@pytest.mark.parametrize(('text', 'payload', 'why'), FORMATS)
def test_colours_of_every_format(text, payload, why):
    image = bgr_from_compressed(payload, image_format=text)
    assert image.shape == PICTURE.shape
    assert image.dtype == np.uint8
    # JPEG loses a little; swapped colours are off by 40 and more.
    assert np.abs(image.astype(int) - PICTURE).mean() < (3 if payload[0] == 0xff else 0.1), why


GREY_FORMATS = [
    ('mono8; jpeg compressed mono8', encoded('jpg', GREY)),
    ('mono8; jpeg compressed ', encoded('jpg', GREY)),  # before Foxy
    ('bayer_rggb8; jpeg compressed mono8', encoded('jpg', GREY)),  # the plugin makes it grey
    ('mono8; png compressed ', encoded('png', GREY)),
    ('mono16; png compressed ', encoded('png', GREY.astype(np.uint16) << 8 | 0xff)),
]


@pytest.mark.parametrize(('text', 'payload'), GREY_FORMATS)
def test_grey_becomes_three_equal_channels(text, payload):
    image = bgr_from_compressed(payload, image_format=text)
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0].astype(int) - GREY).mean() < 3


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'bayer_grbg8', 'bayer_gbrg16'])
def test_image_transport_leaves_mosaics_as_they_are_in_png(encoding):
    rows, _ = raw_from_bgr(PICTURE, encoding)
    mosaic = rows.view('<u2') if encoding.endswith('16') else rows
    image = bgr_from_compressed(
        encoded('png', mosaic), image_format=f'{encoding}; png compressed ')
    assert np.abs(image.astype(int) - PICTURE).mean() < 3


def jpeg_with_exif(orientation, thumbnail=b''):
    """Insert an Exif segment: little-endian TIFF with one tag, and bytes behind it."""
    tiff = b'II*\0' + struct.pack('<IHHHIHHI', 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    content = b'Exif\0\0' + tiff + thumbnail
    return JPEG[:2] + b'\xff\xe1' + struct.pack('>H', len(content) + 2) + content + JPEG[2:]


@pytest.mark.parametrize('orientation', range(1, 9))
def test_the_calibration_belongs_to_the_picture_as_the_sensor_has_it(orientation):
    payload = jpeg_with_exif(orientation)
    turned = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)
    assert (turned.shape == (64, 48, 3)) == (orientation >= 5)  # OpenCV does read the tag
    np.testing.assert_array_equal(bgr_from_compressed(payload, image_format='jpeg'),
                                  bgr_from_compressed(JPEG, image_format='jpeg'))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([JPEG, PNG, jpeg_with_exif(1, thumbnail=JPEG)]), st.data())
def test_a_payload_cut_short_is_never_a_picture(payload, data):
    cut = data.draw(st.integers(0, len(payload) - 2))
    with pytest.raises(ImageError, match=r'cut short|neither JPEG nor PNG|damaged'):
        bgr_from_compressed(payload[:cut], image_format='jpeg')


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture():
    payload = jpeg_with_exif(1, thumbnail=JPEG)
    with pytest.raises(ImageError, match='no end marker'):
        bgr_from_compressed(payload[:-200], image_format='jpeg')
    assert bgr_from_compressed(payload, image_format='jpeg').shape == PICTURE.shape


def test_bytes_after_the_end_are_allowed():
    """V4L2 buffers are longer than the frame of a motion JPEG camera."""
    for payload in (JPEG, PNG):
        image = bgr_from_compressed(payload + bytes(500), image_format='')
        assert image.shape == PICTURE.shape


def png_of_size(width, height):
    header = b'IHDR' + struct.pack('>II', width, height) + PNG[24:29]
    return PNG[:12] + header + struct.pack('>I', zlib.crc32(header)) + PNG[33:]


def jpeg_of_size(width, height):
    at = JPEG.index(b'\xff\xc0') + 5
    return JPEG[:at] + struct.pack('>HH', height, width) + JPEG[at + 4:]


@pytest.mark.parametrize('of_size', [png_of_size, jpeg_of_size])
@pytest.mark.parametrize(('width', 'height', 'message'), [
    (60000, 60000, '60000x60000 pixels, the limit'),
    (65535, 1025, '65535x1025 pixels, the limit'),
    (0, 48, '0x48 pixels'),
    (64, 0, '64x0 pixels'),
])
def test_declared_sizes_are_judged_before_decoding(of_size, width, height, message, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('pixels were decoded'))
    monkeypatch.setattr(compressed, '_simplejpeg', lambda: pytest.fail('pixels were decoded'))
    with pytest.raises(ImageError, match=message):
        bgr_from_compressed(of_size(width, height), image_format='jpeg')


TEXTURE = np.random.default_rng(5).integers(0, 256, (240, 320, 3), np.uint8)
ROWS_OF_BLOCKS = cv2.IMWRITE_JPEG_RST_INTERVAL, 20

JPEG_KINDS = [
    ((), 'as most are'),
    ((cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 'progressive'),
    (ROWS_OF_BLOCKS, 'with restart markers, as of cameras that send over a network'),
    ((cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444), 'chroma 4:4:4'),
    ((cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422), 'chroma 4:2:2'),
]


@pytest.fixture
def without_simplejpeg(monkeypatch):
    monkeypatch.setattr(compressed, '_simplejpeg', lambda: None)


def textured_jpeg(*parameters):
    return cv2.imencode('.jpg', TEXTURE, parameters)[1].tobytes()


@pytest.mark.parametrize(('parameters', 'why'), JPEG_KINDS)
def test_the_pixels_are_the_same_whatever_decodes_them(parameters, why):
    payload = textured_jpeg(*parameters)
    by_opencv = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(bgr_from_compressed(payload, image_format='jpeg'), by_opencv), why


@pytest.mark.usefixtures('without_simplejpeg')
@pytest.mark.parametrize('payload', [JPEG, encoded('jpg', GREY), textured_jpeg()])
def test_opencv_decodes_where_simplejpeg_is_not_installed(payload):
    by_opencv = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(bgr_from_compressed(payload, image_format='jpeg'), by_opencv)


@pytest.mark.parametrize(('lose', 'why'), [
    (lambda jpeg: jpeg[:len(jpeg) // 2] + jpeg[-2:], 'its second half'),
    (lambda jpeg: jpeg[:5000] + jpeg[9000:], 'some packets'),
])
def test_a_jpeg_that_lost_data_within_is_no_picture(lose, why):
    pytest.importorskip('simplejpeg')
    with pytest.raises(ImageError, match='lost data within'):
        bgr_from_compressed(lose(textured_jpeg()), image_format='jpeg')


def test_stray_bytes_between_markers_do_no_harm():
    """Some cameras fill up what they send to a multiple of some number of bytes."""
    payload = textured_jpeg()
    tables = payload.index(b'\xff\xdb')
    stray = payload[:tables] + b'\x00' * 16 + payload[tables:]
    assert np.array_equal(bgr_from_compressed(stray, image_format='jpeg'),
                          bgr_from_compressed(payload, image_format='jpeg'))


REFUSED = [
    ('16UC1; compressedDepth png', b'\0' * 12 + PNG, 'depth image'),
    ('32FC1; compressedDepth', b'\0' * 12 + PNG, 'depth image'),
    ('16UC1; png compressed ', encoded('png', GREY.astype(np.uint16)), 'depth image'),
    ('h264', b'\0\0\0\1\x67\x42', r"start with 00000001 .format 'h264'"),
    ('bgr8; tiff compressed ', encoded('tiff', PICTURE), 'start with 49492a00'),
    ('webp', encoded('webp', PICTURE), 'neither JPEG nor PNG'),
    ('jpeg', b'', '0 bytes that start with nothing'),
    ('jpeg', JPEG[:3], 'header without a picture'),
    ('jpeg', b'\xff\xd8\xff\xd9', 'header without a picture'),
    ('jpeg', b'\xff\xd8' + b'\xff' * 100_000, 'header without a picture'),
    ('png', PNG[:8] + PNG[33:], 'does not begin with its header'),
]


@pytest.mark.parametrize(('text', 'payload', 'message'), REFUSED)
def test_refusals_say_why(text, payload, message):
    with pytest.raises(ImageError, match=message):
        bgr_from_compressed(payload, image_format=text)


@pytest.mark.parametrize('payload', [PNG, JPEG])
def test_the_size_is_read_without_decoding(payload, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('pixels were decoded'))
    monkeypatch.setattr(compressed, '_simplejpeg', lambda: pytest.fail('pixels were decoded'))
    assert size_hw_from_compressed(payload, image_format='jpeg') == PICTURE.shape[:2]


@pytest.mark.parametrize('kind', [lambda b: array.array('B', b), memoryview,
                                  lambda b: np.frombuffer(b, np.uint8)])
def test_takes_every_kind_of_buffer(kind):
    np.testing.assert_array_equal(bgr_from_compressed(kind(PNG), image_format='png'), PICTURE)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([JPEG, PNG]), st.data())
def test_damaged_bytes_give_a_picture_or_an_image_error(payload, data):
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = bgr_from_compressed(bytes(damaged), image_format='jpeg')
    except ImageError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3


@pytest.mark.skipif(not MALFORMED, reason='no shared test data')
def test_the_malformed_collection_gives_pictures_or_image_errors():
    outcomes = {}
    for path in MALFORMED:
        try:
            image = bgr_from_compressed(path.read_bytes(), image_format=path.suffix[1:])
            outcomes[path.name] = image.shape
        except ImageError:
            outcomes[path.name] = None
    decoded = {name for name, shape in outcomes.items() if shape}
    assert outcomes['hopper_orientation_6.jpg'] == (128, 128, 3)
    # Odd but whole: JPEG with stray bytes, broken Exif, CMYK, 16-bit tables; PNG with palettes.
    assert {'sugarshack_bad_mpo_header.jpg', 'hopper_bad_exif.jpg', 'pil_sample_cmyk.jpg',
            'hopper_16bit_qtables.jpg', 'p_16.png', 'tRNS_null_1x1.png'} <= decoded
    assert not {'truncated_jpeg.jpg', 'truncated_image.png', 'broken.png'} & decoded
    assert {Path(name).suffix for name in decoded} == {'.jpg', '.png'}
