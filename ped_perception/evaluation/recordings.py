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
A folder of recordings, and what belongs to each of them.

Everything is found by name: the labels of ``drives/monday/one.mp4`` are ``monday/one.json``,
``monday/one.txt`` or the folder ``monday/one`` below the folder of labels, and so are
calibrations. Both may lie among the recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ped_perception.core.errors import SourceError
from ped_perception.sources.bag_layout import (
    holds_single_files,
    is_bag_folder,
    METADATA_NAME,
    storage_files,
)
from ped_perception.sources.folder import PICTURE_SUFFIXES

_VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg', '.ts')
_LABEL_SUFFIXES = ('.json', '.txt')
# As the MOTChallenge lays out the pictures of a sequence.
_PICTURES_OF_SEQUENCE = 'img1'


@dataclass(frozen=True)
class Part:
    """
    One of some recordings.

    Attributes:
        name: its path in the folder of recordings without suffix, '' where there is only one.
        source: for ``open_source``.
    """

    name: str
    source: str


def parts_of(source: str) -> list[Part]:
    """
    Find the recordings of a source: itself, or those in a folder that is none.

    Raises:
        SourceError: two of them have the same name.
    """
    folder = Path(source).expanduser()
    if '://' in source or not folder.is_dir() or _is_recording(folder):
        return [Part('', source)]
    parts: dict[str, Part] = {}
    for path, where in _below(folder):
        inside = path.relative_to(folder)
        name = (inside.with_suffix('') if path.is_file() else inside).as_posix()
        if name in parts:
            raise SourceError(f'{parts[name].source} and {where} have the same name, but labels '
                              f'are found by it. Rename one.')
        parts[name] = Part(name, str(where))
    # open_source says what is missing in a folder without anything.
    return list(parts.values()) or [Part('', source)]


def labels_of(part: Part, place: Path) -> Path:
    """
    Find the labels of one of some recordings.

    Args:
        part: of a folder.
        place: folder of labels.

    Raises:
        SourceError: there are none, or several.
    """
    candidates = [place / f'{part.name}{suffix}' for suffix in _LABEL_SUFFIXES]
    found = [path for path in candidates if path.is_file()]
    folder = place / part.name
    if folder.is_dir() and any(path.suffix == '.txt' for pattern in ('*.txt', 'gt/gt.txt')
                               for path in folder.glob(pattern)):
        found.append(folder)
    if len(found) == 1:
        return found[0]
    if found:
        raise SourceError(f'{part.source} has labels in {" and ".join(map(str, found))}. Leave '
                          f'one of them.')
    raise SourceError(f'{part.source} has no labels: there is no '
                      f'{", no ".join(path.name for path in candidates)} and no folder '
                      f'{Path(part.name).name} with .txt files in {folder.parent}. Label it, or '
                      f'evaluate a recording alone, with {part.source} as the source.')


def _is_recording(folder: Path) -> bool:
    if any(entry.suffix.lower() in PICTURE_SUFFIXES for entry in _entries(folder)):
        return True
    return is_bag_folder(folder) and not _holds_single_files(folder)


def _holds_single_files(folder: Path) -> bool:
    """Tell whether storage files in a folder are recordings among others, not parts of one."""
    if holds_single_files(folder):
        return True
    return not (folder / METADATA_NAME).exists() and any(
        entry.suffix.lower() in _VIDEO_SUFFIXES
        or (entry.is_dir() and (_is_recording(entry) or any(_below(entry))))
        for entry in _entries(folder))


def _below(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Give all recordings below a folder, by name: what they are called after, and where."""
    single_files = storage_files(folder) if _holds_single_files(folder) else []
    for entry in _entries(folder):
        if entry.is_dir() and (entry / _PICTURES_OF_SEQUENCE).is_dir():
            yield entry, entry / _PICTURES_OF_SEQUENCE
        elif entry.is_dir() and _is_recording(entry):
            yield entry, entry
        elif entry.is_dir():
            yield from _below(entry)
        elif entry.suffix.lower() in _VIDEO_SUFFIXES or entry in single_files:
            yield entry, entry


def _entries(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise SourceError(f'The folder {folder} cannot be read: {error.strerror}.') from error
