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

"""Before a picture is dropped it is looked at less closely, and only when there is no time."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from ped_perception.core.overload import Demand, Look, LookChooser
from ped_perception.core.schedule import Schedule
import pytest

ALL, FIRST, SMALL = Look
SMALL_SHARE = 0.43


def drive(period_s, slot_s, small_share=SMALL_SHARE, views=2, pictures=400, hiccup=None):
    """
    Simulate a camera and an inference thread that looks at the newest picture.

    Returns:
        Pictures dropped, and the shares of steps with each look.
    """
    chooser, now_s, newest, dropped = LookChooser(), 0.0, 0, 0
    while newest < pictures:
        arrived = max(newest + 1, int(now_s / period_s))
        dropped += arrived - newest - 1
        newest = arrived
        now_s = max(now_s, arrived * period_s)
        look = chooser.choose([Demand(views, 1 / period_s, now_s - arrived * period_s)], slot_s,
                              small_share)
        slots = {ALL: views, FIRST: 1, SMALL: small_share}[look]
        now_s += slots * slot_s * (3 if newest == hiccup else 1)
    steps = sum(chooser.counts.values())
    return dropped, [chooser.counts[look] / steps for look in Look]


@pytest.mark.parametrize(('slot_s', 'all_views', 'first', 'small', 'why'), [
    (0.010, (1.0, 1.0), (0, 0), (0, 0), 'plenty of time: always all views'),
    (0.020, (1.0, 1.0), (0, 0), (0, 0), 'just enough time is enough'),
    (0.025, (0.5, 0.65), (0.35, 0.5), (0, 0), 'a little too slow: now and then the first view'),
    (0.030, (0.3, 0.35), (0.65, 0.7), (0, 0), 'half too slow: mostly the first view'),
    (0.038, (0.0, 0.0), (1.0, 1.0), (0, 0), 'one view just fits'),
    (0.050, (0.0, 0.0), (0.5, 0.6), (0.4, 0.5), 'not even that: the small network helps out'),
])
def test_no_picture_is_dropped_while_a_less_close_look_is_fast_enough(
        slot_s, all_views, first, small, why):
    dropped, shares = drive(0.040, slot_s)
    assert dropped == 0, why
    for share, (least, most) in zip(shares, (all_views, first, small), strict=True):
        assert least <= share <= most, (why, shares)


@pytest.mark.parametrize(('slot_s', 'small_share', 'look', 'why'), [
    (0.050, None, FIRST, 'there is no small network'),
    (0.300, 0.43, FIRST, 'the small one would miss most of them, too: the others deserve more'),
])
def test_pictures_are_dropped_where_nothing_else_is_left(slot_s, small_share, look, why):
    dropped, shares = drive(0.040, slot_s, small_share)
    assert dropped > 0
    assert shares[list(Look).index(look)] == 1.0, why


@pytest.mark.parametrize(('slot_s', 'of_those', 'why'), [
    (0.060, 0.0, 'no picture is lost for it'),
    (0.065, 0.05, 'hardly one'),
    (0.080, 0.5, 'half as many as with the large network alone'),
    (0.150, 0.8, 'no more than then, at any rate'),
])
def test_every_third_step_looks_for_the_farthest_people(slot_s, of_those, why):
    lost, (_, first, small) = drive(0.040, slot_s)
    lost_by_the_large_one, _ = drive(0.040, slot_s, None)
    assert lost <= of_those * lost_by_the_large_one, why
    assert (first, small) == pytest.approx((1 / 3, 2 / 3), abs=0.005)


@pytest.mark.parametrize(('slot_s', 'least', 'most', 'why'), [
    (0.012, 1.0, 1.0, 'there is time to spare: it is made up for'),
    (0.018, 0.9, 0.999, 'there is none: further views are left out until it is made up for'),
])
def test_a_slow_step_costs_further_views_rather_than_pictures(slot_s, least, most, why):
    # Its own time is three times the usual one: a little more than two periods.
    dropped, shares = drive(0.040, slot_s, hiccup=200)
    assert dropped <= 1
    assert least <= shares[0] <= most, why


def test_a_camera_with_one_view_has_none_to_leave_out():
    _, (everything, first, small) = drive(0.040, 0.050, views=1)
    assert first == 0
    assert everything > 0.5
    assert small > 0.3


@pytest.mark.parametrize(('demands', 'slot_s', 'look', 'why'), [
    ([Demand(2, 10, 0.09), Demand(2, 10, 0.0), Demand(2, 10)], 0.010, ALL,
     'cameras that are not synchronised wait for each other by chance: there is time to spare'),
    ([Demand(2, 10, 0.095), Demand(2, 10, 0.0), Demand(2, 10)], 0.015, FIRST,
     'there is no time to spare, and the picture that waited would make its successors wait'),
    ([Demand(2, 10, 0.05), Demand(1, 10, 0.0), Demand(1, 10, 0.0)], 0.025, FIRST,
     'a step takes as long as the pictures of all cameras together'),
    ([Demand(2, 0, 0.0)], 0.5, ALL, 'the first picture: nothing is known against it'),
    ([Demand(2, 30, 1.0)], 0.014, FIRST, 'it is late already'),
    ([], 0.02, ALL, 'nothing to look at'),
])
def test_the_choice_for_some_cameras(demands, slot_s, look, why):
    chooser = LookChooser()
    assert chooser.choose(demands, slot_s, None) is look, why
    assert chooser.counts[look] == 1


@pytest.mark.parametrize(('demands', 'look', 'why'), [
    ([Demand(2, 15, 0.0)] * 3, SMALL, 'it looks at all of them'),
    ([Demand(2, 60, 0.0)] * 3, FIRST, 'it would miss half of them'),
    ([Demand(2, 15, 0.0)] * 3 + [Demand(2, 120, 0.0)], SMALL,
     'it would miss half of one camera: no reason to let the others go'),
    ([Demand(2, 15, 0.0), Demand(2, 15, 0.0), Demand(2, 15, 0.0, 6)], FIRST,
     'the large one has not looked at one of them for long'),
    ([Demand(2, 15, 0.05), Demand(2, 15, 0.0), Demand(2, 15, None, 6)], SMALL,
     'nor will it now: there is no picture'),
])
def test_when_the_small_network_looks_for_several_cameras(demands, look, why):
    assert LookChooser().choose(demands, 0.035, 0.43) is look, why


def test_the_large_network_looks_at_every_camera():
    """One of its steps takes fewer cameras than those of the small one: not always the same."""
    cameras, rate_hz, slot_s = 6, 10, 0.06
    names = [f'c{number}' for number in range(cameras)]
    schedule, chooser = Schedule(dict.fromkeys(names, 1.0)), LookChooser()
    schedule.measured(1, slot_s)
    small_in_a_row = dict.fromkeys(names, 0)
    last_s, longest_s = dict.fromkeys(names, 0.0), 0.0
    seen_s = dict.fromkeys(names, -1.0)
    now_s = 0.0
    while now_s < 60:
        # The newest picture of each, which come one after the other.
        newest_s = {name: (int(now_s * rate_hz - 0.37 * number) + 0.37 * number) / rate_hz
                    for number, name in enumerate(names)}
        waiting = [name for name in names if newest_s[name] > seen_s[name]]
        if not waiting:
            now_s += 0.002
            continue
        look = chooser.choose([
            Demand(1, rate_hz, now_s - newest_s[name] if name in waiting else None,
                   small_in_a_row[name]) for name in names], slot_s, SMALL_SHARE)
        cost = SMALL_SHARE if look is SMALL else 1.0
        chosen = schedule.choose(waiting, dict.fromkeys(names, cost), 0.15,
                                 behind={} if look is SMALL else small_in_a_row)
        now_s += cost * slot_s * len(chosen)
        for name in chosen:
            seen_s[name] = newest_s[name]
            small_in_a_row[name] = small_in_a_row[name] + 1 if look is SMALL else 0
            if look is not SMALL:
                longest_s = max(longest_s, now_s - last_s[name])
                last_s[name] = now_s
    longest_s = max(longest_s, *(now_s - at_s for at_s in last_s.values()))
    assert chooser.counts[SMALL] > 0
    assert longest_s < 2.0


@given(st.lists(st.builds(Demand, st.integers(1, 4), st.floats(0, 200),
                          st.none() | st.floats(0, 2)), max_size=6),
       st.floats(0, 1), st.floats(0.1, 0.9), st.floats(1, 3))
def test_a_slower_network_is_never_looked_through_more_closely(demands, slot_s, small, slower):
    order = list(Look)
    # From there on the choice goes back to the close look.
    assume(sum(demand.rate_hz for demand in demands) * slot_s * slower * small < 2)
    before = LookChooser().choose(demands, slot_s, small)
    after = LookChooser().choose(demands, slot_s * slower, small)
    assert order.index(after) >= order.index(before)
