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

"""The files of the engine room: where they are, and written whole or not at all."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path

from ped_perception.core.errors import ModelError


def user_folder(name: str) -> Path:
    """Give a folder of this package in the user's cache; it need not exist."""
    base = os.environ.get('XDG_CACHE_HOME') or Path('~/.cache').expanduser()
    return Path(base) / 'ped_perception' / name


def write_whole(path: Path, data: bytes) -> None:
    """
    Write a file under a temporary name and rename it, so that nobody ever sees half of it.

    Raises:
        ModelError: it cannot be written.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open('wb') as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):     # a folder that is none cannot hold a file either
            temporary.unlink()
        raise ModelError(f'{path} cannot be written: {error}. '
                         'Free space, or set XDG_CACHE_HOME.') from error
