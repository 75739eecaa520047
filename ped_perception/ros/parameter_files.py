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

"""ROS 2 parameter files without a node: what they say for a node of a given name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import itertools
from pathlib import Path
from typing import Any

from ped_perception.core.errors import ConfigError
import yaml

_KEY = 'ros__parameters'


def values_from_file(path: Path, node: str) -> dict[str, object]:
    """
    Read the parameters that a file has for a node.

    Args:
        path: of the file, as ``--params-file`` takes it.
        node: name of the node, without its namespace.

    Returns:
        By full name, nested names joined by dots; what comes later in the file wins, as in ROS.

    Raises:
        ConfigError: the file cannot be read, is no parameter file, or has nothing for the node.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'The parameter file {path} cannot be read: {error.strerror}.') \
            from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'The parameter file {path} is no YAML: '
                          f'{" ".join(str(error).split())}') from error
    if not isinstance(content, dict):
        raise ConfigError(f'The parameter file {path} has no node: it begins with "/**:" and '
                          f'"  {_KEY}:".')
    values: dict[str, object] = {}
    matching = [key for key in content if _matches(str(key), node)]
    for key in matching:
        section = content[key]
        if not isinstance(section, dict) or not isinstance(section.get(_KEY), dict):
            raise ConfigError(f'The parameter file {path} has no "{_KEY}:" below "{key}:".')
        values.update(_flat(section[_KEY]))
    if not matching:
        raise ConfigError(f'The parameter file {path} has nothing for the node {node}: it is for '
                          f'{", ".join(map(str, content))}.')
    return values


def files_among(arguments: Sequence[str]) -> list[str]:
    """List the parameter files among the arguments of a ROS node."""
    return [value for word, value in itertools.pairwise(arguments) if word == '--params-file']


def names_among(arguments: Sequence[str]) -> set[str]:
    """List the parameters among the arguments of a ROS node, as ``-p name:=value`` gives them."""
    return {value.partition(':=')[0].rpartition(':')[2]
            for word, value in itertools.pairwise(arguments) if word in ('-p', '--param')}


def _matches(key: str, node: str) -> bool:
    return key in ('/**', '**') or key.rpartition('/')[2] == node


def _flat(values: Mapping[Any, Any], prefix: str = '') -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f'{prefix}{key}.'))
        else:
            flat[f'{prefix}{key}'] = value
    return flat
