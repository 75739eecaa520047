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


"""``ped_evaluate run``: from pictures and labels to files that other tools read."""

from __future__ import annotations

import json

import cv2
import numpy as np
from ped_perception.cli.evaluate import main
from ped_perception.evaluation.mot import labels_from_mot_file
import pytest

pytest.importorskip('motmetrics')
pytest.importorskip('pycocotools')


@pytest.fixture(scope='module')
def street(shared_data):
    """Give the street video and its labels."""
    folder = shared_data / 'pets09_s2l1'
    return folder / 'vtest.avi', folder / 'gt' / 'gt.txt'


def test_a_run_writes_what_others_can_score(street, tmp_path, capsys):
    video, labels = street
    assert main(['run', str(video), '--labels', str(labels), '--frames', '80-99', '-o',
                 str(tmp_path / 'out'), '--quiet', '--set', 'tracker.confirm_s=0.1']) == 0
    said = capsys.readouterr()
    assert 'IDF1' in said.out
    assert said.err == ''
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert metrics['tracking']['pictures'] == 20
    assert metrics['tracking']['mota'] > 0.5
    assert metrics['detection']['ap50'] > 0.5
    assert metrics['pictures'] == {'looked_at': 20, 'undecodable': 0, 'labelled': 20}
    tracks = labels_from_mot_file(tmp_path / 'out' / 'tracks.txt')
    assert set(tracks) <= set(range(80, 100))
    assert min(tracks) == 81, 'confirmed after 0.1 s'
    predictions = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert {row['image_id'] for row in predictions} == set(range(80, 100))
    best = max(predictions, key=lambda row: row['score'])
    assert best['score'] > 0.6
    assert best['bbox'][3] > best['bbox'][2] > 0


def test_a_folder_with_coco_labels(tmp_path, capsys):
    pictures, out = tmp_path / 'pictures', tmp_path / 'out'
    pictures.mkdir()
    for name in ('b.png', 'a.png', 'c.png'):
        cv2.imwrite(str(pictures / name), np.full((96, 160, 3), 90, np.uint8))
    (pictures / 'c.png').write_bytes(b'no picture')
    labels = tmp_path / 'labels.json'
    labels.write_text(json.dumps({
        'images': [{'id': 5, 'file_name': 'a.png'}, {'id': 6, 'file_name': 'b.png'}],
        'categories': [{'id': 1, 'name': 'person'}],
        'annotations': [{'id': 1, 'image_id': 6, 'category_id': 1, 'bbox': [10, 10, 20, 50]}]}))
    assert main(['run', str(pictures), '--labels', str(labels), '-o', str(out), '--quiet']) == 0
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics['pictures'] == {'looked_at': 2, 'undecodable': 1, 'labelled': 2}
    assert metrics['detection']['people'] == 1
    assert metrics['detection']['ap50'] == pytest.approx(0)
    assert 'tracking' not in metrics
    predictions = json.loads((out / 'predictions.json').read_text())
    assert {row['image_id'] for row in predictions} <= {5, 6}


@pytest.mark.parametrize(('arguments', 'says', 'why'), [
    (['nowhere.avi', '--labels', 'GT'], 'nowhere.avi', 'no such video'),
    (['VIDEO', '--labels', 'nowhere.txt'], 'nowhere.txt', 'no such labels'),
    (['VIDEO', '--labels', 'GT', '--frames', '9-1'], '9-1', 'an impossible selection'),
    (['VIDEO', '--labels', 'GT', '--drop', '1'], 'share', 'nothing left'),
    (['VIDEO', '--labels', 'GT', '--set', 'tracker.forget=3'], 'tracker.forget_s',
     'a misspelt parameter'),
    (['VIDEO', '--labels', 'GT', '--set', 'tracker.forget_s=-3'], 'between', 'out of its range'),
    (['VIDEO', '--labels', 'GT', '--set', 'tracker.forget_s'], 'NAME=VALUE', 'no value'),
    (['VIDEO', '--labels', 'GT', '--set', 'views=[whole'], 'no YAML', 'a value that is none'),
    (['VIDEO', '--labels', 'GT', '--frames', '1-3', '--set', 'model=nobody'], 'nobody',
     'no such model'),
    (['VIDEO', '--labels', 'GT', '--frames', '400-401'], 'labelled', 'pictures without labels'),
    (['VIDEO', '--labels', 'COCO', '--compare-trackers'], 'who is who', 'no identities'),
])
def test_bad_input_is_one_line_and_exit_code_1(street, tmp_path, capsys, arguments, says, why):
    coco = tmp_path / 'labels.json'
    coco.write_text(json.dumps({'images': [], 'annotations': [],
                                'categories': [{'id': 1, 'name': 'person'}]}))
    places = {'VIDEO': str(street[0]), 'GT': str(street[1]), 'COCO': str(coco)}
    assert main(['run', *(places.get(word, word) for word in arguments), '-o',
                 str(tmp_path / 'out'), '--quiet']) == 1
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.startswith('ped_evaluate: ')
    assert said.err.count('\n') == 1


def test_without_the_other_trackers_it_says_what_to_install(street, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'supervision', None)
    assert main(['run', str(street[0]), '--labels', str(street[1]), '--frames', '80-82', '-o',
                 str(tmp_path), '--quiet', '--compare-trackers']) == 1
    assert 'ped_perception[comparison]' in capsys.readouterr().err
