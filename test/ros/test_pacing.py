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

"""When frames are due, with a clock of our own."""

from __future__ import annotations

import numpy as np
from ped_perception.ros.camera_node import names_from_topics
from ped_perception.ros.pacing import Pacer, Schedule
from ped_perception.ros.replay_clock import PERIOD_NS, ReplayClock
from ped_perception.sources import DecodedPicture, SourceFrame
import pytest

MS = 1_000_000


def frame(log_ms: float, camera: str = 'a') -> SourceFrame:
    """Give a frame that was recorded at a time."""
    log_ns = round(log_ms * MS)
    return SourceFrame(camera, log_ns, log_ns, '', DecodedPicture(np.zeros((1, 1, 3), np.uint8)))


@pytest.mark.parametrize(('rate_hz', 'speed', 'log_ms', 'due_ms'), [
    (0, 1.0, [500, 600, 850], [0, 100, 350]),      # as recorded, gaps and all
    (0, 0.5, [500, 600, 850], [0, 200, 700]),      # half as fast
    (20, 3.0, [500, 600, 850], [0, 50, 100]),      # a given rate knows no gaps and no speed
    (0, 1.0, [500, 400, 700], [0, 0, 200]),        # the recorder's clock was set back
])
def test_due_times(rate_hz, speed, log_ms, due_ms):
    schedule = Schedule(rate_hz, speed, 100 * MS)
    assert [schedule.due_ns(frame(time)) / MS for time in log_ms] == due_ms


def test_given_rate_counts_each_camera_by_itself():
    schedule = Schedule(10, 1.0, 100 * MS)
    due = [schedule.due_ns(frame(0, camera)) / MS for camera in 'abaab']
    assert due == [0, 0, 100, 200, 200]


@pytest.mark.parametrize(('rate_hz', 'due_ms'), [
    (0, [0, 300, 400, 700]), (10, [0, 100, 200, 300])])
def test_round_follows_round_after_one_period(rate_hz, due_ms):
    schedule = Schedule(rate_hz, 1.0, 100 * MS)
    due = []
    for _ in range(2):
        due += [schedule.due_ns(frame(time)) / MS for time in (500, 800)]
        schedule.begin_round()
    assert due == due_ms


def test_deadlines_do_not_drift():
    now = [7_000 * MS]
    pacer = Pacer(50 * MS, lambda: now[0])
    for index in range(100):
        wait_ns = pacer.wait_ns(index * 40 * MS)
        # Each frame takes 10 ms to prepare, and each wait is 1 ms too long.
        now[0] += wait_ns + 1 * MS
        assert pacer.give_up_lateness(index * 40 * MS) == 0
        now[0] += 10 * MS
    assert now[0] == (7_000 + 99 * 40 + 1 + 10) * MS


def test_late_frame_moves_the_deadlines_instead_of_causing_a_burst():
    now = [0]
    pacer = Pacer(50 * MS, lambda: now[0])
    pacer.wait_ns(0)
    now[0] = 340 * MS
    assert pacer.give_up_lateness(40 * MS) == 300 * MS
    assert pacer.wait_ns(80 * MS) == 40 * MS
    assert (pacer.late_frames, pacer.late_ns) == (1, 300 * MS)


class FakeNode:
    """Takes what a node's publisher would send."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def create_publisher(self, _kind, topic, _qos):
        assert topic == '/clock'
        return self

    def publish(self, message) -> None:
        self.sent.append(message.clock.sec * 1000 * MS + message.clock.nanosec)


def test_clock_runs_from_frame_to_frame_at_the_speed_of_the_player():
    node = FakeNode()
    clock = ReplayClock(node)
    clock.show(1_000 * MS, 0)
    # The next frame was recorded 200 ms later and is played 100 ms later.
    played_ns = clock.tick(0, 1_200 * MS, 100 * MS)
    while played_ns < 100 * MS:
        played_ns += clock.tick(played_ns, 1_200 * MS, 100 * MS)
    assert node.sent == [1_000 * MS, 1_050 * MS, 1_100 * MS, 1_150 * MS]
    assert played_ns == 4 * PERIOD_NS
    clock.show(1_200 * MS, 100 * MS)
    # The loop begins again: nothing between the end and the beginning.
    assert clock.tick(150 * MS, 1_000 * MS, 200 * MS) == 50 * MS
    assert node.sent[4:] == [1_200 * MS]


@pytest.mark.parametrize(('topics', 'names'), [
    (['/anything'], ['only']),
    (['/front/image_raw', '/rear/image_raw/compressed'], ['front', 'rear']),
    (['/cam/front/image', '/cam/rear/image'], ['cam/front', 'cam/rear']),
    (['/stereo/left', '/stereo/right', '/mono/image'], ['stereo/left', 'stereo/right', 'mono']),
    (['/image_raw', '/front/image_raw'], ['image_raw', 'front']),
])
def test_cameras_are_named_after_their_topics(topics, names):
    assert list(names_from_topics(topics, 'only').values()) == names
