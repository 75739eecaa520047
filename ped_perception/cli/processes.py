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

"""Child processes that never outlive the program that started them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
import ctypes
import os
from pathlib import Path
import signal
import subprocess
from types import TracebackType

from ped_perception.core.errors import PedPerceptionError
import psutil

_PR_SET_PDEATHSIG = 1
_PATIENCE_S = {signal.SIGINT: 8.0, signal.SIGTERM: 3.0, signal.SIGKILL: 3.0}
_TAIL_LINES = 12


class ProcessError(PedPerceptionError):
    """A child process failed."""


class Child:
    """
    One process in a group of its own, which Ctrl-C in the terminal does not reach.

    A context manager: leaving it ends the process and everything it started, asking first. The
    kernel ends it too when this program is killed.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path,
                 environment: Mapping[str, str]) -> None:
        """
        Start the process.

        Args:
            name: for messages.
            command: program and arguments.
            log: file that gets everything it prints; overwritten.
            environment: variables that it gets beyond those of this process.
        """
        self.name = name
        self.log = log
        prctl = ctypes.CDLL(None).prctl

        def prepare() -> None:
            """Have the child end with its parent, and end when it is asked to."""
            # Only the child itself can ask the kernel to be ended with its parent.
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            # A script that starts this one in the background has it ignore SIGINT, Ray has it
            # blocked, and a child inherits both: it could not be asked to end.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

        with log.open('wb') as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, 'PYTHONUNBUFFERED': '1', **environment},
                start_new_session=True,
                preexec_fn=prepare)  # noqa: PLW1509
        self._meter = psutil.Process(self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.poll()

    def cpu_s(self) -> float | None:
        """Give the processor time used so far, in seconds; None when it has ended."""
        try:
            times = self._meter.cpu_times()
        except psutil.Error:
            return None
        return float(times.user + times.system)

    def check(self, may_end: bool = True) -> None:
        """
        See whether it failed.

        Args:
            may_end: whether it may have ended without an error by now.

        Raises:
            ProcessError: it ended otherwise; the message has the end of its log.
        """
        exit_code = self.exit_code
        if exit_code or (exit_code is not None and not may_end):
            raise ProcessError(f'{self.name} {_how(exit_code)}.\n{self.tail()}')

    def log_text(self) -> str:
        """Give everything it has printed so far."""
        return self.log.read_text(encoding='utf-8', errors='replace')

    def tail(self) -> str:
        """Give the last lines of its log, and where the rest is."""
        lines = self.log_text().strip().splitlines()[-_TAIL_LINES:]
        shown = '\n'.join(f'    {line}' for line in lines) or '    (it printed nothing)'
        return f'{shown}\n  The whole log: {self.log}'

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C would; does not wait."""
        self._signal(signal.SIGINT)

    def end(self) -> None:
        """End it and all it started: ask, then insist, then kill. May be called twice."""
        try:
            for number, patience_s in _PATIENCE_S.items():
                if self.exit_code is not None:
                    break
                self._signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(patience_s)
        finally:
            # For what the process left behind in its group, and for a second Ctrl-C.
            self._signal(signal.SIGKILL)

    def __enter__(self) -> Child:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the process."""
        self.end()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _how(exit_code: int) -> str:
    if exit_code < 0:
        return f'was ended by {signal.Signals(-exit_code).name}'
    return f'ended with exit code {exit_code}'
