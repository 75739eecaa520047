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

"""Why no picture of a camera comes, as far as ROS can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SilenceFacts:
    """
    What the ROS graph says of one camera.

    Attributes:
        camera: its name.
        topics: that pictures are expected on.
        wrong_types: by topic, a type that is published there although another is expected.
        publishers: nodes that publish on the topics.
        incompatible: QoS policy that does not match, empty where all do.
        image_topics: all topics that pictures are published on.
        info_comes: the camera's CameraInfo comes, which is small.
    """

    camera: str
    topics: tuple[str, ...]
    wrong_types: Mapping[str, str]
    publishers: tuple[str, ...]
    incompatible: str
    image_topics: tuple[str, ...]
    info_comes: bool = False


def silence_reason(facts: SilenceFacts) -> str:
    """Name the reason, and what to do about it."""
    topics = ' or '.join(facts.topics)
    for topic, kind in facts.wrong_types.items():
        if kind == 'sensor_msgs/msg/CompressedImage':
            return (f'{topic} carries {kind}, where raw pictures are expected: set '
                    f'{facts.camera}.transport to compressed and {facts.camera}.image_topic to '
                    f'the topic without /compressed, or remap it')
        return f'{topic} carries {kind}, not pictures: check {facts.camera}.image_topic'
    if facts.incompatible:
        return (f'the publisher on {topics} offers a QoS that does not match: policy '
                f'{facts.incompatible}')
    if not facts.publishers:
        there = ', '.join(facts.image_topics)
        return (f'nobody publishes on {topics}; pictures are published on: '
                f'{there or "no topic at all. Is the camera driver running, in this ROS domain"}'
                f'{"" if there else "?"}')
    publishers = ', '.join(facts.publishers)
    if facts.info_comes:
        return (f'{publishers} publishes on {topics}, its CameraInfo comes, but no picture does: '
                f'are they too large, and lost on their way? Start the driver with '
                f'config/fastdds_large_images.xml, or let it send JPEG')
    return (f'{publishers} publishes on {topics}, but sends nothing: is the camera connected, or '
            f'the recording paused?')
