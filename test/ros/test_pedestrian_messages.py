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

"""What planners read: nobody lost, nothing that is not known written as a number."""

from __future__ import annotations

import math
import struct

import numpy as np
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.types import Tracks
from ped_perception.ros.pedestrian_messages import (
    cloud_from_tracks,
    detection3d_array_from_tracks,
    markers_from_tracks,
    OBSTACLE_ROW,
    unplaced_from_tracks,
)
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from surroundings import COV_22, ground_tracks, STAMP_NS
from visualization_msgs.msg import Marker

pytestmark = pytest.mark.ros


def travelled(message):
    """Send a message through the wire format."""
    return deserialize_message(serialize_message(message), type(message))


def notes(detection) -> list[str]:
    assert {result.hypothesis.score for result in detection.results[1:]} <= {0.0}
    return [result.hypothesis.class_id for result in detection.results[1:]]


def numbers(message) -> list[float]:
    """List every number of a message, however deep."""
    if isinstance(message, (int, float, np.number)):
        return [float(message)]
    if isinstance(message, (str, bytes)):
        return []
    if hasattr(message, 'get_fields_and_field_types'):
        message = [getattr(message, name) for name in message.get_fields_and_field_types()]
    return [number for part in message for number in numbers(part)]


def picture(camera: str, ids: list[int], boxes: list[list[float]], *, seen: bool = True,
            stamp_ns: int = 7_000_000_000) -> Tracks:
    count = len(ids)
    zeros_t = np.zeros(count, np.float32)
    return Tracks(
        camera, stamp_ns, f'{camera}_optical', (720, 1280), np.array(ids, np.int64),
        np.array(boxes, np.float32), zeros_t + 0.5, zeros_t, zeros_t, np.ones(count, np.bool_),
        np.full(count, 0 if seen else -1, np.int64), np.zeros((count, 2), np.float32),
        np.ones((count, 4), np.float32))


def test_a_pedestrian_stands_where_he_is():
    tracks = ground_tracks([(10.0, -2.0), (5.0, 1.0)], ids=[7, 8], heights=[1.8, math.nan],
                           reasons=[GroundReason.AGREED, GroundReason.FOOT_NEARER],
                           predicted=[False, True])
    message = travelled(detection3d_array_from_tracks(tracks, 'base_link'))
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 345_678_901)
    first, second = message.detections
    assert first.header == message.header
    assert message.header.frame_id == 'base_link'
    assert (first.id, second.id) == ('7', '8')
    for pose in (first.bbox.center, first.results[0].pose.pose):
        assert (pose.position.x, pose.position.y, pose.position.z) == (10.0, -2.0, 0.9)
        assert pose.orientation.w == 1.0
    assert (first.bbox.size.x, first.bbox.size.y, first.bbox.size.z) == (0.5, 0.5, 1.8)
    # Somebody of unknown height gets a usual one, and stands on the ground all the same.
    assert (second.bbox.size.z, second.bbox.center.position.z) == (1.7, 0.85)
    assert first.results[0].hypothesis.class_id == 'pedestrian'
    assert first.results[0].hypothesis.score == pytest.approx(0.9)
    assert (notes(first), notes(second)) == (['agreed'], ['foot_nearer', 'predicted'])


def test_the_ground_may_lie_beneath_base_link():
    # base_link between the axles: 0.3 m above the ground.
    tracks = ground_tracks([(1.0, 2.0)], velocity=[(1.0, 0.0)])
    [detection] = detection3d_array_from_tracks(tracks, 'base_link', -0.3).detections
    assert detection.bbox.center.position.z == pytest.approx(0.6)
    assert detection.results[0].pose.pose.position.z == pytest.approx(0.6)
    rows = np.frombuffer(cloud_from_tracks(tracks, 'base_link', -0.3).data, OBSTACLE_ROW)
    assert rows['z'] == pytest.approx(0.6)
    on_it, beneath = (markers_from_tracks(tracks, 'base_link', z_m).markers for z_m in (0.0, -0.3))
    assert [low.pose.position.z - high.pose.position.z
            for high, low in zip(on_it, beneath, strict=True)] == pytest.approx([-0.3] * 4)


def test_what_is_not_measured_has_a_large_variance():
    [detection] = detection3d_array_from_tracks(
        ground_tracks([(30.0, 40.0)]), 'base_link').detections
    covariance_66 = np.array(detection.results[0].pose.covariance).reshape(6, 6)
    np.testing.assert_allclose(covariance_66[:2, :2], COV_22)
    # 50 m away, on a slope of 2 %.
    assert covariance_66[2, 2] == pytest.approx(0.1 ** 2 + 1.0 ** 2)
    assert (np.diag(covariance_66)[3:] >= 1e6).all()
    assert (np.linalg.eigvalsh(covariance_66) > 0).all()


def test_nobody_is_a_message_too():
    nobody = ground_tracks([])
    assert travelled(detection3d_array_from_tracks(nobody, 'base_link')).detections == []
    assert travelled(unplaced_from_tracks(nobody, {}, 'base_link')).detections == []
    assert travelled(markers_from_tracks(nobody, 'base_link')).markers == []
    cloud = travelled(cloud_from_tracks(nobody, 'base_link'))
    assert (cloud.width, cloud.height, cloud.row_step, len(cloud.data)) == (0, 1, 0, 0)
    assert (cloud.point_step, len(cloud.fields)) == (32, 8)


def test_a_row_of_the_cloud_to_the_byte():
    tracks = ground_tracks([None, (10.0, -2.0)], ids=[4, 70_000], velocity=[(0, 0), (1.5, -0.5)],
                           cov_22=[[0.04, 0.0], [0.0, 0.25]])
    cloud = travelled(cloud_from_tracks(tracks, 'base_link'))
    assert bytes(cloud.data) == struct.pack(
        '<5fI2f', 10.0, -2.0, 0.9, 1.5, -0.5, 70_000, np.float32(0.5), 0.5)
    assert [(field.name, field.offset, field.datatype, field.count) for field in cloud.fields] == [
        ('x', 0, 7, 1), ('y', 4, 7, 1), ('z', 8, 7, 1), ('vx', 12, 7, 1), ('vy', 16, 7, 1),
        ('id', 20, 6, 1), ('score', 24, 7, 1), ('sigma', 28, 7, 1)]
    assert (cloud.width, cloud.row_step) == (1, 32)
    assert cloud.is_dense
    assert not cloud.is_bigendian


def test_sigma_is_that_of_the_worst_direction():
    # 2 m along the diagonal, 0.1 m across.
    diagonal = np.array([[1.0, -1.0], [1.0, 1.0]]) / math.sqrt(2)
    cov_22 = diagonal @ np.diag([4.0, 0.01]) @ diagonal.T
    cloud = cloud_from_tracks(ground_tracks([(1.0, 1.0)], cov_22=cov_22), 'base_link')
    assert np.frombuffer(cloud.data, OBSTACLE_ROW)['sigma'] == pytest.approx(2.0)


def test_ids_that_outgrow_their_field_wrap_instead_of_failing():
    tracks = ground_tracks([(1.0, 1.0)], ids=[2 ** 32 + 5])
    assert np.frombuffer(cloud_from_tracks(tracks, 'base_link').data, OBSTACLE_ROW)['id'] == 5
    assert {marker.id for marker in markers_from_tracks(tracks, 'base_link').markers} == {5}
    assert detection3d_array_from_tracks(tracks, 'base_link').detections[0].id == '4294967301'


def test_who_has_no_position_is_told_with_box_and_reason():
    tracks = ground_tracks(
        [(3.0, 0.0), None, None], ids=[1, 2, 3],
        reasons=[GroundReason.AGREED, GroundReason.NO_TRANSFORM, GroundReason.LOST],
        sources=[(('front', 11),), (('front', 12), ('left', 5)), ()])
    pictures = {'front': picture('front', [11, 12], [[0, 0, 9, 9], [100, 200, 150, 320]]),
                'left': picture('left', [5], [[10, 20, 30, 60]], seen=False,
                                stamp_ns=6_900_000_000)}
    message = travelled(unplaced_from_tracks(tracks, pictures, 'base_link'))
    front, left, nowhere = message.detections
    assert [found.id for found in message.detections] == ['2', '2', '3']
    assert (front.header.frame_id, front.header.stamp.sec) == ('front_optical', 7)
    assert (left.header.frame_id, left.header.stamp.nanosec) == ('left_optical', 900_000_000)
    box = front.bbox
    assert (box.center.position.x, box.center.position.y) == (125.0, 260.0)
    assert (box.size_x, box.size_y) == (50.0, 120.0)
    # The left camera did not see him in its newest picture: its box is predicted.
    assert (notes(front), notes(left)) == (['no_transform'], ['no_transform', 'predicted'])
    assert (nowhere.header.frame_id, nowhere.bbox.size_x) == ('base_link', 0.0)
    assert notes(nowhere) == ['lost', 'predicted']
    assert front.results[0].hypothesis.class_id == 'pedestrian'
    assert message.header.stamp.sec == STAMP_NS // 1_000_000_000


def test_everybody_is_in_exactly_one_of_the_two_lists():
    tracks = ground_tracks([(1.0, 2.0), None, (3.0, 4.0), None], ids=[5, 6, 7, 8])
    placed = {found.id for found in detection3d_array_from_tracks(tracks, 'b').detections}
    unplaced = {found.id for found in unplaced_from_tracks(tracks, {}, 'b').detections}
    assert (placed, unplaced) == ({'5', '7'}, {'6', '8'})


def test_what_is_not_known_is_never_written_as_nan():
    tracks = ground_tracks([(1.0, 2.0), None], heights=[math.nan, math.nan])
    for message in (detection3d_array_from_tracks(tracks, 'base_link'),
                    unplaced_from_tracks(tracks, {}, 'base_link'),
                    markers_from_tracks(tracks, 'base_link')):
        assert np.isfinite(numbers(message)).all()
    rows = np.frombuffer(cloud_from_tracks(tracks, 'base_link').data, OBSTACLE_ROW)
    assert all(np.isfinite(rows[name]).all() for name in OBSTACLE_ROW.names)


def test_markers_keep_their_identity_and_vanish_by_themselves():
    walking = ground_tracks([(1.0, 2.0), (3.0, 4.0)], ids=[5, 6],
                            velocity=[(1.0, 0.0), (0.1, 0.1)])
    first = markers_from_tracks(walking, 'base_link', lifetime_s=0.25)
    names = [(marker.ns, marker.id) for marker in first.markers]
    # The second stands: an arrow would only show noise.
    assert sorted(names) == [('body', 5), ('body', 6), ('ellipse', 5), ('ellipse', 6), ('id', 5),
                             ('id', 6), ('velocity', 5)]
    second = markers_from_tracks(ground_tracks([(3.1, 4.0)], ids=[6]), 'base_link')
    assert {(marker.ns, marker.id) for marker in second.markers} < set(names)
    for marker in travelled(first).markers:
        assert marker.action == Marker.ADD
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (0, 250_000_000)
        assert marker.header.frame_id == 'base_link'
        assert marker.color.a > 0
    texts = [marker.text for marker in first.markers if marker.ns == 'id']
    assert texts == ['5', '6']


def test_predicted_positions_look_different():
    def colour(predicted: bool) -> tuple[float, ...]:
        message = markers_from_tracks(ground_tracks([(1.0, 2.0)], predicted=[predicted]), 'b')
        return tuple(getattr(message.markers[0].color, name) for name in 'rgb')
    assert colour(True) != colour(False)


@pytest.mark.parametrize('angle_rad', [0.0, 0.4, -1.2, 2.9])
def test_the_ellipse_holds_95_percent(angle_rad: float):
    turn_22 = np.array([[np.cos(angle_rad), -np.sin(angle_rad)],
                        [np.sin(angle_rad), np.cos(angle_rad)]])
    cov_22 = turn_22 @ np.diag([1.0, 0.04]) @ turn_22.T
    message = markers_from_tracks(ground_tracks([(4.0, -1.0)], cov_22=cov_22), 'base_link')
    [ellipse] = [marker for marker in message.markers if marker.ns == 'ellipse']
    turned = ellipse.pose.orientation
    yaw = 2 * np.arctan2(turned.z, turned.w)
    points_n2 = np.random.default_rng(0).multivariate_normal([0, 0], cov_22, 20_000)
    back_22 = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    scaled_n2 = points_n2 @ back_22.T / (np.array([ellipse.scale.x, ellipse.scale.y]) / 2)
    assert ((scaled_n2 ** 2).sum(axis=1) < 1).mean() == pytest.approx(0.95, abs=0.006)
    assert (ellipse.pose.position.x, ellipse.pose.position.y) == (4.0, -1.0)


def test_the_arrow_ends_where_he_is_in_a_second():
    message = markers_from_tracks(ground_tracks([(4.0, -1.0)], velocity=[(-1.0, 0.5)]), 'b')
    [arrow] = [marker for marker in message.markers if marker.ns == 'velocity']
    begin, end = arrow.points
    assert (end.x - begin.x, end.y - begin.y) == (-1.0, 0.5)
    assert (arrow.pose.position.x, arrow.pose.position.y) == (4.0, -1.0)
