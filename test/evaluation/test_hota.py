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

"""HOTA: cases counted by hand, and what TrackEval says of the same sequences."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.association import overlaps_from_boxes
from ped_perception.evaluation.hota import Hota
import pytest

HERE, THERE = [0, 0, 40, 100], [100, 0, 140, 100]


def hota_of(*pictures):
    """Score pictures of (labelled, tracked), each boxes by id."""
    score = Hota()
    for labelled, tracked in pictures:
        score.update(np.array([*labelled], np.int64), np.array([*tracked], np.int64),
                     overlaps_from_boxes(np.array([*labelled.values()], float).reshape(-1, 4),
                                         np.array([*tracked.values()], float).reshape(-1, 4)))
    return score.result()


@pytest.mark.parametrize(('pictures', 'detection', 'association', 'why'), [
    ([({1: HERE, 2: THERE}, {7: HERE, 8: THERE})] * 3, 1, 1, 'perfect'),
    ([({1: HERE}, {7: HERE}), ({1: HERE}, {})], 0.5, 0.5, 'half of the person is missed'),
    ([({1: HERE}, {7: HERE, 8: THERE})], 0.5, 1, 'one ghost'),
    ([({1: HERE}, {7: HERE}), ({1: HERE}, {8: HERE})], 1, 0.5, 'two ids for one person'),
    ([({1: HERE}, {7: [0, 0, 40, 50]})], 10 / 19, 10 / 19,
     'an overlap of one half is enough for ten of nineteen'),
    ([({1: HERE}, {})], 0, 0, 'nothing tracked'),
    ([({}, {7: HERE})], 0, 0, 'nobody there'),
    ([({}, {})], 0, 0, 'an empty picture'),
])
def test_counted_by_hand(pictures, detection, association, why):
    result = hota_of(*pictures)
    assert result['detection_accuracy'] == pytest.approx(detection)
    assert result['association_accuracy'] == pytest.approx(association)
    assert result['hota'] == pytest.approx(np.sqrt(detection * association))


def random_street(seed):
    """Let six people walk for forty pictures, with exchanged ids, misses and ghosts."""
    random = np.random.default_rng(seed)
    start, speed = random.uniform(0, 400, (6, 2)), random.normal(0, 4, (6, 2))
    ids = np.arange(6)
    pictures = []
    for time in range(40):
        if random.random() < 0.1:
            ids = random.permutation(ids)
        corner = start + speed * time
        boxes = np.concatenate([corner, corner + [40, 100]], axis=1)
        there, seen = random.random(6) < 0.9, random.random(6) < 0.8
        tracked = boxes + random.normal(0, 6, boxes.shape)
        ghost = random.uniform(0, 400, 2)
        pictures.append((
            np.arange(6)[there], np.array([*(ids[seen] + 10), 99]), overlaps_from_boxes(
                boxes[there], np.array([*tracked[seen], [*ghost, *(ghost + [40, 100])]]))))
    return pictures


@pytest.mark.parametrize(('seed', 'expected'), [
    (0, (0.2383070918016349, 0.441280890589803, 0.1301762123519425)),
    (1, (0.41459166103233924, 0.4331240797512733, 0.3973355744661043)),
    (2, (0.31078623066171696, 0.43365712443135906, 0.2231469704304822)),
])
def test_figures_are_those_of_trackeval(seed, expected):
    """Hold them against ``metrics.HOTA().eval_sequence`` of TrackEval 1.3.0 on these arrays."""
    score = Hota()
    for picture in random_street(seed):
        score.update(*picture)
    result = score.result()
    assert (result['hota'], result['detection_accuracy'], result['association_accuracy']
            ) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 5))
def test_names_of_tracks_do_not_matter(names, seed):
    plain, renamed = Hota(), Hota()
    for people, tracks, overlap in random_street(seed)[:10]:
        plain.update(people, tracks, overlap)
        renamed.update(np.array(names)[people], tracks * 3 + 1, overlap)
    assert renamed.result() == pytest.approx(plain.result())
