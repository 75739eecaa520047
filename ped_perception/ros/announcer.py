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
What is done with detections: follow people, publish, and account for it.

It happens in the thread of :class:`~ped_perception.core.perception.Perception`, while the
inference thread is at the next pictures already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import time
import traceback

from ped_perception.core.corridor import CorridorConfig, Danger, danger_of
from ped_perception.core.follow import Mounting, Seen
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.perception import Perception
from ped_perception.core.rotation import (
    source_from_upright_detections,
    source_from_upright_tracks,
)
from ped_perception.core.types import Detections, Tracks
from ped_perception.ros.camera_stats import Drop
from ped_perception.ros.ground_output import GroundOutput
from ped_perception.ros.pictures import Camera, Picture
from ped_perception.ros.worker import explain
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger

# A problem that comes with every picture is logged once in this time.
_LOG_PERIOD_S = 5.0


@dataclass(frozen=True, eq=False)
class LookedAt:
    """
    Pictures that the network has looked at.

    Attributes:
        pictures: at most one of each camera.
        detections: found in each, in pixels of the upright picture.
        mountings: of the cameras, by name.
        ego: motion of the vehicle, None where it is not known.
        taken_ns: ROS time when the pictures were taken from their slots.
        stages_s: how long the stages up to here took, by name.
        detected_s: when the last of them ended, of ``time.perf_counter``.
    """

    pictures: Sequence[Picture]
    detections: Sequence[Detections]
    mountings: Mapping[str, Mounting | GroundReason]
    ego: EgoMotion | None
    taken_ns: int
    stages_s: Mapping[str, float]
    detected_s: float


class Announcer:
    """
    Follows, publishes and accounts; for the thread that follows.

    Attributes:
        danger: who comes into the vehicle's way, as of the newest pictures; any thread may read.
    """

    def __init__(self, cameras: Mapping[str, Camera], ground: GroundOutput,
                 score_threshold: Callable[[], float], corridor: Callable[[], CorridorConfig],
                 clock: Clock, logger: RcutilsLogger) -> None:
        """
        Prepare.

        Args:
            cameras: by name.
            ground: publishers of everybody around the vehicle.
            score_threshold: gives the smallest score of what is published, as it is now.
            corridor: gives the vehicle's outline, as it is now.
            clock: of the node.
            logger: of the node.
        """
        self._cameras, self._ground = cameras, ground
        self._score_threshold, self._corridor = score_threshold, corridor
        self.danger = Danger()
        self._clock, self._logger = clock, logger

    def announce(self, looked: LookedAt, perception: Perception) -> None:
        """
        Tell who is there; what fails costs these pictures, is counted and logged.

        A picture counts as looked at when all that it takes part in is published.
        """
        frames = [picture.upright for picture in looked.pictures]
        try:
            seen = perception.follow(frames, looked.detections, looked.mountings, looked.ego)
        except Exception as error:  # noqa: BLE001 - whatever failed, the next picture may not
            # Nothing may be left of what it stopped in the middle of.
            perception.follower.reset()
            self.danger = Danger()
            self._failed('People could not be followed', error, looked.pictures)
            return
        # With the wait for the pictures before: the stages add up to the latency.
        track_s = time.perf_counter() - looked.detected_s
        told = []
        for picture, of_picture in zip(looked.pictures, seen, strict=True):
            try:
                told.append(self._published(picture, of_picture))
            except Exception as error:  # noqa: BLE001 - the other cameras are told of all the same
                self._failed('Detections could not be published', error, [picture])
        try:
            self._ground.publish(
                {picture.source.camera: self._tracks(picture, of_picture.tracks)
                 for picture, of_picture in zip(looked.pictures, seen, strict=True)},
                perception.follower.everybody, self._clock.now().nanoseconds)
            everybody = perception.follower.everybody()
            # Velocities that are not over ground would count the vehicle's own motion twice.
            self.danger = (Danger() if everybody is None or looked.ego is None
                           else danger_of(everybody, looked.ego, self._corridor()))
        except Exception as error:  # noqa: BLE001
            self.danger = Danger()
            self._failed('Everybody around the vehicle could not be published', error,
                         [one.picture for one in told])
            return
        for one in told:
            self._account(one, looked.taken_ns, {**looked.stages_s, 'track': track_s})
        for one in told:
            try:
                self._cameras[one.picture.source.camera].output.publish_annotated(
                    one.picture.source, one.found)
            except Exception as error:  # noqa: BLE001 - a picture for people, no result
                self._failed('The annotated picture could not be published', error, [])

    def _published(self, picture: Picture, seen: Seen) -> _Told:
        begin_s = time.perf_counter()
        found = self._found(picture, seen)
        self._cameras[picture.source.camera].output.publish(found, seen.ids_n())
        return _Told(picture, found, time.monotonic(), self._clock.now().nanoseconds,
                     time.perf_counter() - begin_s)

    def _found(self, picture: Picture, seen: Seen) -> Detections:
        """Give what is published of a picture, in pixels of the camera."""
        return source_from_upright_detections(
            seen.detections.from_score(self._score_threshold()), picture.source.source_hw,
            self._turns(picture))

    def _tracks(self, picture: Picture, tracks: Tracks) -> Tracks:
        """Give tracks in pixels of the camera."""
        return source_from_upright_tracks(tracks, picture.source.source_hw, self._turns(picture))

    def _turns(self, picture: Picture) -> int:
        return self._cameras[picture.source.camera].config.rotation_deg // 90

    def _account(self, told: _Told, taken_ns: int, stages_s: Mapping[str, float]) -> None:
        """Take the times of one picture."""
        stats = self._cameras[told.picture.source.camera].stats
        stamp_ns = told.picture.source.stamp_ns
        stats.looked_at(told.picture.received_s, told.told_s, (told.told_ns - stamp_ns) / 1e9,
                        len(told.found))
        for stage, value_s in {'receive': (taken_ns - stamp_ns) / 1e9, **stages_s,
                               'publish': told.publish_s}.items():
            stats.stage_ms[stage].add(value_s * 1e3)

    def _failed(self, what: str, error: Exception, pictures: Sequence[Picture]) -> None:
        problem = f'{what}: {explain(error)}'
        for picture in pictures:
            self._cameras[picture.source.camera].stats.dropped(Drop.RESULT, problem)
        # Nobody foresaw it, so where it happened is worth knowing.
        self._logger.error(problem + '\n' + ''.join(traceback.format_exception(error)),
                           throttle_duration_sec=_LOG_PERIOD_S)


@dataclass(frozen=True, eq=False)
class _Told:
    """A picture whose detections are published: when, on which clock, and how long it took."""

    picture: Picture
    found: Detections
    told_s: float
    told_ns: int
    publish_s: float
