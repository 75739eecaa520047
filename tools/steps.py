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
What the set-up programs share: where things are, one way to run a command, one way to fail.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Callable, Iterator, NoReturn, Sequence

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
CACHE = ROOT / '.cache'
REQUIREMENTS = ROOT / 'requirements'
INTERFACES = ROOT / 'interfaces'

# How many lines of a failed command's output are shown; the log has them all.
SHOWN_LINES = 25


def fail(message: str) -> NoReturn:
    """End the program with one line that says what is wrong and what to do."""
    print(f'set-up: {message}', file=sys.stderr, flush=True)
    raise SystemExit(1)


def clean_environment() -> dict[str, str]:
    """
    Return this process's environment without the traces of another environment of ROS wheels.

    A Python of the wheels hands its library path and its guard variable to its children; a
    Python of a different environment would then look for its libraries in the wrong place.
    Nor does it forbid to keep bytecode: containers often do, but here is the place to write it.
    """
    environment = dict(os.environ)
    if environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None):
        environment.pop('LD_LIBRARY_PATH', None)
    environment.pop('VIRTUAL_ENV', None)
    environment.pop('PYTHONHOME', None)
    # pip runs several times, and compiling it takes longer than most of what it does.
    environment.pop('PYTHONDONTWRITEBYTECODE', None)
    return environment


def start(command: Sequence[str | Path], environment: dict[str, str] | None = None,
          *, own_group: bool = False) -> subprocess.Popen[str]:
    """Start a command of the set-up, its output in one pipe."""
    return subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, env=environment or clean_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors='replace', start_new_session=own_group)


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one program of this folder do a thing at a time; a second one waits."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f'{name}.lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('set-up: waiting for another set-up of this folder', flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def beside(command: Sequence[str | Path]) -> Iterator[subprocess.Popen[str]]:
    """
    Run a command beside what the block does; end it, children included, when the block ends.

    Its output waits in a pipe until it is followed: for commands that say little.
    """
    process = start(command, own_group=True)
    try:
        yield process
    finally:
        # The group outlives its leader when a child was left behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Step:
    """
    One announced step of the set-up, timed, its commands' output kept in ``.cache/<name>.log``.

    Use as a context manager, from one thread.
    """

    def __init__(self, name: str, text: str) -> None:
        self.log_path = CACHE / f'{name}.log'
        self._text = text
        self._live = sys.stdout.isatty()

    def __enter__(self) -> Step:
        CACHE.mkdir(exist_ok=True)
        self.log_path.write_text('')
        self._started_s = time.monotonic()
        print(f'set-up: {self._text} …', end='' if self._live else '\n', flush=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._show(f'{time.monotonic() - self._started_s:.0f} s')
            if self._live:
                print(flush=True)
        elif self._live:
            print(flush=True)

    def _show(self, state: str) -> None:
        """Write the state behind the step's text: in place on a terminal, else on its own line."""
        if self._live:
            print(f'\r\033[Kset-up: {self._text} … {state}', end='', flush=True)
        else:
            print(f'set-up: {self._text}: {state}', flush=True)

    def run(self, command: Sequence[str | Path], *, environment: dict[str, str] | None = None,
            progress: Callable[[str], str | None] = lambda line: None) -> None:
        """
        Run a command to its end; end the program with the tail of its output when it fails.

        Args:
            command: program and arguments.
            environment: the whole environment; default ``clean_environment()``.
            progress: turns a line of output into a state worth showing on a terminal.
        """
        self.follow(start(command, environment), progress)

    def follow(self, process: subprocess.Popen[str],
               progress: Callable[[str], str | None] = lambda line: None) -> None:
        """Follow a started command to its end, as ``run`` does."""
        assert process.stdout is not None
        tail: list[str] = []
        try:
            with self.log_path.open('a') as log:
                for line in process.stdout:
                    log.write(line)
                    tail = [*tail[1 - SHOWN_LINES:], line]
                    state = progress(line)
                    if state and self._live:
                        self._show(state)
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if code != 0:
            print('\n' + ''.join(tail), file=sys.stderr)
            fail(f'"{self._text}" failed with code {code}; everything it said: {self.log_path}')
