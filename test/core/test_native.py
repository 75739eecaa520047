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

"""What is read of pictures in the camera's layout is what the whole decoded picture has there."""

from __future__ import annotations

import cv2
from demo_clip import clip_frame
from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.appearance import looks_from_boxes
from ped_perception.core.ego_motion import BackgroundMotion
from ped_perception.core.encodings import bgr_from_raw, pixels_from_raw, raw_from_bgr
from ped_perception.core.errors import ImageError
from ped_perception.core.image_monitor import ImageMonitor, ImageMonitorConfig
from ped_perception.core.native import NATIVE_LAYOUTS, NativePixels
from ped_perception.core.types import Frame
import pytest

LAYOUTS = sorted(set(NATIVE_LAYOUTS.values()))


def both(encoding, height, width, padding=0, seed=0):
    """Give noise in a layout with padded rows, and the same decoded."""
    count, row_bytes = (height * 3 // 2, width) if encoding == 'nv12' else (height, 2 * width)
    rows = np.random.default_rng(seed).integers(0, 256, (count, row_bytes + padding), np.uint8)
    fields = {'encoding': encoding, 'height': height, 'width': width, 'step': rows.shape[1],
              'is_bigendian': False}
    native = pixels_from_raw(rows.tobytes(), **fields, native=LAYOUTS)
    assert isinstance(native, NativePixels)
    return native, bgr_from_raw(rows.tobytes(), **fields)


def street(encoding, root, index=60):
    """Give a picture of the shipped clip in a layout, and the same decoded."""
    image_hw3 = clip_frame(root, index)
    height, width = image_hw3.shape[:2]
    rows, step = raw_from_bgr(image_hw3, encoding)
    fields = {'encoding': encoding, 'height': height, 'width': width, 'step': step,
              'is_bigendian': False}
    return pixels_from_raw(rows, **fields, native=LAYOUTS), bgr_from_raw(rows, **fields)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(NATIVE_LAYOUTS)), st.integers(1, 40), st.integers(1, 40),
       st.integers(0, 9), st.integers(0, 2**32 - 1))
@example('nv12', 1, 1, 3, 0)
def test_rows_points_and_the_whole_are_those_of_the_decoded_picture(
        encoding, half_h, half_w, padding, seed):
    native, bgr_hw3 = both(encoding, 2 * half_h, 2 * half_w, padding, seed)
    height, width = native.size_hw
    assert native.shape == bgr_hw3.shape
    np.testing.assert_array_equal(native.image_hw3, bgr_hw3)
    random = np.random.default_rng(seed)
    rows_k, y_m, x_m = (random.integers(0, size, 20) for size in (height, height, width))
    np.testing.assert_array_equal(native.rows(rows_k), bgr_hw3[rows_k])
    np.testing.assert_array_equal(native.points(y_m, x_m), bgr_hw3[y_m, x_m])


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('size_xy', [(240, 135), (768, 432), (37, 501)])
def test_the_small_grey_copy_is_that_of_the_decoded_picture(layout, size_xy, root):
    native, bgr_hw3 = street(layout, root)
    expected = cv2.cvtColor(cv2.resize(bgr_hw3, size_xy), cv2.COLOR_BGR2GRAY).astype(int)
    difference = np.abs(native.small_grey(size_xy) - expected)
    assert difference.max() <= 8, 'colours that BGR cannot hold'
    assert difference.mean() < 0.6


@pytest.mark.parametrize('layout', LAYOUTS)
def test_nobody_who_looks_at_a_picture_sees_a_difference_or_decodes_it(layout, root):
    native, bgr_hw3 = street(layout, root)
    later, later_hw3 = street(layout, root, 63)
    boxes_n4 = np.float32([[100, 80, 150, 220], [400, 100, 430, 190], [-5, -5, 20, 4000]])
    np.testing.assert_array_equal(looks_from_boxes(native, boxes_n4).looks_nd,
                                  looks_from_boxes(bgr_hw3, boxes_n4).looks_nd)
    measures, moved = [], []
    for first, second in ((native, later), (bgr_hw3, later_hw3)):
        monitor, motion = ImageMonitor(ImageMonitorConfig()), BackgroundMotion()
        monitor.check(Frame('camera', 1, 'f', first))
        measures.append(monitor.measures)
        motion.remember(first)
        moved.append(motion.moved(second))
    assert measures[0] == measures[1]
    assert np.allclose(moved[0], moved[1], atol=0.05)
    assert all('image_hw3' not in vars(pixels) for pixels in (native, later)), 'it was decoded'


def test_a_frame_decodes_once_and_only_when_asked():
    native, bgr_hw3 = both('nv12', 8, 12)
    frame = Frame('camera', 1, 'f', native)
    assert frame.source_hw == (8, 12)
    assert 'image_hw3' not in vars(native)
    np.testing.assert_array_equal(frame.image_hw3, bgr_hw3)
    assert frame.image_hw3 is frame.image_hw3


def test_what_nobody_wants_as_it_is_is_decoded():
    data = np.zeros((12, 12), np.uint8)
    for native in ((), ('yuyv',)):
        assert isinstance(pixels_from_raw(data, encoding='nv12', height=8, width=12, step=12,
                                          is_bigendian=False, native=native), np.ndarray)


@pytest.mark.parametrize(('encoding', 'height', 'width', 'step', 'size', 'words', 'why'), [
    ('nv12', 7, 12, 12, 1000, 'multiple of 2, not 12x7', 'half a row of chroma'),
    ('nv12', 8, 11, 12, 1000, 'multiple of 2 and', 'half a pair of chroma'),
    ('yuv422_yuy2', 8, 11, 22, 1000, 'multiple of 2 and', 'half a pair of pixels'),
    ('uyvy', 8, 12, 23, 1000, 'step of 23 bytes is too short', 'rows overlap'),
    ('nv12', 8, 12, 16, 8 * 16 + 3 * 16, 'too few', 'the chroma is cut short'),
    ('nv12', 0, 12, 16, 1000, 'no picture', 'empty'),
])
def test_what_contradicts_itself_never_gets_to_the_gpu(
        encoding, height, width, step, size, words, why):
    with pytest.raises(ImageError, match=words):
        pixels_from_raw(bytes(size), encoding=encoding, height=height, width=width, step=step,
                        is_bigendian=False, native=LAYOUTS)


def test_the_bytes_are_a_view_that_nobody_can_write_through():
    data = bytearray(18 * 8)
    native = pixels_from_raw(data, encoding='nv12', height=8, width=12, step=12,
                             is_bigendian=False, native=LAYOUTS)
    assert np.shares_memory(native.rows_rs, np.frombuffer(data, np.uint8))
    with pytest.raises(ValueError, match='read-only'):
        native.rows_rs[0, 0] = 1
