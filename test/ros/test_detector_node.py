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

"""The detector node as a process, talked to over real DDS."""

from __future__ import annotations

import array
from dataclasses import replace
import gc
import itertools
import sys
import threading
import time

from demo_clip import clip_frame
from diagnostic_msgs.msg import DiagnosticArray
from doubles import BrightSpotBackend
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
from ped_perception.core.errors import PedPerceptionError
from ped_perception.core.health import Health
from ped_perception.core.recovery import RecoveryConfig
from ped_perception.ros import detector_node, diagnostics, network
from ped_perception.ros.camera_stats import Drop
from ped_perception.ros.convert import compressed_image_from_bgr, image_from_bgr
from ped_perception.ros.pictures import Camera
from ped_perception.ros.qos import camera_publisher_qos
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from ros_peer import ros_peer
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

pytestmark = pytest.mark.ros

DETECTIONS = '/ped_detector/camera/detections'
NODE = [sys.executable, '-m', 'ped_perception.ros.detector_node', '--ros-args']
# One small view in float32: these tests are about the node, not about finding everybody.
# Their stamps are small numbers, of another time base than the clock.
SMALL = ['-p', 'network_size:=416x256', '-p', 'precision:=fp32', '-p', "views:=['whole']",
         '-p', 'max_frame_age_s:=0.0']


@pytest.fixture(scope='module')
def street_hw3(root):
    """
    Give part of a frame of the shipped clip with several people in it.

    It fits the 512 KB of shared memory that a publisher without our Fast DDS profile has.
    """
    return np.ascontiguousarray(clip_frame(root)[60:400, 200:660])


class Rig:
    """A running detector, a camera in the test process, and what came back."""

    def __init__(self, peer, transport):
        self.peer = peer
        kind, topic = {'raw': (Image, '/camera/image_raw'),
                       'compressed': (CompressedImage, '/camera/image_raw/compressed')}[transport]
        self.publisher = peer.node.create_publisher(kind, topic, camera_publisher_qos())
        peer.listen(Detection2DArray, DETECTIONS)
        peer.listen(DiagnosticArray, '/diagnostics')
        peer.matched(self.publisher)
        peer.until(lambda: peer.node.count_publishers(DETECTIONS), 'the detections')

    def send(self, message):
        """Publish one message and wait until the node has answered or refused it."""
        before = self.handled
        self.publisher.publish(message)
        self.peer.until(lambda: self.handled > before, 'the node to take the picture')

    @property
    def handled(self):
        """Give the pictures processed or dropped, as the node counts them."""
        values = self.values
        return int(float(values.get('frames_processed', 0))
                   + float(values.get('frames_dropped', 0)))

    @property
    def values(self):
        """Give the newest key-values of the node's diagnostics."""
        arrays = self.peer.received['/diagnostics']
        return ({entry.key: entry.value for entry in self.status.values} if arrays else {})

    @property
    def status(self):
        """Give the newest diagnostics of the camera."""
        (status,) = [status for status in self.peer.received['/diagnostics'][-1].status
                     if status.name == 'ped_detector: camera']
        return status

    @property
    def detections(self):
        """Give all detection messages so far."""
        return self.peer.received[DETECTIONS]


@pytest.fixture
def rig(ros_domain, processes):
    """Start the detector on one transport."""
    peers = []

    def start(transport, *extra):
        processes.start([*NODE, *SMALL, '-p', 'diagnostics_period_s:=0.2', *extra],
                        name='detector')
        context = ros_peer(ros_domain)
        peers.append(context)
        return Rig(context.__enter__(), transport)

    yield start
    for context in peers:
        context.__exit__(None, None, None)


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_people_are_published_with_the_header_of_their_picture(rig, street_hw3, transport):
    running = rig(transport)
    build = {'raw': image_from_bgr, 'compressed': compressed_image_from_bgr}[transport]
    running.send(build(street_hw3, 1_234_567_890_123, 'front_optical'))
    running.send(build(np.full((200, 300, 3), 114, np.uint8), 1_300_000_000_000, 'other'))
    seen, nobody = running.detections
    assert (seen.header.stamp.sec, seen.header.stamp.nanosec) == (1234, 567_890_123)
    assert seen.header.frame_id == 'front_optical'
    assert len(seen.detections) >= 3
    height, width = street_hw3.shape[:2]
    for detection in seen.detections:
        assert detection.header == seen.header
        assert detection.results[0].hypothesis.class_id == 'pedestrian'
        assert 0.4 <= detection.results[0].hypothesis.score <= 1
        centre, box = detection.bbox.center.position, detection.bbox
        assert 0 <= centre.x - box.size_x / 2 < centre.x + box.size_x / 2 <= width + 1e-3
        assert 0 <= centre.y - box.size_y / 2 < centre.y + box.size_y / 2 <= height + 1e-3
        assert box.size_y > box.size_x, 'people in this street are upright'
    assert nobody.header.frame_id == 'other'
    assert not nobody.detections, 'nobody there is a message too'


def broken_images(street_hw3):
    """Give bad messages, each with what the node's log must say of it."""
    short = image_from_bgr(street_hw3, 1, 'f')
    short.data = array.array('B', bytes(1000))
    unknown = image_from_bgr(street_hw3, 2, 'f')
    unknown.encoding = 'rgb7'
    empty = Image(encoding='bgr8')
    empty.header.stamp.nanosec = 3
    narrow = image_from_bgr(street_hw3, 4, 'f')
    narrow.step = 10
    return [(short, '1000'), (unknown, 'rgb7'), (empty, '0x0'), (narrow, 'step')]


def test_a_bad_raw_image_costs_one_frame_and_is_explained(rig, processes, street_hw3):
    running = rig('raw')
    for number, (message, fragment) in enumerate(broken_images(street_hw3), start=1):
        running.send(message)
        assert float(running.values['frames_bad']) == number
        assert fragment in running.status.message
    running.send(image_from_bgr(street_hw3, 5, 'f'))
    assert len(running.detections) == 1
    assert running.detections[0].detections
    assert 'Skipped a picture of camera camera' in processes.output('detector')


def test_a_truncated_jpeg_costs_one_frame(rig, street_hw3):
    running = rig('compressed')
    whole = compressed_image_from_bgr(street_hw3, 1, 'f')
    cut = compressed_image_from_bgr(street_hw3, 2, 'f')
    cut.data = whole.data[:len(whole.data) // 2]
    running.send(cut)
    running.send(compressed_image_from_bgr(street_hw3, 3, 'f'))
    assert len(running.detections) == 1
    assert float(running.values['frames_bad']) == 1


def test_annotated_pictures_only_for_those_who_listen(rig, street_hw3):
    running = rig('raw')
    running.send(image_from_bgr(street_hw3, 1, 'f'))
    topic = '/ped_detector/camera/annotated'
    running.peer.listen(Image, topic)
    running.peer.listen(CompressedImage, f'{topic}/compressed')
    running.peer.until(lambda: running.peer.node.count_subscribers(topic), 'matching')

    stamps = [1]

    def both_seen():
        if not (running.peer.received[topic] and running.peer.received[f'{topic}/compressed']):
            stamps.append(stamps[-1] + 1)
            running.send(image_from_bgr(street_hw3, stamps[-1], 'f'))
        return running.peer.received[topic] and running.peer.received[f'{topic}/compressed']

    running.peer.until(both_seen, 'annotated pictures')
    raw = running.peer.received[topic][-1]
    drawn_hw3 = np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, 3)
    assert drawn_hw3.shape == street_hw3.shape
    assert 0.002 < np.mean(np.any(drawn_hw3 != street_hw3, axis=2)) < 0.3
    assert raw.header.stamp.nanosec in stamps
    assert raw.header.frame_id == 'f'


def test_a_threshold_can_be_changed_while_it_runs_and_nonsense_is_refused(rig, street_hw3):
    running = rig('raw')
    running.send(image_from_bgr(street_hw3, 1, 'f'))

    def change(name, value):
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
        return running.peer.call(
            SetParameters, '/ped_detector/set_parameters', request).results[0]

    double = ParameterType.PARAMETER_DOUBLE
    assert change('score_threshold', ParameterValue(type=double, double_value=1.0)).successful
    running.send(image_from_bgr(street_hw3, 2, 'f'))
    assert running.detections[0].detections
    assert not running.detections[1].detections
    assert not change('score_threshold', ParameterValue(type=double, double_value=7.0)).successful
    text = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value='low')
    refused = change('score_threshold', text)
    assert not refused.successful
    assert 'double' in refused.reason
    text = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value='other')
    assert not change('model', text).successful, 'the network is not changed while it runs'


def test_lifecycle_by_request(rig, processes, street_hw3, ros_domain):
    processes.start([*NODE, *SMALL, '-p', 'autostart:=false', '-p', 'tracker.confirm_s:=0.0'],
                    name='detector')
    with ros_peer(ros_domain) as peer:
        publisher = peer.node.create_publisher(Image, '/camera/image_raw', camera_publisher_qos())
        peer.listen(Detection2DArray, DETECTIONS)
        stamps, ids = itertools.count(1), []

        def change(transition):
            return peer.call(ChangeState, '/ped_detector/change_state', ChangeState.Request(
                transition=Transition(id=transition))).success

        assert change(Transition.TRANSITION_CONFIGURE)
        for begins_anew in (False, True, False):
            assert change(Transition.TRANSITION_ACTIVATE)
            peer.matched(publisher)
            before = len(peer.received[DETECTIONS])

            def answered(before=before):
                publisher.publish(image_from_bgr(street_hw3, next(stamps), 'f'))
                return len(peer.received[DETECTIONS]) > before

            peer.until(answered, 'detections')
            found = [int(one.id) for one in peer.received[DETECTIONS][-1].detections if one.id]
            ids.append(found)
            assert change(Transition.TRANSITION_DEACTIVATE)
            peer.until(lambda: publisher.get_subscription_count() == 0, 'it to stop listening')
            if begins_anew:
                assert change(Transition.TRANSITION_CLEANUP)
                assert change(Transition.TRANSITION_CONFIGURE)
        assert ids[0] == ids[1], 'the same people, as nothing was loaded anew'
        assert min(ids[2]) > max(ids[1]), 'an id is given once in a run of the node'
        # rclpy 7 does not answer an invalid request; what counts is that the node lives on.
        client = peer.node.create_client(ChangeState, '/ped_detector/change_state')
        peer.until(client.service_is_ready, 'the service')
        client.call_async(ChangeState.Request(
            transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
        peer.until(lambda: 'Refused' in processes.output('detector'), 'the refusal')
        assert change(Transition.TRANSITION_ACTIVATE)


@pytest.mark.parametrize(('arguments', 'fragments', 'why'), [
    (['-p', 'score_treshold:=0.5'], ['score_treshold', 'score_threshold'], 'a misspelt name'),
    (['-p', 'score_threshold:=1.5'], ['score_threshold', '1.5', 'between'], 'out of range'),
    (['-p', 'score_threshold:=high'], ['score_threshold', "'high'"], 'of the wrong type'),
    (['-p', 'model:=nanodet_x'], ['nanodet_x', 'nanodet_g'], 'an unknown model'),
    (['-p', 'model:=/missing.onnx'], ['/missing.onnx'], 'a missing file'),
    (['-p', "views:=['middle']"], ['middle', 'whole'], 'an unknown view'),
    (['-p', "cameras:=['a','a']"], ['cameras', 'once'], 'a camera named twice'),
    (['-p', 'cameras:=[]'], ['cameras', 'once, not []'], 'no camera at all'),
    (['-p', "cameras:=['front left']"], ['cameras', "'front left'", 'image_topic'],
     'a name that topics cannot have'),
    (['-p', "cameras:=['tracker']"], ['cameras', "'tracker'"], 'a name that is taken'),
    (['-p', "camera.image_topic:='my camera!'"], ['camera.image_topic', "'my camera!'"],
     'a topic that cannot be'),
    (['--params-file', '/missing.yaml'], ['/missing.yaml'], 'a missing parameter file'),
    (['-p', 'camera.transport:=udp'], ['camera.transport', 'compressed'], 'a wrong choice'),
])
def test_a_node_that_cannot_start_says_why_and_ends(
        ros_domain, processes, arguments, fragments, why):
    process = processes.start([*NODE, *arguments], name='detector')
    assert process.wait(60) == 1, why
    output = processes.output('detector')
    for fragment in fragments:
        assert fragment in output, why
    assert 'Traceback' not in output


def test_it_ends_cleanly_also_when_interrupted_twice(ros_domain, processes):
    process = processes.start([*NODE, *SMALL], name='detector')
    with ros_peer(ros_domain) as peer:
        peer.until(lambda: peer.node.count_publishers(DETECTIONS), 'the node to start')
    process.send_signal(2)
    assert processes.interrupt(process) == 0
    assert 'Traceback' not in processes.output('detector')


@pytest.fixture
def node_with_double(ros_domain, monkeypatch):
    """
    Give a configured and active node in this process whose network is a double.

    Also the doubles that were opened so far; each later one fails as often as the first.
    """
    opened = [BrightSpotBackend(max_batch=2)]

    def open_another(config, max_batch, watch):
        if opened[0].closed:
            opened.append(BrightSpotBackend(max_batch=2))
            opened[-1].failures = opened[0].failures
        return opened[-1]

    monkeypatch.setattr(network, 'open_backend', open_another)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = detector_node.DetectorNode(
        context=context, parameter_overrides=[
            rclpy.Parameter('self_test', value='skip'), rclpy.Parameter('lazy', value=False),
            rclpy.Parameter('max_frame_age_s', value=0.0),
            rclpy.Parameter('recovery.first_wait_s', value=0.0),
            rclpy.Parameter('recovery.longest_wait_s', value=0.01),
            rclpy.Parameter('recovery.give_up_s', value=0.5)])
    assert node.trigger_configure() == node.trigger_activate() == (
        TransitionCallbackReturn.SUCCESS)
    yield node, opened
    node.trigger_shutdown()
    node.destroy_node()
    context.try_shutdown()


def wait_for(condition):
    """Wait until another thread has done something."""
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_collection_need_not_look_through_what_was_loaded(node_with_double):
    # The interpreter's own objects alone are more than a thousand.
    assert gc.get_freeze_count() > 1000


def test_a_picture_that_nobody_asks_for_takes_no_time_from_others(node_with_double, street_hw3):
    node, _ = node_with_double
    camera = node._cameras['camera']
    node._settings = replace(node._settings, node=replace(node._settings.node, lazy=True))
    node._on_image('camera', image_from_bgr(street_hw3, 1, 'f'))
    assert camera.stats.drops[Drop.IDLE] == 1
    assert not camera.wanted
    node._settings = replace(node._settings, node=replace(node._settings.node, lazy=False))
    node._on_image('camera', image_from_bgr(street_hw3, 2, 'f'))
    assert camera.wanted


def test_a_failed_inference_costs_its_pictures_only(node_with_double, street_hw3):
    node, (backend, *_) = node_with_double
    stats = node._cameras['camera'].stats
    backend.failures = 1
    node._on_image('camera', image_from_bgr(street_hw3, 1, 'f'))
    wait_for(lambda: stats.drops[Drop.INFERENCE] == 1)
    assert 'planned failure' in node._lookout.recovery.problem
    node._on_image('camera', image_from_bgr(street_hw3, 2, 'f'))
    wait_for(lambda: stats.processed == 1)
    assert node._lookout.recovery.problem == ''
    assert not node.failed


def test_pictures_that_there_is_no_time_for_are_seen_by_the_small_network(
        node_with_double, street_hw3, monkeypatch):
    node, (full,) = node_with_double
    small = BrightSpotBackend((64, 96))
    lookout, stats = node._lookout, node._cameras['camera'].stats
    lookout._networks = network.Networks(full, small)
    lookout._perception.pipeline.take_backends(full, small)
    monkeypatch.setattr(Camera, 'rate_hz', lambda camera, now_s: 20.0)
    monkeypatch.setattr(lookout.schedule, 'measured', lambda *_: None)
    seen = []
    for stamp, slot_s in enumerate([0.001, 0.1, 1.0], 1):
        lookout.schedule.slot_s = slot_s
        before = len(full.counts)
        node._on_image('camera', image_from_bgr(street_hw3, stamp, 'f'))
        wait_for(lambda count=stamp: stats.processed == count)
        seen.append((full.counts[before:], len(small.counts)))
    # Two views; then one in the small network; then it would miss most of them, too.
    assert seen == [([2], 0), ([], 1), ([1], 1)]
    assert list(stats.looks.values()) == [1, 1, 1]
    values = diagnostics.all_health_values([node._cameras['camera']], lookout, 0.0)
    assert (values['steps_with_fewer_views'], values['steps_with_small_network']) == ('1', '1')
    assert values['camera.first_view_share'] == pytest.approx(1 / 3)
    assert values['camera.small_network_share'] == pytest.approx(1 / 3)
    shown = diagnostics.camera_values(stats, 0.0)
    assert (shown['frames_reduced'], shown['frames_small']) == (1, 1)


def test_whatever_fails_is_tried_again_with_a_new_network_and_told_when_it_is_lost(
        node_with_double, street_hw3):
    node, opened = node_with_double
    opened[0].failures = 1_000_000
    stamps = itertools.count(1)

    def sent_until(condition):
        node._on_image('camera', image_from_bgr(street_hw3, next(stamps), 'f'))
        return condition()

    wait_for(lambda: sent_until(lambda: node._health.report.health == Health.FAILED))
    assert 'planned failure' in node._health.report.message
    assert len(opened) > 1, 'after two failures the network is loaded anew'
    assert all(backend.closed for backend in opened[:-1]), 'never two of them at once'
    opened[0].failures = 0
    opened[-1].failures = 0
    stats = node._cameras['camera'].stats
    wait_for(lambda: sent_until(lambda: stats.processed > 0))
    wait_for(lambda: node._health.report.health != Health.FAILED)
    assert not node.failed


@pytest.mark.parametrize('what', ['the inference', 'the following of people'])
def test_what_hangs_is_told(node_with_double, street_hw3, what):
    node, (backend, *_) = node_with_double
    assert node.set_parameters_atomically([rclpy.Parameter('recovery.hang_s', value=0.2)]
                                          ).successful is False, 'not while it runs'
    node._settings = replace(node._settings, recovery=RecoveryConfig(hang_s=0.2))
    free = threading.Event()
    hanging = (backend, 'infer') if what == 'the inference' else (
        node._lookout._perception.follower, 'step')
    setattr(*hanging, lambda *_: free.wait(20) and 1 / 0)
    stamps = itertools.count(1)

    def told():
        node._on_image('camera', image_from_bgr(street_hw3, next(stamps), 'f'))
        return f'{what} has not answered for' in node._health.report.message

    wait_for(told)
    assert node._health.report.health == Health.FAILED
    free.set()


def test_a_network_that_finds_nobody_known_is_not_started(ros_domain, monkeypatch):
    # The double finds bright spots: a network, but not the one that it should be.
    monkeypatch.setattr(
        network, 'open_backend',
        lambda config, max_batch, watch: BrightSpotBackend((384, 640), max_batch))
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = detector_node.DetectorNode(context=context)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
        assert node._inputs is None, 'it must not listen to cameras'
    finally:
        node.trigger_shutdown()
        node.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize('parameter', [
    rclpy.Parameter('camera.mounting_xyz_m', value=[1.0, 2.0]),
    rclpy.Parameter('autoware', value=True)])
def test_a_node_that_cannot_be_configured_leaves_no_publisher(ros_domain, monkeypatch, parameter):
    monkeypatch.setitem(sys.modules, 'autoware_perception_msgs.msg', None)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = detector_node.DetectorNode(context=context, parameter_overrides=[parameter])
    before = {publisher.topic_name for publisher in node.publishers}
    try:
        for _ in range(2):
            assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert {publisher.topic_name for publisher in node.publishers} == before
    finally:
        node.trigger_shutdown()
        node.destroy_node()
        context.try_shutdown()


def test_a_view_that_cannot_be_placed_is_told(node_with_double, street_hw3, capfd):
    node, _ = node_with_double
    views = rclpy.Parameter('camera.views', value=['whole', 'horizon'])
    assert node.set_parameters_atomically([views]).successful
    node._on_image('camera', image_from_bgr(street_hw3, 1, 'f'))
    wait_for(lambda: node._cameras['camera'].stats.processed == 1)
    assert 'horizon of camera camera is left out: no CameraInfo has come' in capfd.readouterr().err


def _broken(*_):
    raise RuntimeError('planned')


@pytest.mark.parametrize(('broken', 'problem'), [
    (lambda node: (node._ground, 'publish'), 'Everybody around the vehicle could not be'),
    (lambda node: (node._cameras['camera'].output, 'publish'), 'Detections could not be'),
    (lambda node: (node._lookout._perception.follower, 'step'), 'People could not be followed'),
])
def test_a_result_that_cannot_be_told_is_no_failure_of_the_network(
        node_with_double, street_hw3, monkeypatch, broken, problem):
    node, opened = node_with_double
    stats = node._cameras['camera'].stats
    with monkeypatch.context() as patch:
        patch.setattr(*broken(node), _broken)
        node._on_image('camera', image_from_bgr(street_hw3, 1, 'f'))
        wait_for(lambda: stats.drops[Drop.RESULT] == 1)
    assert problem in stats.problem
    assert 'RuntimeError: planned' in stats.problem
    node._on_image('camera', image_from_bgr(street_hw3, 2, 'f'))
    wait_for(lambda: stats.processed == 1)
    assert (stats.received, stats.total_dropped, stats.problem) == (2, 1, '')
    assert (node._lookout.recovery.total, len(opened)) == (0, 1)


def test_an_annotated_picture_that_cannot_be_drawn_costs_no_result(
        node_with_double, street_hw3, monkeypatch, capfd):
    node, _ = node_with_double
    stats = node._cameras['camera'].stats
    monkeypatch.setattr(node._cameras['camera'].output, 'publish_annotated', _broken)
    node._on_image('camera', image_from_bgr(street_hw3, 1, 'f'))
    wait_for(lambda: stats.processed == 1)
    assert stats.total_dropped == 0
    wait_for(lambda: 'annotated picture could not be published: RuntimeError: planned'
             in capfd.readouterr().err)


def test_a_health_that_cannot_be_told_ends_the_node(node_with_double):
    node, _ = node_with_double
    node._health._values = lambda: 1 / 0
    wait_for(lambda: node.failed)
    assert 'the health thread ended: ZeroDivisionError' in node._death


def test_a_network_loaded_anew_must_find_people_again(node_with_double, monkeypatch):
    node, _ = node_with_double
    blind = BrightSpotBackend((384, 640), 2)
    monkeypatch.setattr(network, 'open_backend', lambda config, max_batch, watch: blind)
    node._settings = replace(
        node._settings, node=replace(node._settings.node, self_test='known'))
    with pytest.raises(PedPerceptionError, match='self-test failed'):
        node._open_networks(2, may_build=False)
    assert blind.closed


def test_a_sound_network_passes_its_self_test_and_says_so(ros_domain, processes):
    processes.start(NODE, name='detector')
    with ros_peer(ros_domain) as peer:
        peer.until(lambda: 'Self-test passed' in processes.output('detector'), 'the self-test')
