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

"""The demo as a user runs it: over real DDS, on the shipped clip, and when things go wrong."""

from __future__ import annotations

import json
from pathlib import Path
import signal
import sys
import time

import cv2
import numpy as np
from ped_perception.cli.demo import main
from ped_perception.evaluation.video import VideoWriter
import psutil
import pytest

pytestmark = pytest.mark.ros

PATIENCE_S = 200.0
KEYS = {'frames_received', 'frames_processed', 'frames_dropped', 'fps', 'latency_ms', 'stage_ms',
        'detections_total', 'peak_rss_mb', 'backend', 'model', 'precision', 'frames_sent',
        'cpu_percent', 'views', 'network_size', 'machine', 'versions', 'duration_s',
        'frames_lost_in_transport', 'frames_reduced', 'frames_small'}


@pytest.fixture
def demo(processes, ros_domain):
    """Return a starter of demos in a ROS domain of their own."""
    def start(*arguments):
        return processes.start(
            [sys.executable, '-m', 'ped_perception.cli.demo', '-o', 'out', *arguments],
            name='demo')
    return start


def nodes_in(domain: int) -> list[psutil.Process]:
    """Find processes of the demo's nodes in a ROS domain."""
    found = []
    for process in psutil.process_iter():
        try:
            if (any('_node' in word for word in process.cmdline())
                    and process.environ().get('ROS_DOMAIN_ID') == str(domain)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def frames_of(file: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(file))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames


def test_pedestrians_come_out_and_the_figures_agree(demo, processes, ros_domain, tmp_path, root):
    process = demo('--source', str(root / 'demo' / 'pets_street.mp4'), '--rate', '5',
                   '--duration', '4', '--size', '640x360', '--transport', 'compressed')
    assert process.wait(PATIENCE_S) == 0, processes.output('demo')
    assert not nodes_in(ros_domain)
    figures = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert figures.keys() >= KEYS
    assert figures['frames_received'] == figures['frames_processed'] + figures['frames_dropped']
    assert figures['frames_sent'] == (
        figures['frames_received'] + figures['frames_lost_in_transport'])
    assert 15 <= figures['frames_sent'] <= 25, '4 s at 5 Hz, and what the end takes'
    assert figures['duration_s'] == pytest.approx((figures['frames_sent'] - 1) / 5, rel=0.1)
    assert figures['detections_total'] >= figures['frames_processed'], 'four people are in view'
    latency = figures['latency_ms']
    assert 0 < latency['p50'] <= latency['p95'] <= latency['p99']
    assert latency['p50'] < figures['latency_arrival_ms']['p50'], 'sent before it arrives'
    assert latency['p50'] == pytest.approx(figures['latency_detector_window_ms']['p50'], rel=0.3)
    assert sum(figures['stage_ms'].values()) == pytest.approx(latency['p50'], rel=0.5)
    assert (figures['source']['width'], figures['source']['height']) == (640, 360)
    assert figures['peak_rss_mb'] > 50
    assert figures['cpu_percent'] > 0
    frames = frames_of(tmp_path / 'out' / 'annotated.mp4')
    assert len(frames) == figures['frames_sent']
    assert frames[0].shape == (360, 640, 3)
    page = (tmp_path / 'out' / 'report.html').read_text()
    assert page.count('data:image/jpeg') == 4
    assert f'{latency["p99"]:.1f} ms' in page
    lines = processes.output('demo').splitlines()[-10:]
    assert any(f'{figures["frames_sent"]} sent' in line for line in lines)
    assert 'report.html' in lines[-2]


def test_a_street_without_people_is_no_success(demo, processes, tmp_path):
    with VideoWriter(tmp_path / 'grey.mp4', (120, 160), 10.0) as video:
        for index in range(12):
            video.write(np.full((120, 160, 3), 120, np.uint8), index / 10)
    process = demo('--source', str(tmp_path / 'grey.mp4'), '--quiet')
    assert process.wait(PATIENCE_S) == 4, processes.output('demo')
    assert 'no pedestrian was found in' in processes.output('demo')
    assert json.loads((tmp_path / 'out' / 'report.json').read_text())['detections_total'] == 0


def test_ctrl_c_ends_the_run_early_with_results_and_without_leftovers(
        demo, processes, ros_domain, tmp_path):
    process = demo('--rate', '10', '--size', '640x360')
    deadline_s = time.monotonic() + PATIENCE_S
    while 'in view' not in processes.output('demo'):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    assert len(nodes_in(ros_domain)) == 2, 'camera and detector are processes of their own'
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0, processes.output('demo')
    assert not nodes_in(ros_domain)
    figures = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert figures['ended_early']
    assert 0 < figures['frames_sent'] < 300


def test_a_detector_that_cannot_start_is_named_with_the_end_of_its_log(
        demo, processes, ros_domain):
    process = demo('--model', 'nonsense')
    assert process.wait(PATIENCE_S) == 1
    output = processes.output('demo')
    assert 'ped_detector ended with exit code 1' in output
    assert "'nonsense' is neither a file nor a known model" in output
    assert 'Traceback' not in output
    assert not nodes_in(ros_domain)


@pytest.mark.usefixtures('own_signals')
@pytest.mark.parametrize(('arguments', 'says'), [
    (['--source', 'nowhere.mp4'], 'nowhere.mp4 cannot be read'),
    (['--size', '640'], "WIDTHxHEIGHT in pixels, like '640x384', not '640'"),
    (['--rate', '-1'], '--rate is -1'),
    (['--rate', '1001'], '--rate is 1001.0; it must lie between 0 and 1000'),
    (['--duration', 'nan'], '--duration is nan'),
])
def test_what_makes_no_sense_is_said_before_anything_starts(tmp_path, capsys, arguments, says):
    output = tmp_path / 'out'
    assert main([*arguments, '-o', str(output)]) == 1
    assert says in capsys.readouterr().err
    assert not output.exists()
