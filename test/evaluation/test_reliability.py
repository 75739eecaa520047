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

"""Whether scores mean what they say, counted by hand."""

from __future__ import annotations

import numpy as np
from ped_perception.evaluation.miss_rate import Found
from ped_perception.evaluation.reliability import score_calibration
import pytest


def found(*rows):
    """Make what became of (score, right) detections."""
    return Found(np.array([score for score, _ in rows]),
                 np.array([0 if right else -1 for _, right in rows], np.int64), 1,
                 np.zeros(1), np.arange(len(rows)))


def test_bins_and_error_counted_by_hand():
    result = score_calibration([found((0.95, True), (0.65, True)), found((0.65, False),
                                                                         (1.0, False))])
    bins = {row['from_score']: row for row in result['bins']}
    assert len(bins) == 10
    assert [bins[0.6]['detections'], bins[0.9]['detections']] == [2, 2]
    assert (bins[0.6]['mean_score'], bins[0.6]['precision']) == pytest.approx((0.65, 0.5))
    assert (bins[0.9]['mean_score'], bins[0.9]['precision']) == pytest.approx((0.975, 0.5))
    assert bins[0.1]['precision'] is None
    assert result['expected_error'] == pytest.approx(0.5 * 0.15 + 0.5 * 0.475)


def test_honest_scores_have_no_error():
    rows = [(0.25, index < 25) for index in range(100)] + [(0.75, index < 75)
                                                           for index in range(100)]
    assert score_calibration([found(*rows)])['expected_error'] == pytest.approx(0)


def test_nothing_found_says_nothing():
    assert score_calibration([])['expected_error'] is None
