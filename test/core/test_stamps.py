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

"""Judging pictures by their stamps."""

from __future__ import annotations

from ped_perception.core.stamps import AgeConfig, stamp_problem, StampGuard, StampVerdict
import pytest

FINE, TOO_OLD, FUTURE, REPEATED, DISORDERED = StampVerdict
LIMITS = AgeConfig(max_frame_age_s=0.5, max_future_s=0.2, jump_back_s=1.0)


@pytest.mark.parametrize(('pictures', 'config', 'verdicts', 'jumps', 'why'), [
    ([(10.0, 10.05), (10.1, 10.15)], LIMITS, [FINE, FINE], 0, 'a camera as it should be'),
    ([(10.0, 10.51), (10.3, 10.52)], LIMITS, [TOO_OLD, FINE], 0, 'one picture came too late'),
    ([(10.0, 9.7), (9.9, 9.9)], LIMITS, [FUTURE, FINE], 0,
     'clocks differ; a stamp that was refused does not make a later one out of order'),
    ([(10.0, 10.4), (10.0, 10.6)], LIMITS, [FINE, REPEATED], 0,
     'a stamp that stands still, not one that is too old'),
    ([(0.0, 1.7e9)] * 2, LIMITS, [TOO_OLD] * 2, 0, 'no stamps at all'),
    ([(0.0, 1.7e9)], LIMITS, [TOO_OLD], 0, 'a driver that does not stamp'),
    ([(10.0, 0.0)], LIMITS, [FUTURE], 0, '/clock is missing under use_sim_time'),
    ([(10.0, 10.0)] * 3, LIMITS, [FINE, REPEATED, REPEATED], 0, 'a frozen stamp'),
    ([(10.0, 10.0), (9.9, 10.0), (10.1, 10.1)], LIMITS, [FINE, DISORDERED, FINE], 0,
     'two publishers on one topic'),
    ([(100.0, 100.0), (5.0, 5.1), (5.2, 5.2)], LIMITS, [FINE, FINE, FINE], 1,
     'a bag that begins again with its clock'),
    ([(100.0, 0.0), (5.0, 0.0), (5.1, 0.0)], AgeConfig(max_frame_age_s=0), [FINE] * 3, 1,
     'without a limit the clock does not matter'),
])
def test_verdicts(pictures, config, verdicts, jumps, why):
    guard = StampGuard()
    judged = [guard.judge(round(stamp_s * 1e9), round(now_s * 1e9), config)
              for stamp_s, now_s in pictures]
    assert judged == verdicts, why
    assert guard.jumps == jumps, why


def test_after_a_reset_an_older_stamp_is_no_jump():
    guard = StampGuard()
    guard.judge(10**10, 10**10, LIMITS)
    guard.reset()
    assert guard.judge(10**9, 10**9, LIMITS) is FINE
    assert guard.jumps == 0


@pytest.mark.parametrize(('verdict', 'stamp_s', 'why'), [
    (FUTURE, 13, 'not clocks that differ: the pictures go on without it'),
    (REPEATED, 10, 'not a driver that repeats itself: a simulator that is paused'),
])
def test_a_clock_that_stands_is_told_instead_of_what_it_looks_like(verdict, stamp_s, why):
    said = stamp_problem(verdict, stamp_s * 10**9, 10 * 10**9, LIMITS, clock_stands=True)
    assert '/clock does not go on' in said, why


@pytest.mark.parametrize(('verdict', 'stamp_s', 'now_s', 'fragment', 'why'), [
    (FINE, 10.0, 10.1, '', 'nothing is wrong'),
    (TOO_OLD, 10.0, 10.7, '0.700 s old', 'late'),
    (TOO_OLD, 0.0, 1.7e9, 'another time base', 'a driver that does not stamp'),
    (FUTURE, 1e6, 10.0, 'another time base', 'a bag of another day, with a clock'),
    (FUTURE, 10.0, 0.0, '/clock', 'simulated time that does not come'),
    (FUTURE, 13.0, 10.0, 'PTP', 'clocks that differ'),
    (REPEATED, 10.0, 10.0, 'does not change', 'a frozen stamp'),
    (DISORDERED, 10.0, 10.0, 'two publishers', 'a second camera on the topic'),
])
def test_words(verdict, stamp_s, now_s, fragment, why):
    said = stamp_problem(verdict, round(stamp_s * 1e9), round(now_s * 1e9), LIMITS)
    assert fragment in said, why
    assert bool(said) == (verdict is not FINE)
