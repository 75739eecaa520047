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

"""Parameters for ``ped_evaluate``, as the node has them: from its files and the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ped_perception.cli.arguments import parameter_from_text
from ped_perception.core.config import specs_of
from ped_perception.core.errors import ConfigError
from ped_perception.core.perception import PerceptionConfig
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.parameter_files import values_from_file
from ped_perception.ros.settings import PREFIXES, Settings, settings_from_values

_NODE = 'ped_detector'
# The parameters that decide what is found; the others are about topics, health and overload.
_TOLD = ('backend', 'detector', 'tracker', 'ground', 'ground_filter', 'horizon')


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that give parameters."""
    parser.add_argument('--config', type=Path, metavar='FILE',
                        help='parameter file of the node, as config/vehicle.yaml: network, '
                             'backend, views, thresholds, tracker and cameras')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='parameter of the node, as tracker.forget_s=3 (see '
                             'doc/parameters.md); wins over the file; may be repeated')


def settings_of(options: argparse.Namespace) -> Settings:
    """
    Read the parameters.

    Raises:
        ConfigError: a file cannot be read, a name is unknown, or a value is of the wrong type or
            out of range.
    """
    values = values_from_file(options.config, _NODE) if options.config else {}
    values.update(parameter_from_text(text, '=') for text in options.set)
    return settings_from_values(values)


def perception_of(settings: Settings) -> PerceptionConfig:
    """Give the part that decides what comes out."""
    return settings.lookout().perception


def camera_of(settings: Settings, asked: str, names: Sequence[str]) -> str:
    """
    Tell which camera of the parameters a recording is of.

    Args:
        settings: with all cameras.
        asked: by the user, '' for none in particular.
        names: of cameras that it may be, by what it is called.

    Raises:
        ConfigError: there is no such camera, or it is not clear which.
    """
    cameras = list(settings.cameras)
    if asked and asked not in cameras:
        raise ConfigError(f'There is no camera {asked} in the parameters. They are for: '
                          f'{", ".join(cameras)}.')
    if asked:
        return asked
    named = [name for name in names if name in cameras]
    if named:
        return named[0]
    if len(cameras) > 1:
        raise ConfigError(f'The parameters are for the cameras {", ".join(cameras)}. Say which '
                          f'one took the pictures: --camera {cameras[0]}.')
    return cameras[0]


def told(settings: Settings, cameras: Sequence[str]) -> dict[str, Any]:
    """
    Give the parameters that decide what is found, by the names that the node has for them.

    Args:
        settings: all.
        cameras: whose own parameters are told where they differ from the default.
    """
    found = {prefix + spec.name: getattr(getattr(settings, part), spec.name)
             for part, (kind, prefix) in PREFIXES.items() if part in _TOLD
             for spec in specs_of(kind)}
    for camera in cameras:
        config: Mapping[str, Any] = vars(settings.cameras[camera])
        found.update({f'{camera}.{spec.name}': config[spec.name]
                      for spec in specs_of(CameraConfig) if config[spec.name] != spec.default})
    return found
