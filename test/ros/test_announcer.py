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

"""What is done with detections, where not all of it can be done."""

from __future__ import annotations

import math
import types

import numpy as np
from ped_perception.core.corridor import CorridorConfig, Danger
from ped_perception.core.follow import Follower
from ped_perception.core.ground_filter import GroundFilterConfig
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections, Frame
from ped_perception.ros.announcer import Announcer, LookedAt
from ped_perception.ros.camera_stats import CameraStats, Drop
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.pictures import Picture
import pytest
from rclpy.clock import Clock
from rclpy.logging import get_logger
from surroundings import ground_tracks

pytestmark = pytest.mark.ros

HW = (48, 64)


class Output:
    """Publishers that keep what they are given, and may be broken."""

    def __init__(self):
        self.given = []
        self.broken = False

    def publish(self, *what):
        if self.broken:
            raise RuntimeError('planned')
        self.given.append(what)

    def publish_annotated(self, picture, found):
        pass


@pytest.mark.parametrize(('broken', 'lost', 'why'), [
    ('', [], 'all is well'),
    ('front', ['front'], 'one camera costs the other nothing'),
    ('rear', ['rear'], 'nor the first the second'),
    ('ground', ['front', 'rear'], 'nobody could be told of around the vehicle'),
])
def test_what_cannot_be_published_costs_what_it_is_part_of(broken, lost, why):
    outputs = {name: Output() for name in ('front', 'rear', 'ground')}
    cameras = {name: types.SimpleNamespace(name=name, config=CameraConfig(), stats=CameraStats(),
                                           output=outputs[name]) for name in ('front', 'rear')}
    if broken:
        outputs[broken].broken = True
    follower = Follower(TrackerConfig(ego_motion=False), GroundConfig(), GroundFilterConfig())
    perception = types.SimpleNamespace(follower=follower, follow=lambda frames, found, *_: [
        follower.step(frame, of_frame) for frame, of_frame in zip(frames, found, strict=True)])
    frames = [Frame(name, 1, name, np.zeros((*HW, 3), np.uint8)) for name in cameras]
    found = [Detections(name, 1, name, HW, np.array([[8, 8, 20, 40]], np.float32),
                        np.array([0.9], np.float32)) for name in cameras]
    announcer = Announcer(cameras, outputs['ground'], lambda: 0.5, CorridorConfig, Clock(),
                          get_logger('test'))
    announcer.announce(LookedAt([Picture(frame, frame, 0.0) for frame in frames], found, {}, None,
                                1, {}, 0.0), perception)
    assert [name for name, output in outputs.items() if output.given] == [
        name for name in outputs if name != broken], why
    for name, camera in cameras.items():
        assert camera.stats.drops[Drop.RESULT] == camera.stats.total_dropped == (name in lost)
        assert camera.stats.processed == (name not in lost)
        assert ('RuntimeError: planned' in camera.stats.problem) == (name in lost)


@pytest.mark.parametrize(('ego', 'everybody', 'soonest_s', 'cameras', 'why'), [
    (EgoMotion(10.0, 0.0), ground_tracks([(24.0, 0.0)]), 1.95, {'front'}, 'he stands in the way'),
    (EgoMotion(10.0, 0.0), ground_tracks([(24.0, 9.0)]), math.inf, set(), 'he stands beside it'),
    (None, ground_tracks([(24.0, 0.0)]), math.nan, set(), 'nobody knows how the vehicle moves'),
    (EgoMotion(10.0, 0.0), None, math.nan, set(), 'nothing was looked at yet'),
])
def test_who_comes_into_the_way_is_known_where_the_motion_is(ego, everybody, soonest_s, cameras,
                                                             why):
    follower = types.SimpleNamespace(everybody=lambda: everybody)
    perception = types.SimpleNamespace(follower=follower, follow=lambda *_: [])
    announcer = Announcer({}, Output(), lambda: 0.5, CorridorConfig, Clock(), get_logger('test'))
    assert math.isnan(announcer.danger.soonest_s)
    announcer.announce(LookedAt([], [], {}, ego, 1, {}, 0.0), perception)
    assert announcer.danger.soonest_s == pytest.approx(soonest_s, abs=0.06, nan_ok=True), why
    assert announcer.danger.cameras == cameras, why


@pytest.mark.parametrize('broken', ['follow', 'publish'])
def test_what_was_in_the_way_is_not_known_after_a_failure(monkeypatch, broken):
    """What was true some steps ago must not stand for what nobody saw."""

    def fail(*_):
        raise RuntimeError('planned')

    follower = types.SimpleNamespace(everybody=lambda: None, reset=lambda: None)
    perception = types.SimpleNamespace(follower=follower, follow=lambda *_: [])
    ground = Output()
    announcer = Announcer({}, ground, lambda: 0.5, CorridorConfig, Clock(), get_logger('test'))
    announcer.danger = Danger(math.inf)
    monkeypatch.setattr(*((perception, 'follow') if broken == 'follow' else (ground, 'publish')),
                        fail)
    announcer.announce(LookedAt([], [], {}, EgoMotion(10.0, 0.0), 1, {}, 0.0), perception)
    assert math.isnan(announcer.danger.soonest_s)
