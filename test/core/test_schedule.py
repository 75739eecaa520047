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

"""Who is looked at when there is no time for all."""

from __future__ import annotations

from collections import Counter

from ped_perception.core.schedule import RateLimit, Schedule
import pytest

SIX = [f'c{i}' for i in range(6)]
ONE_VIEW = dict.fromkeys(SIX, 1)


def served(schedule, steps, budget_s, present=lambda step, camera: True):
    """Run some steps and count how often each camera was looked at."""
    counts = Counter()
    for step in range(steps):
        chosen = schedule.choose([c for c in SIX if present(step, c)], ONE_VIEW, budget_s)
        schedule.measured(len(chosen), 0.03 * len(chosen))
        counts.update(chosen)
    return counts


def test_with_time_for_all_all_are_looked_at():
    schedule = Schedule(dict.fromkeys(SIX, 1.0))
    assert served(schedule, 50, 1.0) == dict.fromkeys(SIX, 50)
    assert schedule.left_out == 0


def test_without_time_equals_share_equally():
    counts = served(Schedule(dict.fromkeys(SIX, 1.0)), 600, 0.065)
    assert max(counts.values()) - min(counts.values()) <= 6
    assert sum(counts.values()) == pytest.approx(1200, abs=10), 'two fit the budget'


def test_priority_is_a_share_and_nobody_starves():
    counts = served(Schedule({**dict.fromkeys(SIX, 1.0), 'c2': 3.0}), 800, 0.035)
    assert counts['c2'] == pytest.approx(300, abs=10)
    assert min(counts.values()) == pytest.approx(100, abs=10)


def test_who_is_urgent_is_looked_at_more_often_as_long_as_he_is_and_nobody_starves():
    schedule = Schedule({**dict.fromkeys(SIX, 1.0), 'c2': 3.0})
    schedule.measured(1, 0.03)
    counts = Counter(schedule.choose(SIX, ONE_VIEW, 0.035, {'c1', 'c2'}, 2.0)[0]
                     for _ in range(1200))
    assert counts['c2'] == pytest.approx(600, abs=10), 'a factor, not a share of its own'
    assert counts['c1'] == pytest.approx(200, abs=10)
    assert min(counts.values()) == pytest.approx(100, abs=10)
    counts = served(schedule, 800, 0.035)
    assert counts['c2'] == pytest.approx(300, abs=10)


def test_who_was_away_does_not_come_back_with_a_claim():
    schedule = Schedule(dict.fromkeys(SIX, 1.0))
    served(schedule, 300, 0.035, present=lambda step, camera: camera != 'c0')
    counts = served(schedule, 60, 0.035)
    assert counts['c0'] <= 12


def test_one_is_always_chosen_and_an_empty_road_needs_none():
    schedule = Schedule(dict.fromkeys(SIX, 1.0))
    schedule.measured(1, 10.0)
    assert len(schedule.choose(SIX, ONE_VIEW, 0.001)) == 1
    assert schedule.choose([], {}, 0.1) == []


def test_further_views_take_slots():
    schedule = Schedule(dict.fromkeys(SIX, 1.0))
    schedule.measured(10, 0.1)
    assert len(schedule.choose(SIX, dict.fromkeys(SIX, 2), 0.0601)) == 3


def test_a_smaller_network_tells_a_little_about_the_large_one():
    schedule = Schedule({'c0': 1.0})
    schedule.measured(2, 0.04, 0.5)
    assert schedule.slot_s == pytest.approx(0.04), 'better than nothing'
    # It takes longer for its size: what was measured counts for more, but not for ever.
    for _ in range(50):
        schedule.measured(1, 0.03, 1.0)
    for _ in range(4):
        schedule.measured(6, 0.30, 0.5)
    assert 0.03 < schedule.slot_s < 0.05
    for _ in range(100):
        schedule.measured(6, 0.06, 0.5)
    assert schedule.slot_s == pytest.approx(0.02, rel=0.05), 'the computer is free again'


@pytest.mark.parametrize(('camera_hz', 'target_hz', 'expected_hz', 'why'), [
    (30, 0, 30, 'no target, no limit'),
    (30, 10, 10, 'every third'),
    (30, 30, 30, 'the same rate loses nothing'),
    (30, 12, 12, 'not a divisor: the mean is right'),
    (10, 25, 10, 'a slow camera is never limited'),
])
def test_target_rate(camera_hz, target_hz, expected_hz, why):
    limit = RateLimit()
    through = sum(limit.lets_through(5 + i / camera_hz + 0.004 * (i % 3 - 1), target_hz)
                  for i in range(camera_hz * 20))
    assert through / 20 == pytest.approx(expected_hz, rel=0.05), why


def test_a_rate_that_was_raised_counts_at_once():
    """A camera that was slow while parked must not stay blind while the vehicle drives off."""
    limit = RateLimit()
    assert limit.lets_through(0.0, 0.05)
    assert not limit.lets_through(1.0, 0.05)
    assert not limit.lets_through(1.01, 10)
    assert limit.lets_through(1.11, 10)


def test_who_was_not_looked_at_closely_goes_first():
    schedule = Schedule({'a': 1.0, 'b': 1.0, 'c': 5.0})
    schedule.measured(1, 0.03)
    behind = {'a': 0, 'b': 4, 'c': 1}
    assert schedule.choose('abc', dict.fromkeys('abc', 1), 0.06, behind=behind) == ['b', 'c']
    # In turn again afterwards: nobody was given anything for it.
    chosen = [schedule.choose('abc', dict.fromkeys('abc', 1), 0.03)[0] for _ in range(70)]
    assert [chosen.count(camera) for camera in 'abc'] == pytest.approx([10, 10, 50], abs=2)


def test_after_a_gap_there_is_no_burst():
    limit = RateLimit()
    assert limit.lets_through(0.0, 10)
    assert [limit.lets_through(60 + i / 100, 10) for i in range(20)].count(True) <= 3
