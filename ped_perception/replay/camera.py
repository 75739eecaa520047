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

"""One camera of a recording: what the node does with a picture before and after the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from ped_perception.core.camera import CameraModel
from ped_perception.core.errors import ImageError
from ped_perception.core.follow import Mounting, Seen
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.image_monitor import ImageMonitor
from ped_perception.core.rotation import (
    source_from_upright_detections,
    source_from_upright_tracks,
    upright_from_source,
)
from ped_perception.core.stamps import AgeConfig, stamp_problem, StampGuard, StampVerdict
from ped_perception.core.transforms import TransformBuffer
from ped_perception.core.types import Detections, Frame, Tracks
from ped_perception.core.views import HORIZON, region_from_numbers, specs_from_texts, ViewSpec
from ped_perception.ros.camera_geometry import CameraGeometry
from ped_perception.ros.camera_stats import CameraStats, Drop
from ped_perception.ros.convert import camera_info_from_calibration
from ped_perception.ros.settings import Settings
from ped_perception.sources import Calibration, SourceFrame


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: as the camera sent it, and upright."""

    source: Frame
    upright: Frame


class Surroundings(Protocol):
    """What else is known where the pictures come from."""

    @property
    def buffer(self) -> TransformBuffer:
        """Transforms up to now."""

    def advance(self, log_ns: int) -> None:
        """Take in what was written up to a time."""

    def ego(self, stamp_ns: int) -> EgoMotion | None:
        """Give the motion of the vehicle at a time, None where it is not known."""


class NoSurroundings:
    """Those of pictures that come with nothing else."""

    def __init__(self) -> None:
        """Know nothing."""
        self.buffer = TransformBuffer()

    def advance(self, log_ns: int) -> None:
        """Take in nothing."""

    def ego(self, stamp_ns: int) -> EgoMotion | None:
        """Know nothing."""
        return None


class ReplayedCamera:
    """
    One camera.

    Attributes:
        name: of the camera.
        config: its parameters.
        stats: counts; its steady clock is the time of writing.
        image_problems: what the monitor said of the newest picture, in words.
        silence, rivals: always empty: a recording does not tell who published.
        geometry: calibration and mounting.
    """

    def __init__(self, name: str, settings: Settings, surroundings: Surroundings) -> None:
        """
        Prepare.

        Raises:
            TransformError: the configured mounting is incomplete.
        """
        self.name, self.config = name, settings.cameras[name]
        self._default_views = settings.detector.views
        # A recording has no age; order and repetitions count all the same.
        self._age: AgeConfig = replace(settings.age, max_frame_age_s=0.0)
        self._surroundings = surroundings
        self._guard, self._monitor = StampGuard(), ImageMonitor(settings.image_monitor)
        self._calibration: Calibration | None = None
        self.stats, self.silence, self.rivals = CameraStats(), '', ''
        self.image_problems: tuple[str, ...] = ()
        self.geometry = CameraGeometry(
            self.config, surroundings.buffer, settings.node.base_frame,
            settings.node.tf_tolerance_s, settings.horizon, settings.ground.ground_z_m)

    def is_fine(self, frame: SourceFrame) -> bool:
        """Count a picture, and judge its stamp."""
        self.stats.arrived(frame.log_ns / 1e9)
        verdict = self._guard.judge(frame.stamp_ns, frame.stamp_ns, self._age)
        if verdict is StampVerdict.FINE:
            return True
        self.stats.dropped(Drop(verdict.value), stamp_problem(
            verdict, frame.stamp_ns, frame.stamp_ns, self._age))
        return False

    @property
    def jumps(self) -> int:
        """How often the stamps went back."""
        return self._guard.jumps

    def forget_times(self) -> None:
        """Begin anew because time was set."""
        self.stats.forget_times()
        self._guard.reset()

    def decoded(self, frame: SourceFrame) -> Picture | None:
        """Decode a picture and turn it upright; None for one that cannot be decoded."""
        try:
            source = frame.frame(self.name)
        except ImageError as error:
            self.stats.dropped(Drop.BAD, str(error))
            return None
        upright = source
        if self.turns:
            upright = replace(source, pixels=upright_from_source(
                source.image_hw3, self.turns))
        return Picture(source, upright)

    def watch(self, picture: Picture) -> None:
        """See whether the camera sees."""
        ego = self._surroundings.ego(picture.source.stamp_ns)
        self.image_problems = tuple(problem.value for problem in self._monitor.check(
            picture.source, moving=ego is not None and ego.is_faster_than_walking))

    def model(self, picture: Picture) -> CameraModel | GroundReason:
        """Give the calibration of a picture whose mounting was asked for, or why not."""
        return self.geometry.model(picture.upright)

    def mounting(self, frame: SourceFrame, picture: Picture) -> Mounting | GroundReason:
        """Give calibration and mounting for a picture, or why there is none."""
        # A recording has one for each picture, nearly always the same.
        if frame.calibration is not None and frame.calibration != self._calibration:
            self._calibration = frame.calibration
            self.geometry.take(camera_info_from_calibration(
                frame.calibration, frame.stamp_ns, frame.frame_id))
        return self.geometry.mounting(picture.upright)

    def views(self, picture: Picture, mounting: Mounting | GroundReason,
              network_hw: tuple[int, int]) -> list[ViewSpec]:
        """Give the views of a picture."""
        texts = self.config.views or self._default_views
        horizon = (self.geometry.horizon(picture.upright, mounting, network_hw)
                   if HORIZON in texts else None)
        return list(specs_from_texts(
            texts, region_from_numbers(self.config.roi, 'roi'), horizon))

    def found(self, picture: Picture, seen: Seen, score_threshold: float) -> Detections:
        """Give what the node publishes of a picture, in pixels of the camera."""
        return self.detections(picture, seen.detections.from_score(score_threshold))

    def detections(self, picture: Picture, detections: Detections) -> Detections:
        """Give detections of the upright picture in pixels of the camera."""
        return source_from_upright_detections(detections, picture.source.source_hw, self.turns)

    def tracks(self, picture: Picture, tracks: Tracks) -> Tracks:
        """Give tracks in pixels of the camera."""
        return source_from_upright_tracks(tracks, picture.source.source_hw, self.turns)

    @property
    def turns(self) -> int:
        """By how many quarters pictures are turned clockwise to stand upright."""
        return self.config.rotation_deg // 90
