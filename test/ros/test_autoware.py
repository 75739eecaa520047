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

"""Autoware reads what it expects: axes of the object, ids that stay, no velocity that is not."""

from __future__ import annotations

import dataclasses
import sys
import uuid

import numpy as np
from ped_perception.core.errors import ConfigError
from ped_perception.core.ground_types import GroundReason
from ped_perception.ros.autoware import AutowareWriter, UNKNOWN_VARIANCE
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from surroundings import ground_tracks

pytestmark = pytest.mark.ros

RUN = uuid.UUID('c0ffee00-0000-4000-8000-000000000001')


@pytest.fixture
def written():
    """Return a function that writes tracks and sends them through the wire format."""
    pytest.importorskip('autoware_perception_msgs')

    def write(tracks):
        message = AutowareWriter(RUN).write(tracks, 'base_link')
        return deserialize_message(serialize_message(message), type(message))
    return write


def covariance_66(part) -> np.ndarray:
    return np.array(part.covariance).reshape(6, 6)


def test_a_pedestrian_on_the_way(written):
    message = written(ground_tracks([(10.0, -2.0)], ids=[7], velocity=[(0.0, -1.5)]))
    assert (message.header.frame_id, message.header.stamp.sec) == ('base_link', 12)
    [found] = message.objects
    kinematics, shape = found.kinematics, found.shape
    [classification] = found.classification
    assert (classification.label, classification.probability) == (classification.PEDESTRIAN, 1.0)
    assert classification.PEDESTRIAN == 7
    assert found.existence_probability == pytest.approx(0.9)
    assert (shape.type, shape.dimensions.x, shape.dimensions.z) == (shape.CYLINDER, 0.5, 1.8)
    pose = kinematics.pose_with_covariance.pose
    assert (pose.position.x, pose.position.y, pose.position.z) == (10.0, -2.0, 0.9)
    # To the right of the vehicle, and forward as he sees it.
    yaw = 2 * np.arctan2(pose.orientation.z, pose.orientation.w)
    assert yaw == pytest.approx(-np.pi / 2)
    assert kinematics.orientation_availability == kinematics.AVAILABLE == 2
    twist = kinematics.twist_with_covariance.twist.linear
    assert (twist.x, twist.y) == pytest.approx((1.5, 0.0))
    assert not kinematics.is_stationary
    # 0.2 m/s across 1.5 m/s.
    assert covariance_66(kinematics.pose_with_covariance)[5, 5] == pytest.approx((0.2 / 1.5) ** 2)


def test_the_ground_may_lie_beneath_base_link():
    pytest.importorskip('autoware_perception_msgs')
    [found] = AutowareWriter(RUN).write(ground_tracks([(1.0, 2.0)]), 'base_link', -0.3).objects
    position = found.kinematics.pose_with_covariance.pose.position
    assert position.z == pytest.approx(0.6)


def test_the_covariance_of_the_twist_turns_with_him(written):
    tracks = ground_tracks([(10.0, 0.0)], velocity=[(0.0, 2.0)])
    tracks = dataclasses.replace(tracks, velocity_cov_t22=np.diag([0.01, 0.16])[None])
    [found] = written(tracks).objects
    # He walks along y of base_link, which is his own x.
    np.testing.assert_allclose(
        np.diag(covariance_66(found.kinematics.twist_with_covariance))[:2], [0.16, 0.01],
        atol=1e-12)


def test_who_stands_is_turned_nowhere(written):
    tracks = ground_tracks([(10.0, 0.0)], velocity=[(0.1, 0.05)])
    tracks = dataclasses.replace(tracks, velocity_cov_t22=0.01 * np.eye(2)[None])
    [found] = written(tracks).objects
    kinematics = found.kinematics
    assert kinematics.orientation_availability == kinematics.UNAVAILABLE == 0
    assert kinematics.pose_with_covariance.pose.orientation.w == 1.0
    twist = kinematics.twist_with_covariance.twist.linear
    assert (twist.x, twist.y) == pytest.approx((0.1, 0.05))
    assert kinematics.is_stationary
    assert covariance_66(kinematics.pose_with_covariance)[5, 5] >= UNKNOWN_VARIANCE


def test_an_unsure_velocity_turns_nobody_and_is_not_standstill(written):
    tracks = ground_tracks([(10.0, 0.0)], velocity=[(1.0, 0.0)])
    tracks = dataclasses.replace(tracks, velocity_cov_t22=np.eye(2)[None])
    kinematics = written(tracks).objects[0].kinematics
    assert kinematics.orientation_availability == kinematics.UNAVAILABLE
    assert not kinematics.is_stationary


def test_velocities_as_the_vehicle_sees_them_are_not_written(written):
    # Somebody at rest, seen from a vehicle at 10 m/s.
    tracks = ground_tracks([(10.0, 0.0)], velocity=[(-10.0, 0.0)], over_ground=False)
    kinematics = written(tracks).objects[0].kinematics
    twist = kinematics.twist_with_covariance
    assert (twist.twist.linear.x, twist.twist.linear.y) == (0.0, 0.0)
    assert (np.diag(covariance_66(twist)) == UNKNOWN_VARIANCE).all()
    assert kinematics.orientation_availability == kinematics.UNAVAILABLE
    assert not kinematics.is_stationary


def test_ids_stay_within_a_run_and_differ_between_runs(written):
    def ids(writer, *track_ids):
        message = writer.write(ground_tracks([(1.0, 1.0)] * 2, ids=track_ids), 'base_link')
        return [bytes(found.object_id.uuid) for found in message.objects]
    writer, later = AutowareWriter(RUN), AutowareWriter()
    first = ids(writer, 5, 6)
    assert ids(writer, 6, 7)[0] == first[1]
    assert ids(AutowareWriter(RUN), 5, 6) == first
    assert not set(ids(later, 5, 6)) & set(first)
    assert {len(identity) for identity in first} == {16}


def test_who_has_no_position_is_left_out_and_nobody_is_a_message(written):
    tracks = ground_tracks([None, (1.0, 2.0)], reasons=[GroundReason.TOO_FAR, GroundReason.AGREED])
    assert len(written(tracks).objects) == 1
    assert written(ground_tracks([])).objects == []


def test_without_autoware_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, 'autoware_perception_msgs', None)
    monkeypatch.delitem(sys.modules, 'autoware_perception_msgs.msg', raising=False)
    with pytest.raises(ConfigError, match=r'autoware_perception_msgs.*Source the workspace'):
        AutowareWriter()


def test_fields_are_those_of_autoware():
    """Compare with autoware_perception_msgs 1.11: names, types and order make the wire format."""
    messages = pytest.importorskip('autoware_perception_msgs.msg')
    kinematics = 'geometry_msgs/{}WithCovariance'
    expected = {
        'TrackedObjects': {'header': 'std_msgs/Header',
                           'objects': 'sequence<autoware_perception_msgs/TrackedObject>'},
        'TrackedObject': {
            'object_id': 'unique_identifier_msgs/UUID', 'existence_probability': 'float',
            'classification': 'sequence<autoware_perception_msgs/ObjectClassification>',
            'kinematics': 'autoware_perception_msgs/TrackedObjectKinematics',
            'shape': 'autoware_perception_msgs/Shape'},
        'TrackedObjectKinematics': {
            'pose_with_covariance': kinematics.format('Pose'),
            'twist_with_covariance': kinematics.format('Twist'),
            'acceleration_with_covariance': kinematics.format('Accel'),
            'orientation_availability': 'uint8', 'is_stationary': 'boolean'},
        'Shape': {'type': 'uint8', 'footprint': 'geometry_msgs/Polygon',
                  'dimensions': 'geometry_msgs/Vector3'},
        'ObjectClassification': {'label': 'uint8', 'probability': 'float'}}
    for name, fields in expected.items():
        found = getattr(messages, name).get_fields_and_field_types()
        assert list(found.items()) == list(fields.items())
    assert (messages.Shape.CYLINDER, messages.ObjectClassification.PEDESTRIAN) == (1, 7)
