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

"""What nodes there are, and whether parameters fit them; for the check of launch files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from ament_index_python.packages import get_package_prefix, PackageNotFoundError
from ped_perception.core.config import config_from_mapping, ParamSpec, specs_of, unknown_parameter
from ped_perception.core.errors import ConfigError
from ped_perception.ros.camera_config import CameraPlayerConfig
from ped_perception.ros.params import is_of_rclpy
from ped_perception.ros.settings import camera_names, settings_from_values, specs_by_name

PACKAGE = 'ped_perception'

Values = Mapping[str, object]


def _detector_specs(values: Values) -> dict[str, ParamSpec]:
    return specs_by_name(camera_names(values))


def _camera_specs(values: Values) -> dict[str, ParamSpec]:
    return {spec.name: spec for spec in specs_of(CameraPlayerConfig)}


def _check_camera(values: Values) -> None:
    config_from_mapping(CameraPlayerConfig,
                        {name: value for name, value in values.items() if not is_of_rclpy(name)})


# Of this package's nodes: the parameters they have, and the check of all of them together.
OWN_NODES: Mapping[str, tuple[Callable[[Values], dict[str, ParamSpec]],
                              Callable[[Values], object]]] = {
    'ped_detector': (_detector_specs, settings_from_values),
    'ped_camera': (_camera_specs, _check_camera)}

# Of packages that need not be installed where launch files are checked.
FOREIGN_NODES: Mapping[str, frozenset[str]] = {
    'ros_gz_bridge': frozenset({'parameter_bridge', 'bridge_node', 'static_bridge'}),
    'ros_gz_sim': frozenset({'create', 'gzserver'}),
    'rviz2': frozenset({'rviz2'}),
    'tf2_ros': frozenset({'static_transform_publisher'})}


def package_folder(package: str) -> Path | None:
    """Give the prefix that a package is installed in, None where it is not."""
    try:
        return Path(get_package_prefix(package))
    # The index may be missing altogether.
    except (PackageNotFoundError, OSError):
        return None


def node_fault(package: str, executable: str) -> tuple[str, str]:
    """Say why a node cannot be started, and what could not be checked; empty for nothing."""
    if package == PACKAGE:
        if executable in OWN_NODES:
            return '', ''
        return f'{PACKAGE} has no node {executable}; it has {", ".join(sorted(OWN_NODES))}', ''
    folder = package_folder(package)
    known = FOREIGN_NODES.get(package)
    if folder is not None:
        installed = folder / 'lib' / package
        if (installed / executable).is_file():
            return '', ''
        return f'the package {package} has no executable {executable} in {installed}', ''
    if known is None:
        return f'the package {package} is not installed', ''
    if executable not in known:
        return f'the package {package} has no executable {executable}', ''
    return '', f'the package {package} is not installed here'


def parameter_faults(executable: str, values: Values, names: Collection[str],
                     unused: Collection[str] = ()) -> list[str]:
    """
    Say everything that is wrong with the parameters of a node of this package.

    Args:
        executable: one of ``OWN_NODES``.
        values: by full name.
        names: of further parameters, whose values only the running launch can tell.
        unused: names that the node accepts without having them.
    """
    specs_of_node, check = OWN_NODES[executable]
    try:
        specs = specs_of_node(values)
    except ConfigError as error:
        return [str(error)]
    faults = [unknown_parameter(name, sorted(specs)) for name in names
              if name not in specs and not is_of_rclpy(name)]
    for name, value in values.items():
        try:
            if name == 'use_sim_time':
                if not isinstance(value, bool):
                    raise ConfigError(f'Parameter use_sim_time must be true or false, '
                                      f'not {value!r}.')
            elif name in specs:
                specs[name].check(value, name)
            elif not (is_of_rclpy(name) or name in unused):
                raise ConfigError(unknown_parameter(name, sorted(specs)))
        except ConfigError as error:
            faults.append(str(error))
    if not faults:
        try:
            check(values)
        except ConfigError as error:
            faults.append(str(error))
    return faults
