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

"""
The shipped launch files, really started, where launch is installed.

Held against messages: boxes, stamps, frame ids, ids and health.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
import shutil
import signal
import sys

from diagnostic_msgs.msg import DiagnosticStatus
import psutil
import pytest
from rclpy.qos import QoSProfile
from ros_peer import ros_peer
from vision_msgs.msg import Detection2DArray, Detection3DArray


def is_missing(name):
    """Tell whether a package is not installed; a folder of its name is found, too."""
    found = importlib.util.find_spec(name)
    return found is None or found.origin is None


MISSING = [name for name in ('launch', 'launch_ros', 'launch_xml') if is_missing(name)]
pytestmark = [
    pytest.mark.ros, pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f'not installed: {", ".join(MISSING)}')]

RUNNER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource

file, *words = sys.argv[1:]
# As ros2 launch without a terminal: it hands an interrupt on to its nodes.
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    AnyLaunchDescriptionSource(file),
    launch_arguments=[tuple(word.split(':=', 1)) for word in words])]))
sys.exit(service.run())
"""
DETECTIONS = '/ped_detector/camera/detections'
HEALTH = '/ped_detector/health'
PERIOD_NS = 100_000_000
FIRST_NS = 1_000_000_000
# The network loads, and a loaded machine looks at a few pictures a second only.
PATIENCE_S = 150.0


@pytest.fixture
def launched(root, ros_domain, processes, tmp_path, monkeypatch):
    """Return a starter of launch files of the source tree, as if it were installed."""
    prefix = tmp_path / 'prefix'
    packages = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    packages.mkdir(parents=True)
    (packages / 'ped_perception').touch()
    (prefix / 'share' / 'ped_perception').symlink_to(root)
    programs = prefix / 'lib' / 'ped_perception'
    programs.mkdir(parents=True)
    for name in ('ped_camera', 'ped_detector'):
        found = Path(sys.executable).with_name(name)
        path = found if found.exists() else shutil.which(name)
        (programs / name).symlink_to(path)
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(
        filter(None, [str(prefix), os.environ.get('AMENT_PREFIX_PATH')])))

    def start(file, *words):
        return processes.start(
            [sys.executable, '-c', RUNNER, str(root / 'launch' / file), *words], name='launch')

    return start


def stamp_ns(message):
    """Give the stamp of a header."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def rounds_of(messages):
    """Divide messages where their stamps go back."""
    rounds = []
    for message in messages:
        if not rounds or stamp_ns(message) < stamp_ns(rounds[-1][-1]):
            rounds.append([])
        rounds[-1].append(message)
    return rounds


def ids_of(messages):
    """Give the ids of everybody in some pictures."""
    return {detection.id for message in messages for detection in message.detections} - {''}


@pytest.mark.parametrize(('file', 'words'), [
    ('simulation.launch.xml', ()),
    ('replay.launch.xml', ('bag:={root}/demo/pets_street.mcap', 'rate:=0.3', 'loop:=true')),
])
def test_people_of_the_recording_are_found(ros_domain, launched, processes, root, file, words):
    launcher = launched(file, *(word.format(root=root) for word in words))
    with ros_peer(ros_domain) as peer:
        peer.listen(Detection2DArray, DETECTIONS, QoSProfile(depth=300))
        peer.listen(Detection3DArray, '/ped_detector/pedestrians')
        peer.listen(DiagnosticStatus, HEALTH)

        def followed():
            return [ids for messages in rounds_of(peer.received[DETECTIONS])
                    if (ids := ids_of(messages))]

        # Of the recording, so that time has jumped back once.
        peer.until(lambda: launcher.poll() is not None or len(followed()) >= 2,
                   'ids in two rounds', PATIENCE_S)
        assert launcher.poll() is None
        # On a machine that is too slow for the rate, health rightly says so.
        peer.until(lambda: any(message.message.startswith('OK: looking at 1 of 1')
                               or 'the inference is busy' in message.message
                               for message in peer.received[HEALTH]), 'health to be told')
    messages = peer.received[DETECTIONS]
    assert {message.header.frame_id for message in messages} == {'camera_optical_frame'}
    # The stamps are those of the pictures, to the nanosecond.
    assert {(stamp_ns(message) - FIRST_NS) % PERIOD_NS for message in messages} == {0}
    assert sum(len(message.detections) >= 3 for message in messages) > 0.8 * len(messages)
    # Nobody gets the id of somebody who was forgotten.
    before, after = followed()[:2]
    assert not before & after
    # The recording does not tell how the camera is mounted.
    assert all(not message.detections
               for message in peer.received['/ped_detector/pedestrians'])
    assert processes.interrupt(launcher, 30.0) == 0


def test_arguments_replace_values_of_the_file(ros_domain, launched, processes):
    launched('detector.launch.xml', 'cameras:=[left, right]', 'namespace:=car',
             'backend:=onnxruntime', 'use_sim_time:=false', 'log_level:=warn')
    with ros_peer(ros_domain) as peer:
        wanted = {f'/car/ped_detector/{name}/detections' for name in ('left', 'right')}
        peer.until(lambda: wanted <= {name for name, _ in peer.node.get_topic_names_and_types()},
                   'the topics of both cameras', PATIENCE_S)
        assert not any('/camera/' in name for name, _ in peer.node.get_topic_names_and_types())


def test_on_the_vehicle_the_node_is_started_again(ros_domain, launched, processes, root):
    # The values of a laptop: here is no plan.
    launcher = launched('vehicle.launch.xml', f'config:={root}/config/detector.yaml')
    with ros_peer(ros_domain) as peer:
        peer.listen(DiagnosticStatus, HEALTH)

        def active():
            return any('camera' in message.message for message in peer.received[HEALTH][-3:])

        peer.until(active, 'the node to be active', PATIENCE_S)
        (node,) = psutil.Process(launcher.pid).children()
        node.send_signal(signal.SIGKILL)
        node.wait(10)
        peer.received[HEALTH].clear()
        peer.until(active, 'the node to be active again', PATIENCE_S)
        (again,) = psutil.Process(launcher.pid).children()
        assert again.pid != node.pid


def test_on_the_vehicle_nothing_but_a_plan_is_taken(ros_domain, launched, processes):
    launched('vehicle.launch.xml')
    with ros_peer(ros_domain) as peer:
        peer.until(lambda: processes.output('launch').count('Cannot configure:') >= 2,
                   'the node to refuse to start, twice', PATIENCE_S)
    said = processes.output('launch')
    assert 'GPU' in said or 'TensorRT' in said
    assert 'loaded' not in said
