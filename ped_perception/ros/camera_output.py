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

"""What the node publishes for one camera, and what it knows of it."""

from __future__ import annotations

from ped_perception.core.draw import draw_detections
from ped_perception.core.stats import RateMeter, RollingWindow
from ped_perception.core.types import Detections, Frame
from ped_perception.ros.convert import compressed_image_from_bgr, DetectionsFiller, image_from_bgr
from ped_perception.ros.qos import image_publisher_qos, results_qos
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

STAGES = ('receive', 'views', 'infer', 'postprocess', 'publish')


class CameraStats:
    """Counts and times of one camera since the node was activated."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.received = 0
        self.processed = 0
        self.replaced = 0
        self.bad = 0
        self.reduced = 0
        self.detections = 0
        self.last_problem = ''
        self.rate = RateMeter()
        self.latency_ms = RollingWindow()
        self.stage_ms = {stage: RollingWindow() for stage in STAGES}

    @property
    def dropped(self) -> int:
        """Pictures received but not looked at: replaced by newer ones, or not usable."""
        return self.replaced + self.bad


class CameraOutput:
    """Publishers of one camera; used by the inference thread only."""

    def __init__(self, node: LifecycleNode, camera: str, quality: int) -> None:
        """
        Create the publishers.

        Args:
            node: that publishes; its name becomes part of the topics.
            camera: its name.
            quality: of annotated JPEG pictures, 1..100.
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

    def publish(self, detections: Detections) -> None:
        """Publish the pedestrians of one picture, also when there are none."""
        self._detections.publish(self._filler.fill(detections))

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
                image_hw3, frame.stamp_ns, frame.frame_id, self._quality))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
