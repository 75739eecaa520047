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

"""Folders of label files, one for each picture, read line by line."""

from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path

from ped_perception.core.errors import SourceError

# Beside the labels, what was left out of them.
IGNORE_FILE = 'ignore_regions.txt'
# Text files that label tools put among the labels.
_NO_LABELS = (IGNORE_FILE, 'classes.txt', 'train.txt', 'val.txt', 'test.txt')


def label_files(folder: Path) -> list[Path]:
    """
    List the label files of a folder, by name.

    Raises:
        SourceError: the folder cannot be read or has none.
    """
    try:
        files = sorted(entry for entry in folder.iterdir()
                       if entry.suffix == '.txt' and entry.name not in _NO_LABELS)
    except OSError as error:
        raise SourceError(f'The labels in {folder} cannot be read: {error.strerror}.') from error
    if not files:
        raise SourceError(f'The folder {folder} holds no labels: there is no .txt file for any '
                          f'picture in it.')
    return files


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """
    Give the lines of a label file that say something, with their numbers from 1.

    Raises:
        SourceError: the file cannot be read or is no text.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'Labels {path} cannot be read: {error}.') from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line


def numbers_of(words: list[str]) -> list[float] | None:
    """Read finite numbers, None where one is none."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
