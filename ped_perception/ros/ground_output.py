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

"""What the node publishes of everybody around the vehicle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ped_perception.core.config import param
from ped_perception.core.ground_types import GroundTracks
from ped_perception.core.types import Tracks
from ped_perception.ros.autoware import AutowareWriter
from ped_perception.ros.pedestrian_messages import (
    cloud_from_tracks,
    detection3d_array_from_tracks,
    markers_from_tracks,
    unplaced_from_tracks,
)
from ped_perception.ros.qos import results_qos
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray


@dataclass(frozen=True)
class GroundOutputConfig:
    """How everybody around the vehicle is told."""

    predict_to_now: bool = param(
        False, 'Publish where everybody will be at the time of publication, noted as predicted, '
        'instead of where they were at the time of the newest picture.', dynamic=True)
    autoware: bool = param(
        False, 'Publish autoware_perception_msgs/TrackedObjects on ~/tracked_objects, too.')


class GroundOutput:
    """
    Publishers of everybody around the vehicle, for the thread that follows people.

    A message that nobody subscribes to is not built; any thread may ask whether one is wanted.
    """

    def __init__(self, node: LifecycleNode, base_frame: str, ground_z_m: float,
                 config: Callable[[], GroundOutputConfig]) -> None:
        """
        Create the publishers.

        Args:
            node: that publishes.
            base_frame: of the vehicle.
            ground_z_m: of the ground in base_frame.
            config: gives the parameters as they are now.

        Raises:
            ConfigError: Autoware's messages are asked for and not installed.
        """
        self._node, self._config = node, config
        self._base_frame, self._ground_z_m = base_frame, ground_z_m
        self._pictures: dict[str, Tracks] = {}
        # First, as it may fail: no publisher must be left behind.
        writer = AutowareWriter() if config().autoware else None

        def publisher(kind: Any, name: str) -> Any:
            """Create a publisher of results."""
            return node.create_lifecycle_publisher(kind, f'~/{name}', results_qos())

        self._unplaced = publisher(Detection2DArray, 'unplaced')
        self._placed: list[tuple[Any, Callable[[GroundTracks, str, float], Any]]] = [
            (publisher(Detection3DArray, 'pedestrians'), detection3d_array_from_tracks),
            (publisher(PointCloud2, 'obstacles'), cloud_from_tracks),
            (publisher(MarkerArray, 'markers'), markers_from_tracks)]
        if writer is not None:
            self._placed.append(
                (publisher(writer.message_type, 'tracked_objects'), writer.write))

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes to any of it."""
        return any(publisher.get_subscription_count() for publisher in self._publishers)

    def publish(self, pictures: Mapping[str, Tracks],
                everybody: Callable[[int | None], GroundTracks | None], now_ns: int) -> None:
        """
        Publish everybody, also when there is nobody.

        Args:
            pictures: tracks of the cameras that were just looked at, in pixels of the camera.
            everybody: gives all people at a time, or at that of the newest picture for None.
            now_ns: ROS time.
        """
        self._pictures.update(pictures)
        if not self.is_wanted:
            return
        people = everybody(now_ns if self._config().predict_to_now else None)
        if people is None:
            return
        for publisher, message_from_tracks in self._placed:
            if publisher.get_subscription_count():
                publisher.publish(message_from_tracks(people, self._base_frame, self._ground_z_m))
        if self._unplaced.get_subscription_count():
            self._unplaced.publish(unplaced_from_tracks(people, self._pictures, self._base_frame))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    @property
    def _publishers(self) -> list[Any]:
        return [self._unplaced, *(publisher for publisher, _ in self._placed)]
