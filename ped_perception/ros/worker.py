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
The one thread that owns the backend, and the slots that feed it.

Callbacks put the newest message of a camera into its slot and return. The thread takes what is
there, newest only, and never looks at a picture that a newer one has replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
import threading
import time
from typing import Any, Protocol, TypeVar

from ped_perception.core.errors import BackendError, PedPerceptionError

ResultT = TypeVar('ResultT')


@dataclass(frozen=True, eq=False)
class Arrival:
    """
    A message as it came in.

    Attributes:
        camera: name of the camera.
        message: sensor_msgs/Image or CompressedImage.
        received_s: steady clock, in seconds.
    """

    camera: str
    message: Any
    received_s: float


@dataclass(frozen=True, eq=False)
class Taken:
    """
    What the thread took from the slots.

    Attributes:
        tasks: to be done first.
        arrivals: the newest message of each camera that was chosen.
    """

    tasks: list[Callable[[], None]]
    arrivals: list[Arrival]


# Chooses among the cameras that have a message, from how long it has waited, in seconds.
Choose = Callable[[Mapping[str, float]], Sequence[str]]


class Job(Protocol):
    """What the thread does; all methods are called in it."""

    def begin(self) -> None:
        """Load what is needed; what it raises is raised where the worker was started."""

    def choose(self, waited_s: Mapping[str, float]) -> Sequence[str]:
        """Choose the cameras whose messages are taken now; called with the slots locked."""

    def process(self, arrivals: Sequence[Arrival]) -> None:
        """Look at the messages taken, at most one of each camera."""

    def end(self) -> None:
        """Release everything."""


def _everybody(waited_s: Mapping[str, float]) -> Sequence[str]:
    return list(waited_s)


class Slots:
    """One place for each camera: what comes in replaces what nobody has taken."""

    def __init__(self) -> None:
        """Begin empty and open."""
        self._condition = threading.Condition()
        self._newest: dict[str, Arrival] = {}
        self._tasks: list[Callable[[], None]] = []
        self._closed = False

    def put(self, arrival: Arrival) -> bool:
        """Store the newest message of a camera; tell whether it replaced one unseen."""
        with self._condition:
            replaced = arrival.camera in self._newest
            self._newest[arrival.camera] = arrival
            self._condition.notify()
        return replaced

    def ask(self, task: Callable[[], None]) -> bool:
        """Have something done by the taker before the next messages; False when closed."""
        with self._condition:
            if not self._closed:
                self._tasks.append(task)
            self._condition.notify()
            return not self._closed

    def take(self, choose: Choose = _everybody) -> Taken:
        """
        Wait for tasks and messages and take them; nothing at all means: closed.

        Args:
            choose: the cameras whose messages are taken; the others stay, until newer ones of
                the same camera replace them.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._newest or self._tasks or self._closed)
            arrivals: list[Arrival] = []
            if self._newest and not self._closed:
                now_s = time.monotonic()
                chosen = choose({camera: now_s - arrival.received_s
                                 for camera, arrival in self._newest.items()})
                arrivals = [self._newest.pop(camera) for camera in chosen]
            tasks, self._tasks = self._tasks, []
        return Taken(tasks, arrivals)

    def clear(self) -> list[str]:
        """Throw away the messages that nobody has taken; give their cameras."""
        with self._condition:
            cameras = list(self._newest)
            self._newest.clear()
        return cameras

    def close(self) -> None:
        """Wake the taker for the last time."""
        with self._condition:
            self._closed = True
            self._condition.notify()


class Worker:
    """
    Runs a job in a thread of its own and hands it the newest messages.

    The backend, and with it a CUDA context, belongs to that thread from opening to closing.
    """

    def __init__(self, job: Job, on_death: Callable[[BaseException], None]) -> None:
        """
        Prepare the thread.

        Args:
            job: what the thread does.
            on_death: called in the thread when ``job.process`` let an exception out.
        """
        self.slots = Slots()
        self._job = job
        self._on_death = on_death
        self._opened = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)

    def start(self) -> None:
        """
        Start the thread and wait until the job is open.

        Raises:
            PedPerceptionError: it cannot be opened.
        """
        self._thread.start()
        self._opened.wait()
        if self._failure is not None:
            raise self._failure

    def call(self, function: Callable[[], ResultT]) -> ResultT:
        """
        Run a function in the thread, between two batches, and give its result.

        Raises:
            BackendError: the thread has ended.
            Exception: whatever the function raised.
        """
        answer: Future[ResultT] = Future()

        def task() -> None:
            """Call the function and keep what it gives or raises."""
            try:
                answer.set_result(function())
            except Exception as error:  # noqa: BLE001 - raised again where it was asked for
                answer.set_exception(error)

        if not self.slots.ask(task):
            raise BackendError('The inference thread has ended; configure the node again.')
        return answer.result()

    def stop(self, patience_s: float = 5.0) -> None:
        """
        Finish the batch at hand, close the job, end the thread.

        Args:
            patience_s: how long a batch may take.

        Raises:
            BackendError: the thread does not answer; it is left behind.
        """
        self.slots.close()
        if self._thread.is_alive():
            self._thread.join(patience_s)
        if self._thread.is_alive():
            raise BackendError(f'The inference thread has not answered for {patience_s:g} s and '
                               f'is left behind. End the process; the driver may hang.')

    def _run(self) -> None:
        try:
            self._job.begin()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits in start()
            self._failure = error
            self._opened.set()
            return
        self._opened.set()
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - a thread must not die silently
            self._on_death(error)
        finally:
            # Nobody may wait for an answer of a thread that has ended.
            self.slots.close()
            for task in self.slots.take().tasks:
                task()
            self._job.end()

    def _work(self) -> None:
        while True:
            taken = self.slots.take(self._job.choose)
            for task in taken.tasks:
                task()
            if taken.arrivals:
                self._job.process(taken.arrivals)
            elif not taken.tasks:
                return


def explain(error: BaseException) -> str:
    """Word an exception for the log: ours speak for themselves, others by their type too."""
    if isinstance(error, PedPerceptionError):
        return str(error)
    return f'{type(error).__name__}: {error}'
