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

"""Arguments that several commands take."""

from __future__ import annotations

import argparse

from ped_perception.core.config import size_hw_from_text
from ped_perception.core.errors import ConfigError
import yaml


def size(text: str) -> tuple[int, int]:
    """Read a network size, as 640x384; height and width."""
    try:
        return size_hw_from_text(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a positive number')
    return int(text)


def parameter_from_text(text: str, separator: str) -> tuple[str, object]:
    """
    Read a parameter, its value as in a parameter file.

    Args:
        text: name, separator and value.
        separator: ``'='`` or, as on ROS 2's command line, ``':='``.

    Raises:
        ConfigError: not of that form.
    """
    name, found, value = text.partition(separator)
    if not (found and name):
        raise ConfigError(f'A parameter is written NAME{separator}VALUE, not {text!r}.')
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f'The value of {text!r} is no YAML: '
                          f'{" ".join(str(error).split())}') from error
