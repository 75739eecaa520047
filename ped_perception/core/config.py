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

"""
Every parameter, declared once: name, type, default, unit, range, description.

A configuration is a frozen dataclass whose fields are made by :func:`param`. ROS parameter
descriptors, the checks of YAML files and the reference table in the documentation are all
derived from :func:`specs_of`; values come in through :func:`config_from_mapping` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, MISSING
import difflib
import math
import re
import typing
from typing import Any, TypeVar

from ped_perception.core.errors import ConfigError

Value = bool | int | float | str | tuple[str, ...] | tuple[float, ...]
ConfigT = TypeVar('ConfigT')

_KEY = 'ped_perception'


@dataclass(frozen=True)
class ParamSpec:
    """
    What is known of one parameter.

    Attributes:
        name: of the field, without a prefix.
        kind: bool, int, float, str, ``tuple[str, ...]`` or ``tuple[float, ...]``.
        default: value when nothing is given.
        description: one sentence for the engineer who sets it.
        unit: SI unit or ``'px'``, ``''`` where there is none.
        minimum: smallest value allowed (each element of a tuple), None for no limit.
        maximum: largest value allowed (each element of a tuple), None for no limit.
        choices: the values allowed, empty for any.
        dynamic: may be changed while the node runs.
    """

    name: str
    kind: Any
    default: Value
    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str | int, ...] = ()
    dynamic: bool = False

    @property
    def kind_name(self) -> str:
        """Name of the type as ROS parameter files call it."""
        return {bool: 'bool', int: 'integer', float: 'double', str: 'string',
                tuple[str, ...]: 'string array',
                tuple[float, ...]: 'double array'}[self.kind]

    def check(self, value: object, full_name: str) -> Value:
        """
        Convert a value to the parameter's type and check its range.

        Raises:
            ConfigError: wrong type, out of range, or not one of the choices.
        """
        converted = _converted(self.kind, value)
        if converted is None:
            raise ConfigError(f'Parameter {full_name} must be of type {self.kind_name}, '
                              f'not {value!r}. It means: {self.description}')
        elements = converted if isinstance(converted, tuple) else (converted,)
        for element in elements:
            if self.choices and element not in self.choices:
                raise ConfigError(f'Parameter {full_name} is {element!r}; '
                                  f'choose one of: {", ".join(map(str, self.choices))}.')
            if isinstance(element, (int, float)) and not isinstance(element, bool):
                self._check_range(element, full_name)
        return converted

    def _check_range(self, value: float, full_name: str) -> None:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        # Written so that NaN fails too.
        if not low <= value <= high:
            unit = f' {self.unit}' if self.unit else ''
            allowed = (f'be at least {low:g}' if math.isinf(high) else
                       f'lie between {low:g} and {high:g}')
            raise ConfigError(f'Parameter {full_name} is {value}{unit}; it must {allowed}{unit}.')


def param(default: Value, description: str, *, unit: str = '', minimum: float | None = None,
          maximum: float | None = None, choices: tuple[str | int, ...] = (),
          dynamic: bool = False) -> Any:
    """Declare one parameter as a dataclass field; see :class:`ParamSpec` for the arguments."""
    return field(default=default, metadata={_KEY: {
        'description': description, 'unit': unit, 'minimum': minimum, 'maximum': maximum,
        'choices': choices, 'dynamic': dynamic}})


def specs_of(config_type: type) -> list[ParamSpec]:
    """List the parameters of a configuration class, in the order of declaration."""
    hints = typing.get_type_hints(config_type)
    specs = []
    for entry in fields(config_type):
        if _KEY not in entry.metadata or entry.default is MISSING:
            raise TypeError(f'{config_type.__name__}.{entry.name} is not declared by param()')
        specs.append(ParamSpec(name=entry.name, kind=hints[entry.name], default=entry.default,
                               **entry.metadata[_KEY]))
    return specs


def config_from_mapping(config_type: type[ConfigT], values: Mapping[str, object],
                        prefix: str = '') -> ConfigT:
    """
    Build a configuration from plain values; what is not given keeps its default.

    Args:
        config_type: dataclass whose fields are made by :func:`param`.
        values: by parameter name, without the prefix.
        prefix: put before names in messages, for example ``'front.'``.

    Raises:
        ConfigError: a key is unknown, or a value is of the wrong type or out of range.
    """
    specs = {spec.name: spec for spec in specs_of(config_type)}
    for key in values:
        if key not in specs:
            raise ConfigError(unknown_parameter(prefix + key, [prefix + name for name in specs]))
    return config_type(**{
        key: specs[key].check(value, prefix + key) for key, value in values.items()})


def unknown_parameter(name: str, known: list[str]) -> str:
    """Say that a parameter does not exist, and which one was probably meant."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    hint = f'Did you mean {close[0]}?' if close else f'Known are: {", ".join(sorted(known))}.'
    return f'There is no parameter {name}. {hint}'


def _converted(kind: Any, value: object) -> Value | None:
    """Give the value in the type asked for, or None where that would change its meaning."""
    if kind in (bool, str):
        return value if isinstance(value, kind) else None
    if kind is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if kind is float:
        # 5 in a YAML file is a fine value for a double; True is not.
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(typing.cast(float, value)) if is_number else None
    element_kind = typing.get_args(kind)[0]
    if isinstance(value, str) or not hasattr(value, '__iter__'):
        return None
    elements = tuple(_converted(element_kind, element)
                     for element in typing.cast('typing.Iterable[object]', value))
    return None if None in elements else typing.cast(Value, elements)


def size_hw_from_text(text: str) -> tuple[int, int]:
    """
    Read a size written as people write it, ``'640x384'``: width, then height.

    Raises:
        ConfigError: not two whole numbers from 1 to 99999.
    """
    match = re.fullmatch(r'([1-9][0-9]{0,4})x([1-9][0-9]{0,4})', text)
    if match is None:
        raise ConfigError(f"A size is written WIDTHxHEIGHT in pixels, like '640x384', "
                          f'not {text!r}; each from 1 to 99999.')
    return int(match[2]), int(match[1])


def text_from_size_hw(size_hw: tuple[int, int]) -> str:
    """Write a size as people write it: ``(384, 640)`` becomes ``'640x384'``."""
    return f'{size_hw[1]}x{size_hw[0]}'
