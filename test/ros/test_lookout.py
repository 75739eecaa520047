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

"""Which cameras the inference thread looks at."""

from __future__ import annotations

from collections import Counter
import time

from doubles import BrightSpotBackend
import numpy as np
from ped_perception.core.corridor import CorridorConfig, Danger
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.ids import Ids
from ped_perception.core.image_monitor import ImageMonitor, ImageMonitorConfig
from ped_perception.core.overload import Look
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.recovery import RecoveryConfig
from ped_perception.core.schedule import RateLimit
from ped_perception.core.stamps import AgeConfig, StampGuard
from ped_perception.ros.camera_stats import CameraStats
from ped_perception.ros.config import CameraConfig, LookoutConfig
from ped_perception.ros.convert import image_from_bgr
from ped_perception.ros.diagnostics import inference_facts
from ped_perception.ros.lookout import Lookout
from ped_perception.ros.network import Networks
from ped_perception.ros.pictures import Camera
from ped_perception.ros.worker import Arrival
import pytest
from rclpy.clock import Clock, ClockType
from rclpy.logging import get_logger

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('priority', 'danger', 'rear', 'why'), [
    (2.0, Danger(1.5, frozenset({'rear'})), 400, 'it sees somebody who comes into the way'),
    (1.0, Danger(1.5, frozenset({'rear'})), 300, 'that is to change nothing'),
    (2.0, Danger(), 300, 'nobody is known to'),
])
def test_a_camera_that_sees_danger_is_looked_at_more_often(priority, danger, rear, why):
    cameras = {name: Camera(name, CameraConfig(), CameraStats(), *[None] * 5)
               for name in ('front', 'rear')}
    # Time for one of them in each step.
    config = LookoutConfig(PerceptionConfig(), AgeConfig(), 0.03,
                           CorridorConfig(priority=priority))
    lookout = Lookout(cameras, config, RecoveryConfig(), None, None, None, Ids(), Clock(),
                      get_logger('test'))
    lookout.schedule.measured(1, 0.03)
    lookout._announcer.danger = danger
    counts = Counter(lookout.choose(dict.fromkeys(cameras, 0.0))[0] for _ in range(600))
    lookout.end()
    assert counts['rear'] == pytest.approx(rear, abs=3), why


class Output:
    """Stands for the publishers of a camera, and for those of everybody."""

    is_wanted = True

    def __init__(self):
        self.published = []

    def publish(self, *told):
        self.published.append(told)

    def publish_annotated(self, *told):
        """Draw nothing."""


class Around:
    """Stands for a camera that nobody calibrated, on a vehicle that nobody asks."""

    problem = odometry_problem = ''
    wants_odometry = False

    def mounting(self, frame):
        return GroundReason.NO_CALIBRATION

    def ego(self, stamp_ns):
        return None


@pytest.fixture
def overloaded(monkeypatch):
    """Give a camera, its lookout with two networks, and how to have a picture looked at."""
    full, small = BrightSpotBackend(), BrightSpotBackend((64, 96))
    output, clock = Output(), Clock(clock_type=ClockType.SYSTEM_TIME)
    camera = Camera('front', CameraConfig(), CameraStats(), output, Around(), StampGuard(),
                    ImageMonitor(ImageMonitorConfig()), RateLimit())
    config = LookoutConfig(PerceptionConfig(), AgeConfig(max_frame_age_s=0.0), 0.1,
                           CorridorConfig())
    lookout = Lookout({'front': camera}, config, RecoveryConfig(), Around(), Output(),
                      lambda may_build: Networks(full, small), Ids(), clock, get_logger('test'))
    lookout.begin()
    image_hw3 = np.zeros((96, 160, 3), np.uint8)
    image_hw3[20:60, 50:70] = 255
    asked = []

    def choose(demands, slot_s, small_share):
        asked.append(small_share)
        return Look.ALL_VIEWS if small_share is None else Look.SMALL_NETWORK

    monkeypatch.setattr(lookout.looks, 'choose', choose)

    def look():
        lookout.choose({'front': 0.0})
        message = image_from_bgr(image_hw3, clock.now().nanoseconds, 'front')
        lookout.process([Arrival('front', message, time.monotonic())])
        lookout._perception.settle()
        return len(output.published)

    yield lookout, full, small, camera, look, asked
    lookout.end()


def test_a_small_network_that_fails_costs_no_picture(overloaded):
    lookout, full, small, camera, look, asked = overloaded
    small.failures = 1
    before = len(full.counts)
    assert look() == 1, 'the large one looked instead'
    assert len(full.counts) == before + 1
    assert (lookout.recovery.total, lookout.small_recovery.failures) == (0, 1)
    assert camera.stats.total_dropped == 0
    facts = inference_facts(lookout, RecoveryConfig(), time.monotonic())
    assert facts == ('', '', 'planned failure')
    assert look() == 2
    assert asked[-1] is None, 'it is left alone for a while'
    time.sleep(RecoveryConfig().first_wait_s)
    tried = len(small.counts)
    assert look() == 3
    assert len(small.counts) == tried + 1, 'and tried again'
    assert inference_facts(lookout, RecoveryConfig(), time.monotonic()) == ('', '', '')


def test_a_small_network_that_works_does_not_speak_for_the_large_one(overloaded):
    lookout, _, _, _, look, _ = overloaded
    lookout.recovery.failed(time.monotonic() - 1, 'the large one fails')
    assert look() == 1
    assert lookout.recovery.failures == 1


def test_whoever_was_in_the_way_is_not_known_any_more_once_everybody_is_forgotten(overloaded):
    lookout, *_ = overloaded
    lookout._announcer.danger = Danger(1.5, frozenset({'front'}))
    lookout._reset()
    assert lookout.danger == Danger()
