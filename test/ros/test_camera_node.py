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

"""The camera node as a process of its own, heard through DDS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import signal
import socket
import sys
import time
from typing import Any

import cv2
import numpy as np
from ped_perception.ros.convert import stamp_ns_from_time
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from recordings import (
    compressed_message,
    HEIGHT,
    image_message,
    PERIOD_NS,
    picture,
    START_NS,
    WIDTH,
    write_bag,
    write_video,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

pytestmark = pytest.mark.ros
LATENCY_NS = 5_000_000
CALIBRATION = """
image_width: 128
image_height: 96
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [100, 0, 63.5, 0, 100, 47.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [100, 0, 63.5, 0, 0, 100, 47.5, 0, 0, 0, 1, 0]}
"""


class Listener:
    """Keeps everything that arrives, by topic."""

    def __init__(self, node: Node, executor: SingleThreadedExecutor, topics: dict[str, type],
                 reliable: bool) -> None:
        self.messages: dict[str, list] = {topic: [] for topic in topics}
        self._executor = executor
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        for topic, kind in topics.items():
            node.create_subscription(kind, topic, self.messages[topic].append, QoSProfile(
                depth=1000, reliability=reliability))

    def hear_until(self, condition, timeout_s: float = 60.0) -> None:
        """Take messages until something is true."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, {
                topic: len(messages) for topic, messages in self.messages.items()}
            self._executor.spin_once(timeout_sec=0.05)

    def stamps(self, topic: str) -> list[int]:
        """Give the header stamps that arrived on a topic."""
        return [stamp_ns_from_time(message.header.stamp) for message in self.messages[topic]]


@contextmanager
def listening(domain: int, topics: dict[str, type], reliable: bool = False) -> Iterator[Listener]:
    """Subscribe in a context of our own, so that no other test's context matters."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('listener', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield Listener(node, executor, topics, reliable)
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


NODE = [sys.executable, '-m', 'ped_perception.ros.camera_node', '--ros-args']


class Camera:
    """Starts the node and tells what it said."""

    def __init__(self, processes: Any) -> None:
        self._processes = processes

    def start(self, **parameters: object) -> Any:
        """Start the node with these parameters."""
        given = [part for name, value in parameters.items() for part in ('-p', f'{name}:={value}')]
        return self._processes.start(
            [*NODE, *given], name='camera', cwd=Path(__file__).parents[2])

    def play(self, listener: Listener, **parameters: object) -> str:
        """Play to the end, expect success, and give what the node said."""
        process = self.start(**parameters)
        listener.hear_until(lambda: process.poll() is not None)
        assert process.returncode == 0, self.output
        return self.output

    @property
    def output(self) -> str:
        """Give what the node said so far."""
        return self._processes.output('camera')


@pytest.fixture
def camera(processes, ros_domain) -> Camera:
    """Give a starter of the node in a domain of its own."""
    return Camera(processes)


def test_video_arrives_whole_in_the_wanted_encoding_and_size(tmp_path, camera, ros_domain):
    clip = write_video(tmp_path / 'clip.avi', count=20, size_hw=(48, 64))
    topics = {'/front/image_raw': Image, '/front/camera_info': CameraInfo}
    with listening(ros_domain, topics) as listener:
        before_ns = time.time_ns()
        output = camera.play(listener, source=clip, camera='front', rate_hz=40.0,
                             encoding='rgb8', size='96x80')
        images = listener.messages['/front/image_raw']
        infos = listener.messages['/front/camera_info']
        stamps = listener.stamps('/front/image_raw')
    assert 'Published 20 frames' in output
    assert len(images) == 20
    assert [round(np.mean(image.data) / 10) for image in images] == list(range(20))
    assert {(image.width, image.height, image.step, image.encoding, image.header.frame_id)
            for image in images} == {(96, 80, 288, 'rgb8', 'front_optical_frame')}
    # Live semantics: the time of publishing, each later than the one before.
    assert before_ns < stamps[0]
    assert all(np.diff(stamps) > 0)
    assert stamps[-1] < time.time_ns()
    assert [info.header.stamp for info in infos] == [image.header.stamp for image in images]
    assert (infos[0].width, infos[0].height) == (96, 80)
    assert not np.any(infos[0].k)


def test_recording_passes_through_unchanged_with_its_clock(tmp_path, camera, ros_domain):
    kinds = {'/front/image_raw': 'sensor_msgs/msg/Image',
             '/front/camera_info': 'sensor_msgs/msg/CameraInfo',
             '/rear/image_raw/compressed': 'sensor_msgs/msg/CompressedImage'}
    bag = write_bag(tmp_path / 'bag', kinds, latency_ns=LATENCY_NS)
    topics = {'/front/image_raw': Image, '/front/camera_info': CameraInfo, '/clock': Clock,
              '/rear/image_raw/compressed': CompressedImage, '/rear/camera_info': CameraInfo}
    with listening(ros_domain, topics) as listener:
        camera.play(listener, source=bag, transport='recorded', clock='true', rate_hz=4.0)
        stamps = [START_NS + index * PERIOD_NS for index in range(10)]
        assert listener.stamps('/front/image_raw') == stamps
        assert listener.stamps('/rear/image_raw/compressed') == stamps
        assert listener.stamps('/front/camera_info') == stamps
        images = listener.messages['/front/image_raw']
        compressed = listener.messages['/rear/image_raw/compressed']
        info = listener.messages['/front/camera_info'][-1]
        clock_ns = [stamp_ns_from_time(message.clock) for message in listener.messages['/clock']]
        unknown = listener.messages['/rear/camera_info'][0]
    for index in range(10):
        recorded = image_message(index, stamps[index])
        assert images[index].data.tobytes() == recorded.data.tobytes()
        assert images[index].step == recorded.step == WIDTH * 3 + 4
        recorded = compressed_message(index, stamps[index])
        assert compressed[index].data.tobytes() == recorded.data.tobytes()
        assert compressed[index].format == recorded.format
    assert {image.header.frame_id for image in images} == {'optical'}
    assert (info.k[0], info.d[4], info.binning_y, info.roi.width) == (508.0, 0.2, 2, 4)
    assert (unknown.width, unknown.height, unknown.k[0]) == (WIDTH, HEIGHT, 0.0)
    # Played at 0.4 of the recorded speed: about ten ticks lie between two frames.
    assert clock_ns == sorted(clock_ns)
    assert clock_ns[-1] >= stamps[-1] + LATENCY_NS
    assert len(clock_ns) > 2 * 20
    assert max(np.diff(clock_ns)) < PERIOD_NS


def test_raw_recording_as_jpeg_with_a_calibration_file(tmp_path, camera, ros_domain):
    clip = write_video(tmp_path / 'clip.avi', count=8, size_hw=(48, 64))
    calibration = tmp_path / 'front.yaml'
    calibration.write_text(CALIBRATION)
    topics = {'/camera/image_raw/compressed': CompressedImage, '/camera/camera_info': CameraInfo}
    with listening(ros_domain, topics, reliable=True) as listener:
        camera.play(listener, source=clip, transport='compressed', reliability='reliable',
                    camera_info_url=f'file://{calibration}', frame_id='cam0', size='32x24')
        images = listener.messages['/camera/image_raw/compressed']
        info = listener.messages['/camera/camera_info'][0]
    assert len(images) == 8
    assert images[0].format == 'bgr8; jpeg compressed bgr8'
    picture_hw3 = cv2.imdecode(np.frombuffer(images[5].data, np.uint8), cv2.IMREAD_COLOR)
    assert picture_hw3.shape == (24, 32, 3)
    assert picture_hw3.mean() == pytest.approx(50, abs=3)
    assert images[0].header.frame_id == info.header.frame_id == 'cam0'
    # A quarter of the calibrated size.
    assert (info.width, info.height, info.k[0], info.d[0]) == (32, 24, 25.0, 0.1)
    assert info.k[2] == pytest.approx(15.5)


def test_loop_jumps_back_and_two_signals_end_it_cleanly(tmp_path, camera, ros_domain):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f'{index}.png'), picture(index))
    with listening(ros_domain, {'/camera/image_raw': Image}) as listener:
        process = camera.start(source=tmp_path, rate_hz=20.0, loop='true', clock='true')
        images = listener.messages['/camera/image_raw']
        listener.hear_until(lambda: len(images) >= 7 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        listener.hear_until(lambda: process.poll() is not None, timeout_s=20.0)
        stamps = listener.stamps('/camera/image_raw')
    assert process.returncode == 0
    assert 'Traceback' not in camera.output
    assert stamps[:7] == [10**9 + round(index % 3 * 5e7) for index in range(7)]


def test_a_source_that_never_answers_does_not_keep_the_process(camera):
    with socket.create_server(('127.0.0.1', 0)) as server:
        process = camera.start(source=f'http://127.0.0.1:{server.getsockname()[1]}/street.mjpg')
        server.settimeout(60.0)
        with server.accept()[0]:
            # The main thread is inside of OpenCV, where no handler of Python runs.
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 1
    assert 'ended by force' in camera.output
    assert 'what it plays cannot be read' in camera.output


@pytest.mark.parametrize(('parameters', 'message'), [
    ({'source': 'broken.mp4'}, 'broken.mp4 (4 bytes) does not open'),
    ({'source': 'clip.avi', 'encoding': 'bgr9'}, "encoding is 'bgr9'; choose one of"),
    ({'source': 'clip.avi', 'sorce': 'clip.avi'}, 'Did you mean source?'),
    ({'source': 'clip.avi', 'wait_timeout_s': 0.3},
     'Within 0.3 s not enough subscribers came to /camera/image_raw (1 wanted)'),
    ({'source': 'clip.avi', 'wait_for_subscribers': 0, 'camera_info_url': 'wide.yaml'},
     'is for pictures of 192x96, the source has 64x48'),
    ({'source': 'bad', 'wait_for_subscribers': 0}, 'not one of them can be published'),
    ({'source': 'bad', 'wait_for_subscribers': 0}, 'Frame frame.png of camera is left out'),
    ({'source': 'clip.avi', 'start_s': '.inf'}, 'start_s is inf s; it must lie between 0 and'),
    ({'source': 'clip.avi', 'wait_timeout_s': 0.0}, 'is 0.0 s; it must be at least 0.1 s'),
    ({'source': 'clip.avi', 'camera': 'front/'}, 'A camera cannot be called front/'),
    ({'source': 'clip.avi', 'camera': 'a b'}, 'A camera cannot be called a b'),
])
def test_what_cannot_be_played_ends_with_a_message(tmp_path, camera, parameters, message):
    (tmp_path / 'broken.mp4').write_text('none')
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'frame.png').write_text('no picture')
    (tmp_path / 'wide.yaml').write_text(CALIBRATION.replace('128', '192'))
    write_video(tmp_path / 'clip.avi', count=2, size_hw=(48, 64))
    for name in ('source', 'camera_info_url'):
        if name in parameters:
            parameters[name] = tmp_path / parameters[name]
    assert camera.start(**parameters).wait(60) == 1
    assert message in camera.output
    assert 'Traceback' not in camera.output


@pytest.mark.parametrize('arguments', [
    ['--params-file', 'nowhere.yaml'], ['--no-such-argument']])
def test_what_ros_refuses_ends_with_a_message(camera, processes, arguments):
    process = processes.start([*NODE, *arguments], name='camera')
    assert process.wait(60) == 1
    assert f'{arguments[-1]}' in camera.output
    assert 'Error: ' in camera.output
    assert 'Traceback' not in camera.output


@pytest.mark.parametrize(('node', 'by_hand', 'told', 'why'), [
    ('ped_camra', {}, True, 'a misspelt name, and all else given by hand'),
    ('ped_camera', {}, False, 'its own name'),
    ('/**', {'speed': 2.0}, False, 'for all nodes, and all of it repeated by hand'),
])
def test_parameters_for_another_node_are_not_ignored_silently(
        tmp_path, camera, processes, node, by_hand, told, why):
    cv2.imwrite(str(tmp_path / '1.png'), picture(1))
    file = tmp_path / 'parameters.yaml'
    file.write_text(f'{node}:\n  ros__parameters:\n    speed: 3.0\n')
    given = {'source': tmp_path, 'wait_for_subscribers': 0, **by_hand}
    words = [word for name, value in given.items() for word in ('-p', f'{name}:={value}')]
    process = processes.start([*NODE, *words, '--params-file', file], name='camera')
    assert process.wait(60) == 0
    assert ('is for this node' in camera.output) == told, why
    assert str(file) in camera.output or not told


def test_first_picture_reaches_a_subscriber_that_comes_late(tmp_path, camera, ros_domain):
    (tmp_path / '0.png').write_text('no picture')
    cv2.imwrite(str(tmp_path / '1.png'), picture(1))
    process = camera.start(source=tmp_path)
    while 'Waiting for 1 subscriber(s) of /camera/image_raw' not in camera.output:
        assert process.poll() is None
        time.sleep(0.05)
    with listening(ros_domain, {'/camera/image_raw': Image}) as listener:
        listener.hear_until(lambda: process.poll() is not None)
        assert len(listener.messages['/camera/image_raw']) == 1
    assert process.returncode == 0
    assert 'Published 1 frames' in camera.output
    assert '1 undecodable' in camera.output
