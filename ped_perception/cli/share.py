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

"""Finds the files that come with the package, in the source tree or installed."""

from __future__ import annotations

import contextlib
from pathlib import Path
import sys

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from ped_perception.core.errors import PedPerceptionError

_PACKAGE = 'ped_perception'


def shared_file(*parts: str) -> Path:
    """
    Find a file of the folders config, demo, engines or launch.

    Args:
        parts: folder and name.

    Raises:
        PedPerceptionError: it is nowhere; says where it was looked for.
    """
    folders = [Path(__file__).resolve().parents[2]]
    # Neither is there when pip installed the package: no index, or no such package in it.
    with contextlib.suppress(PackageNotFoundError, OSError):
        folders.append(Path(get_package_share_directory(_PACKAGE)))
    folders.append(Path(sys.prefix) / 'share' / _PACKAGE)
    for folder in folders:
        path = folder.joinpath(*parts)
        if path.is_file():
            return path
    raise PedPerceptionError(
        f'{"/".join(parts)} is not there (looked in {", ".join(map(str, folders))}). '
        f'Install the package again.')
