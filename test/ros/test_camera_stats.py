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

"""What is counted of a camera, and what is told of its problems."""

from __future__ import annotations

from ped_perception.core.overload import Look
from ped_perception.ros.camera_stats import CameraStats, Drop
import pytest

pytestmark = pytest.mark.ros


def looked_at(stats, times=1):
    """Have some pictures looked at."""
    for _ in range(times):
        stats.looked_at(1.0, 1.1, 0.1, 0)


def test_a_problem_is_told_while_it_lasts_and_forgotten_when_it_is_over():
    stats = CameraStats()
    stats.dropped(Drop.BAD, 'cut')
    assert (stats.problem, stats.last_problem, stats.bad_share) == ('cut', 'cut', 1.0)
    looked_at(stats)
    assert (stats.problem, stats.last_problem, stats.bad_share) == ('', 'cut', 0.5)
    looked_at(stats, 31)
    assert (stats.last_problem, stats.bad_share) == ('', 0.0)


@pytest.mark.parametrize(('cause', 'share', 'why'), [
    (Drop.BAD, 0.5, 'it cannot be decoded'),
    (Drop.TOO_OLD, 0.5, 'it says nothing about now'),
    (Drop.INFERENCE, 0.5, 'nobody knows who was in it'),
    (Drop.REPLACED, 0.0, 'a newer one was looked at'),
    (Drop.RATE, 0.0, 'by choice'),
    (Drop.IDLE, 0.0, 'nobody asked'),
])
def test_pictures_that_should_have_been_looked_at_are_missed(cause, share, why):
    stats = CameraStats()
    looked_at(stats)
    stats.dropped(cause)
    assert stats.bad_share == share, why
    assert stats.total_dropped == stats.drops[cause] == 1


def test_the_period_is_not_changed_by_a_lost_picture():
    stats = CameraStats()
    for time_s in [0.0, 0.1, 0.2, 0.4, 0.5, 0.6]:
        stats.arrived(time_s)
    assert stats.period_s == pytest.approx(0.1)


@pytest.mark.parametrize('odd', [False, True])
def test_pictures_that_come_in_pairs_come_half_as_fast(odd):
    """The short intervals say nothing of when the next picture is due."""
    stats = CameraStats()
    for pair in range(20):
        stats.arrived(pair * 0.2)
        if not (odd and pair == 19):
            stats.arrived(pair * 0.2 + 0.002)
    assert 0.07 < stats.period_s < 0.21


def test_pictures_left_to_the_small_network_are_counted_until_the_large_one_looks():
    stats = CameraStats()
    for look, expected in ((Look.SMALL_NETWORK, 1), (Look.SMALL_NETWORK, 2),
                           (Look.FIRST_VIEW, 0), (Look.SMALL_NETWORK, 1)):
        stats.looks_at(look)
        assert stats.small_in_a_row == expected


def test_how_closely_the_newest_pictures_were_looked_at():
    stats = CameraStats()
    assert stats.share_of(Look.SMALL_NETWORK) == 0.0, 'before the first'
    for look in [Look.SMALL_NETWORK] * 100 + [Look.FIRST_VIEW] * 8:
        stats.looks_at(look)
    assert stats.share_of(Look.SMALL_NETWORK) == 0.75, 'of the newest 32'
    assert stats.share_of(Look.FIRST_VIEW) == 0.25
    assert stats.looks[Look.SMALL_NETWORK] == 100
