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
Everybody around the vehicle as messages: what ``convert`` is for pictures and boxes.

All are of one instant and one frame: the stamp of the tracks and base_link. A position that is
not known is never written, neither as NaN nor as zero: who has none is in the list of the
unplaced, with his box and the reason.

A vision_msgs detection has no field for remarks. They are hypotheses after the first, with the
score 0: the name of the :class:`GroundReason` in small letters, and ``predicted`` for somebody
whom no camera placed in its newest picture. Who reads the first, or the best one, is never
misled.
"""

from __future__ import annotations

import array
from collections.abc import Mapping
from typing import Any

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
import numpy as np
from ped_perception.core.ground_types import GroundReason, GroundTracks
from ped_perception.core.types import Float64Array, Tracks
from ped_perception.ros.convert import CLASS_ID, header_from_stamp
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    ObjectHypothesisWithPose,
)
from visualization_msgs.msg import Marker, MarkerArray

PREDICTED = 'predicted'

# A pedestrian's box from above, arms included; nothing measures it.
WIDTH_M = 0.5
# Of somebody whose height is not known.
HEIGHT_M = 1.7

# Nothing measures how anybody is turned: robot_localization and its like take large variances
# for "not known", while 0 would mean "exactly 0".
UNKNOWN_RAD2 = 1e6
# People stand on the plane of the wheels: a step of 0.1 m, and a slope of 2 % more or less.
_STEP_M = 0.1
_SLOPE = 0.02

# One row of ~/obstacles, without gaps, little endian.
OBSTACLE_ROW = np.dtype([
    ('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('vx', '<f4'), ('vy', '<f4'), ('id', '<u4'),
    ('score', '<f4'), ('sigma', '<f4')])

# Chi-square of two degrees of freedom: the ellipse that holds 95 %.
_SQUARED_95 = 5.991
# Slower than this an arrow points anywhere.
_ARROW_M_S = 0.2
_AMBER = (1.0, 0.75, 0.0)
_GREY = (0.6, 0.6, 0.6)


def heights_m(tracks: GroundTracks) -> Float64Array:
    """Give everybody's height, the usual one where it is not known: float64[T] in metres."""
    heights_t: Float64Array = np.where(np.isfinite(tracks.heights_t), tracks.heights_t, HEIGHT_M)
    return heights_t


def pose_covariances(tracks: GroundTracks) -> Float64Array:
    """Give the covariance of the poses as messages have it: float64[T, 36], x y z then angles."""
    cov_t66 = np.zeros((len(tracks), 6, 6))
    cov_t66[:, :2, :2] = tracks.cov_t22
    cov_t66[:, 2, 2] = _STEP_M ** 2 + _SLOPE ** 2 * (tracks.xy_t2 ** 2).sum(axis=1)
    cov_t66[:, range(3, 6), range(3, 6)] = UNKNOWN_RAD2
    return cov_t66.reshape(-1, 36)


def notes_of(tracks: GroundTracks, row: int) -> list[str]:
    """Give the remarks on one pedestrian: how he was placed or why not, and if predicted."""
    reason = GroundReason(int(tracks.reason_t[row])).name.lower()
    return [reason, PREDICTED] if tracks.predicted_t[row] else [reason]


def detection3d_array_from_tracks(tracks: GroundTracks, base_frame: str,
                                  ground_z_m: float = 0.0) -> Detection3DArray:
    """
    Give everybody with a position: ``~/pedestrians``.

    Args:
        tracks: of one instant, whose stamp the message gets.
        base_frame: name of base_link.
        ground_z_m: of the ground in base_link.
    """
    header = header_from_stamp(tracks.stamp_ns, base_frame)
    message = Detection3DArray(header=header)
    heights_t, covariances_t = heights_m(tracks), pose_covariances(tracks)
    for row in np.flatnonzero(tracks.valid_t).tolist():
        height_m = float(heights_t[row])
        x, y = tracks.xy_t2[row].tolist()
        pose = Pose(position=Point(x=x, y=y, z=ground_z_m + height_m / 2))
        with_covariance = PoseWithCovariance(pose=pose, covariance=covariances_t[row])
        detection = Detection3D(header=header, id=str(int(tracks.ids_t[row])),
                                results=_results(tracks, row))
        for result in detection.results:
            result.pose = with_covariance
        detection.bbox.center = pose
        detection.bbox.size = Vector3(x=WIDTH_M, y=WIDTH_M, z=height_m)
        message.detections.append(detection)
    return message


def unplaced_from_tracks(tracks: GroundTracks, pictures: Mapping[str, Tracks], base_frame: str,
                         ) -> Detection2DArray:
    """
    Give everybody without a position: ``~/unplaced``.

    Args:
        tracks: of one instant, whose stamp the message gets.
        pictures: the tracks of the newest picture of each camera.
        base_frame: name of base_link.

    Returns:
        One detection for each camera that sees the pedestrian, with the header of its picture and
        the box in its pixels, noted as predicted where it was not seen in that picture. An empty
        box in base_link for somebody whom no camera has a box of any more.
    """
    header = header_from_stamp(tracks.stamp_ns, base_frame)
    message = Detection2DArray(header=header)
    headers = {camera: header_from_stamp(picture.stamp_ns, picture.frame_id)
               for camera, picture in pictures.items()}
    rows_of = {camera: {track_id: row for row, track_id in enumerate(picture.ids_t.tolist())}
               for camera, picture in pictures.items()}
    for row in np.flatnonzero(~tracks.valid_t).tolist():
        boxed = [(camera, rows_of[camera][track_id]) for camera, track_id in tracks.sources_t[row]
                 if track_id in rows_of.get(camera, ())]
        for camera, track_row in boxed:
            picture = pictures[camera]
            results = _results(tracks, row, [PREDICTED] if picture.predicted_t[track_row] else [])
            message.detections.append(_unplaced(
                tracks, row, headers[camera], results, picture.boxes_t4[track_row].tolist()))
        if not boxed:
            message.detections.append(_unplaced(
                tracks, row, header, _results(tracks, row, [PREDICTED]), [0.0] * 4))
    return message


def _unplaced(tracks: GroundTracks, row: int, header: Header,
              results: list[ObjectHypothesisWithPose], box_xyxy: list[float]) -> Detection2D:
    left, top, right, bottom = box_xyxy
    box = BoundingBox2D(size_x=right - left, size_y=bottom - top)
    box.center.position.x, box.center.position.y = (left + right) / 2, (top + bottom) / 2
    return Detection2D(header=header, id=str(int(tracks.ids_t[row])), results=results, bbox=box)


def _results(tracks: GroundTracks, row: int, notes: list[str] | None = None,
             ) -> list[ObjectHypothesisWithPose]:
    """Give the hypothesis and the remarks; ``notes`` replace those after the reason."""
    named = notes_of(tracks, row)
    named = named if notes is None else [named[0], *notes]
    results = [ObjectHypothesisWithPose() for _ in range(1 + len(named))]
    results[0].hypothesis.class_id = CLASS_ID
    results[0].hypothesis.score = float(tracks.scores_t[row])
    for result, name in zip(results[1:], named, strict=True):
        result.hypothesis.class_id = name
    return results


def cloud_from_tracks(tracks: GroundTracks, base_frame: str, ground_z_m: float = 0.0,
                      ) -> PointCloud2:
    """
    Give everybody with a position as points: ``~/obstacles``.

    One point for each, at half of his height, so that layers which ignore what is low take him.
    ``vx vy`` are over ground if there is odometry, else as base_link sees them; ``id`` is that of
    the other messages; ``sigma`` is the standard deviation of the position in metres along the
    direction in which it is largest.
    """
    taken_t = tracks.valid_t
    rows = np.zeros(int(taken_t.sum()), OBSTACLE_ROW)
    rows['x'], rows['y'] = tracks.xy_t2[taken_t].T
    rows['z'] = ground_z_m + heights_m(tracks)[taken_t] / 2
    rows['vx'], rows['vy'] = tracks.velocity_t2[taken_t].T
    rows['id'] = tracks.ids_t[taken_t] & 0xFFFFFFFF
    rows['score'] = tracks.scores_t[taken_t]
    # The larger one is never below zero but by rounding.
    largest_t = np.linalg.eigvalsh(tracks.cov_t22[taken_t]).max(axis=-1, initial=0.0)
    rows['sigma'] = np.sqrt(largest_t)
    return PointCloud2(
        header=header_from_stamp(tracks.stamp_ns, base_frame), height=1, width=len(rows),
        fields=_cloud_fields(), is_bigendian=False, point_step=OBSTACLE_ROW.itemsize,
        row_step=rows.nbytes, data=array.array('B', rows.tobytes()), is_dense=True)


def _cloud_fields() -> list[PointField]:
    kinds = {np.dtype('<f4'): PointField.FLOAT32, np.dtype('<u4'): PointField.UINT32}
    described: Mapping[str, Any] = OBSTACLE_ROW.fields or {}
    return [PointField(name=name, offset=offset, datatype=kinds[kind], count=1)
            for name, (kind, offset, *_) in described.items()]


def markers_from_tracks(tracks: GroundTracks, base_frame: str, ground_z_m: float = 0.0,
                        lifetime_s: float = 0.5) -> MarkerArray:
    """
    Give what RViz draws of everybody with a position: ``~/markers``.

    In the namespaces ``body``, ``id``, ``velocity`` and ``ellipse`` (that holds 95 %), each
    marker with the pedestrian's id: one replaces the other, and those of people who left vanish
    after ``lifetime_s``. Predicted positions are grey.
    """
    header = header_from_stamp(tracks.stamp_ns, base_frame)
    sec, nanosec = divmod(round(lifetime_s * 1e9), 1_000_000_000)
    message, heights_t = MarkerArray(), heights_m(tracks)
    for row in np.flatnonzero(tracks.valid_t).tolist():
        markers = [_body(tracks, row, float(heights_t[row])),
                   _label(tracks, row, float(heights_t[row])), _ellipse(tracks, row)]
        if np.hypot(*tracks.velocity_t2[row]) >= _ARROW_M_S:
            markers.append(_arrow(tracks, row, float(heights_t[row])))
        for marker in markers:
            marker.header, marker.action = header, Marker.ADD
            marker.pose.position.z += ground_z_m
            # Signed in this message.
            marker.id = int(tracks.ids_t[row]) & 0x7FFFFFFF
            marker.lifetime = Duration(sec=sec, nanosec=nanosec)
        message.markers.extend(markers)
    return message


def _marker(tracks: GroundTracks, row: int, namespace: str, kind: int, z: float, alpha: float,
            ) -> Marker:
    red, green, blue = _GREY if tracks.predicted_t[row] else _AMBER
    x, y = tracks.xy_t2[row].tolist()
    return Marker(ns=namespace, type=kind, pose=Pose(position=Point(x=x, y=y, z=z)),
                  color=ColorRGBA(r=red, g=green, b=blue, a=alpha))


def _body(tracks: GroundTracks, row: int, height_m: float) -> Marker:
    marker = _marker(tracks, row, 'body', Marker.CYLINDER, height_m / 2, 0.7)
    marker.scale = Vector3(x=WIDTH_M, y=WIDTH_M, z=height_m)
    return marker


def _label(tracks: GroundTracks, row: int, height_m: float) -> Marker:
    marker = _marker(tracks, row, 'id', Marker.TEXT_VIEW_FACING, height_m + 0.3, 1.0)
    marker.text = f'{int(tracks.ids_t[row])}'
    marker.scale.z = 0.4
    return marker


def _ellipse(tracks: GroundTracks, row: int) -> Marker:
    marker = _marker(tracks, row, 'ellipse', Marker.CYLINDER, 0.01, 0.3)
    variances_2, axes_22 = np.linalg.eigh(tracks.cov_t22[row])
    small_m, large_m = (2 * np.sqrt(_SQUARED_95 * np.maximum(variances_2, 0))).tolist()
    half_rad = float(np.arctan2(axes_22[1, 1], axes_22[0, 1])) / 2
    marker.pose.orientation = Quaternion(z=np.sin(half_rad), w=np.cos(half_rad))
    # RViz does not draw what is without width.
    marker.scale = Vector3(x=max(large_m, 0.01), y=max(small_m, 0.01), z=0.02)
    return marker


def _arrow(tracks: GroundTracks, row: int, height_m: float) -> Marker:
    """Draw where he will be in a second."""
    marker = _marker(tracks, row, 'velocity', Marker.ARROW, height_m / 2, 1.0)
    vx, vy = tracks.velocity_t2[row].tolist()
    marker.points = [Point(), Point(x=vx, y=vy)]
    marker.scale = Vector3(x=0.06, y=0.15, z=0.2)
    return marker
