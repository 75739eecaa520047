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

"""A recording through the pipeline, every picture of it, into a recording of the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
import time

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from ped_perception.backends import open_backend
from ped_perception.core.errors import ConfigError
from ped_perception.core.follow import Mounting
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.health import HealthReport, node_health, NodeFacts
from ped_perception.core.perception import Perception
from ped_perception.core.pipeline import Backend
from ped_perception.core.types import Detections, Tracks
from ped_perception.replay.camera import Picture, ReplayedCamera
from ped_perception.replay.cameras import camera_values, topics_of_cameras
from ped_perception.replay.result_bag import ResultBag
from ped_perception.replay.summary import digest_of, Summary, SUMMARY_NAME
from ped_perception.replay.surroundings import Messages, RecordedSurroundings
from ped_perception.ros.convert import DetectionsFiller
from ped_perception.ros.diagnostics import camera_facts
from ped_perception.ros.health import status_from_report
from ped_perception.ros.pedestrian_messages import (
    detection3d_array_from_tracks,
    unplaced_from_tracks,
)
from ped_perception.ros.settings import Settings, settings_from_values
from ped_perception.sources import SourceFrame
from ped_perception.sources.bag import BagSource
from ped_perception.sources.storage import open_storage, Storage
from vision_msgs.msg import Detection2DArray, Detection3DArray

_NODE = 'ped_detector'
_LONGEST_SILENCE_NS = 60_000_000_000
# Tasks that wait to be written at most: copied pictures may be among them.
_MOST_WAITING = 16

# Told of after each picture: how many were taken in, and how many there are as far as known.
Progress = Callable[[int, 'int | None'], None]


def settings_for_bag(bag: Path, values: Mapping[str, object], *, all_cameras: bool) -> Settings:
    """
    Build the settings for a recording.

    Args:
        bag: the recording.
        values: parameters of the node, by full name.
        all_cameras: take every image topic for a camera instead of those among the values.

    Raises:
        SourceError: the recording cannot be read, or has no pictures.
        ConfigError: a parameter does not fit.
    """
    if all_cameras:
        storage, _ = open_storage(bag)
        try:
            values = {**values, **camera_values(storage.topics)}
        finally:
            storage.close()
    return settings_from_values(values)


def replay(bag: Path, output: Path, settings: Settings, *, start_s: float = 0.0,
           images: bool = False, progress: Progress = lambda done, total: None,
           backend: Backend | None = None) -> Summary:
    """
    Run a recording through the pipeline.

    Args:
        bag: rosbag2 recording, its folder or one file of it.
        output: folder of the new recording.
        settings: of the node.
        start_s: leave out what was written before this time after the beginning.
        images: copy the pictures and their CameraInfo, too.
        progress: called after each picture.
        backend: an open one, which stays open; None opens that of the settings.

    Raises:
        PedPerceptionError: nothing can be read, or nothing written; no result is left behind.
    """
    slots = settings.slots()
    # As in the node: OpenCV's pool would fight the inference for the cores.
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        storage, _ = open_storage(bag)
        stack.callback(storage.close)
        names = topics_of_cameras(settings.cameras, storage.topics)
        source = stack.enter_context(BagSource(bag, topics=list(names), start_s=start_s))
        results = stack.enter_context(ResultBag(output))
        if backend is None:
            backend = open_backend(settings.backend, slots)
            stack.callback(backend.close)
        run = _Run(storage, settings, backend, results,
                   storage.start_ns + round(start_s * 1e9))
        stack.callback(run.close)
        _refuse_other_info_topics(settings, names, source)
        if images:
            infos = {camera.info_topic for camera in source.cameras if camera.info_topic}
            run.copy(storage, {*names, *infos})
        begin_s = time.perf_counter()
        for frame in source:
            run.take(frame, names[frame.camera])
            progress(run.summary.pictures, source.frame_count)
        run.end(source)
        run.summary.times_s['total'] = time.perf_counter() - begin_s
        results.finish({SUMMARY_NAME: run.summary.text()})
    return run.summary


def _refuse_other_info_topics(settings: Settings, names: Mapping[str, str], source: BagSource,
                              ) -> None:
    for stream in source.cameras:
        asked = settings.cameras[names[stream.name]].info_topic
        if asked and '/' + asked.lstrip('/') != stream.info_topic:
            raise ConfigError(
                f'Parameter {names[stream.name]}.info_topic is {asked}, but ped_replay takes the '
                f'CameraInfo beside the pictures: {stream.info_topic or "there is none"}.')


class _Run:
    """
    The pipeline, and what it remembers from picture to picture.

    What was found is followed and written in the thread of :class:`Perception`, in order, while
    the network looks at the next picture.
    """

    def __init__(self, storage: Storage, settings: Settings, backend: Backend,
                 results: ResultBag, start_ns: int) -> None:
        self._settings, self._backend, self._results = settings, backend, results
        self._start_ns = start_ns
        self._surroundings = RecordedSurroundings(storage, settings.node, start_ns)
        self._cameras = {name: ReplayedCamera(name, settings, self._surroundings)
                         for name in settings.cameras}
        lookout = settings.lookout()
        self._perception = Perception(backend, lookout.perception)
        # The first inference allocates, and code to write messages is made once.
        backend.infer(backend.info.max_batch)
        results.prepare(Detection2DArray, Detection3DArray, DiagnosticStatus)
        self._fillers = {name: DetectionsFiller() for name in settings.cameras}
        self._pictures: dict[str, Tracks] = {}
        self._ids: set[int] = set()
        self._copied: Messages | None = None
        self._types = {topic.name: topic.message_type for topic in storage.topics}
        self._health_ns, self._newest_ns = start_ns, start_ns
        info = backend.info
        self.summary = Summary(
            digest_of(settings), info.model, info.precision, info.backend,
            times_s=dict.fromkeys(
                ('decode', 'views', 'infer', 'postprocess', 'track', 'write'), 0.0))

    def close(self) -> None:
        """Finish what is to be written, and end."""
        self._perception.close()

    def copy(self, storage: Storage, topics: set[str]) -> None:
        """Have the messages of some topics copied."""
        self._copied = Messages(storage, topics, self._start_ns)

    def take(self, frame: SourceFrame, name: str) -> None:
        """Look at a picture."""
        camera = self._cameras[name]
        self.summary.pictures += 1
        self._tell_health(frame.log_ns)
        self._copy_until(frame.log_ns)
        self._surroundings.advance(frame.log_ns)
        jumps = camera.jumps
        if not camera.is_fine(frame):
            return
        if camera.jumps > jumps:
            self._forget_everybody()
        begin_s = time.perf_counter()
        picture = camera.decoded(frame)
        self._spent('decode', begin_s)
        if picture is None:
            return
        watching = self._later(partial(camera.watch, picture))
        mounting = camera.mounting(frame, picture)
        views = camera.views(picture, mounting, self._backend.info.network_hw)
        (detections,), times = self._perception.detect([picture.upright], [views])
        # What is told of health next must know.
        watching.result()
        for stage, spent_s in asdict(times).items():
            self.summary.times_s[stage.removesuffix('_s')] += spent_s
        self.summary.looked_at += 1
        log_s = frame.log_ns / 1e9
        camera.stats.looked_at(log_s, log_s, 0.0, 0)
        self._later(partial(self._tell, frame.log_ns, camera, picture, detections, mounting,
                            self._surroundings.ego(frame.stamp_ns)))

    def end(self, source: BagSource) -> None:
        """Write what is left, add up, and note what could not be read."""
        self._tell_health(self._newest_ns + 1)
        self._copy_until(self._newest_ns)
        self._perception.settle()
        self.summary.notes = tuple(source.notes) + tuple(
            f'{count} {what} could not be used and are left out.' for count, what in (
                (source.skipped, 'damaged messages of pictures or calibrations'),
                (self._surroundings.skipped, 'messages of transforms or odometry')) if count)
        self.summary.people = len(self._ids)
        self.summary.time_jumps = sum(camera.jumps for camera in self._cameras.values())
        self.summary.skipped = {
            name: drops for name, camera in self._cameras.items()
            if (drops := {cause.value: count for cause, count in camera.stats.drops.items()
                          if count})}

    def _tell(self, log_ns: int, camera: ReplayedCamera, picture: Picture, detections: Detections,
              mounting: Mounting | GroundReason, ego: EgoMotion | None) -> None:
        """Follow the people of a picture; write what was found, and everybody around."""
        begin_s = time.perf_counter()
        (seen,) = self._perception.follow(
            [picture.upright], [detections], {camera.name: mounting}, ego)
        self._spent('track', begin_s)
        begin_s = time.perf_counter()
        found = camera.found(picture, seen, self._settings.detector.score_threshold)
        ids_n = seen.ids_n()[:len(found)]
        self._ids.update(ids_n[ids_n >= 0].tolist())
        self.summary.detections += len(found)
        self._results.write(f'/{_NODE}/{camera.name}/detections', log_ns,
                            self._fillers[camera.name].fill(found, ids_n))
        self._pictures[camera.name] = camera.tracks(picture, seen.tracks)
        people = self._perception.follower.everybody()
        assert people is not None
        self.summary.placed += int(people.valid_t.sum())
        base_frame = self._settings.node.base_frame
        self._results.write(f'/{_NODE}/pedestrians', log_ns, detection3d_array_from_tracks(
            people, base_frame, self._settings.ground.ground_z_m))
        self._results.write(f'/{_NODE}/unplaced', log_ns, unplaced_from_tracks(
            people, self._pictures, base_frame))
        self._spent('write', begin_s)

    def _tell_health(self, log_ns: int) -> None:
        """Write health as often as the node publishes it, by the time of writing."""
        period_ns = round(1e9 / self._settings.health.health_rate_hz)
        self._newest_ns = max(self._newest_ns, log_ns)
        # A clock that was set is no silence of hours.
        self._health_ns = max(self._health_ns, log_ns - _LONGEST_SILENCE_NS)
        while self._health_ns < log_ns:
            now_s = self._health_ns / 1e9
            report = node_health(NodeFacts(), {
                name: camera_facts(camera, now_s, True)
                for name, camera in self._cameras.items()}, self._settings.health)
            self._later(partial(self._write_health, self._health_ns, report, {
                f'{name}.ground': camera.geometry.problem
                for name, camera in self._cameras.items()}))
            self._health_ns += period_ns

    def _write_health(self, log_ns: int, report: HealthReport, values: Mapping[str, str],
                      ) -> None:
        self._results.write(f'/{_NODE}/health', log_ns, status_from_report(_NODE, report, values))

    def _copy_until(self, log_ns: int) -> None:
        if self._copied is not None:
            for topic, written_ns, data in self._copied.until(log_ns):
                self._later(partial(self._results.copy, topic, self._types[topic], written_ns,
                                    data))

    def _later(self, task: Callable[[], None]) -> Future[None]:
        """Have something done after all that came before, beside the network."""
        return self._perception.afterwards(task, _MOST_WAITING)

    def _forget_everybody(self) -> None:
        self._perception.reset()
        for camera in self._cameras.values():
            camera.forget_times()

    def _spent(self, stage: str, begin_s: float) -> None:
        self.summary.times_s[stage] += time.perf_counter() - begin_s
