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

"""All parameters of the detector node, read and changed as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
import re
from typing import Any

from ped_perception.backends import BackendConfig
from ped_perception.core.config import (
    config_from_mapping,
    ParamSpec,
    size_hw_from_text,
    specs_of,
    unknown_parameter,
)
from ped_perception.core.corridor import CorridorConfig
from ped_perception.core.errors import ConfigError
from ped_perception.core.ground_filter import GroundFilterConfig
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.health import HealthConfig
from ped_perception.core.horizon import HorizonConfig
from ped_perception.core.image_monitor import ImageMonitorConfig
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.pipeline import DetectorConfig
from ped_perception.core.recovery import RecoveryConfig
from ped_perception.core.stamps import AgeConfig
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.views import region_from_numbers, specs_from_texts
from ped_perception.ros.config import CameraConfig, LookoutConfig, NodeConfig
from ped_perception.ros.ground_output import GroundOutputConfig
from ped_perception.ros.params import (
    changed,
    declare_and_read,
    given_names,
    is_of_rclpy,
    refuse_unknown,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

# What plans are built for by default; larger batches make no picture sooner.
_USUAL_BATCH = 8

# The configuration of each field of Settings, and the prefix of its parameters.
PREFIXES: Mapping[str, tuple[type, str]] = {
    'node': (NodeConfig, ''), 'backend': (BackendConfig, ''), 'detector': (DetectorConfig, ''),
    'age': (AgeConfig, ''), 'health': (HealthConfig, ''), 'output': (GroundOutputConfig, ''),
    'recovery': (RecoveryConfig, 'recovery.'), 'tracker': (TrackerConfig, 'tracker.'),
    'ground': (GroundConfig, 'ground.'), 'ground_filter': (GroundFilterConfig, 'ground_filter.'),
    'image_monitor': (ImageMonitorConfig, 'image_monitor.'),
    'horizon': (HorizonConfig, 'horizon.'), 'corridor': (CorridorConfig, 'corridor.')}


@dataclass(frozen=True)
class Settings:
    """
    All parameters, by what they are about; ``cameras`` by the name of the camera.

    Raises:
        ConfigError: two of them contradict each other.
    """

    node: NodeConfig
    backend: BackendConfig
    detector: DetectorConfig
    age: AgeConfig
    health: HealthConfig
    output: GroundOutputConfig
    recovery: RecoveryConfig
    tracker: TrackerConfig
    ground: GroundConfig
    ground_filter: GroundFilterConfig
    image_monitor: ImageMonitorConfig
    horizon: HorizonConfig
    corridor: CorridorConfig
    cameras: Mapping[str, CameraConfig]

    def __post_init__(self) -> None:
        """Check the parameters that depend on each other."""
        age_s, lag_s = self.age.max_frame_age_s, self.ground_filter.max_lag_s
        needed_s = round(age_s + self.age.max_future_s, 9)
        if len(self.cameras) > 1 and not (age_s > 0 and needed_s <= lag_s):
            limit = f'{age_s:g} s' if age_s else '0, no limit'
            raise ConfigError(
                f'Parameter max_frame_age_s is {limit}, but ground_filter.max_lag_s only '
                f'{lag_s:g} s: a picture that late, beside one of another camera that is '
                f'max_future_s ({self.age.max_future_s:g} s) ahead, would make everybody be '
                f'forgotten. Set max_frame_age_s to more than 0, and ground_filter.max_lag_s to '
                f'at least max_frame_age_s and max_future_s together.')

    def changed(self, changes: list[Parameter]) -> Settings:
        """
        Apply changes made at run time: all, or none.

        Raises:
            ConfigError: a value is of the wrong type, out of range or impossible.
        """
        settings = replace(
            self, **{name: changed(getattr(self, name), changes, prefix)
                     for name, (_, prefix) in PREFIXES.items()},
            cameras={name: changed(config, changes, f'{name}.')
                     for name, config in self.cameras.items()})
        settings.slots()
        return settings

    def lookout(self) -> LookoutConfig:
        """Give what the inference thread needs."""
        return LookoutConfig(
            PerceptionConfig(self.detector, self.tracker, self.ground, self.ground_filter),
            self.age, self.node.step_budget_s, self.corridor)

    def slots(self) -> int:
        """
        Check the views of all cameras, and say how many slots a batch needs.

        Returns:
            All views of the camera with the most, and of all cameras together up to the usual
            size of a batch; also room for the parameter views, which a camera may go back to.

        Raises:
            ConfigError: a view, a region or the network size is impossible.
        """
        size_hw_from_text(self.backend.network_size)
        counts = []
        for name, camera in self.cameras.items():
            texts = camera.views or self.detector.views
            specs_from_texts(texts, region_from_numbers(camera.roi, f'{name}.roi'))
            counts.append(len(texts))
        return max(*counts, len(self.detector.views), min(sum(counts), _USUAL_BATCH))


def read_settings(node: Node) -> Settings:
    """
    Declare all parameters and read them.

    Raises:
        ConfigError: one is unknown, of the wrong type or out of range.
    """
    assert {field.name for field in fields(Settings)} == {*PREFIXES, 'cameras'}
    shared: dict[str, Any] = {
        name: declare_and_read(node, kind, prefix) for name, (kind, prefix) in PREFIXES.items()}
    check_camera_names(shared['node'].cameras)
    cameras = {camera: declare_and_read(node, CameraConfig, f'{camera}.')
               for camera in shared['node'].cameras}
    unused = of_other_cameras(given_names(node), shared['node'].cameras)
    refuse_unknown(node, unused)
    if unused:
        node.get_logger().warning(
            f'These cameras are not among {list(shared["node"].cameras)}, so their parameters '
            f'mean nothing: {", ".join(unused)}')
    return Settings(**shared, cameras=cameras)


def check_camera_names(names: Sequence[str]) -> None:
    """
    Check that names of cameras can be parts of topics and prefixes of parameters.

    Raises:
        ConfigError: there is none, or one is impossible.
    """
    if not names or len(set(names)) != len(names):
        raise ConfigError(f'Parameter cameras must name each camera once, not {list(names)}.')
    taken = {prefix.rstrip('.') for _, prefix in PREFIXES.values()}
    for name in names:
        if not re.fullmatch('[A-Za-z][A-Za-z0-9_]*', name):
            raise ConfigError(f'Parameter cameras has {name!r}: a name begins with a letter and '
                              f'consists of letters, digits and _. Topics of any name are set '
                              f'with NAME.image_topic.')
        if name in taken:
            raise ConfigError(f'Parameter cameras has {name!r}, which is what other parameters '
                              f'begin with; name the camera otherwise.')


def camera_names(values: Mapping[str, object]) -> tuple[str, ...]:
    """
    Give the names of the cameras among the values of a parameter file.

    Raises:
        ConfigError: the parameter cameras is no list of names of cameras.
    """
    given = {'cameras': values['cameras']} if 'cameras' in values else {}
    names = config_from_mapping(NodeConfig, given).cameras
    check_camera_names(names)
    return names


def of_other_cameras(names: Iterable[str], cameras: Sequence[str]) -> list[str]:
    """
    List the parameters of cameras that are not looked at.

    A file has all cameras of a vehicle, and ``cameras`` chooses among them.

    Args:
        names: of parameters.
        cameras: that are looked at.
    """
    others = {spec.name for spec in specs_of(CameraConfig)}
    reserved = {*cameras, *(prefix.rstrip('.') for _, prefix in PREFIXES.values())}
    return [name for name in names
            if name.count('.') == 1 and name.partition('.')[0] not in reserved
            and name.partition('.')[2] in others]


def specs_by_name(cameras: Sequence[str]) -> dict[str, ParamSpec]:
    """Give all parameters of a node with these cameras, by their full names."""
    groups = [*PREFIXES.values(), *((CameraConfig, f'{camera}.') for camera in cameras)]
    return {prefix + spec.name: spec
            for config_type, prefix in groups for spec in specs_of(config_type)}


def settings_from_values(values: Mapping[str, object]) -> Settings:
    """
    Build the settings as the node does, without a node.

    Args:
        values: by full name, as ``parameter_files`` reads them; the others keep their defaults.

    Raises:
        ConfigError: one is unknown, of the wrong type, out of range, or views are impossible.
    """
    cameras = camera_names(values)
    known = specs_by_name(cameras)
    unused = of_other_cameras(values, cameras)
    for name in values:
        if not (name in known or is_of_rclpy(name) or name in unused):
            raise ConfigError(unknown_parameter(name, sorted(known)))

    def read(config_type: type, prefix: str) -> Any:
        """Read the values of one configuration."""
        names = {prefix + spec.name: spec.name for spec in specs_of(config_type)}
        return config_from_mapping(
            config_type, {names[name]: value for name, value in values.items() if name in names},
            prefix)

    settings = Settings(
        **{name: read(kind, prefix) for name, (kind, prefix) in PREFIXES.items()},
        cameras={camera: read(CameraConfig, f'{camera}.') for camera in cameras})
    settings.slots()
    return settings
