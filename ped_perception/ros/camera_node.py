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
Node ``ped_camera``: plays recordings, pictures or a device as a camera driver would.

The player blocks and waits by itself instead of spinning: it has no subscriptions, and the two
cores of a small machine belong to the detector.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
import sys
import threading
import time

import cv2
from ped_perception.core.config import size_hw_from_text, specs_of
from ped_perception.core.errors import ConfigError, ImageError, PedPerceptionError, SourceError
from ped_perception.core.raw import known_encodings
from ped_perception.ros.camera_config import CameraPlayerConfig
from ped_perception.ros.camera_publisher import CameraPublisher
from ped_perception.ros.command_line import answer_help
from ped_perception.ros.memory import keep_large_blocks
from ped_perception.ros.pacing import Pacer, Schedule
from ped_perception.ros.params import (
    declare_and_read,
    refuse_unknown,
    warn_of_foreign_files,
)
from ped_perception.ros.replay_clock import ReplayClock
from ped_perception.ros.signals import end_by_force, set_on_signals
from ped_perception.sources import open_source, Source, SourceFrame
from ped_perception.sources.calibration import calibration_from_yaml
import rclpy
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.clock import ROSClock
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
import rclpy.utilities

_DEFAULT_RATE_HZ = 10.0
_POLL_S = 0.02
# Best effort is never acknowledged: the last picture is kept this long for who still reads it.
_LINGER_S = 0.5
# The publisher sees a match before the subscriber does, and until then best effort is lost on the
# way: 40 to 100 ms were seen on two busy cores. No API tells when the other side is ready.
_SETTLE_S = 1.0
_WARN_EVERY_S = 5.0


class CameraPlayer:
    """
    Publishes the frames of a source when they are due.

    Args:
        node: owner of the publishers.
        source: to play; closed by the caller.
        config: how to play it.
        stop: set from outside to end early.

    Raises:
        ConfigError: the configuration does not fit the source.
        CalibrationError: the calibration file cannot be read.
    """

    def __init__(self, node: Node, source: Source, config: CameraPlayerConfig,
                 stop: threading.Event) -> None:
        self._node = node
        self._source = source
        self._config = config
        self._stop = stop
        _check(config, source, node)
        calibration = (calibration_from_yaml(config.camera_info_url)
                       if config.camera_info_url else None)
        names = names_from_topics([camera.name for camera in source.cameras], config.camera)
        try:
            self._publishers = {
                topic: CameraPublisher(node, name, _is_compressed(topic, config), config,
                                       calibration)
                for topic, name in names.items()}
        except NameValidationException as error:
            raise ConfigError(f'A camera cannot be called {" or ".join(names.values())}: its '
                              f'topics begin with that. {" ".join(str(error).split())}. Set the '
                              f'parameter camera.') from error
        self._clock = ReplayClock(node) if config.clock else None
        rate_hz = source.rate_hz or _DEFAULT_RATE_HZ
        self._schedule = Schedule(config.rate_hz, config.speed, round(1e9 / rate_hz))
        self._pacer = Pacer(max(self._schedule.period_ns, 50_000_000))
        self._warned_s = float('-inf')
        self.undecodable = 0

    @property
    def published(self) -> int:
        """Frames published so far, of all cameras."""
        return sum(publisher.published for publisher in self._publishers.values())

    def wait_for_subscribers(self) -> None:
        """
        Wait until each image topic has its subscribers, or the player is stopped.

        Raises:
            SourceError: it took longer than the time-out.
        """
        wanted, timeout_s = self._config.wait_for_subscribers, self._config.wait_timeout_s
        deadline_s = time.monotonic() + timeout_s
        if self._missing():
            self._node.get_logger().info(
                f'Waiting for {wanted} subscriber(s) of {", ".join(self._missing())}.')
        while (missing := self._missing()) and not self._stop.wait(_POLL_S):
            if time.monotonic() > deadline_s:
                raise SourceError(
                    f'Within {timeout_s:g} s not enough subscribers came to '
                    f'{", ".join(missing)} ({wanted} wanted). Start the detector, compare '
                    f'topic names, ROS_DOMAIN_ID and QoS (here: {self._config.reliability}), '
                    f'or set wait_for_subscribers to 0.')
        if wanted:
            self._stop.wait(_SETTLE_S)

    def play(self) -> None:
        """
        Publish every frame when it is due, round after round where the source is looped.

        Raises:
            SourceError: reading cannot go on.
            CalibrationError: the calibration file does not fit the pictures.
        """
        while not self._stop.is_set():
            for frame in self._source:
                self._play_frame(frame)
                if self._stop.is_set():
                    return
            if not self.published:
                raise SourceError(f'{self._source.name} has {self.undecodable} frames, but not '
                                  f'one of them can be published. The warning above says why.')
            if not self._config.loop:
                return
            self._schedule.begin_round()

    def linger(self) -> None:
        """Keep the publishers until the last frame was received, as far as that can be known."""
        for publisher in self._publishers.values():
            publisher.wait_until_received()
        self._stop.wait(_LINGER_S)

    def summary(self, seconds: float) -> str:
        """Say what was done."""
        rate_hz = self.published / seconds if seconds > 0.0 else 0.0
        text = f'Published {self.published} frames in {seconds:.1f} s ({rate_hz:.1f} Hz)'
        for count, what in ((self._pacer.late_frames, 'late'), (self.undecodable, 'undecodable'),
                            (self._source.skipped, 'unreadable')):
            text += f', {count} {what}' if count else ''
        return f'{text}.'

    def _play_frame(self, frame: SourceFrame) -> None:
        publisher = self._publishers[frame.camera]
        try:
            publisher.prepare(frame)
        except ImageError as error:
            self.undecodable += 1
            name = frame.name or f'{frame.stamp_ns} ns'
            self._warn(f'Frame {name} of {frame.camera} is left out: {error}')
            return
        if self._source.is_live:
            publisher.publish(frame.stamp_ns)
            return
        due_ns = self._schedule.due_ns(frame)
        self._wait(due_ns, frame.log_ns)
        if self._stop.is_set():
            return
        late_ns = self._pacer.give_up_lateness(due_ns)
        if late_ns:
            self._warn(f'Cannot keep the rate: a frame was {late_ns / 1e6:.0f} ms late. Use a '
                       f'smaller size, compressed transport, or a lower rate_hz.')
        if self._clock is None:
            publisher.publish(self._node.get_clock().now().nanoseconds)
            return
        self._clock.show(frame.log_ns, due_ns)
        publisher.publish(frame.stamp_ns)

    def _wait(self, due_ns: int, log_ns: int) -> None:
        """Wait for a deadline; recorded time goes on meanwhile."""
        while (wait_ns := self._pacer.wait_ns(due_ns)) > 0 and not self._stop.is_set():
            if self._clock is not None:
                wait_ns = min(wait_ns, self._clock.tick(due_ns - wait_ns, log_ns, due_ns))
            self._stop.wait(wait_ns / 1e9)

    def _missing(self) -> list[str]:
        return [publisher.topic for publisher in self._publishers.values()
                if publisher.subscribers < self._config.wait_for_subscribers]

    def _warn(self, text: str) -> None:
        # The first of a kind matters; a hundred a second hide everything else.
        if time.monotonic() - self._warned_s > _WARN_EVERY_S:
            self._warned_s = time.monotonic()
            self._node.get_logger().warning(text)


def names_from_topics(topics: list[str], only: str) -> dict[str, str]:
    """
    Name the cameras of a source.

    Args:
        topics: names of the source's cameras.
        only: name to give where there is one camera.

    Returns:
        Name by topic: ``/front/image_raw/compressed`` is ``front``; where that would name two
        cameras alike, the whole topic is the name.
    """
    if len(topics) == 1:
        return {topics[0]: only}
    bases = {topic: PurePosixPath(topic.removesuffix('/compressed').strip('/'))
             for topic in topics}
    names = {topic: str(base.parent) for topic, base in bases.items()}
    alike = Counter(names.values())
    return {topic: str(base) if alike[names[topic]] > 1 or names[topic] == '.' else names[topic]
            for topic, base in bases.items()}


def _is_compressed(topic: str, config: CameraPlayerConfig) -> bool:
    if config.transport == 'recorded':
        return topic.endswith('/compressed')
    return config.transport == 'compressed'


def _check(config: CameraPlayerConfig, source: Source, node: Node) -> None:
    """Refuse what contradicts itself before the first topic exists."""
    if config.encoding and config.encoding not in known_encodings():
        raise ConfigError(f'Parameter encoding is {config.encoding!r}; choose one of: '
                          f'{", ".join(known_encodings())}.')
    if source.is_live and (config.clock or config.loop):
        raise ConfigError(f'{source.name} is live: clock and loop are for recordings.')
    clock = node.get_clock()
    if isinstance(clock, ROSClock) and clock.ros_time_is_active and not config.clock:
        raise ConfigError('use_sim_time is set, but the player does not make the time: set clock '
                          'to true, or use_sim_time to false for this node.')


def _run(node: Node, stop: threading.Event) -> None:
    config = declare_and_read(node, CameraPlayerConfig)
    refuse_unknown(node)
    logger = node.get_logger()
    with open_source(config.source, camera=config.camera, topics=config.topics,
                     start_s=config.start_s, rate_hz=config.rate_hz,
                     size_hw=size_hw_from_text(config.size) if config.size else None) as source:
        player = CameraPlayer(node, source, config, stop)
        cameras = ', '.join(camera.name for camera in source.cameras)
        count = 'unknown' if source.frame_count is None else source.frame_count
        logger.info(f'Playing {source.name}: {cameras}; frames: {count}.')
        for note in source.notes:
            logger.warning(note)
        player.wait_for_subscribers()
        begin_s = time.monotonic()
        try:
            player.play()
        finally:
            logger.info(player.summary(time.monotonic() - begin_s))
            player.linger()


def main(args: list[str] | None = None) -> int:
    """
    Run the node until the source ends or a signal comes.

    Returns:
        0, or 1 after an error that the log or the standard error names.

    Raises:
        SystemExit: after help, or because of an argument that is not for ROS.
    """
    arguments = sys.argv if args is None else args
    answer_help('ped_camera', {spec.name: spec for spec in specs_of(CameraPlayerConfig)}, args)
    stop, gone = threading.Event(), threading.Event()
    set_on_signals(stop)
    end_by_force(stop, gone, 'what it plays cannot be read')
    keep_large_blocks()
    cv2.setNumThreads(1)
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node('ped_camera', start_parameter_services=False)
    except (RCLError, UnknownROSArgsError) as error:
        print(f'Error: {error}', file=sys.stderr)
        rclpy.utilities.try_shutdown()
        return 1
    warn_of_foreign_files(node, arguments)
    try:
        _run(node, stop)
    except PedPerceptionError as error:
        node.get_logger().fatal(str(error))
        return 1
    finally:
        node.destroy_node()
        rclpy.shutdown()
        gone.set()
    return 0


if __name__ == '__main__':
    sys.exit(main())
