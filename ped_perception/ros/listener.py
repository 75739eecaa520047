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

"""Listens to a detector and its camera from outside, as a planner would, and takes the times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from ped_perception.core.types import Detections
from ped_perception.ros.convert import detections_from_detection2d_array, stamp_ns_from_time
from ped_perception.ros.qos import camera_publisher_qos, image_subscription_qos, results_qos
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

# A burst of calibrations must not overwrite itself: they are what frames are counted by.
_INFO_DEPTH = 200


@dataclass(frozen=True, eq=False)
class Heard:
    """
    The detections of one picture, and when they were published and received.

    Attributes:
        detections: of the picture.
        published_ns: system time at which the detector published, taken by its middleware.
        received_ns: system time at which this process's middleware had the message.
    """

    detections: Detections
    published_ns: int
    received_ns: int


class DetectionListener:
    """
    Keeps what a detector and its camera say; it is cheap, as it never takes a picture.

    For the thread that spins the node.

    Attributes:
        heard: detections in the order in which they came.
        camera_stamps_ns: stamps of the pictures sent, from the CameraInfo that goes with each.
        source_hw: height and width of the newest picture sent; 0, 0 before the first.
        sizes_hw: heights and widths of all pictures sent.
        status: newest key-values of the detector's diagnostics, empty before the first.
        status_count: diagnostics heard.
    """

    def __init__(self, node: Node, camera: str = 'camera', detector: str = 'ped_detector') -> None:
        """
        Subscribe.

        Args:
            node: that subscribes.
            camera: name of the camera.
            detector: name of the detector node.
        """
        self.heard: list[Heard] = []
        self.camera_stamps_ns: list[int] = []
        self.source_hw = (0, 0)
        self.sizes_hw: set[tuple[int, int]] = set()
        self.status: Mapping[str, str] = {}
        self.status_count = 0
        self._node = node
        self._camera = camera
        self._detector = detector
        self._gate: Any = None
        node.create_subscription(CameraInfo, f'{camera}/camera_info', self._on_info,
                                 _deep(_INFO_DEPTH))
        # rclpy gives the message's times to callbacks that take two arguments.
        on_detections: Callable[..., None] = self._on_detections
        node.create_subscription(Detection2DArray, f'{detector}/{camera}/detections',
                                 on_detections, results_qos())
        # Last: readers are announced in this order, so a detector whose diagnostics arrive here
        # knows of the subscription to its detections too.
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics,
                                 results_qos())

    def hold_camera(self, transport: str) -> None:
        """
        Be a second subscriber of the pictures until the first one was sent.

        A camera that waits for two subscribers then begins only when this node's subscription to
        CameraInfo, announced before, is known to it: no frame is missed when they are counted.

        Args:
            transport: 'raw' or 'compressed'.
        """
        kind, ending = (CompressedImage, '/compressed') if transport == 'compressed' else (
            Image, '')
        self._gate = self._node.create_subscription(
            kind, f'{self._camera}/image_raw{ending}', lambda _: None, image_subscription_qos())

    def listen_to_annotated(self, on_jpeg: Callable[[int, bytes], None]) -> None:
        """
        Ask the detector for annotated pictures, which costs it time.

        Args:
            on_jpeg: called with the stamp in nanoseconds and the bytes of the file.
        """
        def on_message(message: CompressedImage) -> None:
            """Hand the bytes of a JPEG on."""
            on_jpeg(stamp_ns_from_time(message.header.stamp), message.data.tobytes())

        self._node.create_subscription(
            CompressedImage, f'{self._detector}/{self._camera}/annotated/compressed', on_message,
            _deep(10))

    def _on_info(self, message: CameraInfo) -> None:
        if self._gate is not None:
            self._node.destroy_subscription(self._gate)
            self._gate = None
        self.source_hw = (message.height, message.width)
        self.sizes_hw.add(self.source_hw)
        self.camera_stamps_ns.append(stamp_ns_from_time(message.header.stamp))

    def _on_detections(self, message: Detection2DArray, info: Mapping[str, Any]) -> None:
        now_ns = time.time_ns()
        detections = detections_from_detection2d_array(message, self._camera, self.source_hw)
        # A middleware that takes no times leaves 0: then this thread's time must do for both.
        self.heard.append(Heard(detections, info['source_timestamp'] or now_ns,
                                info['received_timestamp'] or now_ns))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f'{self._detector}: {self._camera}':
                self.status = {pair.key: pair.value for pair in status.values}
                self.status_count += 1


def _deep(depth: int) -> Any:
    qos = camera_publisher_qos()
    qos.depth = depth
    return qos
