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

"""Recordings of both storages, whole and damaged."""

from __future__ import annotations

from pathlib import Path
import shutil
import sqlite3
import struct

import lz4.frame
import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.sources import open_source, RawPicture
import pytest
from recordings import (
    HEIGHT,
    image_message,
    only_file,
    PERIOD_NS,
    picture,
    START_NS,
    STORE,
    WIDTH,
    write_bag,
)
from rosbags.rosbag2 import StoragePlugin

RAW, PNG = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
INFO, TEXT = 'sensor_msgs/msg/CameraInfo', 'std_msgs/msg/String'
TWO_CAMERAS = {'/front/image_raw': RAW, '/front/camera_info': INFO,
               '/rear/image_raw/compressed': PNG, '/chatter': TEXT}
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
PLUGINS = [StoragePlugin.SQLITE3, StoragePlugin.MCAP]


def record(operation: int, content: bytes) -> bytes:
    return struct.pack('<BQ', operation, len(content)) + content


def text(value: str) -> bytes:
    return struct.pack('<I', len(value)) + value.encode()


def channel() -> bytes:
    """Give the records that mcap needs before the first picture on a topic."""
    return (record(3, struct.pack('<H', 7) + text(RAW) + text('ros2msg') + text(''))
            + record(4, struct.pack('<HH', 1, 7) + text('/a/image_raw') + text('cdr') + text('')))


@pytest.mark.parametrize('plugin', PLUGINS)
@pytest.mark.parametrize('whole_folder', [True, False])
def test_two_cameras_come_interleaved_with_recorded_stamps(tmp_path, plugin, whole_folder):
    folder = write_bag(tmp_path / 'bag', TWO_CAMERAS, plugin=plugin)
    with open_source(folder if whole_folder else only_file(folder)) as source:
        assert [camera.name for camera in source.cameras] == [
            '/front/image_raw', '/rear/image_raw/compressed']
        assert (source.frame_count, source.is_live, source.notes) == (20, False, ())
        assert source.rate_hz == pytest.approx(10.0, rel=0.01)
        frames = list(source)
        # A second round gives the same again: that is how a player loops.
        assert [frame.stamp_ns for frame in source] == [frame.stamp_ns for frame in frames]
    assert [frame.camera for frame in frames[:4]] == 2 * [
        '/front/image_raw', '/rear/image_raw/compressed']
    for index, frame in enumerate(frames[0::2]):
        assert frame.stamp_ns == START_NS + index * PERIOD_NS
        assert frame.log_ns == frame.stamp_ns + 5_000_000
        assert frame.frame_id == 'optical'
    for index in range(10):
        for frame in frames[2 * index:2 * index + 2]:
            np.testing.assert_array_equal(frame.frame().image_hw3, picture(index))
    assert frames[1].calibration is None


def test_raw_picture_is_not_decoded_until_asked(tmp_path):
    with open_source(write_bag(tmp_path / 'bag', TWO_CAMERAS)) as source:
        raw = next(iter(source)).picture
    assert isinstance(raw, RawPicture)
    assert (raw.encoding, raw.height, raw.width, raw.step) == (
        'bgr8', HEIGHT, WIDTH, WIDTH * 3 + 4)
    assert raw.data.size == HEIGHT * raw.step


def test_calibration_is_there_from_the_first_frame_and_follows(tmp_path):
    # The CameraInfo is written after the picture of the same time, as many drivers do.
    with open_source(write_bag(tmp_path / 'bag', TWO_CAMERAS),
                     topics=['/front/image_raw']) as source:
        first, second, third = list(source)[:3]
    assert first.calibration.k[0] == 500.0
    assert (second.calibration.k[0], third.calibration.k[0]) == (500.0, 501.0)
    assert first.calibration.size_hw == (HEIGHT, WIDTH)
    assert first.calibration.d == (0.1, 0, 0, 0, 0.2)
    assert first.calibration.p[:7] == (500.0, 0, 20, 0, 0, 500.0, 12)
    assert first.calibration.binning_xy == (1, 2)
    assert first.calibration.roi_xyhw == (1, 2, 3, 4)
    assert first.calibration.roi_rectify


@pytest.mark.parametrize('plugin', PLUGINS)
def test_start_leaves_out_what_was_written_before(tmp_path, plugin):
    folder = write_bag(tmp_path / 'bag', TWO_CAMERAS, plugin=plugin)
    with open_source(folder, start_s=0.35, topics=['/rear/image_raw/compressed']) as source:
        assert [frame.stamp_ns for frame in source] == [
            START_NS + index * PERIOD_NS for index in range(4, 10)]
    with open_source(folder, start_s=60.0) as late, pytest.raises(SourceError, match='from 60 s'):
        list(late)


def test_camera_recorded_raw_and_compressed_is_played_once(tmp_path):
    folder = write_bag(tmp_path / 'bag', {'/a/image_raw': RAW, '/a/image_raw/compressed': PNG})
    with open_source(folder) as source:
        assert [camera.name for camera in source.cameras] == ['/a/image_raw']
        assert '/a/image_raw/compressed' in source.notes[0]
    with open_source(folder, topics=['/a/image_raw/compressed']) as source:
        assert len(list(source)) == 10


def test_header_without_a_stamp_takes_the_time_of_writing(tmp_path):
    folder = write_bag(tmp_path / 'bag', {'/a/image_raw': RAW}, first_stamp_ns=0)
    with open_source(folder) as source:
        assert next(iter(source)).stamp_ns == START_NS + 5_000_000


def test_sqlite_of_humble_has_no_definitions(tmp_path):
    # Humble: schema 3 at most, no message_definitions table, no type hash.
    folder = write_bag(tmp_path / 'bag', TWO_CAMERAS, plugin=StoragePlugin.SQLITE3)
    database = sqlite3.connect(only_file(folder))
    database.executescript('DROP TABLE message_definitions; UPDATE schema SET schema_version = 3;'
                           'ALTER TABLE topics DROP COLUMN type_description_hash;')
    database.close()
    with open_source(folder) as source:
        np.testing.assert_array_equal(next(iter(source)).frame().image_hw3, picture(0))


def test_no_image_topic_lists_what_there_is(tmp_path):
    folder = write_bag(tmp_path / 'bag', {'/chatter': TEXT, '/front/camera_info': INFO})
    with pytest.raises(SourceError, match=r'no image topic.*/chatter \(std_msgs/msg/String\)'):
        open_source(folder)


def test_unknown_topic_lists_the_image_topics(tmp_path):
    folder = write_bag(tmp_path / 'bag', TWO_CAMERAS)
    with pytest.raises(SourceError, match=r'/side.*/front/image_raw.*/rear/image_raw/compressed'):
        open_source(folder, topics=['/side/image_raw'])


@pytest.mark.parametrize('plugin', PLUGINS)
def test_recording_without_metadata_is_read_and_said(tmp_path, plugin):
    folder = write_bag(tmp_path / 'bag', TWO_CAMERAS, plugin=plugin)
    (folder / 'metadata.yaml').unlink()
    with open_source(folder) as source:
        assert 'metadata.yaml' in source.notes[0]
        assert len(list(source)) == 20


def test_corrupt_metadata_names_it(tmp_path):
    folder = write_bag(tmp_path / 'bag', TWO_CAMERAS, plugin=StoragePlugin.SQLITE3)
    (folder / 'metadata.yaml').write_text('rosbag2_bagfile_information: [')
    with pytest.raises(SourceError, match=r'bag cannot be read.*metadata.yaml') as raised:
        open_source(folder)
    assert '\n' not in str(raised.value), 'one line of a log'


@pytest.mark.parametrize('content', [b'', b'not a database at all' * 100])
@pytest.mark.parametrize('suffix', ['.db3', '.mcap'])
def test_file_that_is_no_recording(tmp_path, suffix, content):
    file = tmp_path / f'broken{suffix}'
    file.write_bytes(content)
    with pytest.raises(SourceError, match=f'broken{suffix} cannot be read'):
        open_source(file)


def test_sqlite_damaged_inside_says_so(tmp_path):
    file = only_file(write_bag(tmp_path / 'bag', {'/a/image_raw': RAW}, count=50,
                               plugin=StoragePlugin.SQLITE3))
    content = bytearray(file.read_bytes())
    content[len(content) // 2:len(content) * 3 // 4] = b'\xff' * (len(content) // 4)
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r'bag\.db3 cannot be read.*malformed'):
        open_source(file)


def test_mcap_damaged_inside_gives_frames_then_says_so(tmp_path):
    # Its index is whole, so it opens; the second chunk of 1 MB does not hold what it should.
    file = only_file(write_bag(tmp_path / 'bag', {'/a/image_raw': RAW}, count=1000,
                               compressed=True))
    content = bytearray(file.read_bytes())
    first = content.index(ZSTD_MAGIC)
    second = content.index(ZSTD_MAGIC, first + 1)
    content[second:second + 4] = b'\xff' * 4
    file.write_bytes(content)
    frames = []
    with open_source(file) as source, pytest.raises(SourceError, match='is damaged'):
        frames.extend(source)
    assert 300 < len(frames) < 500


@pytest.mark.parametrize('share', [0.4, 0.97])
@pytest.mark.parametrize('compressed', [True, False])
@pytest.mark.parametrize('in_folder', [True, False])
def test_truncated_mcap_is_read_up_to_the_cut(tmp_path, share, compressed, in_folder):
    # 3 KB pictures and 1 MB chunks: the cut is inside the first or the second chunk.
    folder = write_bag(tmp_path / 'bag', {'/a/image_raw': RAW, '/a/camera_info': INFO}, count=500,
                       compressed=compressed)
    file = only_file(folder)
    content = file.read_bytes()
    file.write_bytes(content[:int(len(content) * share)])
    with open_source(folder if in_folder else file) as source:
        frames = list(source)
        assert any('cut off' in note for note in source.notes)
        assert source.frame_count == len(frames)
    assert 500 * share * 0.9 < len(frames) <= 500
    assert [frame.stamp_ns for frame in frames] == [
        START_NS + index * PERIOD_NS for index in range(len(frames))]
    np.testing.assert_array_equal(frames[-1].frame().image_hw3, picture(len(frames) - 1))
    assert frames[-1].calibration is not None
    with open_source(file, start_s=5.0) as source:
        assert next(iter(source)).stamp_ns == START_NS + 50 * PERIOD_NS


def test_lz4_chunk_that_was_never_finished(tmp_path):
    # The recorder of rosbag2 can write lz4, rosbags cannot: this file is put together here.
    content = channel()
    for index in range(40):
        stamp_ns = START_NS + index * PERIOD_NS
        data = bytes(STORE.serialize_cdr(image_message(index, stamp_ns), RAW))
        content += record(5, struct.pack('<HIQQ', 1, 0, stamp_ns, stamp_ns) + data)
    packed = lz4.frame.compress(content, block_size=lz4.frame.BLOCKSIZE_MAX64KB)
    chunk = struct.pack('<QQQI', START_NS, START_NS + 39 * PERIOD_NS, len(content), 0)
    chunk += text('lz4') + struct.pack('<Q', len(packed)) + packed
    file = tmp_path / 'killed.mcap'
    file.write_bytes(b'\x89MCAP0\r\n' + record(1, text('ros2') + text(''))
                     + record(6, chunk)[:len(packed) * 3 // 4])
    with open_source(file) as source:
        frames = list(source)
    # 64 KB blocks of 20 pictures each: the first is whole.
    assert 20 <= len(frames) < 40
    np.testing.assert_array_equal(frames[19].frame().image_hw3, picture(19))


def test_mcap_cut_before_its_first_message(tmp_path):
    file = only_file(write_bag(tmp_path / 'bag', {'/a/image_raw': RAW}))
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(SourceError, match='before its first message'):
        open_source(file)


@pytest.mark.parametrize(('at', 'damage', 'why'), [
    (0, b'\x03\x01\x00\x00\x00\x00\x00\x00\x00\x07', 'a schema without a name'),
    (0, b'\x04\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00', 'a channel without a schema'),
    (0, b'\x04\x09\x00\x00\x00\x00\x00\x00\x00\x09\x00\x07\x00\x01\x00\x00\x00\xff',
     'a topic that is no text'),
    (-1, b'\x05' + b'\xff' * 8 + bytes(40), 'a record longer than any memory'),
    (-1, b'\x05' + b'\xff' * 7 + b'\x7f' + bytes(40), 'and one that Python can still count')])
def test_mcap_records_that_are_damaged_cost_no_others(tmp_path, at, damage, why):
    sound = channel()
    for index in range(3):
        data = bytes(STORE.serialize_cdr(image_message(index, START_NS), RAW))
        sound += record(5, struct.pack('<HIQQ', 1, 0, START_NS, START_NS) + data)
    file = tmp_path / 'damaged.mcap'
    file.write_bytes(b'\x89MCAP0\r\n' + (damage + sound if at == 0 else sound + damage))
    with open_source(file) as source:
        assert len(list(source)) == 3, why
        assert 'cut off or damaged' in source.notes[0]


def test_split_recording_with_a_cut_last_file(tmp_path):
    folder = write_bag(tmp_path / 'bag', {'/a/image_raw': RAW})
    later = only_file(write_bag(tmp_path / 'later', {'/a/image_raw': RAW}))
    shutil.copy(later, folder / 'bag_1.mcap')
    (folder / 'bag_1.mcap').write_bytes(later.read_bytes()[:-50])
    metadata = (folder / 'metadata.yaml').read_text()
    (folder / 'metadata.yaml').write_text(
        metadata.replace('- bag.mcap', '- bag.mcap\n  - bag_1.mcap', 1))
    with open_source(folder) as source:
        assert len(list(source)) == 20
        assert any('bag_1.mcap is cut off' in note for note in source.notes)


def test_message_that_is_cut_short_is_skipped_and_counted(tmp_path):
    folder = write_bag(tmp_path / 'bag', {'/a/image_raw': RAW}, plugin=StoragePlugin.SQLITE3)
    database = sqlite3.connect(only_file(folder))
    database.execute('UPDATE messages SET data = substr(data, 1, 60) WHERE id = 3')
    database.commit()
    database.close()
    with open_source(folder) as source:
        assert len(list(source)) == 9
        assert source.skipped == 1


def test_folder_of_no_recording_stays_a_picture_folder(tmp_path: Path):
    with pytest.raises(SourceError, match='holds no pictures'):
        open_source(tmp_path)
