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

"""What TensorRT says while it builds or runs, kept; and how far it is, handed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ped_perception.core.errors import BackendError

Progress = Callable[[float, str], object]


def make_log(trt: Any, keep: int | None = None) -> Any:
    """
    Make a logger with what was said: ``errors``, ``warnings`` and ``infos``.

    Its class exists only with the library.

    Args:
        trt: the module of TensorRT.
        keep: the last so many of each, where it listens for as long as a vehicle drives; None:
            all.
    """
    severity = trt.ILogger.Severity

    class Log(trt.ILogger):
        """Keeps messages by how bad they are."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=keep)
            self.warnings: deque[str] = deque(maxlen=keep)
            self.infos: deque[str] = deque(maxlen=keep)

        def log(self, level: Any, message: str) -> None:
            """Take a message; called by TensorRT."""
            if level in (severity.INTERNAL_ERROR, severity.ERROR):
                self.errors.append(message)
            elif level == severity.WARNING:
                self.warnings.append(message)
            elif level == severity.INFO:
                self.infos.append(message)

    return Log()


def start(kind: Callable[[Any], Any], log: Any) -> Any:
    """
    Make a Builder or a Runtime.

    Args:
        kind: the class.
        log: of :func:`make_log`.

    Raises:
        BackendError: CUDA does not come up; TensorRT's bindings then raise a TypeError that says
            nothing, and the reason is logged, by some versions as a warning.
    """
    try:
        return kind(log)
    except TypeError as error:
        said = '; '.join([*log.errors, *log.warnings]) or str(error)
        raise BackendError(
            f'TensorRT does not start: {said}. Most often the driver is older than the CUDA that '
            'this TensorRT needs: compare with nvidia-smi, on a Jetson with its JetPack.'
            ) from error


def make_monitor(trt: Any, progress: Progress) -> Any:
    """
    Make a monitor of the builder's nested phases; Ctrl-C ends the build.

    Args:
        trt: the module of TensorRT.
        progress: called with the share done, 0..1, and the builder's name for what it does.
    """

    class Monitor(trt.IProgressMonitor):
        """Turns phases within phases into one share."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False
            self._phases: dict[str, tuple[str | None, int, int]] = {}   # parent, steps, done

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            """Note a phase; called by TensorRT."""
            self._phases[name] = (parent, max(steps, 1), 0)

        def phase_finish(self, name: str) -> None:
            """Forget a phase; called by TensorRT."""
            self._phases.pop(name, None)

        def step_complete(self, name: str, step: int) -> bool:
            """Report a step and say whether to go on; called by TensorRT."""
            parent, steps, _ = self._phases.get(name, (None, 1, 0))
            self._phases[name] = (parent, steps, step + 1)
            try:
                progress(self._share(name), name)
            except KeyboardInterrupt:   # Python sees the signal only here, inside the builder
                self.interrupted = True
            return not self.interrupted

        def _share(self, name: str) -> float:
            share, current = 0.0, name
            while current in self._phases:
                parent, steps, done = self._phases[current]
                share = min((done + share) / steps, 1.0)
                current = parent or ''
            return share

    return Monitor()
