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

"""Errors on the ground, in scenes whose places are known."""

from __future__ import annotations

import numpy as np
from ped_perception.core.follow import Mounting
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections
from ped_perception.evaluation.ground_score import (
    depths_of,
    ground_errors,
    Placed,
    placed_from,
    positions_of,
)
from ped_perception.evaluation.mot import Labels
import pytest
from scenes import base_from_camera, person_box, pinhole, SIZE_HW

MODEL = pinhole()
LEVEL = base_from_camera((0.0, 0.0, 1.5))
PLACES = np.array([[8.0, 1.0], [15.0, -2.0], [25.0, 9.0]])


def boxes(mounting=LEVEL):
    return np.array([person_box(MODEL, mounting, place) for place in PLACES])


def seen(boxes_n4):
    return Detections('front', 0, '', SIZE_HW, boxes_n4.astype(np.float32),
                      np.full(len(boxes_n4), 0.9, np.float32))


def labels_at(positions_n3):
    count = len(positions_n3)
    return Labels(np.arange(count), boxes(), np.ones(count, bool), positions_n3)


def optical(mounting=LEVEL):
    """Give the places in the optical frame."""
    ground_n4 = np.column_stack([PLACES, np.zeros(len(PLACES)), np.ones(len(PLACES))])
    return (ground_n4 @ np.linalg.inv(mounting).T)[:, :3]


def placed(positions_n3, mounting=LEVEL):
    xy, cov = positions_of(seen(boxes()), Mounting(MODEL, LEVEL), TrackerConfig(), GroundConfig())
    return placed_from(labels_at(positions_n3), range(len(positions_n3)), MODEL, mounting, xy, cov)


def test_people_are_placed_where_they_stand():
    result = placed(optical())
    np.testing.assert_allclose(result.truth_m2, PLACES, atol=1e-9)
    np.testing.assert_allclose(result.distance_m, np.linalg.norm(PLACES, axis=1))
    assert (np.linalg.norm(result.xy_m2 - PLACES, axis=1) < 0.02 * result.distance_m).all()


def test_of_whom_only_the_depth_is_known_stands_on_the_ray_of_the_box():
    positions = optical()
    positions[:, :2] = np.nan
    np.testing.assert_allclose(placed(positions).truth_m2, PLACES, atol=0.1)


def test_who_has_no_labelled_place_does_not_count():
    positions = optical()
    positions[1] = np.nan
    assert len(placed(positions).truth_m2) == 2


def test_errors_counted_by_hand():
    found = Placed(np.array([[10.0, 0], [12, 0], [25, 0]]),
                   np.array([[11.0, 0], [12, 3], [np.nan, np.nan]]),
                   np.array([np.eye(2)] * 3), np.array([10.0, 12, 25]))
    rows = ground_errors([found])
    near = next(row for row in rows if row['from_m'] == 10)
    assert (near['people'], near['placed']) == (2, 2)
    assert near['median_m'] == pytest.approx(2)
    assert near['median_share'] == pytest.approx((0.1 + 0.25) / 2)
    assert near['inside_95'] == pytest.approx(0.5), 'three sigmas are outside'
    far = next(row for row in rows if row['from_m'] == 20)
    assert (far['people'], far['placed'], far['median_m']) == (1, 0, None)
    assert (rows[-1]['people'], rows[-1]['placed']) == (3, 2)


@pytest.mark.parametrize('turns', [0, 1])
def test_depth_is_that_of_a_person_of_usual_height(turns):
    depth = optical()[:, 2]
    # A lens that hangs on its side sees people upright in the turned picture.
    model = MODEL if not turns else pinhole(SIZE_HW[::-1]).turned(3)
    assert model.size_hw == SIZE_HW
    np.testing.assert_allclose(depths_of(seen(boxes()), model, 1.7), depth, rtol=0.02)
