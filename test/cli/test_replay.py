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

"""Recordings through ``ped_replay``: every picture, and the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path
import shutil

import cv2
from doubles import RememberingBackend
import numpy as np
from ped_perception.backends import open_backend
from ped_perception.cli.replay import main
from ped_perception.core.errors import ConfigError, SourceError
from ped_perception.replay.cameras import camera_values, topics_of_cameras
from ped_perception.replay.result_bag import ReplayError
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.settings import settings_from_values
from ped_perception.sources import open_source
from ped_perception.sources.storage import Topic
import pytest
from replays import (
    by_stamp,
    demo_pictures,
    DETECTIONS,
    IMAGE,
    INFO,
    JPEG,
    messages,
    messages_as_written,
    replayed,
    stamp_ns,
    STORE,
    write_pictures,
)
from rosbags.rosbag2 import StoragePlugin, Writer

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def backend():
    """Return the default network, loaded once for all tests."""
    with open_backend(settings_from_values({}).backend, 8) as opened:
        yield RememberingBackend(opened)


@pytest.fixture(scope='module')
def demo_bag(root):
    """Return the recording that ships."""
    return root / 'demo' / 'pets_street.mcap'


@pytest.fixture(scope='module')
def demo_results(demo_bag, backend, tmp_path_factory):
    """Return the results of the recording that ships."""
    output = tmp_path_factory.mktemp('demo') / 'out'
    replayed(demo_bag, output, backend)
    return output


def test_two_runs_give_the_same_bytes(demo_bag, demo_results, tmp_path, capsys):
    # In a process's own network, under another name; with the parameters of the other run.
    assert main([str(demo_bag), '-o', str(tmp_path / 'again'), '--quiet',
                 '-p', 'max_frame_age_s:=0.5']) == 0
    names = sorted(path.name for path in demo_results.iterdir())
    assert names == ['metadata.yaml', 'results.mcap', 'summary.json']
    for name in names:
        assert (tmp_path / 'again' / name).read_bytes() == (demo_results / name).read_bytes()
    assert '36 of 36 pictures looked at' in capsys.readouterr().out


def test_results_have_the_stamps_of_their_pictures(demo_bag, demo_results):
    with open_source(demo_bag) as source:
        expected = [(frame.log_ns, frame.stamp_ns, frame.frame_id) for frame in source]
    found = messages(demo_results, DETECTIONS)
    assert [(log_ns, stamp_ns(message), message.header.frame_id)
            for log_ns, message in found] == expected
    assert sum(len(message.detections) >= 3 for _, message in found) > 30
    ids = {detection.id for _, message in found for detection in message.detections}
    assert len(ids - {''}) >= 4
    people = messages(demo_results, '/ped_detector/pedestrians')
    assert [stamp_ns(message) for _, message in people] == [row[1] for row in expected]
    # Nobody knows how this camera is mounted: everybody is among the unplaced, with the reason.
    assert all(not message.detections for _, message in people)
    unplaced = messages(demo_results, '/ped_detector/unplaced')[-1][1]
    assert unplaced.detections
    assert {detection.results[1].hypothesis.class_id for detection in unplaced.detections} == {
        'no_transform'}
    health = messages(demo_results, '/ped_detector/health')
    assert health[-1][1].message == 'OK: looking at 1 of 1 cameras'
    assert len(health) == pytest.approx(36, abs=2)


@pytest.mark.parametrize(('plugin', 'kind', 'topic'), [
    (StoragePlugin.SQLITE3, IMAGE, '/camera/image_raw'),
    (StoragePlugin.MCAP, IMAGE, '/camera/image_raw'),
    (StoragePlugin.SQLITE3, JPEG, '/camera/image_raw/compressed'),
])
def test_the_form_of_the_recording_changes_nothing(demo_bag, demo_results, backend, tmp_path,
                                                   plugin, kind, topic):
    bag = write_pictures(tmp_path / 'bag', demo_pictures(demo_bag), plugin=plugin, kind=kind,
                         topic=topic)
    replayed(bag, tmp_path / 'out', backend)
    found = by_stamp(tmp_path / 'out')
    assert len(found) == 8
    expected = by_stamp(demo_results)
    assert found == {stamp: expected[stamp] for stamp in found}


def test_a_truncated_recording_is_read_as_far_as_it_goes(demo_bag, demo_results, backend,
                                                         tmp_path):
    bag = tmp_path / 'cut.mcap'
    data = demo_bag.read_bytes()
    bag.write_bytes(data[:len(data) * 2 // 3])
    summary = replayed(bag, tmp_path / 'out', backend)
    assert 20 <= summary.looked_at < 30
    assert 'cut off' in ' '.join(summary.notes)
    expected, found = by_stamp(demo_results), by_stamp(tmp_path / 'out')
    assert found == {stamp: expected[stamp] for stamp in found}


def test_nothing_is_overwritten(demo_bag, tmp_path, capsys):
    output = tmp_path / 'out'
    output.mkdir()
    (output / 'kept').write_text('mine')
    assert main([str(demo_bag), '-o', str(output), '--quiet']) == 1
    assert 'exists already' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['out']
    assert (output / 'kept').read_text() == 'mine'


def test_what_was_interrupted_leaves_nothing(demo_bag, backend, tmp_path):
    def interrupt(done, total):
        assert total == 36
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replayed(demo_bag, tmp_path / 'out', backend, progress=interrupt)
    assert not list(tmp_path.iterdir())
    # What a killed run leaves behind is no result, and in nobody's way.
    (tmp_path / 'out.partial' / 'results').mkdir(parents=True)
    assert replayed(demo_bag, tmp_path / 'out', backend, start_s=3.0).looked_at < 10
    assert [path.name for path in tmp_path.iterdir()] == ['out']


def test_pictures_are_copied_as_they_were_recorded(demo_bag, backend, tmp_path):
    replayed(demo_bag, tmp_path / 'out', backend, images=True, start_s=3.0)
    for topic in ('/camera/image_raw/compressed', '/camera/camera_info'):
        copied = messages(tmp_path / 'out', topic)
        recorded = [entry for entry in messages(demo_bag, topic) if entry[0] >= copied[0][0]]
        assert len(copied) == len(recorded) == 6
        for (copied_ns, copy), (recorded_ns, record) in zip(copied, recorded, strict=True):
            assert copied_ns == recorded_ns
            assert stamp_ns(copy) == stamp_ns(record)
    assert bytes(copied[0][1].k.tobytes()) == recorded[0][1].k.tobytes()


def test_a_recording_that_begins_again_forgets_everybody(demo_bag, backend, tmp_path):
    pictures = demo_pictures(demo_bag, 12)
    bag = write_pictures(tmp_path / 'bag', pictures + pictures)
    summary = replayed(bag, tmp_path / 'out', backend, {'jump_back_s': 0.5})
    assert (summary.time_jumps, summary.looked_at) == (1, 24)
    found = [message for _, message in messages(tmp_path / 'out', DETECTIONS)]
    first = {d.id for message in found[:12] for d in message.detections} - {''}
    second = {d.id for message in found[12:] for d in message.detections} - {''}
    assert first
    assert second
    assert not first & second


def test_bad_pictures_are_skipped_and_told(demo_bag, backend, tmp_path):
    pictures = demo_pictures(demo_bag, 4)
    # The second stamp twice, and one of a moment before.
    bag = write_pictures(tmp_path / 'bag', [
        *pictures[:2], pictures[1], (pictures[1][0] - 10, pictures[0][1]), *pictures[2:]])
    summary = replayed(bag, tmp_path / 'out', backend)
    assert summary.looked_at == 4
    assert summary.skipped == {'camera': {'repeated': 1, 'disordered': 1}}
    assert json.loads((tmp_path / 'out' / 'summary.json').read_text())['skipped'] \
        == summary.skipped


def test_damaged_messages_are_left_out_and_told(demo_bag, demo_results, backend, tmp_path):
    bag = tmp_path / 'bag'
    recorded = messages_as_written(demo_bag)[:10]
    with Writer(bag, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        topics = {topic: writer.add_connection(topic, kind, typestore=STORE)
                  for topic, kind in {(topic, kind) for topic, kind, _, _ in recorded}}
        odometry = writer.add_connection('/odom', 'nav_msgs/msg/Odometry', typestore=STORE)
        writer.write(odometry, recorded[0][2], b'no odometry')
        for number, (topic, _, log_ns, data) in enumerate(recorded):
            # The header and some of the picture are there.
            writer.write(topics[topic], log_ns, data[:300] if number == 9 else data)
    summary = replayed(bag, tmp_path / 'out', backend, {
        'cameras': ['camera'], 'odometry_topic': 'odom'})
    assert summary.looked_at == 4
    assert [note[:20] for note in summary.notes] == [
        '1 damaged messages o', '1 messages of transf']
    expected, found = by_stamp(demo_results), by_stamp(tmp_path / 'out')
    assert found == {stamp: expected[stamp] for stamp in found}


def test_a_camera_on_its_head_sees_the_same_people(demo_bag, demo_results, backend, tmp_path):
    turned = [(stamp, image_hw3[::-1, ::-1]) for stamp, image_hw3 in demo_pictures(demo_bag)]
    bag = write_pictures(tmp_path / 'bag', turned)
    replayed(bag, tmp_path / 'out', backend,
             {'cameras': ['camera'], 'camera.rotation_deg': 180})
    expected = by_stamp(demo_results)
    for stamp, found in by_stamp(tmp_path / 'out').items():
        assert len(found) == len(expected[stamp])
        for one, other in zip(found, expected[stamp], strict=True):
            assert one[:3] == other[:3]
            np.testing.assert_allclose(
                [768 - one[3], 432 - one[4], *one[5:]], other[3:], atol=1e-3)


@pytest.mark.parametrize(('config', 'topics', 'found'), [
    (CameraConfig(), {'/front/image_raw': 'raw'}, '/front/image_raw'),
    (CameraConfig(), {'/front/image_raw/compressed': 'compressed'},
     '/front/image_raw/compressed'),
    # Both were recorded: raw lost nothing, unless JPEG are asked for.
    (CameraConfig(), {'/front/image_raw/compressed': 'compressed', '/front/image_raw': 'raw'},
     '/front/image_raw'),
    (CameraConfig(transport='compressed'),
     {'/front/image_raw/compressed': 'compressed', '/front/image_raw': 'raw'},
     '/front/image_raw/compressed'),
    (CameraConfig(image_topic='/rig/a/image'), {'/rig/a/image': 'raw'}, '/rig/a/image'),
    (CameraConfig(image_topic='rig/a/image'), {'/rig/a/image': 'raw'}, '/rig/a/image'),
])
def test_cameras_find_their_topics(config, topics, found):
    recorded = [Topic(name, {'raw': IMAGE, 'compressed': JPEG}[kind], 1)
                for name, kind in topics.items()]
    assert topics_of_cameras({'front': config}, recorded) == {found: 'front'}


def test_cameras_that_were_not_recorded_are_told():
    topics = [Topic('/a/image_raw', IMAGE, 1), Topic('/b', 'std_msgs/msg/String', 1)]
    with pytest.raises(SourceError, match=r'no /rear/image_raw .*recording: /a/image_raw\.'):
        topics_of_cameras({'rear': CameraConfig()}, topics)
    with pytest.raises(SourceError, match='are both'):
        topics_of_cameras({'a': CameraConfig(), 'c': CameraConfig(image_topic='/a/image_raw')},
                          topics)


def test_every_image_topic_is_a_camera_named_after_it():
    topics = [Topic('/front/image_raw', IMAGE, 1), Topic('/front/image_raw/compressed', JPEG, 1),
              Topic('/rig/left/image_rect', IMAGE, 1), Topic('/rear/image', IMAGE, 1),
              Topic('/rear/image_rect', IMAGE, 1), Topic('/front/camera_info', INFO, 1)]
    values = camera_values(topics)
    assert values == {
        'cameras': ['front', 'rear_image', 'rear_image_rect', 'rig_left'],
        'front.image_topic': '/front/image_raw', 'rear_image.image_topic': '/rear/image',
        'rear_image_rect.image_topic': '/rear/image_rect',
        'rig_left.image_topic': '/rig/left/image_rect'}
    assert set(topics_of_cameras(settings_from_values(values).cameras, topics).values()) \
        == set(values['cameras'])


@pytest.mark.parametrize(('arguments', 'told'), [
    (['nowhere.mcap'], 'There is no recording nowhere.mcap'),
    (['{other}/old.bag'], 'rosbags-convert --src old.bag'),
    (['{other}/no.mcap'], 'no.mcap cannot be read'),
    (['{bag}', '-p', 'score_treshold:=0.5'], 'Did you mean score_threshold?'),
    (['{bag}', '-p', 'score_threshold:=7'], 'must lie between'),
    (['{bag}', '-p', 'score_threshold'], 'NAME:=VALUE'),
    (['{bag}', '-p', 'cameras:=[rear]'], 'Camera rear was not recorded'),
    (['{bag}', '--config', 'none.yaml'], 'none.yaml cannot be read'),
    (['{bag}', '--start', '-1'], 'must lie between 0 and'),
    (['{bag}', '--start', 'inf'], 'must lie between 0 and'),
    (['{bag}', '--start', '100'], 'gave no picture'),
    (['{empty}'], 'There is no recording in'),
])
def test_what_cannot_be_replayed_is_told(demo_bag, tmp_path, capsys, arguments, told):
    folders = {name: tmp_path / name for name in ('empty', 'other')}
    for folder in folders.values():
        folder.mkdir()
    for name in ('old.bag', 'no.mcap'):
        (folders['other'] / name).write_bytes(b'#ROSBAG V2.0')
    words = [word.format(bag=demo_bag, **folders) for word in arguments]
    assert main([*words, '-o', str(tmp_path / 'out'), '--quiet']) == 1
    said = capsys.readouterr()
    assert told in said.err
    assert not (tmp_path / 'out').exists()


def test_the_file_of_the_launch_is_taken(demo_bag, root, tmp_path, capsys):
    """Take cameras and topics from the file that the launch takes, too."""
    assert main([str(demo_bag), '-o', str(tmp_path / 'out'), '--quiet', '--start', '3',
                 '--config', str(root / 'config' / 'replay.yaml'), '-p', 'views:=[whole]']) == 0
    assert by_stamp(tmp_path / 'out')
    assert '6 of 6 pictures' in capsys.readouterr().out


def test_another_calibration_topic_is_refused(demo_bag, backend, tmp_path):
    with pytest.raises(ConfigError, match='info_topic is /other/camera_info'):
        replayed(demo_bag, tmp_path / 'out', backend,
                 {'cameras': ['camera'], 'camera.info_topic': '/other/camera_info'})


def test_an_unwritable_place_is_told(demo_bag, backend, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ReplayError, match='cannot be written'):
        replayed(demo_bag, tmp_path / 'file' / 'out', backend)


def test_the_recording_that_ships_is_what_its_program_writes(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(root / 'demo'))
    import make_bag

    written = make_bag.write_bag(tmp_path / 'pets_street')
    shipped = Path(make_bag.BAG)
    assert shipped.stat().st_size <= 1.5e6
    assert len(messages(written.parent, '/camera/camera_info')) == 36
    # Another version of the codecs writes other JPEG of the same pictures.
    with open_source(written) as new, open_source(shipped) as old:
        for one, other in zip(new, old, strict=True):
            assert one.stamp_ns == other.stamp_ns
            difference = cv2.absdiff(one.picture.bgr(), other.picture.bgr())
            assert difference.mean() < 3.0
    shutil.rmtree(tmp_path / 'pets_street')
