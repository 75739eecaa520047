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

"""Miss rate against false positives, in cases counted by hand."""

from __future__ import annotations

import numpy as np
from ped_perception.evaluation.miss_rate import Curve, matched, Setting, SETTINGS
from ped_perception.evaluation.mot import Labels
import pytest

ALL = Setting('all', 0.0)
HERE, THERE, FAR = [0, 0, 40, 100], [100, 0, 140, 100], [500, 0, 540, 100]
NONE = np.zeros((0, 4))


def labels(*people, uncounted=()):
    """Make the labels of a picture from boxes."""
    every = [*people, *uncounted]
    return Labels(np.arange(len(every)), np.array(every, float).reshape(-1, 4),
                  np.array([True] * len(people) + [False] * len(uncounted), bool))


def match(truth, *rows, regions=NONE, setting=ALL):
    """Match (box, score) rows."""
    return matched(truth, np.array([box for box, _ in rows], float).reshape(-1, 4),
                   np.array([score for _, score in rows], float), np.array(regions), setting)


@pytest.mark.parametrize(('truth', 'rows', 'person', 'why'), [
    (labels(HERE, THERE), [(THERE, 0.5), (HERE, 0.9)], [0, 1], 'best score first'),
    (labels(HERE), [(HERE, 0.5), ([1, 0, 41, 100], 0.9)], [0, -1], 'found twice: one is a ghost'),
    (labels(HERE), [([0, 0, 40, 50], 0.9)], [0], 'an overlap of one half is enough'),
    (labels(HERE), [([0, 0, 40, 49], 0.9)], [-1], 'less is not'),
    (labels(HERE, [10, 0, 50, 100]), [([9, 0, 49, 100], 0.9), (HERE, 0.8)], [1, 0],
     'it takes the one that it overlaps most'),
    (labels(uncounted=[HERE]), [(HERE, 0.9), (HERE, 0.8)], [], 'ignored, however often'),
    (labels(uncounted=[[0, 0, 400, 400]]), [(HERE, 0.9), (FAR, 0.8)], [-1],
     'half of the box inside is enough, however large the crowd'),
    (labels(HERE, uncounted=[HERE]), [(HERE, 0.9)], [0], 'who counts comes first'),
])
def test_matching(truth, rows, person, why):
    assert match(truth, *rows).person_n.tolist() == person


def test_regions_are_ignored():
    found = match(labels(), (FAR, 0.9), (HERE, 0.8), regions=[[490, 0, 600, 200]])
    assert found.scores_n.tolist() == [0.8]


def test_heights_outside_of_a_setting_neither_help_nor_harm():
    tall = Setting('tall', 80.0, 200.0)
    small = [100, 0, 120, 70]
    found = match(labels(HERE, small), (small, 0.9), (HERE, 0.8), ([300, 0, 330, 63], 0.7),
                  ([300, 0, 330, 65], 0.6), setting=tall)
    assert found.people == 1
    # The found small one is ignored, a ghost of 63 px is too small, one of 65 px is within 1.25.
    assert found.scores_n.tolist() == [0.8, 0.6]
    assert found.person_n.tolist() == [0, -1]


def test_hidden_people_neither_help_nor_harm():
    """Of whom less is seen than a setting wants may be found or not."""
    truth = Labels(np.arange(3), np.array([HERE, THERE, FAR], float), np.ones(3, bool),
                   visible_n=np.array([1.0, 0.65, 0.64]))
    reasonable, everybody = SETTINGS
    found = match(truth, (FAR, 0.9), (THERE, 0.8), setting=reasonable)
    assert (found.people, found.person_n.tolist()) == (2, [1])
    assert match(truth, setting=everybody).people == 3


def test_log_average_miss_rate_counted_by_hand():
    """Ten pictures with one person each; eight are found before the only ghost, then one more."""
    pictures = [match(labels(HERE), (HERE, 0.9)) for _ in range(7)]
    pictures += [match(labels(HERE), (HERE, 0.9), (FAR, 0.5)), match(labels(HERE), (HERE, 0.4)),
                 match(labels(HERE))]
    curve = Curve.of(pictures)
    assert curve.score_n.tolist() == [0.9, 0.5, 0.4]
    assert curve.recall_n.tolist() == pytest.approx([0.8, 0.8, 0.9])
    assert curve.rate_n.tolist() == pytest.approx([0, 0.1, 0.1])
    # Rates 0.01, 0.018, 0.032, 0.056 allow no ghost; 0.1 to 1 allow it: five of nine.
    assert curve.log_average_miss_rate() == pytest.approx(0.2 ** (4 / 9) * 0.1 ** (5 / 9))


@pytest.mark.parametrize(('pictures', 'expected', 'why'), [
    ([match(labels(HERE))], 1.0, 'nothing found'),
    ([match(labels(HERE), (HERE, 0.5), (FAR, 0.9))], 1.0 ** (8 / 9) * 1e-10 ** (1 / 9),
     'a ghost in each picture comes first: only the last rate allows it'),
])
def test_ends_of_the_log_average_miss_rate(pictures, expected, why):
    assert Curve.of(pictures).log_average_miss_rate() == pytest.approx(expected)


def test_recall_at_a_precision():
    curve = Curve.of([match(labels(HERE, THERE), (HERE, 0.9), (FAR, 0.8), (THERE, 0.7))])
    assert curve.at_precision(0.95) == (0.5, 0.9)
    assert curve.at_precision(0.6) == (1.0, 0.7)
    assert Curve.of([match(labels(HERE), (FAR, 0.8))]).at_precision(0.5) == (0.0, 1.0)
