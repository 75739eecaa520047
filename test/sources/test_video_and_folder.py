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

"""Videos, picture folders, devices, and telling them apart."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import cv2
import numpy as np
from ped_perception.core.errors import ImageError, SourceError
from ped_perception.sources import CompressedPicture, open_source
from ped_perception.sources.frames import Calibration, FIRST_STAMP_NS
from ped_perception.sources.video import LiveSource
import pytest
from recordings import picture, write_bag, write_video

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get('PED_SHARED_DATA', ROOT.parent / 'shared' / 'data'))


def brightness(frame) -> int:
    """Give the number of a frame of write_video."""
    return round(float(frame.frame().image_hw3.mean()) / 10)


def test_video_gives_every_frame_with_its_time(tmp_path):
    with open_source(write_video(tmp_path / 'clip.avi'), camera='front') as source:
        assert (source.frame_count, source.rate_hz, source.is_live) == (20, 10.0, False)
        frames = list(source)
        assert [frame.stamp_ns for frame in source] == [frame.stamp_ns for frame in frames]
    assert [brightness(frame) for frame in frames] == list(range(20))
    assert {frame.camera for frame in frames} == {'front'}
    np.testing.assert_allclose([frame.stamp_ns for frame in frames],
                               [FIRST_STAMP_NS + index * 10**8 for index in range(20)], atol=1000)


def test_video_start_is_exact_between_key_frames():
    # The shipped clip is H.264 with key frames 25 s apart: seeking alone would land on one.
    clip = ROOT / 'demo' / 'pets_street.mp4'
    with open_source(clip) as source:
        assert source.frame_count == 300
        frames = list(itertools.islice(source, 48))
    with open_source(clip, start_s=4.7) as source:
        assert source.frame_count == 253
        first = next(iter(source))
    assert first.stamp_ns == frames[47].stamp_ns == FIRST_STAMP_NS + 4_700_000_000
    np.testing.assert_array_equal(first.frame().image_hw3, frames[47].frame().image_hw3)
    assert first.frame().source_hw == (432, 768)


def test_video_start_after_its_end(tmp_path):
    with open_source(write_video(tmp_path / 'clip.avi'), start_s=9) as source, \
            pytest.raises(SourceError, match=r'ends at 1\.9 s'):
        list(source)


@pytest.mark.parametrize('content', [b'', b'this is text', b'\x00\x00\x00\x18ftypmp42' * 50])
def test_video_that_does_not_open(tmp_path, content):
    file = tmp_path / 'clip.mp4'
    file.write_bytes(content)
    with pytest.raises(SourceError, match=rf'clip\.mp4 \({len(content)} bytes\) does not open'):
        open_source(file)


def test_truncated_video_gives_what_is_there(tmp_path):
    file = write_video(tmp_path / 'clip.avi')
    content = file.read_bytes()
    file.write_bytes(content[:len(content) * 3 // 4])
    with open_source(file) as source:
        assert 5 <= len(list(source)) < 20


@pytest.mark.skipif(not (SHARED / 'malformed_images').exists(), reason='no shared test data')
def test_avi_with_a_broken_index_gives_all_its_frames():
    with open_source(SHARED / 'malformed_images' / 'Megamind_bugy.avi') as source:
        stamps = [frame.stamp_ns for frame in source]
    assert len(stamps) == 270
    assert all(np.diff(stamps) > 0)


def test_folder_is_sorted_by_number_and_passes_files_on(tmp_path):
    for index in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f'frame_{index}.png'), picture(index))
    (tmp_path / 'notes.txt').write_text('not a picture')
    with open_source(tmp_path, camera='front', rate_hz=4.0) as source:
        assert (source.frame_count, source.rate_hz, source.notes) == (3, 4.0, ())
        frames = list(source)
    assert [int(frame.frame().image_hw3[0, 0, 0]) for frame in frames] == [1, 9, 10]
    assert [frame.stamp_ns - FIRST_STAMP_NS for frame in frames] == [0, 250_000_000, 500_000_000]
    assert isinstance(frames[0].picture, CompressedPicture)
    assert bytes(frames[0].picture.data) == (tmp_path / 'frame_1.png').read_bytes()


def test_folder_start_and_assumed_rate(tmp_path):
    for index in range(5):
        cv2.imwrite(str(tmp_path / f'{index}.bmp'), picture(index))
    with open_source(tmp_path, start_s=0.2) as source:
        assert '10 Hz is assumed' in source.notes[0]
        assert [int(frame.frame().image_hw3[0, 0, 0]) for frame in source] == [2, 3, 4]
    with pytest.raises(SourceError, match=r'nothing is left from 0\.5 s'):
        open_source(tmp_path, start_s=0.5)


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.jpg'])
@pytest.mark.parametrize('content', [b'', b'\xff\xd8\xff\xe0 no jpeg'])
def test_folder_with_a_bad_picture_goes_on(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    cv2.imwrite(str(tmp_path / 'b.png'), picture(7))
    with open_source(tmp_path) as source:
        bad, good = source
    with pytest.raises(ImageError):
        bad.frame()
    assert good.frame().image_hw3[0, 0, 0] == 7


@pytest.mark.parametrize(('names', 'message'), [
    ([], 'no file at all'),
    (['a.txt', 'b.csv'], r'only other files \(a.txt, b.csv\)'),
])
def test_folder_without_pictures(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_text('x')
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path)


@pytest.mark.parametrize(('source', 'message'), [
    ('', 'No source is given'),
    ('no/such/file.mp4', r'no/such/file\.mp4 cannot be read: No such file'),
    ('/dev/video97', r'/dev/video97 does not open.*group video'),
    ('rtsp://127.0.0.1:9/none', 'sender running'),
    ('old.bag', 'rosbags-convert --src old.bag'),
    ('one.png', 'Give the folder'),
])
def test_source_that_cannot_be_opened(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    for name in ('old.bag', 'one.png'):
        Path(name).write_bytes(b'x')
    with pytest.raises(SourceError, match=message):
        open_source(source)


def test_options_that_do_not_fit_the_source(tmp_path):
    with pytest.raises(SourceError, match='no topics'):
        open_source(write_video(tmp_path / 'clip.avi'), topics=['/a'])
    with pytest.raises(SourceError, match='is live'):
        open_source('/dev/video0', start_s=1.0)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def denied(_folder):
        raise PermissionError(13, 'Permission denied')
    # Whoever runs the tests as root may read everything.
    monkeypatch.setattr(Path, 'iterdir', denied)
    with pytest.raises(SourceError, match=f'{tmp_path} cannot be read: Permission denied'):
        open_source(tmp_path)


def test_live_source_ends_with_its_stream(tmp_path):
    # A file stands in for a device: OpenCV reads both alike, only without a length.
    with LiveSource(str(write_video(tmp_path / 'clip.avi', count=3)), camera='front') as source:
        frames = list(source)
        assert (len(frames), source.frame_count, source.is_live) == (3, None, True)
    assert frames[0].stamp_ns > 1_600_000_000 * 10**9
    assert frames[0].stamp_ns < frames[2].stamp_ns


def test_closed_twice_is_closed(tmp_path):
    for source in (open_source(write_video(tmp_path / 'clip.avi')),
                   open_source(write_bag(tmp_path / 'bag', {'/a': 'sensor_msgs/msg/Image'}))):
        source.close()
        source.close()


def test_calibration_of_a_resized_picture_sees_the_same_rays():
    k = (700.0, 0.0, 383.5, 0.0, 710.0, 215.5, 0.0, 0.0, 1.0)
    p = (690.0, 0.0, 380.0, -70.0, 0.0, 690.0, 210.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    half = Calibration((432, 768), k=k, p=p).resized((216, 384))
    # The corner of the picture (-0.5 in centre-of-pixel coordinates) keeps its direction.
    assert (-0.5 - half.k[2]) / half.k[0] == pytest.approx((-0.5 - k[2]) / k[0])
    assert (215.5 - half.k[5]) / half.k[4] == pytest.approx((431.5 - k[5]) / k[4])
    assert half.p[3] / half.p[0] == pytest.approx(p[3] / p[0])
    assert half.size_hw == (216, 384)
    unknown = Calibration((432, 768)).resized((216, 384))
    assert unknown.k == (0.0,) * 9
