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

"""The subscriptions of one camera: whatever is published, with whatever QoS it is offered."""

from __future__ import annotations

from collections.abc import Callable
import math
import time
from typing import Any

from ped_perception.ros.config import CameraConfig
from ped_perception.ros.params import topic_from_parameter
from ped_perception.ros.qos import image_subscription_qos, matching_qos
from ped_perception.ros.silence import SilenceFacts
from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind, QoSProfile
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

# CameraInfo comes with every picture; a camera that sends one in this time is alive.
_INFO_S = 2.0
_TYPES = {'raw': Image, 'compressed': CompressedImage}
_TYPE_NAMES = {'raw': 'sensor_msgs/msg/Image', 'compressed': 'sensor_msgs/msg/CompressedImage'}


class CameraInput:
    """
    Follows what is published of one camera; for the executor's thread.

    With transport 'auto' nothing is subscribed until a publisher is there, so that pictures in
    the other form are never received for nothing. The QoS is that of the publishers; when they
    change, the subscription is made anew.

    Attributes:
        since_s: steady clock, when the pictures were subscribed to as they are now.
    """

    def __init__(self, node: Node, camera: str, config: CameraConfig,
                 on_message: Callable[[str, Any], None],
                 on_info: Callable[[CameraInfo], None]) -> None:
        """
        Subscribe, or wait for a publisher.

        Args:
            node: that subscribes.
            camera: its name.
            config: topics and transport.
            on_message: called with the camera's name and each picture.
            on_info: called with each CameraInfo.

        Raises:
            ConfigError: a topic has an impossible name.
        """
        self._node = node
        self._camera = camera
        self._on_message = on_message
        self._on_info = on_info
        self._info_s = -math.inf
        raw_topic = config.image_topic or f'{camera}/image_raw'
        self._topics = {'raw': self._resolved(raw_topic, 'image_topic'),
                        'compressed': self._resolved(f'{raw_topic}/compressed', 'image_topic')}
        self._info_topic = self._resolved(
            config.info_topic or _beside(raw_topic, 'camera_info'), 'info_topic')
        self._choice = config.transport
        self._subscription: Any = None
        self._qos = image_subscription_qos()
        self._info: Any = None
        self._info_qos = image_subscription_qos()
        self.transport = ''
        self.incompatible = ''
        self.since_s = -math.inf
        self.follow()

    def follow(self, *, look_elsewhere: bool = False) -> None:
        """
        Subscribe to what is published now; call from time to time.

        Args:
            look_elsewhere: no picture has come for long, so take the other form where that is
                published, too: a driver that was killed counts as a publisher for 20 s, and some
                offer what they never send.
        """
        transport = self._published(look_elsewhere)
        if transport:
            topic = self._topics[transport]
            qos = matching_qos(self._offered(topic), image_subscription_qos())
            if transport != self.transport or qos != self._qos:
                self._subscribe(transport, qos)
        info_qos = matching_qos(self._offered(self._info_topic), image_subscription_qos())
        if self._info is None or info_qos != self._info_qos:
            self._subscribe_info(info_qos)

    def publishers(self) -> list[str]:
        """Name the node of each publisher of the pictures that are subscribed to."""
        if not self.transport:
            return []
        return [_name(info) for info in
                self._node.get_publishers_info_by_topic(self._topics[self.transport])]

    def facts(self) -> SilenceFacts:
        """Say what can be known about why no picture comes."""
        seen = dict(self._node.get_topic_names_and_types())
        asked = [self._topics[transport] for transport in self._asked]
        own = self._node.resolve_topic_name('~/x').removesuffix('x')
        return SilenceFacts(
            camera=self._camera,
            topics=tuple(asked),
            wrong_types={topic: kind for transport in self._asked
                         for topic in [self._topics[transport]] for kind in seen.get(topic, [])
                         if kind != _TYPE_NAMES[transport] and self._node.count_publishers(topic)},
            publishers=tuple(dict.fromkeys(
                _name(info) for topic in asked
                for info in self._node.get_publishers_info_by_topic(topic))),
            incompatible=self.incompatible,
            image_topics=tuple(sorted(
                topic for topic, types in seen.items()
                if set(types) & set(_TYPE_NAMES.values()) and self._node.count_publishers(topic)
                and not topic.startswith(own))),
            info_comes=time.monotonic() - self._info_s < _INFO_S)

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in (self._subscription, self._info):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._subscription, self._info, self.transport = None, None, ''

    @property
    def _asked(self) -> tuple[str, ...]:
        return ('raw', 'compressed') if self._choice == 'auto' else (self._choice,)

    def _resolved(self, topic: str, parameter: str) -> str:
        return topic_from_parameter(self._node, f'{self._camera}.{parameter}', topic)

    def _published(self, look_elsewhere: bool) -> str:
        """Name the transport to take: the one taken already while it is published."""
        published = [transport for transport in self._asked
                     if any(info.topic_type == _TYPE_NAMES[transport] for info in
                            self._node.get_publishers_info_by_topic(self._topics[transport]))]
        if self.transport in published and not (look_elsewhere and len(published) > 1):
            return self.transport
        published = [transport for transport in published if transport != self.transport]
        if published:
            return published[0]
        return self.transport or (self._choice if self._choice != 'auto' else '')

    def _offered(self, topic: str) -> list[QoSProfile]:
        return [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)]

    def _subscribe(self, transport: str, qos: QoSProfile) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self.transport, self._qos, self.incompatible = transport, qos, ''
        self.since_s = time.monotonic()
        self._node.get_logger().info(
            f'Camera {self._camera}: listening to {self._topics[transport]}, '
            f'{qos.reliability.name.lower()}, {qos.durability.name.lower()}')
        self._subscription = self._node.create_subscription(
            _TYPES[transport], self._topics[transport],
            lambda message: self._on_message(self._camera, message), qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible))

    def _subscribe_info(self, qos: QoSProfile) -> None:
        if self._info is not None:
            self._node.destroy_subscription(self._info)
        self._info_qos = qos
        self._info = self._node.create_subscription(
            CameraInfo, self._info_topic, self._take_info, qos)

    def _take_info(self, info: CameraInfo) -> None:
        self._info_s = time.monotonic()
        self._on_info(info)

    def _on_incompatible(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        # follow() subscribes anew with the publishers' QoS; until then, this is the reason.
        self.incompatible = qos_policy_name_from_kind(event.last_policy_kind)


def _name(info: TopicEndpointInfo) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def _beside(topic: str, name: str) -> str:
    """Name the neighbour of a topic, as image_transport does."""
    parent, slash, _ = topic.rpartition('/')
    return f'{parent}{slash}{name}'
