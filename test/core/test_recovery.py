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

"""Failures of the inference, over time."""

from __future__ import annotations

from ped_perception.core.recovery import Recovery, RecoveryConfig
import pytest

CONFIG = RecoveryConfig(first_wait_s=0.1, longest_wait_s=1.0, give_up_s=5.0)


def test_attempts_come_ever_later_up_to_a_limit():
    recovery = Recovery(CONFIG)
    waits_s = [recovery.failed(0.0, 'no memory') for _ in range(60)]
    assert waits_s[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0])
    assert set(waits_s[5:]) == {1.0}


def test_between_attempts_nothing_is_tried():
    recovery = Recovery(CONFIG)
    assert recovery.may_try(0.0)
    recovery.failed(10.0, 'no memory')
    assert not recovery.may_try(10.05)
    assert recovery.may_try(10.11)


def test_the_second_failure_in_a_row_asks_for_a_new_backend():
    recovery = Recovery(CONFIG)
    recovery.failed(0.0, 'no memory')
    assert not recovery.needs_new_backend
    recovery.failed(0.2, 'no memory')
    assert recovery.needs_new_backend


def test_lost_is_counted_from_the_first_failure_of_the_row():
    recovery = Recovery(CONFIG)
    assert not recovery.is_lost(1e9)
    recovery.failed(10.0, 'no memory')
    recovery.failed(14.0, 'no memory')
    recovery.failed(14.8, 'no memory')
    assert not recovery.is_lost(14.9)
    assert recovery.is_lost(15.0)


def test_what_nobody_tried_again_is_not_lost():
    """No picture came after the failure: the camera died, or nobody asks any more."""
    recovery = Recovery(CONFIG)
    recovery.failed(10.0, 'a hiccup')
    assert not recovery.is_lost(1e9)


def test_a_success_forgives_everything_but_the_total():
    recovery = Recovery(CONFIG)
    recovery.failed(10.0, 'no memory')
    assert recovery.problem == 'no memory'
    assert recovery.succeeded()
    assert not recovery.succeeded(), 'said once'
    assert (recovery.failures, recovery.problem, recovery.total) == (0, '', 1)
    assert recovery.may_try(10.0)
    assert not recovery.is_lost(1e9)
    assert recovery.failed(20.0, 'again') == pytest.approx(0.1)
