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
Who replays the recordings of a folder: processes of this machine.

A recording is the unit of work, and has a process of its own wherever it is replayed: what a
damaged one or the lack of memory ends is that process, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
import itertools
import os
from pathlib import Path
import sys
import tempfile
from types import TracebackType
from typing import Protocol

from ped_perception.cli.processes import Child


class Attempt(Protocol):
    """A recording that is being replayed."""

    def failure(self) -> str | None:
        """Say why it failed; empty when it did not, None while it goes on."""


class Workers(Protocol):
    """
    Who replays, several recordings at a time. A context manager: leaving it ends all attempts.

    Attributes:
        most: recordings at a time.
        threads: for each of them where its parameters do not say, 0 for all cores.
        patience_s: how long after its attempt a result may take to be seen from here.
    """

    most: int
    threads: int
    patience_s: float

    def start(self, arguments: Sequence[str]) -> Attempt:
        """Start ``ped_replay`` with some arguments."""

    def __enter__(self) -> Workers:
        """Give itself, ready."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End all attempts."""


class LocalWorkers(AbstractContextManager['LocalWorkers']):
    """
    Processes of this machine.

    Attributes:
        most: recordings at a time.
        threads: for each of them; all cores of the machine together.
        patience_s: none: it is the same disk.
    """

    patience_s = 0.0

    def __init__(self, jobs: int) -> None:
        """Take the number of recordings at a time."""
        self.most = jobs
        self.threads = 0 if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)
        self._stack = ExitStack()
        self._logs = Path(self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix='ped_replay_')))
        self._numbers = itertools.count(1)

    def start(self, arguments: Sequence[str]) -> Attempt:
        """Start ``ped_replay`` with some arguments."""
        log = self._logs / f'{next(self._numbers)}.log'
        return LocalAttempt(self._stack.enter_context(replaying(arguments, log)))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End all of them."""
        self._stack.close()


class LocalAttempt:
    """A process of this machine."""

    def __init__(self, child: Child) -> None:
        """Take the process, which somebody else ends."""
        self._child = child

    def failure(self) -> str | None:
        """Say why it failed; empty when it did not, None while it goes on."""
        return failure_of(self._child)


def replaying(arguments: Sequence[str], log: Path) -> Child:
    """Start ``ped_replay`` in a process of its own."""
    return Child('ped_replay', [sys.executable, '-m', 'ped_perception.cli.replay', *arguments],
                 log, {})


def failure_of(child: Child) -> str | None:
    """Give the last line that a process printed and how it ended; empty when all went well."""
    if not child.exit_code:
        return None if child.exit_code is None else ''
    lines = child.log_text().strip().splitlines()
    how = f'exit code {child.exit_code}'
    return f'{lines[-1].removeprefix("ped_replay: ")} ({how})' if lines else how
