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

"""The annotated video shows each box in the picture that it was found in."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from ped_perception.cli import demo
from ped_perception.cli.demo_figures import figures_from_run, summary
from ped_perception.cli.demo_nodes import DemoSettings
from ped_perception.cli.demo_report import report_from_figures, verdict
from ped_perception.cli.demo_run import DemoRun
from ped_perception.cli.demo_video import (
    drawn_pictures,
    JpegSpool,
    sent_pictures,
    stamps_worth_showing,
    write_video,
)
from ped_perception.core.draw import BOX_COLOUR
from ped_perception.core.types import Detections
from ped_perception.ros.listener import Heard
import pytest

HEIGHT, WIDTH = 120, 200
START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 100_000_000
FRAMES = 6
DROPPED = 2


def stamp_ns(index: int) -> int:
    return START_NS + index * PERIOD_NS


def heard(index: int, people: int = 1, latency_ms: float = 20.0) -> Heard:
    """Give detections in a column of the picture that tells its index."""
    left = 10 + 25 * index
    boxes_n4 = np.tile(np.array([left, 60, left + 20, 110], np.float32), (people, 1))
    published_ns = stamp_ns(index) + round(latency_ms * 1e6)
    return Heard(Detections('camera', stamp_ns(index), 'optical', (HEIGHT, WIDTH), boxes_n4,
                            np.full(people, 0.5, np.float32)), published_ns, published_ns + 10**6)


def a_run(**changes) -> DemoRun:
    given = {
        'heard': [heard(index) for index in range(FRAMES) if index != DROPPED],
        'camera_stamps_ns': [stamp_ns(index) for index in range(FRAMES)],
        'source_hw': (HEIGHT, WIDTH), 'size_count': 1, 'frames_sent': FRAMES,
        'camera_troubles': '',
        'status': {'frames_received': '6.000', 'frames_processed': '5.000',
                   'frames_dropped': '1.000', 'detections_total': '5.000',
                   'stage_ms_infer': '17.5', 'peak_rss_mb': 'nan', 'backend': 'openvino'},
        'cpu_percent': {'detector': 81.234}, 'interrupted': False, 'domain': '7',
        'middleware': 'rmw'}
    return DemoRun(**{**given, **changes})


def settings(folder: Path, **changes) -> DemoSettings:
    given = {'source': str(folder / 'pictures'), 'topic': '', 'output': folder, 'rate_hz': 10.0,
             'size': '', 'transport': 'raw', 'detector': {}, 'duration_s': 0.0, 'is_live': False,
             'frame_count': FRAMES, 'quiet': True}
    return DemoSettings(**{**given, **changes})


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder whose pictures have the grey level 20 times their number."""
    (tmp_path / 'pictures').mkdir()
    for index in range(FRAMES):
        cv2.imwrite(str(tmp_path / 'pictures' / f'{index}.png'),
                    np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8))
    return tmp_path


def test_each_box_is_drawn_into_its_own_picture(folder):
    run = a_run()
    drawn = list(drawn_pictures(run, sent_pictures(run, settings(folder))))
    assert [stamp for stamp, _ in drawn] == run.camera_stamps_ns
    for index, (_, image_hw3) in enumerate(drawn):
        assert (image_hw3[115, 198] == 20 * index).all(), 'not the picture of this stamp'
        columns = np.nonzero((image_hw3[80] == BOX_COLOUR).all(axis=1))[0]
        expected = [] if index == DROPPED else [10 + 25 * index, 29 + 25 * index]
        assert columns.tolist() == expected


def test_a_picture_that_cannot_be_decoded_was_not_sent_and_shifts_nothing(folder):
    (folder / 'pictures' / '1.png').write_bytes(b'no picture')
    run = a_run(camera_stamps_ns=[stamp_ns(index) for index in range(FRAMES - 1)])
    levels = [int(image_hw3[0, 0, 0]) for _, image_hw3 in sent_pictures(run, settings(folder))]
    assert levels == [0, 40, 60, 80, 100]


def test_a_damaged_picture_that_was_sent_as_it_is_takes_its_stamp_along(folder):
    damaged = folder / 'pictures' / '1.png'
    # Header and end are there: only who decodes it finds out.
    damaged.write_bytes(damaged.read_bytes()[:33] + damaged.read_bytes()[-12:])
    (folder / 'pictures' / '2.png').write_bytes(b'no picture')
    run = a_run(camera_stamps_ns=[stamp_ns(index) for index in range(FRAMES - 1)])
    sent = {stamp: int(image_hw3[0, 0, 0]) for stamp, image_hw3 in sent_pictures(
        run, settings(folder, transport='compressed'))}
    assert sent == {stamp_ns(0): 0, stamp_ns(2): 60, stamp_ns(3): 80, stamp_ns(4): 100}


def test_pictures_have_the_size_in_which_they_were_sent(folder):
    sent = sent_pictures(a_run(), settings(folder, size='100x60'))
    assert {image_hw3.shape for _, image_hw3 in sent} == {(60, 100, 3)}


def test_a_run_that_ended_early_ends_the_video(folder):
    run = a_run(camera_stamps_ns=[stamp_ns(0), stamp_ns(1)])
    assert len(list(sent_pictures(run, settings(folder)))) == 2


def test_the_video_keeps_the_times_of_its_frames(folder):
    pictures = [(stamp_ns(index), np.full((61, 99, 3), 40 * index, np.uint8))
                for index in (0, 1, 5)]
    kept = write_video(pictures, folder / 'out.mp4', 10.0, 3, [stamp_ns(1)], quiet=True)
    assert list(kept) == [stamp_ns(1)]
    capture = cv2.VideoCapture(str(folder / 'out.mp4'))
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little')
    assert codec in (b'avc1', b'h264'), 'browsers play no other that could be written'
    times_ms, levels = [], []
    while True:
        ok, image_hw3 = capture.read()
        if not ok:
            break
        times_ms.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        levels.append(int(image_hw3[30, 50, 0]))
        assert image_hw3.shape == (62, 100, 3), 'H.264 has even sizes'
    assert times_ms == pytest.approx([0, 100, 500], abs=1)
    assert levels == pytest.approx([0, 40, 200], abs=4)


def test_a_video_of_single_pixels_can_be_written(folder):
    pictures = [(stamp_ns(index), np.full((1, 1, 3), 90, np.uint8)) for index in range(2)]
    write_video(pictures, folder / 'out.mp4', 10.0, 2, [], quiet=True)
    assert cv2.VideoCapture(str(folder / 'out.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 2


def test_pictures_of_a_live_camera_come_back_as_they_went_in():
    with JpegSpool() as spool:
        for index in range(3):
            image_hw3 = np.full((20 + index, 30, 3), 50 * index, np.uint8)
            spool.add(stamp_ns(index), cv2.imencode('.jpg', image_hw3)[1].tobytes())
        assert spool.count == 3
        back = list(spool.pictures())
    assert [stamp for stamp, _ in back] == [stamp_ns(index) for index in range(3)]
    assert [image_hw3.shape[0] for _, image_hw3 in back] == [20, 21, 22]
    assert [int(image_hw3[5, 5, 0]) for _, image_hw3 in back] == pytest.approx([0, 50, 100], abs=2)


def test_the_fullest_picture_of_each_part_is_shown():
    people = [0, 3, 1, 2, 2, 1, 0, 0]
    run = a_run(heard=[heard(index, count) for index, count in enumerate(people)])
    assert stamps_worth_showing(run, 4) == [stamp_ns(index) for index in (1, 3, 4, 6)]
    assert stamps_worth_showing(a_run(heard=[])) == []
    assert len(stamps_worth_showing(a_run(heard=[heard(0)]))) == 1


def test_figures_come_from_what_was_heard(tmp_path):
    run = a_run(heard=[heard(index, latency_ms=10.0 * (index + 1)) for index in range(5)])
    figures = figures_from_run(run, settings(tmp_path))
    assert figures['latency_ms'] == {'p50': 30.0, 'p95': 48.0, 'p99': 49.6}
    assert figures['latency_arrival_ms']['p50'] == 31.0
    # published 10, 120, 230, … ms after the start: every 110 ms
    assert figures['fps'] == pytest.approx(1 / 0.11, abs=0.001)
    assert figures['stage_ms']['infer'] == 17.5
    assert figures['peak_rss_mb'] is None, 'NaN is not JSON, and not a measurement'
    assert figures['cpu_percent'] == 81.23
    assert figures['cpu_percent_camera'] is None
    assert figures['frames_lost_in_transport'] == 0


@pytest.mark.parametrize(('status', 'sent', 'good', 'says'), [
    ({'frames_processed': '6', 'frames_dropped': '0'}, 6, True, 'Every one of 6'),
    ({'frames_processed': '6', 'frames_dropped': '0', 'frames_reduced': '3', 'frames_small': '2'},
     6, True, 'looked at; for lack of time seen 3 through one view only, 2 by the small network.'),
    ({}, 6, False, '1 of 6 frames were not looked at: 1 were replaced'),
    ({}, 8, False, '2 lost on the way'),
    ({'detections_total': '0'}, 6, False, 'No pedestrian in 5 frames'),
], ids=['all', 'hurried', 'dropped', 'lost', 'nobody'])
def test_the_verdict_is_honest(tmp_path, status, sent, good, says):
    run = a_run()
    run = a_run(status={**run.status, **status}, frames_sent=sent)
    text, is_good = verdict(figures_from_run(run, settings(tmp_path)))
    assert says in text
    assert is_good is good


def test_a_run_of_one_frame_without_diagnostics_still_gives_a_report_and_a_summary(tmp_path):
    run = a_run(heard=[heard(0)], camera_stamps_ns=[stamp_ns(0)], status={}, cpu_percent={})
    figures = figures_from_run(run, settings(tmp_path))
    report = report_from_figures(figures, run, {}, ['No video: because.'])
    assert 'because' in report.footer
    text = summary(figures, [tmp_path / 'report.html'], tmp_path)
    assert len(text.splitlines()) == 10
    assert 'unknown MB' in text
    assert '0 detections in 1 of 0 frames' in text


@pytest.mark.usefixtures('own_signals')
@pytest.mark.parametrize('annotated', [FRAMES - 1, 0])
def test_of_a_live_camera_the_detector_draws_the_video(tmp_path, monkeypatch, capsys, annotated):
    def run_demo(given, say, on_jpeg):
        assert given.is_live
        for index in range(annotated):
            image_hw3 = np.full((HEIGHT, WIDTH, 3), 30 * index, np.uint8)
            on_jpeg(stamp_ns(index), cv2.imencode('.jpg', image_hw3)[1].tobytes())
        return a_run()
    monkeypatch.setattr(demo, 'run_demo', run_demo)
    assert demo.main(['--source', '/dev/video99', '-o', str(tmp_path / 'out')]) == 0
    video = tmp_path / 'out' / 'annotated.mp4'
    if annotated:
        assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == annotated
    else:
        assert not video.exists()
        assert 'No video: no annotated picture' in capsys.readouterr().out


@pytest.mark.usefixtures('own_signals')
@pytest.mark.parametrize(('run', 'says'), [
    (a_run(camera_troubles='2 undecodable'), 'The camera says: 2 undecodable frames'),
    (a_run(frames_sent=5, camera_stamps_ns=[stamp_ns(index) for index in range(5)]),
     'promises 6 frames, but 5 came: it may be cut off'),
    (a_run(size_count=2), 'Pictures of 2 sizes were sent'),
], ids=['left out', 'cut off', 'sizes'])
def test_what_the_figures_do_not_say_is_said_in_words(folder, monkeypatch, capsys, run, says):
    monkeypatch.setattr(demo, 'run_demo', lambda *_: run)
    assert demo.main(['--source', str(folder / 'pictures'), '-o', str(folder / 'out')]) == 0
    assert says in capsys.readouterr().out
    report = json.loads((folder / 'out' / 'report.json').read_text())
    assert says in ' '.join(report['notes'])


@pytest.mark.usefixtures('own_signals')
def test_a_run_without_results_leaves_none_of_an_earlier_one(folder, monkeypatch):
    monkeypatch.setattr(demo, 'run_demo', lambda *_: a_run(heard=[]))
    output = folder / 'out'
    output.mkdir()
    for name in ('annotated.mp4', 'report.html', 'report.json', 'notes.txt'):
        (output / name).write_text('old')
    assert demo.main(['--source', str(folder / 'pictures'), '-o', str(output)]) == 3
    assert [file.name for file in output.iterdir()] == ['notes.txt']


@pytest.mark.usefixtures('own_signals')
@pytest.mark.parametrize('output', ['taken', 'taken/below', '/proc/nowhere'])
def test_results_that_cannot_be_written_are_refused_before_anything_starts(
        folder, monkeypatch, capsys, output):
    (folder / 'taken').write_text('a file')
    monkeypatch.setattr(demo, 'run_demo', lambda *_: pytest.fail('was started'))
    assert demo.main(['--source', str(folder / 'pictures'), '-o', str(folder / output)]) == 1
    message = capsys.readouterr().err
    assert f'The results cannot be written into {folder / output}: ' in message
    assert 'Name another folder with -o' in message


@pytest.mark.usefixtures('own_signals')
@pytest.mark.parametrize(('run', 'code', 'says'), [
    (a_run(heard=[]), 3, 'no frame came through: 6 sent, 6 received'),
    (a_run(status={'detections_total': '0'}), 4, 'no pedestrian was found'),
    (a_run(frames_sent=FRAMES + 1), 0, 'No video: 1 CameraInfo were lost'),
], ids=['no frame', 'nobody', 'CameraInfo lost'])
def test_the_exit_code_says_what_came_of_it(folder, monkeypatch, capsys, run, code, says):
    monkeypatch.setattr(demo, 'run_demo', lambda *_: run)
    output = folder / 'out'
    assert demo.main(['--source', str(folder / 'pictures'), '-o', str(output)]) == code
    printed = capsys.readouterr()
    assert says in printed.out + printed.err
    assert (output / 'report.html').exists() is (code != 3)
