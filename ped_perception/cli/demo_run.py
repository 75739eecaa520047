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

"""The timed part of the demo: camera and detector as processes, and somebody who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import re
import time

from ped_perception.cli.demo_nodes import (
    CAMERA,
    DemoSettings,
    prepare_environment,
    start_camera,
    start_detector,
)
from ped_perception.cli.processes import Child, ProcessError
from ped_perception.ros.listener import DetectionListener, Heard
import psutil
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier
from tqdm import tqdm

# A first start builds the graph for this machine; a loaded one takes its time for everything.
_READY_S = 180.0
_FIRST_FRAME_S = 120.0
_SILENCE_S = 60.0
_SETTLE_S = 15.0
_SPIN_S = 0.05
_CPU_PERIOD_S = 0.25
# The last line of the camera: how many frames, and what befell others.
_PUBLISHED = re.compile(r'Published (\d+) frames in [^,\n]*?(?:, (.*))?\.$', re.MULTILINE)


@dataclass(frozen=True, eq=False)
class DemoRun:
    """
    What was heard and measured.

    Attributes:
        heard: detections in the order in which they came.
        camera_stamps_ns: stamps of the pictures sent.
        source_hw: height and width of the newest picture sent.
        size_count: how many different sizes the pictures had.
        status: last diagnostics of the detector.
        frames_sent: as the camera counted them.
        camera_troubles: what the camera counted besides, as '3 late, 2 undecodable', or ''.
        cpu_percent: of one core, by process, while frames were flowing.
        interrupted: the user ended it early.
        domain: ROS domain it ran in.
        middleware: name of the RMW implementation.
    """

    heard: list[Heard]
    camera_stamps_ns: list[int]
    source_hw: tuple[int, int]
    size_count: int
    status: Mapping[str, str]
    frames_sent: int
    camera_troubles: str
    cpu_percent: Mapping[str, float]
    interrupted: bool
    domain: str
    middleware: str


class _CpuMeter:
    """Processor time of the processes while frames flow."""

    def __init__(self, detector: Child, camera: Child) -> None:
        own = psutil.Process()
        self._read: dict[str, Callable[[], float | None]] = {
            'detector': detector.cpu_s, 'camera': camera.cpu_s,
            'listener': lambda: sum(own.cpu_times()[:2])}
        self._first: dict[str, tuple[float, float]] = {}
        self._last: dict[str, tuple[float, float]] = {}
        self._next_s = 0.0

    def sample(self) -> None:
        """Take a sample if the last one is old enough; call with each frame."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _CPU_PERIOD_S
        for name, read in self._read.items():
            used_s = read()
            if used_s is not None:
                self._last[name] = (now_s, used_s)
                self._first.setdefault(name, self._last[name])

    def percent(self) -> dict[str, float]:
        """Give the use of one core in percent by process, where there are two samples."""
        return {name: 100.0 * (self._last[name][1] - used_s) / (self._last[name][0] - start_s)
                for name, (start_s, used_s) in self._first.items()
                if self._last[name][0] > start_s}


class _Session:
    """One run: the processes, the listener, and the waiting for both."""

    def __init__(self, settings: DemoSettings, detector: Child, executor: SingleThreadedExecutor,
                 listener: DetectionListener) -> None:
        self._settings = settings
        self._detector = detector
        self._executor = executor
        self._listener = listener

    def wait_for_detector(self) -> None:
        """Wait until the detector reports, which it does when its network is loaded."""
        self._wait(lambda: self._listener.status_count > 0, _READY_S, self._detector,
                   'reported nothing on /diagnostics')

    def wait_for_first_frame(self, camera: Child) -> None:
        """Wait until the camera has found its subscribers and begun."""
        self._wait(lambda: bool(self._listener.camera_stamps_ns) or camera.exit_code is not None,
                   _FIRST_FRAME_S, camera, 'published no frame')
        camera.check()

    def play(self, camera: Child, meter: _CpuMeter) -> None:
        """
        Listen until the camera has ended, or the time is up.

        Raises:
            ProcessError: a process failed or went silent.
        """
        listener, duration_s = self._listener, self._settings.duration_s
        start_s = heard_s = time.monotonic()
        sent, stopping = 0, False
        with self._bar() as bar:
            while camera.exit_code is None:
                self._spin()
                now_s = time.monotonic()
                if len(listener.camera_stamps_ns) > sent:
                    sent, heard_s = len(listener.camera_stamps_ns), now_s
                    meter.sample()
                elif now_s - heard_s > _SILENCE_S:
                    raise ProcessError(f'{camera.name} sent nothing for {_SILENCE_S:g} s.\n'
                                       f'{camera.tail()}')
                if duration_s and now_s - start_s >= duration_s and not stopping:
                    stopping = True
                    camera.interrupt()
                self._show(bar)
            self._show(bar)
        camera.check()

    def settle(self) -> None:
        """Wait for the last detections, and for diagnostics that account for every frame."""
        listener = self._listener
        count = listener.status_count

        def accounted() -> bool:
            """Tell whether every picture sent was looked at or counted as dropped."""
            received, processed, dropped = (
                count_in(listener.status, f'frames_{what}')
                for what in ('received', 'processed', 'dropped'))
            return (listener.status_count > count and received == processed + dropped
                    and len(listener.heard) >= processed)

        deadline_s = time.monotonic() + _SETTLE_S
        # Running out of time is no error: the figures then show what is missing.
        while not accounted() and time.monotonic() < deadline_s:
            self._spin()

    def _wait(self, done: Callable[[], bool], patience_s: float, child: Child, what: str) -> None:
        deadline_s = time.monotonic() + patience_s
        while not done():
            self._spin()
            if time.monotonic() > deadline_s:
                raise ProcessError(f'{child.name} {what} within {patience_s:g} s.\n'
                                   f'{child.tail()}')

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=_SPIN_S)
        self._detector.check(may_end=False)

    def _bar(self) -> tqdm:
        total = None if self._settings.duration_s else self._settings.frame_count
        return tqdm(total=total, unit=' frames', disable=self._settings.quiet, mininterval=0.5,
                    desc='  pedestrians', dynamic_ncols=True)

    def _show(self, bar: tqdm) -> None:
        heard = self._listener.heard
        if len(heard) > bar.n:
            bar.set_postfix_str(f'{len(heard[-1].detections)} in view', refresh=False)
            bar.update(len(heard) - bar.n)


def run_demo(settings: DemoSettings, say: Callable[[str], None],
             on_jpeg: Callable[[int, bytes], None] | None = None) -> DemoRun:
    """
    Play the source through camera and detector.

    Args:
        settings: what and how.
        say: tells the user what is going on.
        on_jpeg: gets the annotated pictures (stamp in nanoseconds, JPEG); asking for them slows
            the detector down. None: they are not asked for.

    Raises:
        ProcessError: a process failed or did not answer in time.
    """
    domain = prepare_environment()
    say('Starting ped_detector: loading the network …')
    with start_detector(settings) as detector, _listening() as (executor, listener):
        session = _Session(settings, detector, executor, listener)
        session.wait_for_detector()
        if on_jpeg is not None:
            listener.listen_to_annotated(on_jpeg)
        listener.hold_camera(settings.transport)
        say('Starting ped_camera: waiting until the nodes have found each other …')
        with start_camera(settings) as camera:
            meter = _CpuMeter(detector, camera)
            session.wait_for_first_frame(camera)
            interrupted = False
            try:
                session.play(camera, meter)
            except KeyboardInterrupt:
                say('Stopping early; the results so far are written. Ctrl-C again to leave.')
                interrupted = True
                camera.end()
            session.settle()
            counts = _PUBLISHED.findall(camera.log_text())
        return DemoRun(
            heard=listener.heard, camera_stamps_ns=listener.camera_stamps_ns,
            source_hw=listener.source_hw, size_count=len(listener.sizes_hw),
            status=listener.status,
            frames_sent=int(counts[-1][0]) if counts else len(listener.camera_stamps_ns),
            camera_troubles=counts[-1][1] if counts else '',
            cpu_percent=meter.percent(), interrupted=interrupted, domain=domain,
            middleware=get_rmw_implementation_identifier())


def count_in(status: Mapping[str, str], key: str) -> int:
    """Give a count out of diagnostics, which carry numbers as text; 0 where it is missing."""
    return int(float(status.get(key, 0)))


@contextmanager
def _listening() -> Iterator[tuple[SingleThreadedExecutor, DetectionListener]]:
    # Signals stay Python's: Ctrl-C has to end the children first.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('ped_demo', start_parameter_services=False)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield executor, DetectionListener(node, CAMERA)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
