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

"""What comes of one camera, from a node that only seems to be one."""

from __future__ import annotations

from types import SimpleNamespace

from ped_perception.ros.camera_input import CameraInput
from ped_perception.ros.config import CameraConfig
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image


class SilentNode:
    """Has no publishers; remembers subscriptions and errors."""

    def __init__(self):
        self.callbacks, self.errors = {}, []

    def resolve_topic_name(self, topic):
        """Put it below the root."""
        return f'/{topic}'

    def get_publishers_info_by_topic(self, topic):
        """Know of nobody."""
        return []

    def create_subscription(self, kind, topic, callback, qos, **options):
        """Remember who is to be called, and whether with bytes."""
        self.callbacks[topic] = callback, options.get('raw', False)

    def get_logger(self):
        """Give what keeps errors."""
        return SimpleNamespace(info=lambda text: None,
                               error=lambda text, **_: self.errors.append(text))


@pytest.mark.parametrize(('transport', 'topic', 'sent'), [
    ('raw', '/front/image_raw', Image(height=1, width=2, encoding='mono8', step=2, data=b'ab')),
    ('compressed', '/front/image_raw/compressed', CompressedImage(format='jpeg', data=b'ab')),
])
def test_a_picture_comes_as_bytes_and_what_is_none_is_told_and_costs_no_other(
        transport, topic, sent):
    node, came = SilentNode(), []
    CameraInput(node, 'front', CameraConfig(transport=transport),
                lambda camera, message: came.append((camera, message)), lambda info: None)
    callback, raw = node.callbacks[topic]
    assert raw
    serialized = serialize_message(sent)
    callback(serialized[:-3])
    assert came == []
    assert len(node.errors) == 1
    assert 'Camera front' in node.errors[0]
    assert 'RMW_IMPLEMENTATION' in node.errors[0]
    callback(serialized)
    ((camera, message),) = came
    assert (camera, message.data.tobytes()) == ('front', b'ab')
