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

"""What a camera asks of the inference."""

from __future__ import annotations

from ped_perception.ros.camera_stats import CameraStats
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.pictures import Camera
import pytest

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('arrivals_s', 'now_s', 'rate_hz', 'why'), [
    ([], 0.0, 0.0, 'none has come'),
    ([1.0], 1.0, 20.0, 'the first: as many are to be expected'),
    ([1.0, 1.1, 1.2], 1.2, 10.0, 'what comes counts, whatever was expected'),
    ([1.0], 1.3, 0.0, 'it was the only one'),
])
def test_the_rate_that_is_to_be_expected(arrivals_s, now_s, rate_hz, why):
    camera = Camera('front', CameraConfig(expected_rate_hz=20.0), CameraStats(), *[None] * 5)
    for time_s in arrivals_s:
        camera.stats.arrived(time_s)
    assert camera.rate_hz(now_s) == pytest.approx(rate_hz), why


@pytest.mark.parametrize(('arrivals_s', 'now_s', 'target_hz', 'rate_hz', 'why'), [
    ([], 0.0, 0.0, 0.0, 'no picture yet'),
    ([1.0], 1.0, 0.0, 0.0, 'one picture has no rate'),
    ([1.0, 1.1, 1.2], 1.2, 0.0, 10.0, 'one in 100 ms'),
    ([1.0, 1.1, 1.2, 1.5, 1.6], 1.6, 0.0, 10.0, 'a lost one changes nothing'),
    ([1.0, 1.1, 1.2], 1.2, 4.0, 4.0, 'not all of them are to be looked at'),
    ([1.0, 1.1, 1.2], 1.2, 40.0, 10.0, 'no more come'),
    ([1.0, 1.1, 1.2], 1.6, 0.0, 10.0, 'late'),
    ([1.0, 1.1, 1.2], 1.8, 0.0, 0.0, 'gone: it asks nothing'),
    ([1.0, 1.0], 1.0, 0.0, 0.0, 'two at the same time tell nothing'),
])
def test_the_rate_that_a_camera_asks_for(arrivals_s, now_s, target_hz, rate_hz, why):
    camera = Camera('front', CameraConfig(target_rate_hz=target_hz), CameraStats(), *[None] * 5)
    for time_s in arrivals_s:
        camera.stats.arrived(time_s)
    assert camera.rate_hz(now_s) == pytest.approx(rate_hz), why


def test_a_camera_that_nobody_asks_about_asks_for_no_time():
    camera = Camera('front', CameraConfig(), CameraStats(), *[None] * 5)
    for time_s in (1.0, 1.1, 1.2):
        camera.stats.arrived(time_s)
    camera.wanted = False
    assert camera.rate_hz(1.2) == 0.0
