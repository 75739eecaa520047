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

"""The example brakes for people and for silence, as a process of its own, over DDS."""

from __future__ import annotations

import ast
import dataclasses
import io
from pathlib import Path
import sys
import time
import tokenize

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from nav_msgs.msg import Odometry
from ped_perception.core.ground_types import GroundReason
from ped_perception.ros.pedestrian_messages import cloud_from_tracks, unplaced_from_tracks
import pytest
from ros_peer import PATIENCE_S, ros_peer
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Bool
from surroundings import ground_tracks
from vision_msgs.msg import Detection2DArray

EXAMPLE = Path(__file__).parents[2] / 'examples/brake_for_pedestrians.py'

NOBODY = ground_tracks([])
# At 10 m/s, 4 m from base_link to the bumper.
AHEAD = ground_tracks([(15.0, 0.0)])
BESIDE = ground_tracks([(15.0, 6.0)])
STEPS_IN = ground_tracks([(18.0, 4.0)], velocity=[(0.0, -2.0)])
FAR = ground_tracks([(60.0, 0.0)])
UNPLACED = ground_tracks([None], reasons=[GroundReason.NO_TRANSFORM])
MISSED = ground_tracks([None], reasons=[GroundReason.NO_TRANSFORM], predicted=[True])
LOST = ground_tracks([None], reasons=[GroundReason.LOST], predicted=[True])
ABOVE_HORIZON = ground_tracks([None], reasons=[GroundReason.ABOVE_HORIZON])


class Vehicle:
    """Plays detector and odometry at 20 Hz, and watches the brake."""

    def __init__(self, peer) -> None:
        self._peer, node = peer, peer.node
        self.publishers = {
            'health': node.create_publisher(DiagnosticStatus, 'ped_detector/health', 1),
            'obstacles': node.create_publisher(PointCloud2, 'ped_detector/obstacles', 1),
            'unplaced': node.create_publisher(Detection2DArray, 'ped_detector/unplaced', 1),
            'odom': node.create_publisher(Odometry, 'odom', 1)}
        peer.listen(Bool, 'brake')

    @property
    def brakes(self) -> list[bool]:
        return [message.data for message in self._peer.received['brake']]

    def say(self, tracks=NOBODY, *, level: bytes = DiagnosticStatus.OK, speed_m_s: float = 10.0,
            silent: str = '', age_s: float = 0.0, message: str = 'OK: looking',
            odometry_problem: str = '') -> None:
        """Publish every input once, but for a silent one."""
        node = self._peer.node
        stamp_ns = node.get_clock().now().nanoseconds - round(age_s * 1e9)
        tracks = dataclasses.replace(tracks, stamp_ns=stamp_ns)
        odometry = Odometry()
        odometry.twist.twist.linear.x = speed_m_s
        unplaced = unplaced_from_tracks(tracks, {}, 'base_link')
        for found, predicted in zip(unplaced.detections, tracks.predicted_t[~tracks.valid_t],
                                    strict=True):
            if not predicted:
                # His camera shows him now: the box is not empty.
                del found.results[2:]
        messages = {'health': DiagnosticStatus(level=level, message=message, values=[
                        KeyValue(key='odometry', value=odometry_problem)]),
                    'obstacles': cloud_from_tracks(tracks, 'base_link'), 'unplaced': unplaced,
                    'odom': odometry}
        for topic, publisher in self.publishers.items():
            if topic != silent:
                publisher.publish(messages[topic])

    def until_brake_is(self, wanted: bool, why: str, patience_s: float = PATIENCE_S,
                       **what) -> None:
        """Go on saying the same until the brake has been so for half a second."""
        deadline_s = time.monotonic() + patience_s
        while True:
            assert time.monotonic() < deadline_s, f'{why}: brake is not {wanted}'
            self.say(**what)
            before = len(self.brakes)
            self._peer.until(lambda before=before: len(self.brakes) > before, 'the brake')
            if len(self.brakes) > 10 and set(self.brakes[-10:]) == {wanted}:
                return


# What is said, and whether to brake.
STEPS = [
    ('nobody is there', {}, False),
    ('in the way: 11 m at 10 m/s', {'tracks': AHEAD}, True),
    ('the way is free again', {}, False),
    ('beside the way', {'tracks': BESIDE}, False),
    ('steps into the way', {'tracks': STEPS_IN}, True),
    ('too far to matter yet', {'tracks': FAR}, False),
    ('in the way of a vehicle that stands', {'tracks': AHEAD, 'speed_m_s': 0.0}, False),
    ('somebody is seen, nobody knows where', {'tracks': UNPLACED}, True),
    ('one picture does not show him', {'tracks': MISSED}, True),
    ('lost from sight some time ago', {'tracks': LOST}, False),
    ('somebody far away', {'tracks': ABOVE_HORIZON}, False),
    ('a camera is blind', {'level': DiagnosticStatus.ERROR, 'message': 'BLIND: front'}, True),
    ('the detector has no odometry: his velocity is not over ground',
     {'odometry_problem': 'no odometry has come'}, True),
    ('degraded: looking, with something wrong', {'level': DiagnosticStatus.WARN}, False),
    ('health is silent', {'silent': 'health'}, True),
    ('health speaks again', {}, False),
    ('positions are silent', {'silent': 'obstacles'}, True),
    ('odometry is silent', {'silent': 'odom'}, True),
    ('the list of the unplaced is silent', {'silent': 'unplaced'}, True),
    ('positions come, but they are old', {'age_s': 1.0}, True),
    ('positions of the future: another clock', {'age_s': -1.0}, True),
    ('all is well', {}, False),
]


@pytest.mark.ros
def test_brakes_for_people_and_for_silence(ros_domain, processes):
    process = processes.start([sys.executable, EXAMPLE], name='brake')
    with ros_peer(ros_domain) as peer:
        vehicle = Vehicle(peer)
        # Nobody has said anything yet.
        peer.until(lambda: vehicle.brakes, 'the first decision')
        assert vehicle.brakes[0] is True
        for publisher in vehicle.publishers.values():
            peer.matched(publisher)
        for why, what, brake in STEPS:
            vehicle.until_brake_is(brake, why, **what)
        assert processes.interrupt(process) == 0
    log = processes.output('brake')
    assert 'brake: BLIND: front' in log
    assert 'brake: ped_detector/health silent' in log
    assert 'Traceback' not in log


def test_it_fits_on_a_page():
    source = EXAMPLE.read_text()
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {line for node in ast.walk(ast.parse(source))
                  if isinstance(node, documented) and ast.get_docstring(node)
                  for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)}
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
             tokenize.ENDMARKER)
    code = {line for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type not in blank for line in range(token.start[0], token.end[0] + 1)}
    assert len(code - docstrings) <= 60
