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

"""Further views are left out before pictures are, and only when there is no time."""

from __future__ import annotations

from ped_perception.core.overload import ViewBudget
import pytest


def drive(period_s, all_s, first_s, pictures=400, hiccup=None):
    """
    Simulate a camera and an inference thread that looks at the newest picture.

    Returns:
        Pictures dropped, and the share of steps with all views.
    """
    budget, now_s, newest, dropped, seen = ViewBudget(), 0.0, 0, 0, []
    while newest < pictures:
        arrived = max(newest + 1, int(now_s / period_s))
        replaced = arrived > newest + 1
        dropped += arrived - newest - 1
        newest = arrived
        waited_s = max(0.0, arrived * period_s - now_s)
        everything = budget.all_views(waited_s, replaced)
        seen.append(everything)
        now_s += waited_s + (all_s if everything else first_s) * (3 if newest == hiccup else 1)
    assert budget.reduced == len(seen) - sum(seen)
    return dropped, sum(seen) / len(seen)


@pytest.mark.parametrize(('all_s', 'first_s', 'dropped', 'share', 'why'), [
    (0.020, 0.010, 0, (1.0, 1.0), 'plenty of time: always all views'),
    (0.038, 0.019, 0, (1.0, 1.0), 'just enough time is enough'),
    (0.042, 0.021, 0, (0.4, 0.6), 'a little too slow: all views for every second picture'),
    (0.060, 0.030, 0, (0.2, 0.4), 'half too slow: a smaller part'),
    (0.076, 0.038, 0, (0.02, 0.1), 'one view just fits'),
    (0.100, 0.020, 8, (0.0, 0.05), 'further views that cost pictures are hardly tried'),
])
def test_no_picture_is_dropped_for_a_further_view(all_s, first_s, dropped, share, why):
    lost, everything = drive(0.040, all_s, first_s)
    assert lost <= dropped, why
    assert share[0] <= everything <= share[1], why


def test_one_slow_step_is_no_overload():
    lost, everything = drive(0.040, 0.030, 0.015, hiccup=200)
    assert lost <= 1
    assert everything > 0.85


@pytest.mark.parametrize(('load', 'replaced', 'expected', 'why'), [
    (0.5, False, True, 'cameras that are not synchronised wait for each other by chance'),
    (1.2, False, False, 'there is no time'),
    (0.5, True, False, 'a picture was lost all the same'),
])
def test_time_to_spare_allows_all_views_for_a_picture_that_waited(load, replaced, expected, why):
    budget = ViewBudget()
    budget.all_views(1.0, False, load)
    assert budget.all_views(0.0, replaced, load) is expected, why
