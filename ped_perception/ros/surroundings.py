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

"""What is known around the cameras: transforms and the motion of the vehicle."""

from __future__ import annotations

import functools
import math
from typing import Any

from nav_msgs.msg import Odometry
from ped_perception.core.errors import TransformError
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.transforms import pose_from_quaternion, TransformBuffer
from ped_perception.ros.config import NodeConfig
from ped_perception.ros.convert import stamp_ns_from_time
from ped_perception.ros.params import topic_from_parameter
from ped_perception.ros.qos import camera_publisher_qos, transforms_qos
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

# More than pictures are late.
_KEPT = 64
# A problem that comes with every message is logged once in this time.
_LOG_PERIOD_S = 5.0


class Surroundings:
    """
    Listens to ``/tf``, ``/tf_static`` and odometry; called by the executor's thread.

    :meth:`ego` and the buffer may be asked by another thread.

    Attributes:
        buffer: of the transforms.
        odometry_problem: why the motion of the vehicle was not known at the last picture, so that
            velocities of people are not over ground; empty where it was known.
    """

    def __init__(self, node: Node, config: NodeConfig) -> None:
        """Begin to know nothing; :meth:`listen` begins to listen."""
        self._node, self._config = node, config
        self._subscriptions: list[Any] = []
        # Replaced as a whole: another thread reads it.
        self._odometry: tuple[tuple[int, EgoMotion], ...] = ()
        self.buffer = TransformBuffer()
        self.odometry_problem = self._silence = (
            f'no odometry has come on {config.odometry_topic}' if config.odometry_topic
            else 'odometry_topic is not set')

    def listen(self, *, to_transforms: bool) -> None:
        """
        Subscribe to odometry, if it is configured, and to transforms, if they are needed.

        Raises:
            ConfigError: odometry_topic is no name of a topic; then nothing is subscribed to.
        """
        create, odometry = self._node.create_subscription, self._config.odometry_topic
        if odometry:
            topic_from_parameter(self._node, 'odometry_topic', odometry)
        if to_transforms:
            self._subscriptions += [
                create(TFMessage, topic, functools.partial(self._on_transforms, is_static),
                       transforms_qos(is_static=is_static))
                for topic, is_static in (('/tf', False), ('/tf_static', True))]
        if odometry:
            self._subscriptions.append(create(
                Odometry, odometry, self._on_odometry, camera_publisher_qos()))

    def close(self) -> None:
        """Stop listening; what is known stays."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    @property
    def wants_odometry(self) -> bool:
        """Whether odometry is configured."""
        return bool(self._config.odometry_topic)

    def ego(self, stamp_ns: int) -> EgoMotion | None:
        """Give the motion of the vehicle at a time, None where it is not known."""
        nearest = min(self._odometry, key=lambda entry: abs(entry[0] - stamp_ns), default=None)
        if nearest is None:
            self.odometry_problem = self._silence
            return None
        off_s = abs(stamp_ns - nearest[0]) / 1e9
        if off_s > self._config.odometry_timeout_s:
            self.odometry_problem = (
                f'the nearest odometry on {self._config.odometry_topic} is {off_s:.2f} s away '
                f'from the picture, more than odometry_timeout_s')
            return None
        self.odometry_problem = ''
        return nearest[1]

    def _on_transforms(self, is_static: bool, message: TFMessage) -> None:
        for stamped in message.transforms:
            moved, turned = stamped.transform.translation, stamped.transform.rotation
            try:
                self.buffer.put(
                    stamped.header.frame_id.lstrip('/'), stamped.child_frame_id.lstrip('/'),
                    stamp_ns_from_time(stamped.header.stamp),
                    pose_from_quaternion((moved.x, moved.y, moved.z),
                                         (turned.x, turned.y, turned.z, turned.w)),
                    is_static=is_static)
            except TransformError as error:
                self._node.get_logger().warning(
                    f'Ignored a transform: {error}', throttle_duration_sec=_LOG_PERIOD_S)

    def _on_odometry(self, message: Odometry) -> None:
        if message.child_frame_id.lstrip('/') not in ('', self._config.base_frame):
            self._silence = (f'the odometry is of {message.child_frame_id}, not of '
                             f'{self._config.base_frame}: set base_frame or odometry_topic')
            return
        twist = message.twist.twist
        if not all(map(math.isfinite, (twist.linear.x, twist.linear.y, twist.angular.z))):
            self._node.get_logger().warning(
                f'Ignored odometry that is not finite: {twist.linear.x} and {twist.linear.y} m/s, '
                f'{twist.angular.z} rad/s', throttle_duration_sec=_LOG_PERIOD_S)
            return
        self._odometry = (*self._odometry[1 - _KEPT:], (
            stamp_ns_from_time(message.header.stamp),
            EgoMotion(twist.linear.x, twist.angular.z, twist.linear.y)))
