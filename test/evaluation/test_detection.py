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

"""AP is pycocotools', whatever form the labels came in."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.core.types import Detections
from ped_perception.evaluation.coco import PERSON, results_of
from ped_perception.evaluation.reading_labels import read_labels
import pytest

pytest.importorskip('pycocotools')

SIZE_HW = (600, 800)


def random_set(seed):
    """Make labels with crowds and detections that stray from them."""
    rng = np.random.default_rng(seed)
    content = {'images': [], 'annotations': [], 'categories': [{'id': 7, 'name': 'person'},
                                                               {'id': 9, 'name': 'dog'}]}
    found = {}
    for image in range(30):
        name = f'{image}.jpg'
        content['images'].append({'id': 100 + image, 'file_name': name})
        boxes, scores = [], []
        for _ in range(rng.integers(0, 6)):
            x, y, height = rng.uniform(0, 600), rng.uniform(0, 300), rng.uniform(20, 290)
            box = [x, y, height * 0.4, height]
            content['annotations'].append({
                'id': len(content['annotations']) + 1, 'image_id': 100 + image, 'bbox': box,
                'category_id': 7 if rng.random() < 0.9 else 9, 'area': box[2] * box[3],
                'iscrowd': int(rng.random() < 0.1)})
            for _ in range(rng.integers(0, 3)):
                side = np.array([box[2], box[3]] * 2)
                corners = np.array([x, y, x + box[2], y + box[3]]) + rng.normal(0, 0.08, 4) * side
                boxes.append(corners)
                scores.append(rng.random())
        order = np.argsort(scores)[::-1]
        found[name] = Detections(
            'c', 0, '', SIZE_HW, np.array(boxes, np.float32).reshape(-1, 4)[order],
            np.array(scores, np.float32)[order])
    return content, found


def by_pycocotools(path, found, ids):
    """Let pycocotools score the same files on its own; AP and AP50."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        results = [{**row, 'category_id': 7} for name, detections in found.items()
                   for row in results_of(detections, ids[name])]
        evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
        evaluation.params.catIds = [7]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:2]


def test_ap_is_that_of_pycocotools_on_the_same_files(tmp_path):
    from ped_perception.evaluation.detection import DetectionScore
    content, found = random_set(3)
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    labels = read_labels(path)
    score = DetectionScore()
    for name, detections in found.items():
        score.update(labels.by_name[name], detections)
    result = score.result()
    assert [result['ap'], result['ap50']] == pytest.approx(
        by_pycocotools(path, found, labels.image_ids), abs=0.001)
    assert 0.1 < result['ap'] < result['ap50'] < 1


def test_heights_split_the_people():
    from ped_perception.evaluation.detection import DetectionScore
    from ped_perception.evaluation.mot import Labels
    tall, short = [0, 0, 80, 220], [300, 0, 316, 40]
    truth = Labels(np.arange(2), np.array([tall, short], float), np.ones(2, bool))
    score = DetectionScore()
    score.update(truth, Detections('c', 0, '', SIZE_HW, np.array([tall], np.float32),
                                   np.array([0.9], np.float32)))
    bins = {entry['from_px']: entry for entry in score.result()['ap_by_height']}
    assert [bins[low]['people'] for low in (0, 50, 200)] == [1, 0, 1]
    assert [bins[0]['ap50'], bins[200]['ap50']] == pytest.approx([0, 1])
    assert bins[50]['ap50'] is None


def test_ignored_regions_count_neither_way():
    from ped_perception.evaluation.detection import DetectionScore
    from ped_perception.evaluation.mot import NO_LABELS
    regions = np.array([[0, 0, 200, 200.0]])
    score = DetectionScore()
    score.update(NO_LABELS, Detections('c', 0, '', SIZE_HW, np.array([[5, 5, 40, 90]], np.float32),
                                       np.array([0.9], np.float32)), regions)
    result = score.result()
    assert (result['people'], result['ap50']) == (0, None)


def test_coco_labels_are_read(tmp_path):
    content, _ = random_set(1)
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    labels = read_labels(path)
    people = [entry for entry in content['annotations'] if entry['category_id'] == 7]
    assert sum(len(found.ids_n) for found in labels.by_name.values()) == len(people)
    first = people[0]
    found = labels.by_name[f'{first["image_id"] - 100}.jpg']
    x, y, width, height = first['bbox']
    np.testing.assert_allclose(found.boxes_n4[0], [x, y, x + width, y + height])
    assert found.counted_n.tolist()[0] is (not first['iscrowd'])
    assert not labels.has_identities


ENDLESS = ('{"categories": [{"id": 1}], "annotations": [], "images": '
           '[{"id": 1, "file_name": "1.jpg", "width": Infinity, "height": 1}]}')


@pytest.mark.parametrize(('text', 'says', 'why'), [
    ('{', 'cannot be read', 'no JSON'),
    ('[]', 'no COCO', 'a list'),
    ('{"categories": [], "images": [], "annotations": []}', 'no category', 'nobody to find'),
    ('{"categories": [{"id": 1, "name": "x"}], "images": [], "annotations": [{}]}', 'no COCO',
     'an annotation of nothing'),
    (ENDLESS, 'no COCO', 'a picture without end'),
    ('[' * 100_000, 'cannot be read', 'more brackets than anybody needs'),
])
def test_bad_labels_are_named(tmp_path, text, says, why):
    path = tmp_path / 'labels.json'
    path.write_text(text)
    with pytest.raises(SourceError, match=says):
        read_labels(path)


def test_labels_of_an_unknown_format_are_refused(tmp_path):
    (tmp_path / 'labels.xml').write_text('<annotation/>')
    with pytest.raises(SourceError, match='no known format'):
        read_labels(tmp_path / 'labels.xml')


def test_results_are_of_the_form_of_coco():
    detections = Detections('c', 0, '', SIZE_HW, np.array([[10, 20, 40, 100]], np.float32),
                            np.array([0.5], np.float32))
    assert results_of(detections, 'a.jpg') == [
        {'image_id': 'a.jpg', 'category_id': PERSON, 'score': 0.5, 'bbox': [10, 20, 30, 80]}]
