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

"""Following people of several cameras, from detections."""

from __future__ import annotations

import numpy as np
from ped_perception.core.camera import CameraModel
from ped_perception.core.follow import Follower, Mounting, NOBODY
from ped_perception.core.ground_filter import GroundFilterConfig
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.ids import Ids
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections, Frame

HW = (720, 1280)
IMAGE = np.random.default_rng(0).integers(0, 256, (*HW, 3), np.uint8)
MODEL = CameraModel(HW, np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]), 'none',
                    np.zeros(0))
# Looks along x of base_link from 1.5 m above the ground.
FORWARD = np.array([[0.0, 0, 1, 1.0], [-1, 0, 0, 0.0], [0, -1, 0, 1.5], [0, 0, 0, 1]])


def boxes_at(*places):
    """Project people of 1.7 m at x, y in metres."""
    rows = []
    for x, y in places:
        depth = x - 1.0
        centre, foot, head = (640 - 1000 * y / depth, 360 + 1500 / depth,
                              360 - 200 / depth)
        half = 0.2 * (foot - head)
        rows.append((centre - half, head, centre + half, foot))
    return np.array(rows, np.float32).reshape(-1, 4)


def follow(follower, time_s, places, camera='front', mounting=None, scores=None, ego=None,
           image_hw3=IMAGE):
    """Show the follower people at some places."""
    boxes_n4 = boxes_at(*places)
    scores_n = np.full(len(boxes_n4), 0.9, np.float32) if scores is None else np.array(
        scores, np.float32)
    stamp_ns = round(time_s * 1e9)
    frame = Frame(camera, stamp_ns, f'{camera}_optical', image_hw3)
    found = Detections(camera, stamp_ns, f'{camera}_optical', HW, boxes_n4, scores_n)
    return follower.step(frame, found, mounting or Mounting(MODEL, FORWARD), ego)


def new_follower(**ground):
    return Follower(TrackerConfig(ego_motion=False), GroundConfig(**ground), GroundFilterConfig())


def test_people_get_ids_and_places_once_they_are_confirmed():
    follower = new_follower()
    first = follow(follower, 1.0, [(10, 1), (20, -3)])
    assert first.ids_n().tolist() == [NOBODY, NOBODY]
    assert len(first.positions) == 0
    for step in range(2, 6):
        seen = follow(follower, 1 + step / 10, [(10, 1), (20, -3)])
    assert seen.ids_n().tolist() == [1, 2]
    assert np.allclose(seen.positions.xy_t2, [(10, 1), (20, -3)], atol=0.5)
    everybody = follower.everybody()
    assert everybody.valid_t.all()
    assert np.allclose(everybody.xy_t2, [(10, 1), (20, -3)], atol=0.5)


def test_two_cameras_with_one_view_give_one_person_with_ids_of_their_own():
    follower = new_follower()
    for step in range(8):
        left = follow(follower, step / 10, [(10, 1)], 'left')
        right = follow(follower, step / 10 + 0.02, [(10, 1)], 'right')
    assert not set(left.ids_n()) & set(right.ids_n())
    assert len(follower.everybody()) == 1
    assert {camera for camera, _ in follower.everybody().sources_t[0]} == {'left', 'right'}


def test_who_is_found_again_as_somebody_else_is_one_person_on_the_ground():
    """He comes out of a shadow: the tracker, which goes by colours too, takes him for another."""
    follower = new_follower()
    shadow, sun = (np.broadcast_to(np.array(bgr, np.uint8), IMAGE.shape)
                   for bgr in ((200, 40, 20), (20, 60, 230)))
    for step in range(5):
        before = follow(follower, step / 10, [(10, 1)], image_hw3=shadow)
    (person,) = follower.everybody().ids_t
    for step in range(5, 8):
        follow(follower, step / 10, [], image_hw3=shadow)
    for step in range(8, 14):
        after = follow(follower, step / 10, [(10, 1)], image_hw3=sun)
    assert after.ids_n()[0] not in before.ids_n()
    assert len(after.tracks) == 2, 'the tracker predicts the first, who would come out, too'
    assert follower.everybody().ids_t.tolist() == [person]
    assert follower.everybody().sources_t == ((('front', after.ids_n()[0]),),)


def test_without_a_mounting_people_are_followed_and_the_reason_is_told():
    follower = new_follower()
    for step in range(5):
        seen = follow(follower, step / 10, [(10, 1)], mounting=GroundReason.NO_TRANSFORM)
    assert seen.positions.reason_t.tolist() == [GroundReason.NO_TRANSFORM]
    assert not follower.everybody().valid_t.any()
    assert len(follower.everybody()) == 1


def test_an_impossible_mounting_places_nobody():
    follower = new_follower(ground_z_m=2.0)
    for step in range(5):
        seen = follow(follower, step / 10, [(10, 1)])
    assert seen.positions.reason_t.tolist() == [GroundReason.NO_CALIBRATION]


def test_a_reset_forgets_people_but_never_gives_an_id_twice():
    follower = new_follower()
    for step in range(5):
        before = follow(follower, 10 + step / 10, [(10, 1)])
    follower.reset()
    for step in range(5):
        after = follow(follower, step / 10, [(10, 1)])
    assert after.ids_n()[0] > before.ids_n()[0]
    assert len(follower.everybody()) == 1


def test_what_is_loaded_anew_in_one_run_gives_no_id_again():
    ids, given = Ids(), []
    for _ in range(2):
        follower = Follower(TrackerConfig(ego_motion=False), GroundConfig(), GroundFilterConfig(),
                            ids)
        for step in range(5):
            seen = follow(follower, step / 10, [(10, 1), (20, -3)])
        given.append((seen.ids_n().tolist(), follower.everybody().ids_t.tolist()))
    assert given == [([1, 2], [1, 2]), ([3, 4], [3, 4])]


def test_prediction_moves_people_and_leaves_the_filter_as_it_is():
    follower = new_follower()
    for step in range(20):
        follow(follower, step / 10, [(20 - step / 10, 0)], ego=EgoMotion(0.0, 0.0))
    now = follower.everybody()
    later = follower.everybody(now.stamp_ns + 500_000_000)
    assert later.xy_t2[0, 0] < now.xy_t2[0, 0] - 0.3
    assert later.predicted_t.all()
    assert np.trace(later.cov_t22[0]) > np.trace(now.cov_t22[0])
    assert follower.everybody() is now
    assert follower.everybody(now.stamp_ns - 1) is now, 'nobody is moved back'


def test_nobody_is_predicted_further_than_positions_are_kept():
    # A recording of last year without its clock, and predict_to_now: people would be far away.
    follower = new_follower()
    for step in range(20):
        follow(follower, step / 10, [(20 - step / 10, 0)], ego=EgoMotion(0.0, 0.0))
    now = follower.everybody()
    assert follower.everybody(now.stamp_ns + 900_000_000).valid_t.all()
    late = follower.everybody(now.stamp_ns + 365 * 24 * 3600 * 10**9)
    assert late.ids_t.tolist() == now.ids_t.tolist()
    assert late.reason_t.tolist() == [GroundReason.LOST]
    assert np.isnan(late.xy_t2).all()
    assert follower.everybody() is now


def test_odometry_keeps_people_apart_while_the_vehicle_turns():
    # Two people side by side; the vehicle turns so fast that each picture shows the one where
    # the other was in the picture before.
    follower = new_follower()
    for step in range(5):
        follow(follower, step / 10, [(10, 1), (10, -1)], ego=EgoMotion(0.0, 0.0))
    yaw = np.arctan2(2.0, 9.0)
    turned = [(1 + 9.05 * np.cos(a - yaw), 9.05 * np.sin(a - yaw))
              for a in (np.arctan2(1, 9), np.arctan2(-1, 9))]
    seen = follow(follower, 0.5, turned, ego=EgoMotion(0.0, yaw / 0.1))
    assert seen.ids_n().tolist() == [1, 2]
