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

"""The ``/clock`` of a recording that is played."""

from __future__ import annotations

from ped_perception.ros.convert import time_from_stamp_ns
from ped_perception.ros.qos import clock_qos
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

PERIOD_NS = 25_000_000


class ReplayClock:
    """
    Publishes recorded time: with each frame, and 40 times a second between frames.

    Between two frames time is drawn straight from one to the other. When the next frame is an
    earlier one, because a loop begins again, time stands still until it comes.
    """

    def __init__(self, node: Node) -> None:
        """Create the publisher."""
        self._publisher = node.create_publisher(Clock, '/clock', clock_qos())
        self._ros_ns: int | None = None
        self._played_ns = 0
        self._next_tick_ns = 0

    def show(self, ros_ns: int, played_ns: int) -> None:
        """Publish the time of a frame that is due at a time of the schedule."""
        self._ros_ns, self._played_ns = ros_ns, played_ns
        self._publish(ros_ns, played_ns)

    def tick(self, played_ns: int, next_ros_ns: int, next_due_ns: int) -> int:
        """
        Publish the time between two frames if it is time to.

        Args:
            played_ns: now, on the schedule.
            next_ros_ns: recorded time of the next frame.
            next_due_ns: of the next frame, on the schedule; later than now.

        Returns:
            Nanoseconds until the next tick.
        """
        if self._ros_ns is None or next_ros_ns <= self._ros_ns:
            return next_due_ns - played_ns
        if played_ns >= self._next_tick_ns:
            share = (played_ns - self._played_ns) / (next_due_ns - self._played_ns)
            self._publish(self._ros_ns + round(share * (next_ros_ns - self._ros_ns)), played_ns)
        return self._next_tick_ns - played_ns

    def _publish(self, ros_ns: int, played_ns: int) -> None:
        self._publisher.publish(Clock(clock=time_from_stamp_ns(ros_ns)))
        self._next_tick_ns = played_ns + PERIOD_NS
