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
Brake when somebody comes into the vehicle's way soon, or when nobody is looking.

    python3 brake_for_pedestrians.py --ros-args -p within_s:=2.0 -p half_width_m:=1.2

Listens to the detector and to odometry, publishes std_msgs/Bool on `brake` at 20 Hz. Brakes as
long as it knows of no reason not to: until every input has come, and whenever one falls silent.
Whether its own publications stop is for the brake's controller to watch.
"""

import contextlib
import time

from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
import numpy as np
from ped_perception.core.corridor import conflicts_of, CorridorConfig
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.ros.pedestrian_messages import OBSTACLE_ROW
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Bool
from vision_msgs.msg import Detection2DArray

INPUTS = {'ped_detector/health': DiagnosticStatus, 'ped_detector/obstacles': PointCloud2,
          'ped_detector/unplaced': Detection2DArray, 'odom': Odometry}
# Remarks on who is too far away to have a position, or was lost from sight some time ago. Anybody
# else without one may be in front of the bumper, also when one picture does not show him.
HARMLESS = ({'too_far'}, {'above_horizon'}, {'lost', 'predicted'})


class BrakeForPedestrians(Node):
    """Keeps the newest message of each input and decides at a fixed rate."""

    def __init__(self):
        super().__init__('brake_for_pedestrians')
        self.within_s, self.silence_s, *outline = (
            self.declare_parameter(name, default).value for name, default in (
                ('within_s', 2.0), ('silence_s', 0.5), ('half_width_m', 1.3), ('front_m', 4.0)))
        self.config = CorridorConfig(*outline, horizon_s=self.within_s + self.silence_s)
        self.newest, self.reason = {}, None
        for topic, kind in INPUTS.items():
            self.create_subscription(kind, topic, lambda message, topic=topic: self.newest.update(
                {topic: (time.monotonic(), message)}), 1)
        self.publisher = self.create_publisher(Bool, 'brake', 1)
        self.create_timer(0.05, self.decide)

    def decide(self):
        """Publish the decision, and log when its reason changes."""
        # Health speaks ten times a second: silent for 0.3 s is FAILED, says doc/planner.md.
        silent = [name for name in INPUTS if name not in self.newest or time.monotonic()
                  - self.newest[name][0] > {'ped_detector/health': 0.3}.get(name, self.silence_s)]
        reason = f'{", ".join(silent)} silent' if silent else self.danger(
            *(self.newest[topic][1] for topic in INPUTS))
        if reason != self.reason:
            self.get_logger().info(f'brake: {reason}' if reason else 'released')
        self.reason = reason
        self.publisher.publish(Bool(data=bool(reason)))

    def danger(self, health, obstacles, unplaced, odometry):
        """Say why to brake; empty for no reason."""
        # Velocities that are not over ground would count the vehicle's own motion twice.
        unsure = {one.key: one.value for one in health.values}.get('odometry', 'not told')
        if health.level >= DiagnosticStatus.ERROR or unsure:
            return f'{health.message}; odometry of the detector: {unsure or "fine"}'
        said = [{result.hypothesis.class_id for result in d.results} for d in unplaced.detections]
        if any(not any(known <= remarks for known in HARMLESS) for remarks in said):
            return 'a pedestrian is seen, but not where'
        stamp, twist = obstacles.header.stamp, odometry.twist.twist
        age_s = self.get_clock().now().nanoseconds / 1e9 - stamp.sec - stamp.nanosec / 1e9
        if abs(age_s) > self.silence_s:
            return f'positions are {age_s:.2f} s old'
        rows = np.frombuffer(bytes(obstacles.data), OBSTACLE_ROW)
        xy_t2, v_t2 = (np.c_[rows[x], rows[y]].astype(float) for x, y in ('xy', ('vx', 'vy')))
        cov_t22 = rows['sigma'].astype(float)[:, None, None] ** 2 * np.eye(2)
        ego = EgoMotion(twist.linear.x, twist.angular.z, twist.linear.y)
        time_s_t = conflicts_of(xy_t2, v_t2, cov_t22, ego, self.config).time_s_t - age_s
        return '' if (time_s_t > self.within_s).all() else 'a pedestrian comes into the way'


if __name__ == '__main__':
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(BrakeForPedestrians())
