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

"""What else a recording has: transforms, odometry, and messages to be copied, up to a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from ped_perception.core.errors import TransformError
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.transforms import pose_from_quaternion, TransformBuffer
from ped_perception.ros.config import NodeConfig
from ped_perception.ros.convert import stamp_ns_from_time
from ped_perception.sources.storage import Storage
from rosbags.serde import SerdeError
from rosbags.typesys import get_typestore, Stores

# What belongs to a picture may have been written a little later.
_AHEAD_NS = 200_000_000
_TF, _TF_STATIC = '/tf', '/tf_static'
_TRANSFORMS = 'tf2_msgs/msg/TFMessage'
_ODOMETRY = 'nav_msgs/msg/Odometry'


class Messages:
    """The messages of some topics, in the order in which they were written, up to a time."""

    def __init__(self, storage: Storage, topics: Collection[str], start_ns: int) -> None:
        """Begin before the first message."""
        self._messages: Iterator[tuple[str, int, bytes]] = storage.messages(topics, start_ns)
        self._next = next(self._messages, None)

    def until(self, log_ns: int) -> Iterator[tuple[str, int, bytes]]:
        """Give topic, time and bytes of those written up to a time, the others later."""
        while self._next is not None and self._next[1] <= log_ns:
            message, self._next = self._next, next(self._messages, None)
            yield message


class RecordedSurroundings:
    """
    Transforms and the motion of the vehicle as they were recorded.

    Attributes:
        buffer: of the transforms.
        skipped: messages that could not be read.
    """

    def __init__(self, storage: Storage, config: NodeConfig, start_ns: int) -> None:
        """
        Read all static transforms.

        Args:
            storage: of the recording.
            config: frames and topics.
            start_ns: nothing else before this time is read.
        """
        self._config = config
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._types = {topic.name: topic.message_type for topic in storage.topics}
        self.buffer, self.skipped = TransformBuffer(), 0
        self._odometry_topic = '/' + config.odometry_topic.lstrip('/')
        self._odometry: list[tuple[int, EgoMotion]] = []
        for _, _, data in storage.messages({_TF_STATIC}, storage.start_ns):
            self._take(_TF_STATIC, data)
        wanted = {_TF} | ({self._odometry_topic} if config.odometry_topic else set())
        self._moving = Messages(storage, wanted, start_ns)

    def advance(self, log_ns: int) -> None:
        """Take in what was written up to a time, and a little later."""
        for topic, _, data in self._moving.until(log_ns + _AHEAD_NS):
            self._take(topic, data)

    def ego(self, stamp_ns: int) -> EgoMotion | None:
        """Give the motion of the vehicle at a time, None where it is not known."""
        nearest = min(self._odometry, key=lambda entry: abs(entry[0] - stamp_ns), default=None)
        if nearest is None or abs(nearest[0] - stamp_ns) > self._config.odometry_timeout_s * 1e9:
            return None
        return nearest[1]

    def _take(self, topic: str, data: bytes) -> None:
        kind = self._types[topic]
        if kind != (_ODOMETRY if topic == self._odometry_topic else _TRANSFORMS):
            return
        try:
            message = self._store.deserialize_cdr(data, kind)
            if kind == _ODOMETRY:
                self._take_odometry(message)
            else:
                self._take_transforms(message, topic == _TF_STATIC)
        except (SerdeError, TransformError, ValueError, IndexError):
            self.skipped += 1

    def _take_odometry(self, message: Any) -> None:
        if message.child_frame_id.lstrip('/') not in ('', self._config.base_frame):
            self.skipped += 1
            return
        twist = message.twist.twist
        self._odometry.append((stamp_ns_from_time(message.header.stamp),
                               EgoMotion(twist.linear.x, twist.angular.z, twist.linear.y)))
        # More is never asked for: pictures come in their order.
        del self._odometry[:-256]

    def _take_transforms(self, message: Any, is_static: bool) -> None:
        for stamped in message.transforms:
            moved, turned = stamped.transform.translation, stamped.transform.rotation
            self.buffer.put(
                stamped.header.frame_id.lstrip('/'), stamped.child_frame_id.lstrip('/'),
                stamp_ns_from_time(stamped.header.stamp),
                pose_from_quaternion((moved.x, moved.y, moved.z),
                                     (turned.x, turned.y, turned.z, turned.w)),
                is_static=is_static)
