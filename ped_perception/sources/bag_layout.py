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

"""What a rosbag2 recording looks like on disk; needs no library to tell."""

from __future__ import annotations

from pathlib import Path
import re

STORAGE_SUFFIXES = ('.db3', '.mcap')
METADATA_NAME = 'metadata.yaml'
# rosbag2 numbers the files of one recording.
_NUMBERED = re.compile(r'_\d+$')


def is_bag_folder(folder: Path) -> bool:
    """Tell whether a folder holds a rosbag2 recording, with or without its metadata."""
    return (folder / METADATA_NAME).exists() or bool(storage_files(folder))


def storage_files(folder: Path) -> list[Path]:
    """List the parts of a recording in the order in which they were written."""
    files = [file for file in folder.iterdir() if file.suffix in STORAGE_SUFFIXES]
    # rosbag2 numbers the parts name_0, name_1, … name_10: the length sorts before the digits.
    return sorted(files, key=lambda file: (len(file.name), file.name))


def holds_single_files(folder: Path) -> bool:
    """Tell whether storage files in a folder are several recordings, not parts of one."""
    stems = {_NUMBERED.sub('', file.stem) for file in storage_files(folder)}
    return not (folder / METADATA_NAME).exists() and len(stems) > 1
