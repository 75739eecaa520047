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
The messages of a rosbag2 recording as bytes, whatever the storage and however it ended.

A recorder that was killed leaves no ``metadata.yaml`` and, with mcap, no index: both cases are
read as far as the bytes go, with a note.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ped_perception.core.errors import SourceError
from ped_perception.sources.bag_layout import holds_single_files, METADATA_NAME, storage_files
from ped_perception.sources.mcap_rescue import is_mcap, RescuedMcap
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader


@dataclass(frozen=True)
class Topic:
    """A recorded topic: its name, its message type, and how many messages it has."""

    name: str
    message_type: str
    count: int


class Storage(Protocol):
    """One recording, or one file of it."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Give the recorded topics, each name once."""

    @property
    def start_ns(self) -> int:
        """Time at which the first message was written."""

    @property
    def end_ns(self) -> int:
        """Time just after the last message was written."""

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[tuple[str, int, bytes]]:
        """Give topic, time of writing and CDR bytes from a time on, in the order of writing."""

    def close(self) -> None:
        """Close the files."""


def open_storage(path: Path) -> tuple[Storage, tuple[str, ...]]:
    """
    Open a recording: its folder, or one of its files.

    Returns:
        The storage, and notes on what had to be worked around.

    Raises:
        SourceError: nothing of it can be read.
    """
    if not path.exists():
        raise SourceError(f'There is no recording {path} (looked up from {Path.cwd()}).')
    if path.suffix == '.bag':
        raise SourceError(f'{path} is a ROS 1 bag. Convert it once: '
                          f'rosbags-convert --src {path.name} --dst {path.stem}')
    if path.is_file():
        return _open_file(path)
    files = storage_files(path)
    if holds_single_files(path):
        raise SourceError(f'{path} has no {METADATA_NAME} and holds several recordings: '
                          f'{", ".join(file.name for file in files)}. Give one of them, or put '
                          f'each into a folder of its own.')
    if not (path / METADATA_NAME).exists():
        return _open_files(files, f'{path} has no {METADATA_NAME}, so its recorder was '
                                  f'interrupted: its {len(files)} file(s) are read directly.')
    try:
        return _RosbagsStorage(path), ()
    except SourceError as error:
        # One damaged mcap must not cost the others of a split recording.
        if not any(is_mcap(file) for file in files):
            raise
        return _open_files(files, f'{error} Its {len(files)} file(s) are read one by one.')


def _open_files(files: list[Path], note: str) -> tuple[Storage, tuple[str, ...]]:
    parts: list[Storage] = []
    notes = [note]
    failure: SourceError | None = None
    for file in files:
        try:
            part, part_notes = _open_file(file)
        except SourceError as error:
            failure = error
            notes.append(f'{error} It is left out.')
            continue
        parts.append(part)
        notes.extend(part_notes)
    if not parts:
        raise failure or SourceError(note)
    return _ChainedStorage(parts), tuple(notes)


def _open_file(file: Path) -> tuple[Storage, tuple[str, ...]]:
    try:
        return _RosbagsStorage(file), ()
    except SourceError:
        if not is_mcap(file):
            raise
    rescued = RescuedMcap(file)
    topics = tuple(Topic(name, rescued.types[name], count)
                   for name, count in rescued.counts.items())
    if not topics:
        raise SourceError(f'The recording {file} is cut off before its first message.')
    note = (f'{file} is cut off or damaged, at byte {rescued.readable_bytes} of '
            f'{file.stat().st_size} or in the chunk that begins there: the '
            f'{sum(rescued.counts.values())} messages up to the damage are read.')
    return _RescuedStorage(rescued, topics), (note,)


class _RosbagsStorage:
    """A whole recording, or one whole file, through rosbags."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        try:
            self._reader = self._stack.enter_context(Reader(path))
        # A parser fed with damaged bytes raises anything, from ReaderError to TypeError.
        except Exception as error:
            raise SourceError(
                f'The rosbag2 recording {path} cannot be read: {_text_of(error)}. '
                f'Try "ros2 bag reindex", or record it again.') from error
        counts: dict[str, int] = {}
        types: dict[str, str] = {}
        for connection in self._reader.connections:
            types[connection.topic] = connection.msgtype
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
        self.topics = tuple(Topic(name, types[name], counts[name]) for name in types)
        self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[tuple[str, int, bytes]]:
        """Give topic, time and bytes of the messages, see ``Storage``."""
        connections: list[Connection] = [
            connection for connection in self._reader.connections if connection.topic in topics]
        if not connections:
            return
        messages = self._reader.messages(connections, start=start_ns)
        while True:
            try:
                connection, log_ns, data = next(messages)
            except StopIteration:
                return
            except Exception as error:
                raise SourceError(
                    f'The rosbag2 recording {self._path} is damaged, what follows cannot be '
                    f'read: {_text_of(error)}.') from error
            yield connection.topic, log_ns, data

    def close(self) -> None:
        """Close the files."""
        self._stack.close()


class _RescuedStorage:
    """What is left of an mcap file that was cut off."""

    def __init__(self, rescued: RescuedMcap, topics: tuple[Topic, ...]) -> None:
        self._rescued = rescued
        self.topics = topics
        self.start_ns, self.end_ns = rescued.start_ns, rescued.end_ns

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[tuple[str, int, bytes]]:
        """Give topic, time and bytes of the messages, see ``Storage``."""
        return self._rescued.messages(topics, start_ns)

    def close(self) -> None:
        """Nothing is kept open."""


class _ChainedStorage:
    """The files of a split recording, one after the other."""

    def __init__(self, parts: list[Storage]) -> None:
        self._parts = parts
        counts: dict[str, int] = {}
        types: dict[str, str] = {}
        for topic in (topic for part in parts for topic in part.topics):
            types[topic.name] = topic.message_type
            counts[topic.name] = counts.get(topic.name, 0) + topic.count
        self.topics = tuple(Topic(name, types[name], counts[name]) for name in types)
        self.start_ns = min(part.start_ns for part in parts)
        self.end_ns = max(part.end_ns for part in parts)

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[tuple[str, int, bytes]]:
        """Give those of all files, one file after the other."""
        for part in self._parts:
            yield from part.messages(topics, start_ns)

    def close(self) -> None:
        """Close all files."""
        for part in self._parts:
            with suppress(SourceError):
                part.close()


def _text_of(error: Exception) -> str:
    # Parsers of YAML draw what they stumbled over on several lines.
    said = ' '.join(str(error).split()).rstrip('. ')
    return f'{type(error).__name__}: {said}' if said else type(error).__name__
