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

"""Tracking metrics, checked on sequences small enough to count by hand."""

from __future__ import annotations

import numpy as np
from ped_perception.core.errors import MissingExtraError, SourceError
from ped_perception.evaluation import mot
import pytest

pytest.importorskip('motmetrics')

HERE, THERE, FAR = [0, 0, 40, 100], [100, 0, 140, 100], [500, 0, 540, 100]


def labels(*people, uncounted=()):
    """Make the labels of a picture from (id, box) pairs."""
    every = [*people, *uncounted]
    return mot.Labels(np.array([key for key, _ in every], np.int64),
                      np.array([box for _, box in every], float).reshape(-1, 4),
                      np.array([True] * len(people) + [False] * len(uncounted), bool))


def score(pictures, regions=None):
    """Score pictures of (labels, tracked (id, box) pairs)."""
    scorer = mot.MotScore()
    for truth, tracked in pictures:
        scorer.update(truth, np.array([key for key, _ in tracked], np.int64),
                      np.array([box for _, box in tracked], float).reshape(-1, 4),
                      mot.NO_REGIONS if regions is None else np.array(regions, float))
    return scorer.result()


BOTH = labels((1, HERE), (2, THERE))
GOOD = [(7, HERE), (8, THERE)]


@pytest.mark.parametrize(('pictures', 'expected', 'why'), [
    ([(BOTH, GOOD)] * 4,
     {'idf1': 1, 'mota': 1, 'mean_overlap': 1, 'id_switches': 0, 'pictures': 4,
      'labelled_boxes': 8, 'labelled_people': 2, 'mostly_tracked': 2}, 'perfect'),
    ([(BOTH, GOOD)] * 3 + [(BOTH, GOOD[:1])],
     {'misses': 1, 'mota': 1 - 1 / 8, 'recall': 7 / 8, 'precision': 1, 'idf1': 14 / 15,
      'id_recall': 7 / 8, 'id_precision': 1}, 'one person missed once'),
    ([(BOTH, GOOD)] * 3 + [(BOTH, [*GOOD, (9, FAR)])],
     {'false_positives': 1, 'mota': 1 - 1 / 8, 'precision': 8 / 9, 'idf1': 16 / 17},
     'one ghost'),
    ([(BOTH, GOOD)] * 2 + [(BOTH, [(8, HERE), (7, THERE)])] * 2,
     {'id_switches': 2, 'mota': 1 - 2 / 8, 'idf1': 0.5, 'misses': 0, 'false_positives': 0},
     'two people swap their ids half way'),
    ([(labels((1, HERE)), [(7, HERE)])] * 3 + [(labels((1, HERE)), [(9, HERE)])],
     {'id_switches': 1, 'mota': 3 / 4, 'idf1': 6 / 8}, 'a new id for the last of four'),
    ([(labels((1, HERE)), [(7, HERE)]), (labels((1, HERE)), []),
      (labels((1, HERE)), [(7, HERE)])],
     {'fragmentations': 1, 'id_switches': 0, 'misses': 1, 'idf1': 4 / 5}, 'lost and found'),
    ([(labels((1, HERE)), [(7, [0, 0, 40, 50])])],
     {'misses': 0, 'mean_overlap': 0.5}, 'an overlap of one half is a match'),
    ([(labels((1, HERE)), [(7, [0, 0, 40, 49])])],
     {'misses': 1, 'false_positives': 1, 'mota': -1}, 'less than one half is none'),
    ([(mot.NO_LABELS, [(7, HERE)]), (labels((1, HERE)), [(7, HERE)])],
     {'false_positives': 1, 'mota': 0, 'pictures': 2}, 'nobody there, somebody tracked'),
    ([(BOTH, [])], {'misses': 2, 'recall': 0, 'mota': 0, 'mostly_lost': 2}, 'nothing tracked'),
])
def test_metrics_counted_by_hand(pictures, expected, why):
    result = score(pictures)
    assert {name: result[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(('picture', 'expected', 'why'), [
    ((labels((1, HERE), uncounted=[(3, THERE)]), GOOD),
     {'labelled_boxes': 1, 'false_positives': 0, 'misses': 0}, 'found: no reward, no ghost'),
    ((labels((1, HERE), uncounted=[(3, THERE)]), GOOD[:1]),
     {'labelled_boxes': 1, 'false_positives': 0, 'misses': 0}, 'not found: no miss'),
    ((labels((1, HERE), uncounted=[(3, THERE)]), [*GOOD, (9, THERE)]),
     {'false_positives': 1}, 'a second box on the same person is a ghost'),
    ((labels((1, HERE), uncounted=[(3, [10, 0, 50, 100])]), [(7, HERE)]),
     {'false_positives': 0, 'misses': 0}, 'a box on a counted person is not given away'),
    ((labels((1, HERE), uncounted=[(3, [5, 0, 45, 100])]), [(7, HERE), (8, [5, 0, 45, 100])]),
     {'false_positives': 0, 'misses': 0}, 'each takes its own'),
])
def test_uncounted_labels_take_their_boxes_along(picture, expected, why):
    result = score([picture])
    assert {name: result[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(('picture', 'expected', 'why'), [
    ((labels((1, HERE)), [(7, HERE), (9, FAR)]), {'false_positives': 0, 'misses': 0},
     'a tracked box inside is dropped'),
    ((labels((1, HERE), (2, FAR)), [(7, HERE)]), {'misses': 0, 'labelled_boxes': 1},
     'a labelled box inside is dropped'),
    ((labels((1, HERE)), [(7, HERE), (9, [430, 0, 550, 100])]), {'false_positives': 1},
     'the centre decides, not a corner'),
])
def test_ignore_regions(picture, expected, why):
    result = score([picture], regions=[[500, 0, 600, 200], [700, 0, 710, 10]])
    assert {name: result[name] for name in expected} == pytest.approx(expected)


def test_label_files_are_read(tmp_path):
    path = tmp_path / 'gt.txt'
    path.write_text('2,9,10,20,30.5,40,1,1,0.5\n1,3,0,0,5,6,0,1,1\n\n2,4,1,2,3,4,1\n')
    found = mot.labels_from_mot_file(path)
    assert list(found) == [1, 2]
    assert found[2].ids_n.tolist() == [9, 4]
    assert found[2].boxes_n4.tolist() == [[10, 20, 40.5, 60], [1, 2, 4, 6]]
    assert [found[1].counted_n.tolist(), found[2].counted_n.tolist()] == [[False], [True, True]]


def test_ignore_files_are_read(tmp_path):
    path = tmp_path / 'ignore_regions.txt'
    path.write_text('# x,y,w,h\n0,50,310,85\n735,140,33,436\n')
    assert mot.ignore_regions_from_file(path).tolist() == [[0, 50, 310, 135],
                                                           [735, 140, 768, 576]]
    path.write_text('# nothing\n')
    assert mot.ignore_regions_from_file(path).shape == (0, 4)


@pytest.mark.parametrize(('line', 'why'), [
    ('1,2,3,4,5,6', 'a column is missing'), ('1,2,a,4,5,6,1', 'not a number'),
    ('1,1e30,3,4,5,6,1', 'an id that no array holds'),
    ('1,2,nan,4,5,6,1', 'not a finite number'), ('1;2;3;4;5;6;1', 'another separator'),
])
def test_a_bad_line_is_named(tmp_path, line, why):
    path = tmp_path / 'gt.txt'
    path.write_text(f'1,2,3,4,5,6,1\n{line}\n')
    with pytest.raises(SourceError, match='Line 2'):
        mot.labels_from_mot_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r'nowhere\.txt'):
        mot.labels_from_mot_file(tmp_path / 'nowhere.txt')


def test_without_motmetrics_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'motmetrics', None)
    with pytest.raises(MissingExtraError, match=r'ped_perception\[evaluation\]'):
        mot.MotScore()
