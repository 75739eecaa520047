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

"""The folder of a run is read as it was written, or not at all."""

from __future__ import annotations

import json

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.evaluation.results import (
    LABELS,
    METRICS,
    PICTURES,
    PREDICTIONS,
    read_results,
    REPORT,
    TRACKS,
)
import pytest
from result_folders import folder_of, labels_of, looked_at, person

pytest.importorskip('motmetrics')
pytest.importorskip('pycocotools')

REGIONS = np.array([[0.0, 0.0, 40.0, 30.0]])


def two_pictures():
    return [looked_at(1, labels_of(person(50), person(150), ids=[7, 8], counted=[True, False]),
                      [person(52)], [0.9], track_ids=[3], track_boxes=[person(52)]),
            looked_at(2, None, [person(55), person(90)], [0.3, 0.8])]


def test_what_was_found_is_read_again(tmp_path):
    results = folder_of(tmp_path, two_pictures(), regions_r4=REGIONS, identities=True)
    first, second = results.pictures
    assert (first.number, first.image_id, first.title) == (1, 1, 'picture 1')
    assert first.labels.ids_n.tolist() == [7, 8]
    assert first.labels.counted_n.tolist() == [True, False]
    assert first.labels.boxes_n4 == pytest.approx(np.array([person(50), person(150)]))
    assert first.regions_r4 == pytest.approx(REGIONS)
    assert first.detections.boxes_n4 == pytest.approx(np.array([person(52)]))
    assert first.ids_t.tolist() == [3]
    assert first.scored_labels.counted_n.tolist() == [True, False, False]
    assert second.labels is None
    assert second.scored_labels.boxes_n4.shape == (0, 4)
    assert second.detections.scores_n.tolist() == pytest.approx([0.8, 0.3])
    assert results.published_score == 0.5


@pytest.mark.parametrize(('name', 'identities', 'sequence', 'why'), [
    ('', False, True, 'pictures of a video have no names'),
    ('a.jpg', False, False, 'files are photographs'),
    ('a.jpg', True, True, 'unless the labels say who is who')])
def test_what_is_a_sequence(tmp_path, name, identities, sequence, why):
    looked = [looked_at(1, labels_of(person(50)), [person(50)], [0.9], name=name)]
    assert folder_of(tmp_path, looked, identities=identities).is_sequence is sequence, why


def changed(name, change):
    """Change a file, and what metrics.json says of it, as if a program had written that."""
    def apply(folder):
        import hashlib
        text = change((folder / name).read_text())
        (folder / name).write_text(text)
        metrics = json.loads((folder / METRICS).read_text())
        metrics['files']['sha256'][name] = hashlib.sha256(text.encode()).hexdigest()
        (folder / METRICS).write_text(json.dumps(metrics))
    return apply


def without_parameters(folder):
    metrics = json.loads((folder / METRICS).read_text())
    (folder / METRICS).write_text(json.dumps({**metrics, 'parameters': {}}))


@pytest.mark.parametrize(('damage', 'says', 'why'), [
    (lambda folder: (folder / METRICS).unlink(), 'holds no results', 'no folder of a run'),
    (lambda folder: (folder / PREDICTIONS).unlink(), PREDICTIONS, 'a file is missing'),
    (lambda folder: (folder / PREDICTIONS).write_text('[{"image_id"'), 'cut off', 'cut off'),
    (lambda folder: (folder / TRACKS).write_text(''), 'cut off', 'changed by hand'),
    (lambda folder: (folder / METRICS).write_text('{"a": '), METRICS, 'no JSON'),
    (lambda folder: (folder / METRICS).write_bytes(b'\xff\xfe\x00'), METRICS, 'no text'),
    (lambda folder: (folder / METRICS).write_text('[]'), METRICS, 'JSON of another form'),
    (lambda folder: (folder / METRICS).write_text('{}'), 'form', 'from an old version'),
    (changed(PICTURES, lambda text: text.replace('"number"', '"nr"')), 'cannot be read',
     'a key is missing'),
    (changed(LABELS, lambda text: text.replace('"iscrowd"', '"who"')), 'cannot be read',
     'labels of another kind'),
    (changed(PICTURES, lambda text: '5'), PICTURES, 'not a list'),
    (without_parameters, 'score_threshold', 'nobody knows what was published')])
def test_a_damaged_folder_is_refused_with_what_to_do(tmp_path, damage, says, why):
    folder_of(tmp_path, two_pictures())
    damage(tmp_path)
    with pytest.raises(SourceError, match=says) as failure:
        read_results(tmp_path)
    assert 'ped_evaluate' in str(failure.value), why


def test_a_run_that_begins_again_does_not_leave_the_report_of_the_one_before(tmp_path):
    folder_of(tmp_path, two_pictures())
    (tmp_path / REPORT).write_text('old')
    folder_of(tmp_path, two_pictures())
    assert not (tmp_path / REPORT).exists()
