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
Everything that goes wrong on a vehicle, done to the real node over real DDS, and taken back.

The network is a double that fails on demand; all else is what runs on a car.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
import sys
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
import numpy as np
from ped_perception.ros.convert import image_from_bgr
from ped_perception.ros.qos import camera_publisher_qos
import pytest
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from ros_peer import ros_peer
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from street_camera import BOX, StreetCamera
from vision_msgs.msg import Detection2DArray

pytestmark = pytest.mark.ros

DETECTIONS, HEALTH = '/ped_detector/camera/detections', '/ped_detector/health'
NODE = [sys.executable, Path(__file__).parents[1] / 'support' / 'faulty_detector.py']
# Enough for a machine that is busy with other tests; what is measured is in doc/benchmarks.md.
QUICK = ['-p', 'self_test:=skip', '-p', "views:=['whole']", '-p', 'silence_report_s:=0.5',
         '-p', 'stale_result_s:=1.2', '-p', 'blind_margin_s:=1.0', '-p', 'latency_warn_s:=5.0',
         '-p', 'recovery.give_up_s:=1.5', '-p', 'max_frame_age_s:=1.0', '-p',
         'odometry_topic:=/odom']
# What a fault may leave behind: decoders and subscriptions that were not needed before it.
_LEFT_BEHIND_MB = 15.0


class Scene:
    """A node, its camera, and what the node says."""

    def __init__(self, peer, camera, flag, pid=0):
        self.peer, self.camera, self.flag, self.pid = peer, camera, flag, pid
        peer.listen(DiagnosticStatus, HEALTH)
        peer.listen(Detection2DArray, DETECTIONS)

    def rss_mb(self):
        """Give the resident memory of the node."""
        return int(Path(f'/proc/{self.pid}/statm').read_text().split()[1]) * 4096 / 1e6

    @property
    def health(self):
        """Give the newest message."""
        told = self.peer.received[HEALTH]
        return told[-1].message if told else ''

    @property
    def values(self):
        """Give the newest key-values."""
        return {pair.key: pair.value for pair in self.peer.received[HEALTH][-1].values}

    def until_health(self, state, *fragments):
        """Wait until the state is told, with all that must be said of it."""
        self.peer.until(lambda: self.health.startswith(state) and all(
            fragment in self.health for fragment in fragments),
            f'{state} with {fragments}; it says {self.health!r}')

    def until_seen(self, pictures=3):
        """Wait until the pedestrian of so many new pictures was found where it is."""
        begin = len(self.peer.received[DETECTIONS])
        self.peer.until(lambda: len(self.peer.received[DETECTIONS]) >= begin + pictures,
                        'detections')
        return self.peer.received[DETECTIONS][begin:]


@pytest.fixture(scope='module')
def scene(root, module_domain, module_processes, tmp_path_factory):
    """Run a node and a camera that all faults of the table are done to, one after the other."""
    flag = tmp_path_factory.mktemp('flags') / 'fail'
    module_processes.start([*NODE, flag, '--ros-args', *QUICK], name='detector')
    with ExitStack() as stack:
        peer = stack.enter_context(ros_peer(module_domain))
        camera = StreetCamera(peer.node, root)
        stack.callback(camera.close)
        scene = Scene(peer, camera, flag, module_processes.pid('detector'))
        scene.until_health('OK')
        # Both decoders, and the buffers of both subscriptions.
        for transport in ('compressed', 'raw'):
            camera.unplug()
            scene.until_health('BLIND')
            camera.plug_in(transport=transport)
            scene.until_health('OK')
            scene.until_seen(20)
        yield scene


@pytest.fixture(autouse=True)
def nothing_left_behind(request):
    """See that the node takes no more memory after a fault than before it."""
    if 'scene' not in request.fixturenames:
        yield
        return
    scene = request.getfixturevalue('scene')
    before_mb = scene.rss_mb()
    yield
    after_mb = scene.rss_mb()
    print(f'resident: {before_mb:.1f} MB before, {after_mb:.1f} MB after')
    assert after_mb - before_mb < _LEFT_BEHIND_MB


def counted(scene, cause):
    """Give the drops of one cause so far."""
    return int(scene.values[f'camera.drops.{cause}'])


def later(function):
    """Give a message that another function spoils."""
    def message(camera, image_hw3, stamp_ns, number):
        return function(camera.picture(image_hw3, stamp_ns, number), number)
    return message


def spoil(**changes):
    """Spoil every raw picture."""
    def change(message, number):
        for name, value in changes.items():
            setattr(message, name, value)
        return message
    return later(change)


def cut_every_third(message, number):
    """Cut every third JPEG."""
    if number % 3 == 0:
        message.data = message.data[:len(message.data) // 2]
    return message


def misbehave(message=None, stamp_ns=None, rate_hz=20.0, transport=None):
    """Give a fault that the camera itself has."""
    def inject(scene):
        camera = scene.camera
        if transport:
            camera.unplug()
            camera.plug_in(transport=transport)
        if message:
            camera.message = partial(message, camera)
        if stamp_ns:
            camera.stamp_ns = stamp_ns
        camera.rate_hz = rate_hz

    def recover(scene):
        scene.camera.behave()
        if transport:
            scene.camera.unplug()
            scene.camera.plug_in(transport='raw')
    return inject, recover


def lost_on_the_way():
    """Lose all pictures, as a publisher does that has too little shared memory for them."""
    def inject(scene):
        scene.camera.loses_pictures = True
    return inject, lambda scene: scene.camera.behave()


def pulled_out():
    """Kill the camera, and start it anew."""
    return (lambda scene: scene.camera.unplug()), (lambda scene: scene.camera.plug_in())


def failing_network():
    """Have the inference fail for two seconds."""
    def inject(scene):
        scene.flag.touch()

    def recover(scene):
        time.sleep(2.0)
        scene.flag.unlink()
    return inject, recover


def frozen():
    """Give a clock that stands still from its first use on."""
    stamps_ns = []
    return lambda now_ns: (stamps_ns.append(now_ns), stamps_ns[0])[1]


@pytest.mark.parametrize(('fault', 'state', 'fragments', 'cause', 'why'), [
    (pulled_out(), 'BLIND', ['camera: no picture', 'nobody publishes'], '', 'a camera that died'),
    (misbehave(later(lambda message, number: None)), 'BLIND', ['sends nothing'], '',
     'a driver that hangs'),
    (lost_on_the_way(), 'BLIND', ['CameraInfo comes', 'fastdds_large_images.xml'], '',
     'raw pictures that are too large'),
    (misbehave(later(cut_every_third), transport='compressed'), 'DEGRADED', ['could not be used'],
     'bad', 'a bad cable'),
    (misbehave(spoil(height=0, width=0)), 'BLIND', ['0x0'], 'bad', 'an empty picture'),
    (misbehave(spoil(encoding='rgb7')), 'BLIND', ['rgb7'], 'bad', 'an unknown encoding'),
    (misbehave(stamp_ns=frozen()), 'BLIND', ['does not change'], 'repeated', 'frozen stamps'),
    (misbehave(stamp_ns=lambda now_ns: now_ns - 5_000_000_000), 'BLIND', ['s old'], 'too_old',
     'stamps that jump back'),
    (misbehave(stamp_ns=lambda now_ns: now_ns + 3_000_000_000), 'BLIND', ['PTP'], 'future',
     'stamps of another clock'),
    (misbehave(stamp_ns=lambda now_ns: 1_000_000), 'BLIND', ['another time base'], 'too_old',
     'a driver that stamps with its uptime'),
    (failing_network(), 'FAILED', ['CUDA out of memory'], 'inference', 'the GPU is full'),
])
def test_a_fault_is_told_counted_and_overcome(scene, fault, state, fragments, cause, why):
    inject, recover = fault
    before = counted(scene, cause) if cause else 0
    inject(scene)
    scene.until_health(state, *fragments)
    recover(scene)
    scene.until_health('OK')
    for message in scene.until_seen():
        (detection,) = message.detections
        assert abs(detection.bbox.center.position.x - (BOX[0] + BOX[2]) / 2) < 8, why
    assert not cause or counted(scene, cause) > before, why


def test_size_and_encoding_may_change_in_mid_stream(scene):
    sizes = [(180, 320), (360, 640), (720, 1280)]
    encodings = [('bgr8', 3), ('rgb8', 3), ('mono8', 1)]

    def message(image_hw3, stamp_ns, number):
        height, width = sizes[number % 3]
        encoding, channels = encodings[number // 3 % 3]
        rows = np.linspace(0, 359, height).astype(int)
        columns = np.linspace(0, 639, width).astype(int)
        picture = image_from_bgr(np.ascontiguousarray(image_hw3[rows][:, columns]), stamp_ns,
                                 f'{width}')
        if channels == 1:
            picture.data = picture.data[::3]
        picture.encoding, picture.step = encoding, channels * width
        return picture

    def widths(messages):
        return [int(found.header.frame_id) if found.header.frame_id.isdigit() else 640
                for found in messages]

    begin = len(scene.peer.received[DETECTIONS])
    scene.camera.message = message
    try:
        # A busy machine loses most of the large ones on their way.
        scene.peer.until(lambda: {*widths(scene.peer.received[DETECTIONS][begin:])} >= {
            320, 640, 1280}, 'pictures of all sizes')
        bad = counted(scene, 'bad')
    finally:
        scene.camera.behave()
    seen = scene.peer.received[DETECTIONS][begin:]
    for found, width in zip(seen, widths(seen), strict=True):
        (detection,) = found.detections
        assert abs(detection.bbox.center.position.x / width - 230 / 640) < 0.02
    scene.until_health('OK')
    assert counted(scene, 'bad') == bad, 'none of them was a bad picture'


@pytest.mark.parametrize(('reliability', 'durability', 'why'), [
    (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 'a driver with default QoS'),
    (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 'a latched recording'),
    (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE,
     'back to sensor data, which the subscription that was reliable meanwhile would not match'),
])
def test_whatever_qos_a_driver_offers_is_matched(scene, reliability, durability, why):
    qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability,
                     durability=durability)
    scene.camera.unplug()
    scene.until_health('BLIND')
    scene.camera.plug_in(qos)
    scene.until_health('OK')
    scene.until_seen()


def test_of_two_forms_that_are_offered_the_one_that_is_sent_is_taken(scene):
    # As a killed driver for raw pictures beside the one that was started instead.
    scene.camera.unplug()
    silent = scene.peer.node.create_publisher(Image, '/camera/image_raw', camera_publisher_qos())
    try:
        scene.until_health('BLIND')
        scene.camera.plug_in(transport='compressed')
        scene.until_seen()
        scene.until_health('OK')
    finally:
        scene.peer.node.destroy_publisher(silent)
        scene.camera.unplug()
        scene.camera.plug_in(transport='raw')
    scene.until_health('OK')
    scene.until_seen()


def test_a_flood_is_thinned_out_and_leaves_nothing_behind(scene):
    scene.until_seen()
    before = counted(scene, 'replaced')
    scene.camera.rate_hz = 200.0
    try:
        begin_s = time.monotonic()
        scene.peer.until(lambda: time.monotonic() > begin_s + 3.0, 'time')
        assert scene.health.startswith('OK'), scene.health
    finally:
        scene.camera.behave()
    scene.until_health('OK')
    total = sum(counted(scene, cause) for cause in ('replaced', 'bad', 'too_old', 'inference'))
    assert total >= before
    found = scene.until_seen()[-1].header.stamp
    assert abs(found.sec - time.time()) < 2, 'no queue of old pictures is worked off'


@pytest.mark.parametrize(('late_ns', 'fragment', 'why'), [
    (100_000_000, 'two publishers', 'stamps out of order tell it at once'),
    (0, '2 publishers on one topic, of /test_peer', 'stamps in order do not, but ROS knows'),
])
def test_two_publishers_on_one_topic_are_told(scene, root, late_ns, fragment, why):
    second = StreetCamera(scene.peer.node, root, rate_hz=20.0)
    second.stamp_ns = lambda now_ns: now_ns - late_ns
    try:
        # A node without time for all pictures may take those in order only; then ROS tells.
        scene.peer.until(lambda: not scene.health.startswith('OK') and any(
            text in scene.health for text in (fragment, 'publishers on one topic')), why)
    finally:
        second.close()
    scene.until_health('OK')
    scene.until_seen()


def test_calibration_of_nonsense_takes_positions_only(scene):
    good = scene.camera.info

    def nonsense(stamp_ns):
        info = good(stamp_ns)
        info.k = np.full(9, np.nan)
        return info

    scene.camera.info = nonsense
    try:
        scene.peer.until(lambda: 'not finite' in scene.values['camera.ground'], 'the reason')
        scene.until_seen()
        assert scene.health.startswith('OK')
    finally:
        scene.camera.info = good
    scene.peer.until(lambda: 'not finite' not in scene.values['camera.ground'], 'recovery')


def test_odometry_of_nonsense_is_not_used(scene, module_processes):
    publisher = scene.peer.node.create_publisher(Odometry, '/odom', 10)
    scene.peer.matched(publisher)
    message = Odometry()
    message.twist.twist.linear.x = float('nan')
    try:
        for _ in range(5):
            message.header.stamp = scene.peer.node.get_clock().now().to_msg()
            publisher.publish(message)
            scene.until_seen()
        assert scene.health.startswith('OK')
        assert 'Ignored odometry' in module_processes.output('detector')
        assert scene.values['odometry'] == 'no odometry has come on /odom'
    finally:
        scene.peer.node.destroy_publisher(publisher)


def test_a_camera_process_may_be_killed_and_started_again(scene, root, module_processes):
    command = ['ped_camera', '--ros-args', '-p', f'source:={root}/demo/pets_street.mp4', '-p',
               'camera:=camera', '-p', 'size:=640x360', '-p', 'transport:=compressed', '-p',
               'loop:=true']
    scene.camera.unplug()
    try:
        scene.until_health('BLIND')
        for _ in range(2):
            process = module_processes.start(command, name='camera')
            scene.until_health('OK')
            scene.until_seen()
            process.kill()
            scene.until_health('BLIND', 'no picture for')
    finally:
        scene.camera.plug_in()
    scene.until_health('OK')
    scene.until_seen()


def test_switched_off_it_says_so_and_comes_back(scene):
    def switch(on):
        return scene.peer.call(SetBool, '/ped_detector/enable', SetBool.Request(data=on))

    assert switch(False).success
    scene.until_health('BLIND', '~/enable')
    begin = len(scene.peer.received[DETECTIONS])
    sent = scene.camera.sent
    scene.peer.until(lambda: scene.camera.sent > sent + 10, 'pictures that nobody looks at')
    assert len(scene.peer.received[DETECTIONS]) <= begin + 1
    assert switch(True).message == 'looking'
    scene.until_health('OK')
    scene.until_seen()


def test_in_the_end_every_picture_is_accounted_for_and_nothing_is_lost(scene, module_processes):
    def flood():
        scene.camera.message = partial(later(cut_every_third), scene.camera)
        scene.camera.unplug()
        scene.camera.plug_in(transport='compressed')
        scene.camera.rate_hz = 100.0
        begin = scene.camera.sent
        scene.peer.until(lambda: scene.camera.sent > begin + 300, 'many bad pictures')
        scene.camera.unplug()
        scene.camera.plug_in(transport='raw')
        scene.camera.behave()
        scene.until_health('OK')

    flood()
    before_mb = scene.rss_mb()
    for _ in range(3):
        flood()
    assert scene.rss_mb() - before_mb < 10.0
    scene.peer.listen(DiagnosticArray, '/diagnostics')
    scene.peer.until(lambda: scene.peer.received['/diagnostics'], 'diagnostics')
    (status,) = [status for status in scene.peer.received['/diagnostics'][-1].status
                 if status.name == 'ped_detector: camera']
    values = {pair.key: pair.value for pair in status.values}
    received, processed, dropped = (
        float(values[f'frames_{what}']) for what in ('received', 'processed', 'dropped'))
    assert received > 500
    assert 0 <= received - processed - dropped <= 2, 'one is looked at, and one waits'
    assert 'Traceback' not in module_processes.output('detector')


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_nobody_listens_no_work_and_health_goes_on(
        root, ros_domain, processes, tmp_path, transport):
    processes.start([*NODE, tmp_path / 'flag', '--ros-args', *QUICK], name='detector')
    with ros_peer(ros_domain) as peer:
        camera = StreetCamera(peer.node, root, transport=transport)
        try:
            peer.listen(DiagnosticStatus, HEALTH)

            def idle():
                told = peer.received[HEALTH]
                values = {p.key: p.value for p in told[-1].values} if told else {}
                return (int(values.get('camera.drops.idle', '0')) > 5
                        and told[-1].message.startswith('OK') and 'nobody' in told[-1].message)

            peer.until(idle, 'an idle node that is well')
            peer.listen(Detection2DArray, DETECTIONS)
            peer.until(lambda: len(peer.received[DETECTIONS]) > 3, 'work as soon as somebody asks')
        finally:
            camera.close()


def test_a_recording_that_loops_with_its_clock_begins_anew(root, ros_domain, processes, tmp_path):
    from ped_perception.ros.qos import clock_qos
    from rosgraph_msgs.msg import Clock
    processes.start([*NODE, tmp_path / 'flag', '--ros-args', *QUICK, '-p', 'use_sim_time:=true'],
                    name='detector')
    with ros_peer(ros_domain) as peer:
        clock = peer.node.create_publisher(Clock, '/clock', clock_qos())
        camera = StreetCamera(peer.node, root)
        second_ns = 1_000_000_000
        state = {'begin_ns': time.time_ns(), 'runs': False}

        def sim_ns(now_ns):
            stamp_ns = now_ns - state['begin_ns'] + 100 * second_ns
            if state['runs']:
                message = Clock()
                message.clock.sec, message.clock.nanosec = divmod(stamp_ns, 1_000_000_000)
                clock.publish(message)
            return stamp_ns

        camera.stamp_ns = sim_ns
        scene = Scene(peer, camera, tmp_path / 'flag')
        try:
            scene.until_health('BLIND', '/clock')
            state['runs'] = True
            scene.until_health('OK')
            for _ in range(2):
                peer.until(lambda: scene.until_seen()[-1].header.stamp.sec >= 103, 'some seconds')
                state['begin_ns'] = time.time_ns()
                peer.until(lambda: scene.until_seen(1)[-1].header.stamp.sec < 103, 'the beginning')
                scene.until_health('OK')
            assert 'Everybody is forgotten' in processes.output('detector')
            state['runs'] = False
            scene.until_health('BLIND', '/clock does not go on')
            state['runs'] = True
            scene.until_health('OK')
        finally:
            camera.close()


def test_six_cameras_share_one_network_fairly_and_by_priority(
        root, ros_domain, processes, tmp_path):
    names = [f'c{number}' for number in range(6)]
    listed = ','.join(f"'{name}'" for name in names)
    flag = tmp_path / 'flag'
    # What a camera gets is to be the node's choice, not what a busy machine could send.
    flag.write_text('slow')
    processes.start([*NODE, flag, '--ros-args', *QUICK, '-p', f'cameras:=[{listed}]',
                     '-p', 'step_budget_s:=0.001', '-p', 'stale_result_s:=5.0',
                     '-p', 'ground_filter.max_lag_s:=1.2', '-p', 'c0.priority:=3.0',
                     '-p', 'c5.target_rate_hz:=0.5'], name='detector')
    with ros_peer(ros_domain) as peer:
        cameras = [StreetCamera(peer.node, root, name, 'compressed', rate_hz=12.0)
                   for name in names]
        try:
            peer.listen(DiagnosticStatus, HEALTH)
            for name in names:
                peer.listen(Detection2DArray, f'/ped_detector/{name}/detections')

            def looked_at(name):
                return len(peer.received[f'/ped_detector/{name}/detections'])

            peer.until(lambda: min(looked_at(name) for name in names) > 3, 'all cameras')
            before = {name: looked_at(name) for name in names}
            peer.until(lambda: looked_at('c1') > before['c1'] + 15, 'a while')
            done = {name: looked_at(name) - before[name] for name in names}
            equals = [done[name] for name in names[1:5]]
            assert min(equals) >= 0.7 * max(equals), done
            assert done['c0'] > 1.6 * max(equals), done
            assert done['c5'] < 0.8 * min(equals), done
            values = {pair.key: pair.value for pair in peer.received[HEALTH][-1].values}
            assert int(values['cameras_left_out']) > 0
            assert int(values['c5.drops.rate']) > 0
            for name in names:
                newest = peer.received[f'/ped_detector/{name}/detections'][-1].header.stamp
                # A queue would be further behind by now; c5 alone may be two seconds.
                assert time.time() - newest.sec - newest.nanosec / 1e9 < 5.0, 'ages are bounded'
        finally:
            for camera in cameras:
                camera.close()
