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

"""What makes a picture worth labelling, on scenes made by hand."""

from __future__ import annotations

import itertools

import numpy as np
from ped_perception.core.tracker import Tracker
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections
from ped_perception.evaluation.worth import (
    chosen,
    Glimpse,
    LEAST_VALUES,
    look_of,
    note_scores,
    note_views,
    TrackWatch,
)
import pytest

HW = (480, 640)
MIDDLE, ELSEWHERE = (300, 200, 340, 300), (500, 200, 540, 300)


def detections(rows, stamp_ns=0):
    """Build detections of (box, score)."""
    return Detections('camera', stamp_ns, 'optical', HW,
                      np.array([box for box, _ in rows], np.float32).reshape(-1, 4),
                      np.array([score for _, score in rows], np.float32))


def glimpse(number=1, stamp_s=0.0, camera='camera', grey=0, **values):
    """Remember a grey picture that has some values."""
    made = Glimpse(number, camera, round(stamp_s * 1e9), np.full(192, grey, np.uint8))
    for reason, value in values.items():
        made.note(reason, value, f'{reason} of {number}')
    return made


@pytest.mark.parametrize(('scores', 'value'), [
    ([], 0),
    ([0.9, 0.1], 0),           # sure of both
    ([0.44], 1),               # could not be less sure
    ([0.38], 0.5),             # half of the margin away, below the threshold
    ([0.5, 0.38], 0.75),       # either of two may be wrong
])
def test_scores_near_the_threshold_are_unsure(scores, value):
    looked = glimpse()
    note_scores(looked, detections([(MIDDLE, score) for score in scores]), 0.44)
    found = looked.values['unsure'].value if looked.values else 0
    assert found == pytest.approx(value, abs=1e-6)


def test_the_least_sure_scores_are_told():
    looked = glimpse()
    note_scores(looked, detections([(MIDDLE, s) for s in (0.55, 0.54, 0.45, 0.4, 0.2)]), 0.44)
    assert looked.values['unsure'].why == '4 scores near the threshold of 0.44: 0.45, 0.40, 0.54'


@pytest.mark.parametrize(('whole', 'shrunk', 'value'), [
    ([(MIDDLE, 0.7)], [(MIDDLE, 0.6)], 0),
    ([(MIDDLE, 0.7)], [], 0.7),
    ([], [(MIDDLE, 0.8)], 0.8),
    ([(MIDDLE, 0.7)], [(ELSEWHERE, 0.6)], 0.7),     # each sees somebody else: the surer counts
    ([(MIDDLE, 0.7)], [(MIDDLE, 0.25)], 0),         # seen, though not surely
    ([(MIDDLE, 0.3)], [], 0),                       # nobody was sure
    ([((300, 200, 312, 230), 0.7)], [], 0),         # too small for the shrunk view
    ([], [((300, 200, 312, 230), 0.7)], 0.7),       # not too small for the whole one
])
def test_views_that_disagree(whole, shrunk, value):
    looked = glimpse()
    note_views(looked, [('whole', 1.0, detections(whole)),
                        ('whole@0.65', 0.65, detections(shrunk))], 0.44)
    assert (looked.values['views'].value if looked.values else 0) == pytest.approx(value)


def watched(scenes, rate_hz=10.0, stamps_s=None):
    """Follow the people of some scenes with the real tracker; give what was remembered."""
    tracker = Tracker(TrackerConfig(), itertools.count(1))
    watch, looked = TrackWatch(), []
    for number, rows in enumerate(scenes):
        stamp_s = number / rate_hz if stamps_s is None else stamps_s[number]
        looked.append(glimpse(number, stamp_s))
        watch.take(looked[-1], tracker.step(detections(rows, looked[-1].stamp_ns)))
    return looked


def worth(looked, reason):
    """Give the values of a reason by the number of the picture."""
    return {one.number: round(one.values[reason].value, 2) for one in looked
            if reason in one.values and one.values[reason].value >= LEAST_VALUES[reason]}


def test_somebody_lost_and_found_again_flickers():
    seen, lost = [(MIDDLE, 0.8)], []
    looked = watched([seen] * 6 + [lost] * 3 + [[(MIDDLE, 0.6)]] + [seen] * 3)
    # In the pictures where he was missed, as surely as he was seen around them.
    assert worth(looked, 'flicker') == {6: 0.6, 7: 0.6, 8: 0.6}
    assert looked[6].values['flicker'].why == 'person 1 was lost for 0.4 s and found again'


def test_somebody_who_stays_away_does_not():
    assert worth(watched([[(MIDDLE, 0.8)]] * 15 + [[]] * 30), 'flicker') == {}


def test_somebody_there_for_a_moment_flickers():
    looked = watched([[]] * 3 + [[(MIDDLE, 0.8)]] + [[]] * 12)
    assert worth(looked, 'flicker') == {3: 0.8}
    assert looked[3].values['flicker'].why == 'person 1 was there in one picture only'


@pytest.mark.parametrize(('box', 'after'), [
    ((600, 200, 640, 300), 12),     # came in from the side and went out again
    (MIDDLE, 0),                    # how long he is there is not known: the recording ends
])
def test_coming_and_going_is_no_flicker(box, after):
    assert worth(watched([[]] * 3 + [[(box, 0.8)]] * 2 + [[]] * after), 'flicker') == {}


def test_time_that_was_set_back_makes_nobody_vanish():
    stamps_s = [index / 10 for index in range(5)] * 2
    looked = watched([[(MIDDLE, 0.8)]] * 5 + [[]] * 5, stamps_s=stamps_s)
    assert worth(looked, 'flicker') == {}


def test_scores_that_jump_are_unstable():
    looked = watched([[(MIDDLE, score)] for score in (0.8, 0.8, 0.75, 0.8, 0.5, 0.8)])
    assert worth(looked, 'unstable') == {4: 0.3, 5: 0.3}
    assert looked[4].values['unstable'].why == 'the score of person 1 went from 0.80 to 0.50'


def numbers(picks):
    """Give number and reason of each pick."""
    return [(pick.number, pick.reason) for pick in picks]


def test_reasons_take_turns_and_each_takes_its_best():
    looked = [glimpse(1, 0, grey=0, flicker=0.5), glimpse(2, 10, grey=40, flicker=0.9),
              glimpse(3, 20, grey=80, unsure=0.9, unstable=0.3),
              glimpse(4, 30, grey=120, views=0.1), glimpse(5, 40, grey=200)]
    assert numbers(chosen(looked, 3, 10**9)) == [(2, 'flicker'), (3, 'unsure'), (5, 'different')]
    every = chosen(looked, 99, 10**9)
    # A disagreement too small to matter is no reason, but the picture is unlike the others.
    assert sorted(numbers(every)) == [(1, 'flicker'), (2, 'flicker'), (3, 'unsure'),
                                      (4, 'different'), (5, 'different')]
    assert every[1].why == 'unsure of 3; unstable of 3'


def test_time_between_pictures_of_a_camera():
    looked = [glimpse(1, 0.0, flicker=0.8), glimpse(2, 0.9, flicker=0.9),
              glimpse(3, 1.5, flicker=0.7), glimpse(4, 1.9, flicker=0.6),
              glimpse(5, 0.9, 'rear', flicker=0.5)]
    assert numbers(chosen(looked, 9, 10**9)) == [(2, 'flicker'), (4, 'flicker'), (5, 'flicker')]


def test_what_looks_like_a_chosen_one_is_worth_less():
    # The second best looks like the best; without looks it would come before the third.
    looked = [glimpse(1, 0, grey=10, flicker=0.9), glimpse(2, 10, grey=12, flicker=0.8),
              glimpse(3, 20, grey=200, flicker=0.5)]
    assert numbers(chosen(looked, 2, 0))[0] == (1, 'flicker')
    assert numbers(chosen(looked, 2, 0))[1][0] == 3


def test_a_camera_that_shows_nothing_else_is_no_variety():
    looked = [glimpse(number, number, grey=100) for number in range(10)]
    assert numbers(chosen(looked, 5, 0)) == [(0, 'different')]
    assert chosen([], 5, 0) == []


def test_looks_of_light_and_layout():
    dark = np.zeros((90, 160, 3), np.uint8)
    left = dark.copy()
    left[:, :80] = 255
    assert look_of(dark).shape == look_of(left).shape == (192,)
    assert np.abs(look_of(left).astype(int) - look_of(left[:, ::-1])).mean() == 255
    assert (look_of(left) == look_of(np.repeat(np.repeat(left, 2, 0), 2, 1))).all()
