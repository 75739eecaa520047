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

"""ROS parameters from the configuration classes; nothing else declares or reads parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

from ped_perception.core.config import config_from_mapping, ParamSpec, specs_of, unknown_parameter
from ped_perception.core.errors import ConfigError
from ped_perception.ros.parameter_files import files_among, names_among, values_from_file
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy._rclpy_pybind11 import RCLError
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.parameter import Parameter

ConfigT = TypeVar('ConfigT')

# What rclpy itself declares or reads from the overrides of a node.
_OF_RCLPY = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


def declare_and_read(node: Node, config_type: type[ConfigT], prefix: str = '') -> ConfigT:
    """
    Declare the parameters of a configuration class and read their values.

    Declaring twice is fine: a node that is configured again reads the current values.

    Args:
        node: that gets the parameters.
        config_type: dataclass whose fields are made by ``core.config.param``.
        prefix: of the parameter names, for example ``'front.'``.

    Raises:
        ConfigError: a value is of the wrong type, out of range, or inconsistent.
    """
    values: dict[str, object] = {}
    for spec in specs_of(config_type):
        name = prefix + spec.name
        if not node.has_parameter(name):
            _declare(node, name, spec)
        value = node.get_parameter(name).value
        # ROS has no empty array with a type: such a one is not set.
        if value is not None:
            values[spec.name] = value
        elif name in _overrides(node):
            values[spec.name] = ()
    return config_from_mapping(config_type, values, prefix)


def given_names(node: Node) -> list[str]:
    """List the parameters that were given to the node, known or not, by file or command line."""
    return list(_overrides(node))


def refuse_unknown(node: Node, unused: Collection[str] = ()) -> None:
    """
    Refuse parameters that were given to the node but that it does not have.

    Args:
        node: that has declared all it has.
        unused: names that are accepted all the same.

    Raises:
        ConfigError: names the first one, and the one that was probably meant.
    """
    known = sorted(node.get_parameters_by_prefix(''))
    for name in _overrides(node):
        if not (node.has_parameter(name) or is_of_rclpy(name) or name in unused):
            raise ConfigError(unknown_parameter(name, known))


def warn_of_foreign_files(node: Node, arguments: Sequence[str]) -> None:
    """
    Say that parameter files were given, but for other nodes: ROS ignores them silently.

    Args:
        node: that was given them.
        arguments: of its command line.
    """
    files, by_hand = files_among(arguments), names_among(arguments)
    if (files and all(name in by_hand or is_of_rclpy(name) for name in given_names(node))
            # They may repeat what was given by hand.
            and not any(_has_something(file, node) for file in files)):
        node.get_logger().warning(
            f'Nothing in {", ".join(files)} is for this node: its parameters must be below '
            f'"{node.get_fully_qualified_name()}:" or "/**:". What is not given elsewhere keeps '
            f'its default.')


def is_of_rclpy(name: str) -> bool:
    """Tell whether a parameter is one that every node has, apart from ours."""
    return name.startswith(_OF_RCLPY)


def changed(config: ConfigT, changes: list[Parameter], prefix: str = '') -> ConfigT:
    """
    Apply changes made at run time to a configuration.

    Args:
        config: as it is.
        changes: some of which may belong to other configurations.
        prefix: of the parameter names of this configuration.

    Raises:
        ConfigError: a value is of the wrong type or out of range.
    """
    names = {prefix + spec.name: spec.name for spec in specs_of(type(config))}
    values: dict[str, object] = {
        spec.name: getattr(config, spec.name) for spec in specs_of(type(config))}
    values.update({names[change.name]: change.value for change in changes
                   if change.name in names})
    return config_from_mapping(type(config), values, prefix)


def refusal(error: ConfigError) -> SetParametersResult:
    """Give the answer to a change that is refused, with its reason."""
    return SetParametersResult(successful=False, reason=str(error))


def topic_from_parameter(node: Node, parameter: str, topic: str) -> str:
    """
    Give the full name of a topic that a parameter names.

    Args:
        node: whose namespace and remappings hold.
        parameter: its full name.
        topic: as it is given.

    Raises:
        ConfigError: no topic can have that name.
    """
    try:
        return node.resolve_topic_name(topic)
    except (RCLError, NameValidationException) as error:
        raise ConfigError(f'Parameter {parameter} gives the topic {topic!r}, which is no name of '
                          f'a topic: {error}') from error


def _has_something(file: str, node: Node) -> bool:
    try:
        return bool(values_from_file(Path(file), node.get_name()))
    except ConfigError:
        return False


def _overrides(node: Node) -> dict[str, Parameter]:
    # rclpy keeps them to itself, but a misspelt threshold must not be ignored silently.
    overrides: dict[str, Parameter] = node._parameter_overrides
    return overrides


def _declare(node: Node, name: str, spec: ParamSpec) -> None:
    override = _overrides(node).get(name)
    if override is not None:
        # rclpy checks ranges too, but its message says neither the range nor the meaning.
        is_empty = override.value is None and isinstance(spec.default, tuple)
        spec.check(() if is_empty else override.value, name)
    default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
    # Dynamic typing lets our own check see a wrong type and explain it; the ranges are given to
    # tools through the descriptor, and to the user through our own message.
    node.declare_parameter(name, default, _descriptor(spec))


def _descriptor(spec: ParamSpec) -> ParameterDescriptor:
    unit = f' [{spec.unit}]' if spec.unit else ''
    choices = ', '.join(map(str, spec.choices))
    descriptor = ParameterDescriptor(
        description=spec.description + unit, read_only=not spec.dynamic, dynamic_typing=True,
        additional_constraints=f'one of: {choices}' if choices else '')
    if spec.minimum is not None and spec.maximum is not None:
        if spec.kind is int:
            descriptor.integer_range = [IntegerRange(
                from_value=int(spec.minimum), to_value=int(spec.maximum), step=1)]
        elif spec.kind is float:
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(spec.minimum), to_value=float(spec.maximum), step=0.0)]
    return descriptor
