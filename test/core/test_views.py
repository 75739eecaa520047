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

"""Views: placing, writing into a slot, and the way back to the picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.errors import ConfigError
from ped_perception.core.views import (
    ALL,
    PAD_GREY,
    place_view,
    source_from_network_boxes,
    specs_from_texts,
    view_spec_from_text,
    ViewSpec,
    write_view,
)
import pytest

NETWORK_HW = (384, 640)

sides = st.integers(1, 3000)
regions = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.05, 1), st.floats(0.05, 1)
                    ).map(lambda r: (r[0], r[1], min(1.0, r[0] + r[2]), min(1.0, r[1] + r[3])))
specs = st.builds(ViewSpec, regions, st.floats(0.1, 1))


@pytest.mark.parametrize(('text', 'spec'), [
    ('whole', ViewSpec()),
    ('whole@0.65', ViewSpec(shrink=0.65)),
    ('0.25,0.3,0.75,0.8', ViewSpec((0.25, 0.3, 0.75, 0.8))),
    (' 0 , 0.5 , 1 , 1 @ 0.5', ViewSpec((0.0, 0.5, 1.0, 1.0), 0.5)),
])
def test_views_are_read_as_written(text, spec):
    assert view_spec_from_text(text) == spec


@pytest.mark.parametrize(('text', 'why'), [
    ('all', 'no such word'), ('0.1,0.2,0.3', 'three numbers'), ('0.5,0,0.5,1', 'no width'),
    ('0,0.8,1,0.2', 'upside down'), ('0,0,1.2,1', 'outside the picture'),
    ('nan,0,1,1', 'no number'), ('whole@0', 'fills nothing'), ('whole@1.5', 'overflows'),
    ('whole@x', 'no number'), ('', 'empty'),
])
def test_what_is_no_view_is_refused(text, why):
    with pytest.raises(ConfigError, match=r'view|View'):
        view_spec_from_text(text)


@pytest.mark.parametrize(('texts', 'roi', 'horizon', 'expected', 'why'), [
    (['whole', 'horizon'], ALL, (0.2, 0.4, 0.7, 0.8), [ALL, (0.2, 0.4, 0.7, 0.8)],
     'the band of this camera'),
    (['whole', 'horizon'], ALL, None, [ALL], 'without a mounting the band is left out'),
    (['horizon'], ALL, None, [ALL], 'a picture is looked at in any case'),
    (['whole', '0.5,0,1,0.5'], (0.0, 0.0, 1.0, 0.5), None,
     [(0.0, 0.0, 1.0, 0.5), (0.5, 0.0, 1.0, 0.25)], 'views lie in the region of interest'),
])
def test_views_of_one_camera(texts, roi, horizon, expected, why):
    assert [spec.region_xyxy for spec in specs_from_texts(texts, roi, horizon)] == expected, why


def test_an_empty_list_of_views_is_refused():
    with pytest.raises(ConfigError, match='empty'):
        specs_from_texts([])


@pytest.mark.parametrize(('source_hw', 'size_xy', 'pad_xy', 'why'), [
    ((720, 1280), (640, 360), (0, 12), 'a 16:9 camera fills the width'),
    ((480, 640), (512, 384), (64, 0), 'a 4:3 camera fills the height'),
    ((384, 640), (640, 384), (0, 0), 'the size of the network itself'),
    ((1280, 720), (216, 384), (212, 0), 'a camera mounted upright'),
    ((1, 4000), (640, 1), (0, 191), 'one row does not vanish'),
])
def test_the_whole_view_keeps_the_aspect_ratio_and_is_centred(source_hw, size_xy, pad_xy, why):
    view = place_view(ViewSpec(), source_hw, NETWORK_HW)
    assert (view.size_xy, view.pad_xy) == (size_xy, pad_xy), why


@given(specs, sides, sides)
def test_a_view_lies_inside_picture_and_slot(spec, height, width):
    view = place_view(spec, (height, width), NETWORK_HW)
    x1, y1, x2, y2 = view.crop_xyxy
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert view.pad_xy[0] >= 0
    assert view.pad_xy[1] >= 0
    assert view.pad_xy[0] + view.size_xy[0] <= NETWORK_HW[1]
    assert view.pad_xy[1] + view.size_xy[1] <= NETWORK_HW[0]


@given(specs, sides, sides, st.tuples(*[st.floats(-1, 2)] * 4))
def test_boxes_come_back_to_where_they_were(spec, height, width, fractions):
    view = place_view(spec, (height, width), NETWORK_HW)
    box = np.array(fractions) * [width, height, width, height]
    there = (box - view.crop_xyxy[:2] * 2) * (view.scale_xy * 2) + view.pad_xy * 2
    back = source_from_network_boxes(there[None].astype(np.float32), view)[0]
    # float32 at the size of the picture, seen through the scale of the view.
    assert np.allclose(back, box, atol=1e-3 * max(height, width), rtol=1e-4)


def test_a_slot_shows_the_crop_where_the_view_says_and_grey_elsewhere():
    # The crop is one colour, its surroundings another: any shift or swap of axes shows.
    image_hw3 = np.zeros((100, 300, 3), np.uint8)
    image_hw3[20:80, 150:270] = (10, 20, 30)
    view = place_view(ViewSpec((0.5, 0.2, 0.9, 0.8)), (100, 300), (64, 96))
    slot_hw3 = np.full((64, 96, 3), 255, np.uint8)
    write_view(image_hw3, view, slot_hw3)
    (x, y), (width, height) = view.pad_xy, view.size_xy
    assert (width, height) == (96, 48)
    assert np.all(slot_hw3[y:y + height, x:x + width] == (10, 20, 30))
    slot_hw3[y:y + height, x:x + width] = PAD_GREY
    assert np.all(slot_hw3 == PAD_GREY)


@pytest.mark.parametrize('region', ['whole', '0.3,0.1,0.8,0.7', 'whole@0.5'])
def test_a_strided_picture_gives_the_same_slot_as_a_packed_one(region):
    # Pictures are views of message buffers whose rows are padded.
    rows_hw3 = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)
    strided_hw3 = rows_hw3[:, :123]
    view = place_view(view_spec_from_text(region), (90, 123), (64, 96))
    slots = np.zeros((2, 64, 96, 3), np.uint8)
    write_view(strided_hw3, view, slots[0])
    write_view(np.ascontiguousarray(strided_hw3), view, slots[1])
    assert np.array_equal(slots[0], slots[1])


def test_one_slot_leaves_its_neighbours_alone():
    batch_nhw3 = np.full((3, 64, 96, 3), 7, np.uint8)
    view = place_view(ViewSpec(), (50, 60), (64, 96))
    write_view(np.zeros((50, 60, 3), np.uint8), view, batch_nhw3[1])
    assert np.all(batch_nhw3[[0, 2]] == 7)
    assert not np.any(batch_nhw3[1] == 7)
