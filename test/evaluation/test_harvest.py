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

"""Harvests of the recording that ships, as ``ped_evaluate harvest`` makes them."""

from __future__ import annotations

import json

import cv2
import numpy as np
from ped_perception.cli.evaluate import main
from ped_perception.evaluation.harvest_files import LABELS_NAME
from ped_perception.sources import open_source
import pytest
import recordings

COUNT = 5


@pytest.fixture(scope='module')
def demo_bag(root):
    """Return the recording that ships."""
    return root / 'demo' / 'pets_street.mcap'


def harvested(source, output, *options):
    """Harvest, and give the labels."""
    assert main(['harvest', str(source), '-o', str(output), '--quiet', *options]) == 0
    return json.loads((output / LABELS_NAME).read_text())


@pytest.fixture(scope='module')
def harvest(demo_bag, tmp_path_factory):
    """Return the folder of a harvest."""
    output = tmp_path_factory.mktemp('harvest') / 'out'
    harvested(demo_bag, output, '--count', str(COUNT), '--min-gap', '0.5')
    return output


def test_pictures_are_the_recorded_ones_with_a_reason_each(demo_bag, harvest):
    labels = json.loads((harvest / LABELS_NAME).read_text())
    assert len(labels['images']) == COUNT
    with open_source(demo_bag) as source:
        recorded = {frame.stamp_ns: frame.picture.data.tobytes() for frame in source}
    for image in labels['images']:
        data = (harvest / 'images' / image['file_name']).read_bytes()
        assert data == recorded[image['stamp_ns']]
        assert (image['height'], image['width']) == (432, 768)
        assert image['reason'] in ('flicker', 'views', 'unsure', 'unstable', 'different')
        assert image['why']
    assert len({image['reason'] for image in labels['images']}) >= 3
    stamps = [image['stamp_ns'] for image in labels['images']]
    assert stamps == sorted(stamps)
    assert np.diff(stamps).min() >= 5e8
    summary = json.loads((harvest / 'harvest.json').read_text())
    assert summary['pictures']['looked_at'] == 36
    assert summary['pictures']['chosen'] == sum(summary['chosen_for'].values()) == COUNT
    assert summary['first_labels'] == len(labels['annotations']) > 2 * COUNT


def test_labels_are_those_of_a_run(harvest, tmp_path):
    """Load the first labels as labels: against what gave them, they are perfect."""
    pytest.importorskip('motmetrics')
    assert main(['run', str(harvest / 'images'), '--labels', str(harvest / LABELS_NAME), '-o',
                 str(tmp_path), '--quiet']) == 0
    detection = json.loads((tmp_path / 'metrics.json').read_text())['detection']
    labels = json.loads((harvest / LABELS_NAME).read_text())
    assert detection['people'] == len(labels['annotations'])
    assert detection['ap'] == pytest.approx(1.0)


def test_two_harvests_are_the_same(demo_bag, harvest, tmp_path):
    harvested(demo_bag, tmp_path / 'out', '--count', str(COUNT), '--min-gap', '0.5')
    files = sorted(path.relative_to(harvest) for path in harvest.rglob('*') if path.is_file())
    assert len(files) == COUNT + 2
    for file in files:
        assert (tmp_path / 'out' / file).read_bytes() == (harvest / file).read_bytes()


def test_raw_pictures_of_two_cameras_stay_what_they_are(tmp_path):
    bag = recordings.write_bag(tmp_path / 'bag', {
        '/front/image_raw': 'sensor_msgs/msg/Image', '/rear/image_raw': 'sensor_msgs/msg/Image'})
    # Nobody knows where the horizon of these is: that view is left out.
    labels = harvested(bag, tmp_path / 'out', '--count', '4', '--min-gap', '0.2', '--set',
                       'views=[whole, horizon, whole@0.65]')
    assert {image['camera'] for image in labels['images']} == {
        '/front/image_raw', '/rear/image_raw'}
    with open_source(bag) as source:
        recorded = {(frame.camera, frame.stamp_ns): frame.picture.bgr() for frame in source}
    for image in labels['images']:
        written = cv2.imread(str(tmp_path / 'out' / 'images' / image['file_name']))
        np.testing.assert_array_equal(written, recorded[image['camera'], image['stamp_ns']])


def test_files_keep_their_names_and_a_clip_becomes_jpeg(demo_bag, harvest, root, tmp_path):
    again = harvested(harvest / 'images', tmp_path / 'again', '--count', '2')
    for image in again['images']:
        assert (tmp_path / 'again' / 'images' / image['file_name']).read_bytes() \
            == (harvest / 'images' / image['file_name']).read_bytes()
    clip = harvested(root / 'demo' / 'pets_street.mp4', tmp_path / 'clip', '--count', '2',
                     '--frames', '1-6', '--min-gap', '0')
    assert [image['file_name'].endswith('.jpg') for image in clip['images']] == [True, True]
    assert all(image['number'] <= 6 for image in clip['images'])


def test_a_recording_that_begins_again_overwrites_no_picture(tmp_path, demo_bag):
    replays = pytest.importorskip('replays', reason='needs the messages of ROS')
    [(stamp_ns, image_hw3)] = replays.demo_pictures(demo_bag, 1)
    bag = replays.write_pictures(tmp_path / 'bag', [(stamp_ns, image_hw3), (
        stamp_ns + 2 * 10**9, image_hw3[::-1]), (stamp_ns, image_hw3[:, ::-1])])
    labels = harvested(bag, tmp_path / 'out', '--count', '3', '--min-gap', '0')
    names = [image['file_name'] for image in labels['images']]
    assert len(set(names)) == len(names) == 3
    assert len(list((tmp_path / 'out' / 'images').iterdir())) == 3


def test_pictures_out_of_order_are_left_out(tmp_path, demo_bag, capsys):
    replays = pytest.importorskip('replays', reason='needs the messages of ROS')
    pictures = replays.demo_pictures(demo_bag, 12)
    late = [*pictures[:9], pictures[5], pictures[8], *pictures[9:]]
    found = []
    for name, shown in (('plain', pictures), ('late', late)):
        bag = replays.write_pictures(tmp_path / f'{name}_bag', shown)
        labels = harvested(bag, tmp_path / name, '--count', '4', '--min-gap', '0')
        summary = json.loads((tmp_path / name / 'harvest.json').read_text())
        found.append((summary['pictures'].pop('disordered'), summary['pictures'],
                      [(image['stamp_ns'], image['reason']) for image in labels['images']]))
        assert ('as the node does' in capsys.readouterr().out) == (name == 'late')
    assert [disordered for disordered, *_ in found] == [0, 2]
    assert found[0][1:] == found[1][1:], 'they change nothing'


@pytest.mark.parametrize(('arguments', 'told'), [
    (['{bag}', '-o', '{full}'], 'exists already'),
    (['{bag}', '-o', '{new}', '--min-gap', '-1'], 'must be 0 or more'),
    (['{bag}', '-o', '{new}', '--topic', '/other'], 'no image topic /other'),
    (['{bag}', '-o', '{new}', '--frames', '30-99'], 'ends with picture 36'),
    (['{bag}', '-o', '{new}', '--set', 'score_treshold=1'], 'score_threshold'),
])
def test_what_cannot_be_harvested_is_told(demo_bag, tmp_path, capsys, arguments, told):
    (tmp_path / 'full').mkdir()
    places = {'bag': demo_bag, 'full': tmp_path / 'full', 'new': tmp_path / 'new'}
    assert main(['harvest', *(word.format(**places) for word in arguments), '--quiet']) == 1
    said = capsys.readouterr().err
    assert told in said
    assert said.count('\n') == 1
    assert [path.name for path in tmp_path.iterdir()] == ['full']


def test_a_parameter_of_one_camera_is_refused_as_it_would_change_nothing(root, tmp_path, capsys):
    assert main(['harvest', str(root / 'demo' / 'pets_street.mcap'), '-o', str(tmp_path / 'out'),
                 '--set', 'camera.rotation_deg=90']) == 1
    assert 'camera.rotation_deg=90 would change nothing' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
