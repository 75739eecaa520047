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

"""The same recording through the node and through ``ped_replay``: the same, box for box."""

from __future__ import annotations

import sys

from diagnostic_msgs.msg import DiagnosticArray
from ped_perception.backends import open_backend
from ped_perception.ros.settings import settings_from_values
import pytest
from rclpy.qos import QoSProfile
from replays import by_stamp, DETECTIONS, replayed, rows, stamp_ns
from ros_peer import ros_peer
from vision_msgs.msg import Detection2DArray

pytestmark = pytest.mark.ros

# Of the player; the first leaves time for another test beside this one on two cores, the slower
# ones are for a machine with other things to do.
SPEEDS = (0.1, 0.03, 0.01)
PATIENCE_S = 150.0


def played(bag, speed, domain, processes):
    """
    Play the end of a recording to the node, as fast as told.

    Returns:
        What the node says of each picture, by stamp, and what it counted.
    """
    detector = processes.start(
        [sys.executable, '-m', 'ped_perception.ros.detector_node', '--ros-args',
         '-p', 'use_sim_time:=true', '-p', 'max_frame_age_s:=0.0'], name='detector')
    with ros_peer(domain) as peer:
        peer.listen(Detection2DArray, DETECTIONS, QoSProfile(depth=100))
        peer.listen(DiagnosticArray, '/diagnostics')
        peer.until(lambda: peer.node.count_publishers(DETECTIONS), 'the detector', PATIENCE_S)
        camera = processes.start(
            [sys.executable, '-m', 'ped_perception.ros.camera_node', '--ros-args',
             '-p', f'source:={bag}', '-p', f'speed:={speed}', '-p', 'clock:=true',
             '-p', 'start_s:=2.0', '-p', 'transport:=recorded', '-p', 'reliability:=reliable'],
            name='camera')
        peer.until(lambda: camera.poll() is not None, 'the end of the recording', 600.0)
        peer.received['/diagnostics'].clear()

        def counted():
            return [counts for counts in counts_of(peer.received['/diagnostics'])
                    if counts['frames_received']
                    == counts['frames_processed'] + counts['frames_dropped']]

        # Twice the same: nothing is on its way any more.
        peer.until(lambda: len(counted()) >= 2 and counted()[-1] == counted()[-2],
                   'the last picture', PATIENCE_S)
        peer.until(lambda: len(peer.received[DETECTIONS]) == counted()[-1]['frames_processed'],
                   'the last detections')
    processes.interrupt(detector, 60.0)
    return {stamp_ns(message): rows(message)
            for message in peer.received[DETECTIONS]}, counted()[-1]


def counts_of(messages):
    """Give the counts of the detector's camera in messages of diagnostics."""
    return [{entry.key: float(entry.value) for entry in status.values
             if entry.key.startswith('frames_')}
            for message in messages for status in message.status
            if status.name == 'ped_detector: camera']


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_node_finds_the_same_boxes(root, ros_domain, processes, tmp_path):
    """Play to the node so slowly that nothing is dropped or left out, and compare."""
    demo_bag = root / 'demo' / 'pets_street.mcap'
    with open_backend(settings_from_values({}).backend, 8) as backend:
        summary = replayed(demo_bag, tmp_path / 'out', backend, start_s=2.0)
    assert summary.looked_at == 16
    for speed in SPEEDS:
        node, counts = played(demo_bag, speed, ros_domain, processes)
        looked = [counts[f'frames_{how}'] for how in ('processed', 'reduced', 'small')]
        if looked == [16, 0, 0]:
            break
    # At the slowest at the latest: a picture in ten seconds.
    assert looked == [16, 0, 0]
    assert node == by_stamp(tmp_path / 'out')
    assert any(identity for found in node.values() for identity, *_ in found)
