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

"""Which topics of a recording are which camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import re

from ped_perception.core.errors import SourceError
from ped_perception.ros.config import CameraConfig
from ped_perception.sources.storage import Topic

TYPES = {'raw': 'sensor_msgs/msg/Image', 'compressed': 'sensor_msgs/msg/CompressedImage'}
_ENDINGS = {'raw': '', 'compressed': '/compressed'}
_LAST = re.compile(r'/(image\w*)$')


def topics_of_cameras(cameras: Mapping[str, CameraConfig], topics: Sequence[Topic],
                      ) -> dict[str, str]:
    """
    Find the pictures of each camera, as the node subscribes to them.

    Args:
        cameras: configurations, by name.
        topics: of the recording.

    Returns:
        The name of each camera, by topic.

    Raises:
        SourceError: a camera was not recorded, or is the same topic as another.
    """
    recorded = {topic.name: topic.message_type for topic in topics}
    names: dict[str, str] = {}
    for name, config in cameras.items():
        base = '/' + (config.image_topic or f'{name}/image_raw').lstrip('/')
        asked = list(TYPES) if config.transport == 'auto' else [config.transport]
        found = [base + _ENDINGS[transport] for transport in asked
                 if recorded.get(base + _ENDINGS[transport]) == TYPES[transport]]
        if not found:
            pictures = sorted(topic for topic, kind in recorded.items() if kind in TYPES.values())
            raise SourceError(
                f'Camera {name} was not recorded: there is no '
                f'{" and no ".join(base + _ENDINGS[transport] for transport in asked)}. Image '
                f'topics of the recording: {", ".join(pictures) or "none"}.')
        if found[0] in names:
            raise SourceError(f'Cameras {names[found[0]]} and {name} are both {found[0]}.')
        names[found[0]] = name
    return names


def camera_values(topics: Sequence[Topic]) -> dict[str, object]:
    """
    Make a camera of every image topic, named after it, as values of parameters.

    Raises:
        SourceError: there is no image topic.
    """
    bases = sorted({topic.name.removesuffix(_ENDINGS['compressed']) for topic in topics
                    if topic.message_type in TYPES.values()})
    if not bases:
        raise SourceError(f'The recording has no image topic. It has: '
                          f'{", ".join(sorted(topic.name for topic in topics)) or "nothing"}.')
    short = [_name(base) for base in bases]
    # /front/image_raw and /front/image_rect are two cameras.
    names = {base: name if short.count(name) == 1 else base.strip('/').replace('/', '_')
             for base, name in zip(bases, short, strict=True)}
    values: dict[str, object] = {'cameras': list(names.values())}
    values.update({f'{name}.image_topic': base for base, name in names.items()})
    return values


def _name(base: str) -> str:
    return _LAST.sub('', base).strip('/').replace('/', '_') or base.strip('/')
