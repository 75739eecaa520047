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
Trackers of other projects on the same detections, to be compared with.

They count pictures where ours counts seconds, so each is told the rate of the source. Where they
have a setting of the same meaning it is given the value of ours; the rest stays as they ship it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
import warnings

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.errors import import_extra
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections, Float64Array, Int64Array


class OtherTracker(Protocol):
    """Another project's tracker of one camera."""

    def step(self, detections: Detections) -> tuple[Int64Array, NDArray[np.floating]]:
        """
        Take in one picture.

        Returns:
            ids int64[T] and boxes [T, 4] of the people seen in this picture.
        """


class SupervisionByteTrack:
    """ByteTrack as Roboflow's supervision has it (before 0.31)."""

    def __init__(self, config: TrackerConfig, rate_hz: float) -> None:
        """
        Begin with nobody.

        Raises:
            MissingExtraError: supervision is not installed, or one without ByteTrack.
        """
        self._module: Any = import_extra('supervision', 'comparison')
        core: Any = import_extra('supervision.tracker.byte_tracker.core', 'comparison')
        with warnings.catch_warnings():
            # It announces its own removal.
            warnings.simplefilter('ignore')
            self._tracker: Any = core.ByteTrack(
                track_activation_threshold=config.high_score, frame_rate=rate_hz,
                minimum_matching_threshold=1 - config.min_overlap,
                # It counts in pictures of a video with 30 a second.
                lost_track_buffer=round(30 * config.forget_s),
                minimum_consecutive_frames=max(1, round(config.confirm_s * rate_hz)))

    def step(self, detections: Detections) -> tuple[Int64Array, NDArray[np.floating]]:
        """Take in one picture."""
        found = self._tracker.update_with_detections(self._module.Detections(
            xyxy=np.array(detections.boxes_n4), confidence=np.array(detections.scores_n),
            class_id=np.zeros(len(detections), int)))
        return np.asarray(found.tracker_id, np.int64), found.xyxy


class Norfair:
    """Norfair by Tryolabs, with boxes as two points and the overlap as distance."""

    def __init__(self, config: TrackerConfig, rate_hz: float) -> None:
        """
        Begin with nobody.

        Raises:
            MissingExtraError: norfair is not installed.
        """
        self._module: Any = import_extra('norfair', 'comparison')
        self._high_score = config.high_score
        self._pictures = 0
        self._tracker: Any = self._module.Tracker(
            distance_function='iou', distance_threshold=1 - config.min_overlap,
            hit_counter_max=max(2, round(config.forget_s * rate_hz)),
            initialization_delay=max(1, round(config.confirm_s * rate_hz)))

    def step(self, detections: Detections) -> tuple[Int64Array, Float64Array]:
        """Take in one picture; it knows no unsure detections."""
        self._pictures += 1
        people = self._tracker.update([
            self._module.Detection(np.array(box, np.float64).reshape(2, 2), data=self._pictures)
            for box in detections.boxes_n4[detections.scores_n >= self._high_score]])
        seen = [person for person in people
                if person.last_detection.data == self._pictures]
        return (np.array([person.id for person in seen], np.int64),
                np.array([person.estimate.ravel() for person in seen]).reshape(-1, 4))


OTHER_TRACKERS: dict[str, Callable[[TrackerConfig, float], OtherTracker]] = {
    'supervision ByteTrack': SupervisionByteTrack, 'norfair': Norfair}
