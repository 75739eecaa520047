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

"""What the node publishes for one camera."""

from __future__ import annotations

from collections.abc import Callable

from ped_perception.core.draw import draw_detections
from ped_perception.core.types import Detections, Frame, Int64Array
from ped_perception.ros.convert import compressed_image_from_bgr, DetectionsFiller, image_from_bgr
from ped_perception.ros.qos import image_publisher_qos, results_qos
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray


class CameraOutput:
    """
    Publishers of one camera, for the thread that follows people.

    Any thread may ask whether they are wanted.
    """

    def __init__(self, node: LifecycleNode, camera: str, quality: Callable[[], int]) -> None:
        """
        Create the publishers.

        Args:
            node: that publishes; its name becomes part of the topics.
            camera: its name.
            quality: gives that of annotated JPEG pictures, 1..100.
        """
        self._quality = quality
        self._filler = DetectionsFiller()
        self._detections = node.create_lifecycle_publisher(
            Detection2DArray, f'~/{camera}/detections', results_qos())
        self._annotated = node.create_lifecycle_publisher(
            Image, f'~/{camera}/annotated', image_publisher_qos())
        self._annotated_jpeg = node.create_lifecycle_publisher(
            CompressedImage, f'~/{camera}/annotated/compressed', image_publisher_qos())
        self._publishers = (self._detections, self._annotated, self._annotated_jpeg)
        self._node = node

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes to what is published for this camera."""
        return any(publisher.get_subscription_count() for publisher in self._publishers)

    def publish(self, detections: Detections, ids_n: Int64Array) -> None:
        """
        Publish the pedestrians of one picture, also when there are none.

        Args:
            detections: in pixels of the camera's picture.
            ids_n: int64[>= N], of the track of each, negative for none.
        """
        self._detections.publish(self._filler.fill(detections, ids_n))

    def publish_annotated(self, frame: Frame, detections: Detections) -> None:
        """Publish the picture with boxes to those who subscribed; draws nothing for nobody."""
        wants_raw = self._annotated.get_subscription_count() > 0
        wants_jpeg = self._annotated_jpeg.get_subscription_count() > 0
        if not (wants_raw or wants_jpeg):
            return
        image_hw3 = draw_detections(frame.image_hw3, detections)
        if wants_raw:
            self._annotated.publish(
                image_from_bgr(image_hw3, frame.stamp_ns, frame.frame_id))
        if wants_jpeg:
            self._annotated_jpeg.publish(compressed_image_from_bgr(
                image_hw3, frame.stamp_ns, frame.frame_id, self._quality()))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
