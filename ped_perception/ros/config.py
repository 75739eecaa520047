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

"""Parameters of the detector node, apart from those of the network and of ``core``."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.core.config import param
from ped_perception.core.corridor import CorridorConfig
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.stamps import AgeConfig


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
        'required refuses other models, skip trusts the network.',
        choices=('known', 'required', 'skip'))
    lazy: bool = param(
        True, 'Do not look at the pictures of a camera while nobody subscribes to its results; '
        '~/health goes on.', dynamic=True)
    step_budget_s: float = param(
        0.15, 'Under overload, so many cameras are looked at together that the inference takes '
        'no longer than this; the others are next.', unit='s', minimum=0.001, maximum=10.0,
        dynamic=True)
    base_frame: str = param(
        'base_link', 'Frame of the vehicle that positions on the ground are given in.')
    tf_tolerance_s: float = param(
        0.1, 'A moving transform may be this much older than the picture.', unit='s',
        minimum=0.0, maximum=10.0)
    odometry_topic: str = param(
        '', 'Topic of nav_msgs/Odometry with the velocity of base_frame; empty for none: '
        'velocities of people are then relative to the vehicle.')
    odometry_timeout_s: float = param(
        0.5, 'Odometry older than this against the picture does not count.', unit='s',
        minimum=0.01, maximum=10.0)
    diagnostics_period_s: float = param(
        1.0, 'Time between two messages on /diagnostics.', unit='s', minimum=0.1, maximum=60.0)
    annotated_quality: int = param(
        80, 'JPEG quality of the annotated pictures.', minimum=1, maximum=100, dynamic=True)


@dataclass(frozen=True)
class CameraConfig:
    """What is known of one camera; the parameters are prefixed by its name and a dot."""

    image_topic: str = param(
        '', 'Topic of the raw pictures; the JPEG ones are expected on <topic>/compressed. Empty '
        'means <camera>/image_raw.')
    info_topic: str = param(
        '', 'Topic of the CameraInfo; empty means camera_info beside the image topic.')
    transport: str = param(
        'auto', 'Which pictures to receive; auto takes what is published, raw before compressed, '
        'and the other form where the one stays silent for silence_report_s.',
        choices=('auto', 'raw', 'compressed'))
    priority: float = param(
        1.0, 'Under overload a camera of priority 2 is looked at twice as often as one of 1.',
        minimum=0.1, maximum=10.0, dynamic=True)
    target_rate_hz: float = param(
        0.0, 'Pictures looked at in a second at most; 0 for all that come.', unit='Hz',
        minimum=0.0, maximum=1000.0, dynamic=True)
    expected_rate_hz: float = param(
        0.0, 'Rate of the camera, from which its silence is judged, and how much time there is '
        'for its first picture; 0 measures it.', unit='Hz', minimum=0.0, maximum=1000.0)
    rotation_deg: int = param(
        0, 'Turn the pictures clockwise by this, so that people stand upright in them.',
        unit='deg', choices=(0, 90, 180, 270))
    views: tuple[str, ...] = param(
        (), 'Views of this camera, as in the parameter views; empty means those.', dynamic=True)
    roi: tuple[float, ...] = param(
        (0.0, 0.0, 1.0, 1.0), 'Part of the upright picture that is looked at: left, top, right, '
        'bottom as fractions.', minimum=0.0, maximum=1.0, dynamic=True)
    rectified: bool = param(
        False, 'The pictures are rectified: P of the CameraInfo describes them, not K and D.')
    mounting_xyz_m: tuple[float, ...] = param(
        (), 'Position of the camera in base_frame; empty takes the mounting from TF.', unit='m')
    mounting_rpy_deg: tuple[float, ...] = param(
        (0.0, 0.0, 0.0), 'Roll, pitch and yaw of the camera where mounting_xyz_m is given: zero '
        'looks straight ahead, a positive pitch looks down, a positive yaw to the left.',
        unit='deg')


@dataclass(frozen=True)
class LookoutConfig:
    """What the inference thread needs to know; replaced as a whole when a parameter changes."""

    perception: PerceptionConfig
    age: AgeConfig
    step_budget_s: float
    corridor: CorridorConfig
