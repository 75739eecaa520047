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

"""Boxes are drawn around people, not over them, and nowhere else."""

from __future__ import annotations

import numpy as np
from ped_perception.core.draw import BOX_COLOUR, draw_box, draw_caption, draw_detections
from ped_perception.core.types import Detections
import pytest

# Not square, so that exchanged axes show.
HEIGHT, WIDTH = 360, 640


def detections(*boxes: tuple[float, float, float, float]) -> Detections:
    return Detections('camera', 1, 'optical', (HEIGHT, WIDTH),
                      np.array(boxes, np.float32).reshape(-1, 4),
                      np.linspace(0.9, 0.5, len(boxes), dtype=np.float32))


def grey() -> np.ndarray:
    image_hw3 = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image_hw3.flags.writeable = False
    return image_hw3


def test_nobody_leaves_the_picture_as_it_is_but_gives_a_writable_copy():
    image_hw3 = grey()
    drawn_hw3 = draw_detections(image_hw3, detections())
    np.testing.assert_array_equal(drawn_hw3, image_hw3)
    assert drawn_hw3.flags.writeable
    assert not np.shares_memory(drawn_hw3, image_hw3)


def test_the_line_runs_along_the_box_and_the_person_inside_stays_visible():
    image_hw3 = grey()
    drawn_hw3 = draw_detections(image_hw3, detections((100, 150, 160, 300)))
    assert (image_hw3 == 128).all(), 'the given picture was drawn into'
    for row, column in ((150, 130), (299, 130), (200, 100), (200, 159)):
        assert tuple(drawn_hw3[row, column]) == BOX_COLOUR
    assert (drawn_hw3[155:295, 105:155] == 128).all(), 'something covers the person'
    changed_rows, changed_columns = np.nonzero((drawn_hw3 != 128).any(axis=2))
    assert changed_columns.min() >= 96
    assert changed_columns.max() <= 163
    assert changed_rows.max() <= 303
    assert 130 <= changed_rows.min() < 145, 'the score stands above the box'


@pytest.mark.parametrize(('box', 'why'), [
    ((0, 0, WIDTH, HEIGHT), 'as large as the picture: the score goes inside'),
    ((620, 2, 640, 60), 'in the upper right corner: the score is pushed to the left and inside'),
    ((10.4, 355.2, 12.1, 359.9), 'a speck at the lower border'),
    ((50, 50, 50, 50), 'without any size'),
])
def test_odd_boxes_are_drawn_too(box, why):
    drawn_hw3 = draw_detections(grey(), detections(box))
    assert (drawn_hw3 == BOX_COLOUR).all(axis=2).any(), why


def test_the_better_of_two_boxes_is_on_top():
    both = draw_detections(grey(), detections((100, 150, 160, 300), (130, 120, 190, 280)))
    best = draw_detections(grey(), detections((100, 150, 160, 300)))
    on_the_best = (best == BOX_COLOUR).all(axis=2)
    assert (both[on_the_best] == BOX_COLOUR).all()


def test_far_people_get_a_box_without_a_score_that_would_hide_their_neighbours():
    drawn_hw3 = draw_detections(grey(), detections((300, 200, 306, 216)))
    _, columns = np.nonzero((drawn_hw3 != 128).any(axis=2))
    assert columns.max() - columns.min() < 15


def test_a_caption_is_readable_and_leaves_the_rest_of_the_picture_alone():
    image_hw3 = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    draw_caption(image_hw3, '3 pedestrians')
    corner_hw3 = image_hw3[:30, :200]
    assert corner_hw3.min() < 50
    assert corner_hw3.max() > 200, 'no bright letters on the dark ground'
    assert (image_hw3[40:] == 128).all()
    assert (image_hw3[:, 300:] == 128).all()


def test_a_box_without_a_label_is_only_its_line_in_the_colour_asked_for():
    image_hw3 = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    draw_box(image_hw3, (100, 150, 160, 300), '', (10, 20, 250))
    assert tuple(image_hw3[150, 130]) == (10, 20, 250)
    changed_rows, _ = np.nonzero((image_hw3 != 128).any(axis=2))
    assert changed_rows.min() >= 146, 'nothing stands above it'
