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
Everybody around the vehicle as Autoware reads it: ``autoware_perception_msgs/TrackedObjects``.

Its messages are imported when the writer is made, so that a vehicle without Autoware needs none.
Autoware's conventions, which differ from those of the other outputs: the twist is along the axes
of the object and over ground, and an object that moves is turned the way it moves.
"""

from __future__ import annotations

import importlib
from typing import Any
import uuid

from geometry_msgs.msg import Point, Quaternion, Vector3
import numpy as np
from ped_perception.core.errors import ConfigError
from ped_perception.core.ground_types import GroundTracks
from ped_perception.core.types import Float64Array
from ped_perception.ros.convert import header_from_stamp
from ped_perception.ros.pedestrian_messages import heights_m, pose_covariances, WIDTH_M

# Of what nothing measures: vertical movement, turning, acceleration, in SI units.
UNKNOWN_VARIANCE = 1e6

# Slower than this the direction of movement says nothing about the person.
_WALKING_M_S = 0.3
# Standing for sure: slower than this with twice the standard deviation on top.
_STANDING_M_S = 0.5


class AutowareWriter:
    """Writes ``TrackedObjects``; ids are unique between runs as Autoware wants them."""

    def __init__(self, run: uuid.UUID | None = None) -> None:
        """
        Import the messages.

        Args:
            run: that the ids belong to; a new one where not given.

        Raises:
            ConfigError: ``autoware_perception_msgs`` is not installed.
        """
        try:
            self._messages: Any = importlib.import_module('autoware_perception_msgs.msg')
        except ImportError as error:
            raise ConfigError(
                'Output for Autoware is asked for, but the package autoware_perception_msgs '
                f'cannot be imported ({error}). Source the workspace that has it before starting '
                'the node, or switch this output off.') from error
        self._run = run or uuid.uuid4()

    @property
    def message_type(self) -> Any:
        """The class of the messages, for the publisher."""
        return self._messages.TrackedObjects

    def write(self, tracks: GroundTracks, base_frame: str, ground_z_m: float = 0.0) -> Any:
        """
        Give everybody with a position.

        Args:
            tracks: of one instant, whose stamp the message gets. Without odometry their
                velocities are not over ground: none is written, its variance is that of unknown.
            base_frame: name of base_link.
            ground_z_m: of the ground in base_link.
        """
        message = self._messages.TrackedObjects(
            header=header_from_stamp(tracks.stamp_ns, base_frame))
        heights_t, covariances_t = heights_m(tracks), pose_covariances(tracks)
        for row in np.flatnonzero(tracks.valid_t).tolist():
            found = self._object(tracks, row, float(heights_t[row]), covariances_t[row])
            found.kinematics.pose_with_covariance.pose.position.z += ground_z_m
            message.objects.append(found)
        return message

    def uuid_of(self, track_id: int) -> uuid.UUID:
        """Give the id of a pedestrian: always the same within the run, unlike any other."""
        return uuid.uuid5(self._run, str(track_id))

    def _object(self, tracks: GroundTracks, row: int, height_m: float,
                pose_covariance_36: Float64Array) -> Any:
        messages = self._messages
        found = messages.TrackedObject(existence_probability=float(tracks.scores_t[row]))
        found.object_id.uuid = np.frombuffer(self.uuid_of(int(tracks.ids_t[row])).bytes, np.uint8)
        found.classification = [messages.ObjectClassification(
            label=messages.ObjectClassification.PEDESTRIAN, probability=1.0)]
        found.shape.type = messages.Shape.CYLINDER
        found.shape.dimensions = Vector3(x=WIDTH_M, y=WIDTH_M, z=height_m)
        placed = found.kinematics.pose_with_covariance
        x, y = tracks.xy_t2[row].tolist()
        placed.pose.position = Point(x=x, y=y, z=height_m / 2)
        self._move(found.kinematics, tracks, row, pose_covariance_36.reshape(6, 6).copy())
        return found

    def _move(self, kinematics: Any, tracks: GroundTracks, row: int,
              pose_covariance_66: Float64Array) -> None:
        velocity_2, cov_22 = tracks.velocity_t2[row], tracks.velocity_cov_t22[row]
        twist_66 = np.diag(np.full(6, UNKNOWN_VARIANCE))
        availability, turn_22 = kinematics.UNAVAILABLE, np.eye(2)
        if tracks.over_ground:
            speed_m_s = float(np.hypot(*velocity_2))
            sigma_m_s = float(np.sqrt(np.linalg.eigvalsh(cov_22)[-1]))
            if speed_m_s > max(_WALKING_M_S, 2 * sigma_m_s):
                yaw_rad = float(np.arctan2(velocity_2[1], velocity_2[0]))
                cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
                turn_22 = np.array([[cos, sin], [-sin, cos]])
                availability = kinematics.AVAILABLE
                kinematics.pose_with_covariance.pose.orientation = Quaternion(
                    z=float(np.sin(yaw_rad / 2)), w=float(np.cos(yaw_rad / 2)))
                pose_covariance_66[5, 5] = (turn_22 @ cov_22 @ turn_22.T)[1, 1] / speed_m_s ** 2
            forward_m_s, left_m_s = (turn_22 @ velocity_2).tolist()
            linear = kinematics.twist_with_covariance.twist.linear
            linear.x, linear.y = forward_m_s, left_m_s
            twist_66[:2, :2] = turn_22 @ cov_22 @ turn_22.T
            kinematics.is_stationary = speed_m_s + 2 * sigma_m_s < _STANDING_M_S
        kinematics.orientation_availability = availability
        kinematics.pose_with_covariance.covariance = pose_covariance_66.ravel()
        kinematics.twist_with_covariance.covariance = twist_66.ravel()
        kinematics.acceleration_with_covariance.covariance = np.diag(
            np.full(6, UNKNOWN_VARIANCE)).ravel()
