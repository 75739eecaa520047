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

"""Pictures drawn again: the same figures as if they had been run again, only faster."""

from __future__ import annotations

import numpy as np
from ped_perception.core.types import Detections
from ped_perception.evaluation.detection import DetectionScore
from ped_perception.evaluation.miss_rate import Curve, matched, Setting
from ped_perception.evaluation.resampling import (
    ApMatches,
    block_length,
    drawn_rows,
    PooledMatches,
)
import pytest
from result_folders import labels_of, NO_REGIONS, SIZE_HW

pytest.importorskip('pycocotools')


def random_pictures(seed, digits, count=25):
    """Make labels, some not counted, and detections that stray from them; short scores tie."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        corners = random.uniform(0, 150, (random.integers(0, 5), 2))
        boxes = np.concatenate([corners, corners + random.uniform((20, 40), (50, 90),
                                                                  corners.shape)], axis=1)
        found = np.concatenate([boxes, boxes[:1]]) + random.normal(0, 6, (len(boxes[:1]) +
                                                                          len(boxes), 4))
        scores = np.sort(np.round(random.uniform(0.02, 1, len(found)), digits))[::-1]
        pictures.append((labels_of(*boxes, counted=random.random(len(boxes)) < 0.8), Detections(
            'c', 0, '', SIZE_HW, found.astype(np.float32), scores.astype(np.float32))))
    return pictures


def scored(pictures):
    score = DetectionScore()
    for labels, detections in pictures:
        score.update(labels, detections)
    return score


@pytest.mark.parametrize('seed', range(4))
def test_ap_of_pictures_drawn_again_is_that_of_pycocotools(seed):
    # With ties pycocotools' own result depends on the order of the pictures.
    pictures = random_pictures(seed, digits=9)
    matches = ApMatches.of(scored(pictures))
    rows = next(drawn_rows(len(pictures), 1, 1, seed))
    for chosen in (np.arange(len(pictures)), rows):
        again = scored([pictures[row] for row in chosen]).result()
        weight_p = np.bincount(chosen, minlength=len(pictures))
        assert matches.ap50_and_ap(weight_p) == pytest.approx((again['ap50'], again['ap']),
                                                              abs=1e-9)


def test_equal_scores_stand_as_pycocotools_has_them():
    pictures = random_pictures(5, digits=1)
    whole = scored(pictures).result()
    assert ApMatches.of(scored(pictures)).ap50_and_ap(
        np.ones(len(pictures), np.int64)) == pytest.approx((whole['ap50'], whole['ap']), abs=1e-9)


@pytest.mark.parametrize('seed', range(4))
def test_curves_of_pictures_drawn_again_are_those_of_the_pictures(seed):
    found = [matched(labels, detections.boxes_n4.astype(np.float64),
                     detections.scores_n.astype(np.float64), NO_REGIONS, Setting('x', 0.0))
             for labels, detections in random_pictures(seed, digits=1)]
    rows = next(drawn_rows(len(found), 3, 1, seed))
    drawn = PooledMatches.of(found).curve(np.bincount(rows, minlength=len(found)))
    direct = Curve.of([found[row] for row in rows])
    assert drawn.log_average_miss_rate() == pytest.approx(direct.log_average_miss_rate())
    for precision in (0.5, 0.7, 0.9):
        assert drawn.at_precision(precision)[0] == pytest.approx(
            direct.at_precision(precision)[0])


def test_pictures_without_anybody_define_nothing():
    empty = [(labels_of(), Detections('c', 0, '', SIZE_HW, np.zeros((0, 4), np.float32),
                                      np.zeros(0, np.float32)))] * 3
    assert np.isnan(ApMatches.of(scored(empty)).ap50_and_ap(np.ones(3, np.int64))).all()


@pytest.mark.parametrize(('pictures', 'sequence', 'block', 'why'), [
    (1000, True, 10, 'the cube root'), (219, True, 6, 'rounded'), (1, True, 1, 'at least one'),
    (1000, False, 1, 'photographs have no neighbours')])
def test_block_lengths(pictures, sequence, block, why):
    assert block_length(pictures, sequence) == block, why


def test_blocks_are_neighbours_that_go_round_and_every_picture_is_as_likely():
    draws = list(drawn_rows(10, 3, 2000, 0))
    assert {len(rows) for rows in draws} == {10}
    for rows in draws[:50]:
        for begin in range(0, 9, 3):
            assert (np.diff(rows[begin:begin + 3]) % 10 == 1).all()
    counts = np.bincount(np.concatenate(draws), minlength=10) / 2000
    assert counts == pytest.approx(np.ones(10), abs=0.12)
    assert (draws[0] == next(drawn_rows(10, 3, 1, 0))).all(), 'the same seed, the same draws'


def test_the_spread_of_a_share_is_the_one_that_theory_gives():
    # Recall over pictures with one person each: a binomial share.
    random = np.random.default_rng(3)
    hit_p = random.random(400) < 0.7
    shares = [hit_p[rows].mean() for rows in drawn_rows(400, 1, 1000, 1)]
    expected = np.sqrt(hit_p.mean() * (1 - hit_p.mean()) / 400)
    assert np.std(shares) == pytest.approx(expected, rel=0.1)
