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

from ped_perception.core.corridor import CorridorConfig, Danger
from ped_perception.core.ids import Ids
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.recovery import RecoveryConfig
from ped_perception.core.stamps import AgeConfig
from ped_perception.ros.camera_stats import CameraStats
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.lookout import Lookout, LookoutConfig
from ped_perception.ros.pictures import Camera
import pytest
from rclpy.clock import Clock
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
