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

"""The camera's own movement, from pictures whose movement is known."""

from __future__ import annotations

import cv2
import numpy as np
from ped_perception.core.ego_motion import BackgroundMotion, homography_from_rotation
import pytest

HW = (360, 640)
NO_BOXES = np.zeros((0, 4), np.float32)
# Maps the box convention (outer corner) to OpenCV's (centre of the first pixel) and back.
CORNER = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


def scene(seed=0, hw=HW):
    """Paint a picture full of corners, with a margin for movements."""
    rng = np.random.default_rng(seed)
    image = np.full((hw[0] + 200, hw[1] + 200, 3), 90, np.uint8)
    for _ in range(250):
        x, y = rng.integers(0, hw[1] + 200), rng.integers(0, hw[0] + 200)
        w, h = rng.integers(15, 70, 2)
        colour = [int(value) for value in rng.integers(0, 255, 3)]
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return image


def step(motion, image_hw3, boxes_n4):
    """Show a picture, then who is in it."""
    found = motion.moved(image_hw3)
    motion.hide(boxes_n4)
    return found


def seen(image, scale=1.0, turn_deg=0.0, shift=(0.0, 0.0), hw=HW):
    """Look at a scene with a camera moved; give the picture and its homography."""
    matrix = np.vstack([cv2.getRotationMatrix2D((hw[1] / 2, hw[0] / 2), turn_deg, scale),
                        [0, 0, 1]])
    matrix[:2, 2] += shift
    centre = np.array([[1, 0, -100], [0, 1, -100], [0, 0, 1.0]])
    picture = cv2.warpAffine(image, (matrix @ centre)[:2], hw[::-1])
    return picture, CORNER @ matrix @ np.linalg.inv(CORNER)


def apart(first, second, hw=HW):
    """Give how far two homographies put the corners of the picture apart, in pixels."""
    corners = np.array([[0, 0, 1], [hw[1], 0, 1], [0, hw[0], 1], [hw[1], hw[0], 1.0]]).T
    return np.abs((first @ corners - second @ corners)[:2]).max()


@pytest.mark.parametrize(('movement', 'why'), [
    ({}, 'a camera that stands still must not shake the boxes'),
    ({'shift': (25.0, 0.0)}, 'yaw'),
    ({'shift': (0.0, -9.0)}, 'pitch: a speed bump'),
    ({'turn_deg': 3.0}, 'roll'),
    ({'scale': 1.04}, 'driving ahead'),
    ({'scale': 0.98, 'turn_deg': -1.0, 'shift': (-12.5, 4.25)}, 'all at once'),
])
def test_known_movements_are_found(movement, why):
    image = scene()
    motion = BackgroundMotion()
    assert step(motion, seen(image)[0], NO_BOXES) is None
    picture, truth = seen(image, **movement)
    found = step(motion, picture, NO_BOXES)
    assert found is not None
    assert apart(found, truth) < 0.6


def test_each_step_is_relative_to_the_one_before():
    image = scene()
    motion = BackgroundMotion()
    for shift in (0.0, 6.0, 20.0):
        found = step(motion, seen(image, shift=(shift, 0))[0], NO_BOXES)
    assert found is not None
    assert apart(found, np.array([[1, 0, 14], [0, 1, 0], [0, 0, 1.0]])) < 0.6


def test_people_are_not_background():
    """Somebody near the camera fills the picture's middle and walks; the camera stands."""
    image, person = scene(0), scene(1)[:330, :460]
    pictures = []
    for x in (60, 72):
        picture = seen(image)[0]
        picture[15:345, x:x + 460] = person
        pictures.append((picture, np.array([[x, 15, x + 460, 345]], np.float32)))
    motion = BackgroundMotion()
    step(motion, *pictures[0])
    found = step(motion, *pictures[1])
    assert found is not None
    assert apart(found, np.eye(3)) < 0.6
    blind = BackgroundMotion()
    step(blind, pictures[0][0], NO_BOXES)
    taken_in = step(blind, pictures[1][0], NO_BOXES)
    assert taken_in is None or apart(taken_in, np.eye(3)) > 5, 'the scene does not test anything'


@pytest.mark.parametrize(('second', 'why'), [
    (np.zeros((*HW, 3), np.uint8), 'the light went out'),
    (np.full((*HW, 3), 255, np.uint8), 'blinded by the sun'),
    (seen(scene(7))[0], 'a cut: nothing in common'),
    (np.random.default_rng(3).integers(0, 255, (*HW, 3)).astype(np.uint8), 'nothing but noise'),
    (seen(scene(), hw=(180, 320))[0], 'the camera changed its size'),
    (seen(scene(), shift=(250.0, 0.0))[0], 'too far for any camera in traffic'),
])
def test_without_common_background_there_is_no_answer(second, why):
    motion = BackgroundMotion()
    step(motion, seen(scene())[0], NO_BOXES)
    assert step(motion, second, NO_BOXES) is None
    # and the next pair of pictures works again
    step(motion, seen(scene())[0], NO_BOXES)
    assert step(motion, seen(scene(), shift=(5, 0))[0], NO_BOXES) is not None


def test_people_everywhere_leave_no_background():
    motion = BackgroundMotion()
    everywhere = np.array([[-50, -50, 900, 900]], np.float32)
    step(motion, seen(scene())[0], everywhere)
    assert step(motion, seen(scene())[0], everywhere) is None


def test_a_picture_of_one_column_is_not_made_millions_of_rows():
    # A driver that mixes up its sizes; scaled to the usual width it took a minute.
    small_hw = BackgroundMotion().remember(np.zeros((5000, 1, 3), np.uint8))
    assert small_hw.size < 500_000


def test_the_same_pictures_give_the_same_answer():
    def run():
        motion = BackgroundMotion()
        step(motion, seen(scene())[0], NO_BOXES)
        return step(motion, seen(scene(), turn_deg=2, shift=(9, 3))[0], NO_BOXES)
    np.testing.assert_array_equal(run(), run())


def test_a_turning_camera_moves_far_points_as_the_homography_says():
    matrix = np.array([[500, 0, 319.5], [0, 480, 179.5], [0, 0, 1.0]])
    rotation = cv2.Rodrigues(np.array([0.02, -0.05, 0.01]))[0]
    homography = homography_from_rotation(matrix, rotation)
    ray = np.array([0.2, -0.1, 1.0])
    # What CameraInfo calls (u, v) is (u + 0.5, v + 0.5) for boxes.
    before, after = matrix @ ray, matrix @ (rotation @ ray)
    image = homography @ np.r_[before[:2] / before[2] + 0.5, 1]
    np.testing.assert_allclose(image[:2] / image[2], after[:2] / after[2] + 0.5)
    assert homography[2, 2] == 1
