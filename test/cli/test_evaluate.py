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

import contextlib
import io
import json
import shutil

import cv2
from labelled_bags import labelled_bag, PERSON
import numpy as np
from ped_perception.cli.evaluate import main
from ped_perception.evaluation.mot import labels_from_mot_file
from ped_perception.evaluation.results import read_results
import pytest
import yaml

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
    assert 0.4 < metrics['tracking']['hota'] < 1
    assert metrics['memory_mb']['peak'] > 50
    assert metrics['detection']['score_calibration']['bins'][9]['precision'] is None
    assert by_pycocotools(tmp_path / 'out') == pytest.approx(
        [metrics['detection'][name] for name in ('ap', 'ap50')], abs=0.001)
    assert metrics['pictures'] == {
        'looked_at': 20, 'undecodable': 0, 'disordered': 0, 'labelled': 20}
    tracks = labels_from_mot_file(tmp_path / 'out' / 'tracks.txt')
    assert set(tracks) <= set(range(80, 100))
    assert min(tracks) == 81, 'confirmed after 0.1 s'
    predictions = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert {row['image_id'] for row in predictions} == set(range(80, 100))
    best = max(predictions, key=lambda row: row['score'])
    assert best['score'] > 0.6
    assert best['bbox'][3] > best['bbox'][2] > 0


def by_pycocotools(folder):
    """Let pycocotools score the files of a run on its own; AP and AP50."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / 'labels.json'))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / 'predictions.json')), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:2].tolist()


def test_figures_of_photographs_are_those_of_pycocotools(shared_data, tmp_path):
    place = shared_data / 'coco200'
    assert main(['run', str(place / 'images'), '--labels', str(place / 'instances.json'),
                 '--frames', '1-30', '-o', str(tmp_path), '--quiet']) == 0
    detection = json.loads((tmp_path / 'metrics.json').read_text())['detection']
    assert detection['people'] > 30
    assert by_pycocotools(tmp_path) == pytest.approx([detection['ap'], detection['ap50']],
                                                     abs=0.001)


def test_kitti_labels_tell_distances_and_positions(shared_data, tmp_path, capsys):
    place = shared_data / 'kitti3'
    run = ['run', str(place / 'image_2'), '--labels', str(place / 'label_2'), '--quiet']
    assert main([*run, '-o', str(tmp_path / 'a')]) == 0
    assert 'errors on the ground cannot be told' in capsys.readouterr().out
    assert 'ground_error' not in json.loads((tmp_path / 'a' / 'metrics.json').read_text())
    assert main([*run, '-o', str(tmp_path / 'b'), '--set',
                 'camera.mounting_xyz_m=[0.0, 0.0, 1.65]']) == 0
    assert '1 of 1 people placed' in capsys.readouterr().out
    metrics = json.loads((tmp_path / 'b' / 'metrics.json').read_text())
    near = metrics['ground_error'][0]
    assert (near['to_m'], near['people'], near['placed']) == (10, 1, 1)
    assert near['median_m'] < 0.8
    assert metrics['detection']['ap_by_distance'][0]['ap50'] == pytest.approx(1)
    assert metrics['parameters']['camera.mounting_xyz_m'] == [0, 0, 1.65]
    predictions = json.loads((tmp_path / 'b' / 'predictions.json').read_text())
    assert {row['image_id'] for row in predictions} <= {f'00000{number}.png'
                                                        for number in range(3)}


def test_cameras_of_a_vehicle_with_their_parameters(shared_data, tmp_path):
    """Six cameras as six folders: calibration, mounting and labels of each by its name."""
    place = shared_data / 'nuscenes6'
    cameras = json.loads((place / 'cameras.json').read_text())
    content = json.loads((place / 'instances.json').read_text())
    parameters = {'cameras': sorted(cameras)}
    for image in content['images']:
        name, camera = image['camera'], cameras[image['camera']]
        (tmp_path / 'drive' / name).mkdir(parents=True)
        shutil.copy(place / 'images' / camera['file_name'], tmp_path / 'drive' / name)
        (tmp_path / 'drive' / f'{name}.json').write_text(json.dumps({
            **content, 'images': [image], 'annotations': [
                entry for entry in content['annotations'] if entry['image_id'] == image['id']]}))
        k_9 = np.ravel(camera['K']).tolist()
        (tmp_path / 'drive' / f'{name}.yaml').write_text(yaml.safe_dump({
            'image_width': camera['width'], 'image_height': camera['height'],
            'distortion_model': 'plumb_bob', 'camera_matrix': {'data': k_9},
            'distortion_coefficients': {'data': [0.0] * 5},
            'rectification_matrix': {'data': np.eye(3).ravel().tolist()},
            'projection_matrix': {'data': [*k_9[:3], 0.0, *k_9[3:6], 0.0, *k_9[6:], 0.0]}}))
        body_33 = np.array(camera['cam2ego'])[:3, :3] @ [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
        yaw, pitch = np.arctan2(body_33[1, 0], body_33[0, 0]), -np.arcsin(body_33[2, 0])
        roll = np.arctan2(body_33[2, 1], body_33[2, 2])
        parameters[name] = {
            'mounting_xyz_m': np.array(camera['cam2ego'])[:3, 3].tolist(),
            'mounting_rpy_deg': np.degrees([roll, pitch, yaw]).tolist()}
    config = tmp_path / 'vehicle.yaml'
    config.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}))
    drive = str(tmp_path / 'drive')
    assert main(['run', drive, '--labels', drive, '--calibration', drive, '--config', str(config),
                 '--set', 'score_threshold=0.3', '-o', str(tmp_path / 'out'), '--quiet']) == 0
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert [row['name'] for row in metrics['recordings']] == sorted(cameras)
    assert [row['camera'] for row in metrics['recordings']] == sorted(cameras)
    assert metrics['detection']['people'] == 36
    every = metrics['ground_error'][-1]
    assert every['placed'] >= 3
    assert every['median_share'] < 0.2
    assert metrics['detection']['ap_by_distance'] is not None
    assert metrics['parameters']['score_threshold'] == 0.3


@pytest.fixture
def two_drives(tmp_path):
    """Give a folder of two folders of grey pictures, with labels by name."""
    for drive, height in (('one', 50), ('two', 60)):
        (tmp_path / 'drives' / 'day' / drive).mkdir(parents=True)
        for number in (1, 2):
            cv2.imwrite(str(tmp_path / 'drives' / 'day' / drive / f'{number}.png'),
                        np.full((96, 160, 3), 90, np.uint8))
        (tmp_path / 'drives' / 'day' / f'{drive}.txt').write_text(
            f'1,7,10,10,20,{height},1\n2,7,10,10,20,{height},1\n')
    return tmp_path / 'drives'


def test_several_recordings_are_kept_apart(two_drives, tmp_path, capsys):
    out = tmp_path / 'out'
    (two_drives / 'day' / 'two' / '3.png').write_bytes(b'no picture')
    assert main(['run', str(two_drives), '--labels', str(two_drives), '-o', str(out),
                 '--quiet']) == 0
    assert 'day/two' in capsys.readouterr().out
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics['pictures'] == {
        'looked_at': 4, 'undecodable': 1, 'disordered': 0, 'labelled': 4}
    assert [row['pictures']['undecodable'] for row in metrics['recordings']] == [0, 1]
    assert [(row['name'], row['detection']['people'], row['tracking']['misses'])
            for row in metrics['recordings']] == [('day/one', 2, 2), ('day/two', 2, 2)]
    assert metrics['tracking']['labelled_people'] == 2, 'person 7 of each is somebody else'
    images = json.loads((out / 'labels.json').read_text())['images']
    assert [image['id'] for image in images] == [
        f'day/{drive}/{number}.png' for drive in ('one', 'two') for number in (1, 2)]
    assert (out / 'tracks' / 'day' / 'two.txt').read_text() == ''
    assert not (out / 'tracks.txt').exists()
    assert (out / 'report.html').stat().st_size > 1000
    read = read_results(out)
    assert [(picture.recording, picture.number) for picture in read.pictures] == [
        ('day/one', 1), ('day/one', 2), ('day/two', 1), ('day/two', 2)]


def test_names_that_count_otherwise_than_the_labels_are_told(two_drives, tmp_path, capsys):
    drive = two_drives / 'day' / 'one'
    for number, says in ((1, False), (0, False), (100, True)):
        for offset, path in enumerate(sorted(drive.iterdir())):
            path.rename(path.with_name(f'{number + offset:06d}.png'))
        assert main(['run', str(drive), '--labels', str(drive.with_suffix('.txt')), '-o',
                     str(tmp_path / f'out{number}'), '--quiet']) == 0
        assert ('by their order' in capsys.readouterr().out) is says


def test_labels_of_several_recordings_are_found_before_anything_runs(two_drives, tmp_path, capsys):
    (two_drives / 'day' / 'two.txt').unlink()
    for labels, says in ((two_drives, 'two.json'), (two_drives / 'day' / 'one.txt', 'folder')):
        assert main(['run', str(two_drives), '--labels', str(labels), '-o',
                     str(tmp_path / 'out'), '--quiet']) == 1
        assert says in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def run_over(pictures, folder, *options):
    """Record pictures and run over them; give the metrics, and id and box of each track by row."""
    replays = pytest.importorskip('replays', reason='needs the messages of ROS')
    bag = replays.write_pictures(folder / 'bag', pictures)
    (folder / 'gt.txt').write_text('1,7,10,10,20,50,1\n')
    assert main(['run', str(bag), '--labels', str(folder / 'gt.txt'), '-o', str(folder / 'out'),
                 '--quiet', *options]) == 0
    tracks = np.loadtxt(folder / 'out' / 'tracks.txt', delimiter=',', ndmin=2)
    return json.loads((folder / 'out' / 'metrics.json').read_text()), tracks


def test_pictures_out_of_order_are_left_out_and_time_that_is_set_begins_anew(
        root, tmp_path, capsys):
    replays = pytest.importorskip('replays', reason='needs the messages of ROS')
    pictures = replays.demo_pictures(root / 'demo' / 'pets_street.mcap', 8)
    for name in ('plain', 'late', 'twice'):
        (tmp_path / name).mkdir()
    _, plain = run_over(pictures, tmp_path / 'plain')
    assert len(plain) > 8
    assert 'as the node does' not in capsys.readouterr().out
    metrics, late = run_over(
        [*pictures[:5], pictures[2], pictures[4], *pictures[5:]], tmp_path / 'late')
    assert metrics['pictures'] == {
        'looked_at': 8, 'undecodable': 0, 'disordered': 2, 'labelled': 1}
    assert any('2 pictures of' in note for note in metrics['notes'])
    assert 'as the node does' in capsys.readouterr().out
    np.testing.assert_array_equal(late[:, 1:], plain[:, 1:], 'nobody was forgotten')
    # A recording that begins again, by more than what passes for out of order.
    metrics, twice = run_over([*pictures, *pictures], tmp_path / 'twice', '--set',
                              'jump_back_s=0.3')
    assert metrics['pictures'] == {
        'looked_at': 16, 'undecodable': 0, 'disordered': 0, 'labelled': 1}
    first, second = (set(twice[rows, 1]) for rows in (twice[:, 0] <= 8, twice[:, 0] > 8))
    assert not first & second
    assert len(first) == len(second)


def test_a_topic_of_the_recording_is_its_labels(tmp_path):
    bag = labelled_bag(tmp_path / 'bag', [PERSON], None, [PERSON])
    config = tmp_path / 'vehicle.yaml'
    config.write_text('/**:\n  ros__parameters:\n    cameras: [front, rear]\n'
                      '    views: [whole]\n')
    run = ['run', str(bag), '--labels', 'topic:/labels', '-o', str(tmp_path / 'out'), '--quiet',
           '--config', str(config)]
    assert main([*run, '--camera', 'front']) == 0
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert metrics['pictures'] == {
        'looked_at': 3, 'undecodable': 0, 'disordered': 0, 'labelled': 2}
    assert (metrics['labels'], metrics['label_format']) == ('topic:/labels', 'topic')
    assert metrics['topic'] == '/front/image_raw', 'as the parameters of the camera say'
    assert metrics['tracking']['labelled_people'] == 1
    assert metrics['parameters']['views'] == ['whole']


@pytest.mark.parametrize(('arguments', 'says', 'why'), [
    ([], '--camera front', 'two cameras, and nobody says which'),
    (['--camera', 'left'], 'no camera left', 'an unknown camera'),
    (['--camera', 'rear'], 'was not recorded', 'a camera that is not in the recording'),
    (['--camera', 'front', '--set', 'front.mounting_xyz_m=[1.0]'], 'mounting',
     'half a mounting'),
    (['--camera', 'front', '--calibration', 'nowhere.yaml'], 'nowhere.yaml', 'no such file'),
    (['--camera', 'front', '--label-format', 'coco', '--labels', 'bag'], 'a file',
     'a folder is no COCO file'),
])
def test_bad_parameters_are_told(tmp_path, capsys, monkeypatch, arguments, says, why):
    monkeypatch.chdir(tmp_path)
    labelled_bag(tmp_path / 'bag', [PERSON])
    (tmp_path / 'v.yaml').write_text(
        '/**:\n  ros__parameters:\n    cameras: [front, rear]\n')
    assert main(['run', 'bag', '--labels', 'topic:/labels', '-o', 'out', '--quiet', '--config',
                 'v.yaml', *arguments]) == 1
    assert says in capsys.readouterr().err


def test_a_camera_on_its_side_is_turned_and_labels_are_not(shared_data, tmp_path):
    place = shared_data / 'kitti3'
    (tmp_path / 'turned').mkdir()
    picture = cv2.imread(str(place / 'image_2' / '000000.png'))
    cv2.imwrite(str(tmp_path / 'turned' / '1.png'),
                cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE))
    width = picture.shape[1]
    x1, y1, x2, y2 = 712.40, 143.00, 810.73, 307.92
    (tmp_path / 'gt.txt').write_text(f'1,1,{y1},{width - x2},{y2 - y1},{x2 - x1},1\n')
    assert main(['run', str(tmp_path / 'turned'), '--labels', str(tmp_path / 'gt.txt'), '-o',
                 str(tmp_path / 'out'), '--quiet', '--set', 'camera.rotation_deg=90']) == 0
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert metrics['detection']['ap50'] == pytest.approx(1)


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
    assert metrics['pictures'] == {
        'looked_at': 2, 'undecodable': 1, 'disordered': 0, 'labelled': 2}
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
