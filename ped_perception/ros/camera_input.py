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

"""The subscription of one camera: raw or compressed, whichever is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ped_perception.ros.config import CameraConfig
from ped_perception.ros.qos import image_subscription_qos
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

_TYPES = {'raw': Image, 'compressed': CompressedImage}


class CameraInput:
    """
    Follows what is published of one camera.

    With transport 'auto' nothing is subscribed until a publisher is there, so that pictures in
    the other form are never received for nothing.
    """

    def __init__(self, node: Node, camera: str, config: CameraConfig,
                 on_message: Callable[[str, Any], None]) -> None:
        """
        Subscribe, or wait for a publisher.

        Args:
            node: that subscribes.
            camera: its name.
            config: topic and transport.
            on_message: called with the camera's name and each message.
        """
        self._node = node
        self._camera = camera
        self._on_message = on_message
        raw_topic = config.image_topic or f'{camera}/image_raw'
        self._topics = {'raw': raw_topic, 'compressed': f'{raw_topic}/compressed'}
        self._subscription: Any = None
        self.transport = ''
        if config.transport != 'auto':
            self._subscribe(config.transport)

    def follow(self) -> None:
        """Subscribe to what is published now; call from time to time."""
        published = [transport for transport, topic in self._topics.items()
                     if self._node.count_publishers(topic)]
        if published and not self.transport:
            self._subscribe(published[0])

    def close(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self.transport = ''

    def _subscribe(self, transport: str) -> None:
        self.transport = transport
        self._subscription = self._node.create_subscription(
            _TYPES[transport], self._topics[transport],
            lambda message: self._on_message(self._camera, message), image_subscription_qos())
