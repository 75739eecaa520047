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

"""Parameters of the detector node, apart from those of the pipeline and the backend."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.core.config import param


@dataclass(frozen=True)
class NodeConfig:
    """What the node as a whole does."""

    cameras: tuple[str, ...] = param(
        ('camera',), 'Names of the cameras; each has its own topics and parameters.')
    autostart: bool = param(
        True, 'Configure and activate at start, without waiting for a lifecycle manager.')
    self_test: str = param(
        'known', 'Look for known pedestrians in shipped pictures before starting, and do not '
        'start where they are not found: known does so for models whose answer is shipped, '
        'required refuses other models, off trusts the network.',
        choices=('known', 'required', 'off'))
    diagnostics_period_s: float = param(
        1.0, 'Time between two messages on /diagnostics.', unit='s', minimum=0.1, maximum=60.0)
    annotated_quality: int = param(
        80, 'JPEG quality of the annotated pictures.', minimum=1, maximum=100)


@dataclass(frozen=True)
class CameraConfig:
    """What is known of one camera; the parameters are prefixed by its name and a dot."""

    image_topic: str = param(
        '', 'Topic of the raw pictures; the JPEG ones are expected on <topic>/compressed. Empty '
        'means <camera>/image_raw.')
    transport: str = param(
        'auto', 'Which pictures to receive; auto takes what is published, raw before compressed.',
        choices=('auto', 'raw', 'compressed'))
