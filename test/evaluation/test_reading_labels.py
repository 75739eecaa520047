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

"""Labels of every form: what is read, what is ignored, and what bad ones are told."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.errors import ConfigError, SourceError
from ped_perception.evaluation.label_classes import LabelClasses
from ped_perception.evaluation.reading_labels import LabelOptions, read_labels
from ped_perception.sources import DecodedPicture, SourceFrame
import pytest

SIZE_HW = (100, 200)
PEDESTRIAN = 'Pedestrian 0.00 0 -0.20 71 14 81 30 1.89 0.48 1.20 1.84 1.47 8.41 0.01'
CYCLIST = 'Cyclist 0.00 3 -1.65 676.6 163.9 688.9 193.9 1.86 0.60 2.02 4.59 1.32 45.84 -1.55'
DONT_CARE = 'DontCare -1 -1 -10 503.8 169.7 590.6 190.1 -1 -1 -1 -1000 -1000 -1000 -10'
CAR = 'Car 0.00 0 1.85 387.6 181.5 423.8 203.1 1.67 1.87 3.69 -16.53 2.39 58.49 1.57'


def frame(name='', stamp_ns=1_000_000_000):
    """Give a picture as a source does."""
    return SourceFrame('camera', stamp_ns, stamp_ns, '', DecodedPicture(
        np.zeros((*SIZE_HW, 3), np.uint8)), name=name)


def folder_of(path, **files):
    """Write label files, by the names of their pictures."""
    path.mkdir()
    for name, lines in files.items():
        (path / f'{name}.txt').write_text(''.join(f'{line}\n' for line in lines))
    return path


def coco(path, pictures, annotations=(), categories=({'id': 1, 'name': 'person'},)):
    """Write a COCO file."""
    path.write_text(json.dumps({
        'images': [{'id': number, 'file_name': name}
                   for number, name in enumerate(pictures, 1)],
        'annotations': [{'id': number, 'category_id': 1, 'bbox': [10, 20, 30, 40], **entry}
                        for number, entry in enumerate(annotations, 1)],
        'categories': list(categories)}))
    return path


def test_yolo_boxes_are_shares_of_the_picture(tmp_path):
    place = folder_of(tmp_path / 'labels', a=['0 0.5 0.5 0.2 0.4', '2 0.1 0.1 0.1 0.1'], b=[])
    labels = read_labels(place)
    assert labels.form == 'yolo'
    assert not labels.has_identities
    found = labels.of(1, frame('a.jpg'), SIZE_HW)
    np.testing.assert_allclose(found.boxes_n4, [[80, 30, 120, 70]])
    assert found.counted_n.tolist() == [True]
    assert len(labels.of(2, frame('b.png'), SIZE_HW).ids_n) == 0, 'labelled, and nobody is there'
    assert labels.of(3, frame('c.png'), SIZE_HW) is None, 'nobody labelled it'
    assert labels.image_id(1, frame('a.jpg')) == 'a.jpg'


@pytest.mark.parametrize(('names', 'person', 'counted', 'why'), [
    (('classes.txt', 'car\nperson\nrider\n'), '', [True, False], 'found by name, rider ignored'),
    (('data.yaml', 'names: [car, Pedestrian, dog]'), '', [True], 'a list in YAML'),
    (('data.yaml', 'names: {0: car, 1: dog, 2: person}'), '', [True], 'a table in YAML'),
    (('classes.txt', 'car\nperson\nrider\n'), 'rider', [True], 'asked for by name'),
    (None, '2', [True], 'asked for by number'), (None, '', [True], 'without names the first'),
])
def test_classes_of_yolo(tmp_path, names, person, counted, why):
    place = folder_of(tmp_path / 'labels', a=[
        f'{kind} 0.5 0.5 0.2 0.4' for kind in (0, 1, 2)])
    if names:
        beside = place if names[0] == 'classes.txt' else tmp_path
        (beside / names[0]).write_text(names[1])
    found = read_labels(place, LabelOptions(person=person)).by_name['a']
    assert found.counted_n.tolist() == counted


def test_polygons_of_yolo_are_the_boxes_around_them(tmp_path):
    place = folder_of(tmp_path / 'labels', a=['0 0.1 0.2 0.3 0.1 0.2 0.5 0.15 0.3'])
    np.testing.assert_allclose(read_labels(place).by_name['a'].boxes_n4, [[0.1, 0.1, 0.3, 0.5]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0.05, 0.95)] * 2, *[st.floats(0.001, 0.1)] * 2),
                max_size=5))
def test_yolo_boxes_come_back(tmp_path_factory, boxes):
    lines = [f'0 {x!r} {y!r} {width!r} {height!r}' for x, y, width, height in boxes]
    place = folder_of(tmp_path_factory.mktemp('yolo') / 'labels', a=lines)
    found = read_labels(place).of(1, frame('a.jpg'), (1, 1)).boxes_n4
    back = np.concatenate([(found[:, :2] + found[:, 2:]) / 2, found[:, 2:] - found[:, :2]], axis=1)
    np.testing.assert_allclose(back, np.array(boxes).reshape(-1, 4), atol=1e-12)


def test_kitti_pedestrians_count_and_people_on_wheels_do_not(tmp_path):
    place = folder_of(tmp_path / 'label_2', **{
        '000000': [PEDESTRIAN, CAR], '000001': [CYCLIST, DONT_CARE]})
    labels = read_labels(place)
    assert labels.form == 'kitti'
    first, second = (labels.of(1, frame(f'00000{number}.png'), SIZE_HW) for number in (0, 1))
    assert (first.boxes_n4.tolist(), first.counted_n.tolist()) == ([[71, 14, 81, 30]], [True])
    assert second.counted_n.tolist() == [False, False]
    np.testing.assert_allclose(first.positions_n3, [[1.84, 1.47, 8.41]])
    assert (first.visible_n.tolist(), second.visible_n.tolist()) == ([1], [1, 1])
    assert np.isnan(second.positions_n3[1]).all(), 'DontCare is nowhere'


def test_kitti_positions_are_in_the_camera_that_took_the_picture(tmp_path):
    """The left colour camera is 6 cm to the left of the first grey one, whose frame labels use."""
    place = folder_of(tmp_path / 'label_2', **{'000000': [PEDESTRIAN]})
    calib = folder_of(tmp_path / 'calib', **{'000000': [
        'P0: 1 2', 'P2: 700 0 600 42 0 700 180 0 0 0 1 0', 'R0_rect: 1']})
    np.testing.assert_allclose(read_labels(place).by_name['000000'].positions_n3,
                               [[1.84 + 0.06, 1.47, 8.41]])
    (calib / '000000.txt').write_text('P2: 1 2 3\n')
    with pytest.raises(SourceError, match='P2'):
        read_labels(place)


def test_classes_of_coco(tmp_path):
    path = coco(tmp_path / 'l.json', ['a.jpg'], [
        {'image_id': 1, 'category_id': 1}, {'image_id': 1, 'category_id': 2},
        {'image_id': 1, 'category_id': 3}, {'image_id': 1, 'category_id': 1, 'ignore': 1}],
        [{'id': 1, 'name': 'pedestrian'}, {'id': 2, 'name': 'rider'}, {'id': 3, 'name': 'car'}])
    assert read_labels(path).by_name['a.jpg'].counted_n.tolist() == [True, False, False]
    assert read_labels(path, LabelOptions(person='car')
                       ).by_name['a.jpg'].counted_n.tolist() == [False, True]


def test_coco_tells_who_and_where(tmp_path):
    path = coco(tmp_path / 'l.json', ['a.jpg'], [
        {'image_id': 1, 'track_id': 7, 'depth_m': 12.5},
        {'image_id': 1, 'track_id': 8, 'position_m': [1, 2, 3], 'vis_ratio': 0.4},
        {'image_id': 1, 'iscrowd': 1}])
    labels = read_labels(path)
    found = labels.by_name['a.jpg']
    assert labels.has_identities
    assert found.ids_n.tolist()[:2] == [7, 8]
    assert found.positions_n3[:, 2].tolist()[:2] == [12.5, 3]
    assert np.isnan(found.positions_n3[0, 0])
    assert found.visible_n.tolist() == [1, 0.4, 1]


@pytest.mark.parametrize(('names', 'number', 'stamp_ns', 'expected', 'why'), [
    (['f_000001.jpg', 'f_000002.jpg'], 2, 5, 'f_000002.jpg', 'pictures count from 1'),
    (['f_000000.jpg', 'f_000001.jpg'], 2, 5, 'f_000001.jpg', 'or, where there is a 0, from 0'),
    (['front_1700000000500000000.jpg'], 9, 1_700_000_000_500_000_000,
     'front_1700000000500000000.jpg', 'harvested pictures are named after their stamps'),
    (['f_000001.jpg'], 7, 5, None, 'not labelled'),
])
def test_pictures_of_a_video_are_found_by_number(tmp_path, names, number, stamp_ns, expected, why):
    labels = read_labels(coco(tmp_path / 'l.json', names))
    assert labels.of(number, frame(stamp_ns=stamp_ns), SIZE_HW) is labels.by_name.get(expected)


def test_labels_of_scaled_pictures_are_refused(tmp_path):
    path = coco(tmp_path / 'l.json', ['a.jpg'])
    content = json.loads(path.read_text())
    content['images'][0].update(width=100, height=50)
    path.write_text(json.dumps(content))
    with pytest.raises(SourceError, match='100x50'):
        read_labels(path).of(1, frame('a.jpg'), SIZE_HW)


def test_mot_classes_and_coordinates_of_the_world(tmp_path):
    """Nine columns have a class, ten have none."""
    path = tmp_path / 'gt.txt'
    path.write_text('1,1,0,0,5,6,1,1,0.9\n1,2,0,0,5,6,1,7,1\n1,3,0,0,5,6,1,3,1\n'
                    '1,4,0,0,5,6,0,1,1\n2,5,0,0,5,6,1,3.2,1.5,0\n2,6,0,0,5,6,1,-1,-1,-1\n')
    labels = read_labels(path).by_number
    assert labels[1].ids_n.tolist() == [1, 2, 4], 'the car is left out'
    assert labels[1].counted_n.tolist() == [True, False, False]
    assert labels[1].visible_n.tolist() == [0.9, 1, 1]
    assert labels[2].counted_n.tolist() == [True, True]


def test_the_folder_of_a_sequence_is_that_of_its_labels(tmp_path):
    (tmp_path / 'gt').mkdir()
    (tmp_path / 'gt' / 'gt.txt').write_text('1,1,0,0,5,6,1\n')
    (tmp_path / 'gt' / 'ignore_regions.txt').write_text('1,2,3,4\n')
    labels = read_labels(tmp_path)
    assert labels.form == 'mot'
    assert labels.ignore_regions_r4.tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize(('name', 'expected'), [
    ('person', True), ('PEDESTRIAN', True), ('Person_sitting', False), ('sitting person', False),
    ('DontCare', False), ('ignore regions', False), ('Cyclist', False), ('car', None),
    ('personal computer', None), ('', None)])
def test_what_classes_mean(name, expected):
    assert LabelClasses().role(name) is expected


@pytest.mark.parametrize(('lines', 'says', 'why'), [
    (['0 0.5 0.5 0.2'], 'Line 1', 'a number is missing'),
    (['0 0.5 0.5 0.2 0.2', '0 100 50 20 40'], 'Line 2.*fractions', 'pixels'),
    (['0 0.5 0.5 0.2 nan'], 'Line 1', 'not a number'),
    (['0.5 0.5 0.5 0.2 0.2'], 'Line 1', 'half a class'),
    (['0 0.5 0.5 0.2 0.2 0.9'], 'results', 'predictions'),
    ([PEDESTRIAN + ' 0.98'], 'results', 'predictions of KITTI'),
    ([PEDESTRIAN.replace('71 14', 'a b')], 'Line 1', 'letters'),
    ([PEDESTRIAN.replace('71 14 81', '91 14 81')], 'Line 1', 'upside down'),
    ([PEDESTRIAN, '0 1 ' + PEDESTRIAN], 'tracking', 'the other KITTI'),
])
def test_a_bad_line_is_named(tmp_path, lines, says, why):
    place = folder_of(tmp_path / 'labels', a=lines)
    with pytest.raises(SourceError, match=says):
        read_labels(place)


@pytest.mark.parametrize(('make', 'options', 'says', 'why'), [
    (lambda path: path / 'no', {}, 'no such file', 'nothing there'),
    (lambda path: folder_of(path / 'l'), {}, 'no labels', 'an empty folder'),
    (lambda path: folder_of(path / 'l', a=['0 .5 .5 .2 .2']) / 'a.txt', {}, 'give the folder',
     'one file of many'),
    (lambda path: coco(path / 'l.json', ['a.jpg']).parent, {}, 'Give that file',
     'the folder of a file'),
    (lambda path: folder_of(path / 'l', a=['0 .5 .5 .2 .2']), {'form': 'mot'}, 'a file',
     'a folder for a file'),
    (lambda path: folder_of(path / 'l', a=['0 .5 .5 .2 .2']), {'person': 'dog'}, '--class 0',
     'a name where there are none'),
    (lambda path: coco(path / 'l.json', ['a.jpg'], categories=[
        {'id': 1, 'name': 'car'}, {'id': 2, 'name': 'dog'}]), {}, 'car, dog', 'nobody counts'),
    (lambda path: coco(path / 'l.json', ['x/a.jpg', 'y/a.jpg']), {}, 'two pictures',
     'the same name twice'),
    (lambda path: coco(path / 'l.json', ['a.jpg'], [{'image_id': 9}]), {}, 'picture 9',
     'an annotation of nothing'),
    (lambda path: coco(path / 'l.json', ['a.jpg'], [{'image_id': 1, 'bbox': [1, 2, -3, 4]}]), {},
     'annotation 1', 'a box of negative width'),
])
def test_bad_labels_are_named(tmp_path, make, options, says, why):
    with pytest.raises((SourceError, ConfigError), match=says):
        read_labels(make(tmp_path), LabelOptions(**options))


@pytest.mark.parametrize(('names', 'says'), [
    (['a.jpg'], 'none'), (['a_1.jpg', 'b_1.jpg'], 'that of a_1.jpg')])
def test_names_without_a_number_of_their_own_are_refused_for_videos(tmp_path, names, says):
    labels = read_labels(coco(tmp_path / 'l.json', names))
    with pytest.raises(SourceError, match=says):
        labels.of(1, frame(), SIZE_HW)
