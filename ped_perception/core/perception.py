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
The whole story in one step: frames in, people out.

The node, the offline replay and the evaluation all run this object, so that what is measured
is what drives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import time

from ped_perception.core.follow import Follower, Mounting, Seen
from ped_perception.core.ground_filter import GroundFilterConfig
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.pipeline import Backend, DetectorConfig, Pipeline, StageTimes
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Frame
from ped_perception.core.views import ViewSpec


@dataclass(frozen=True)
class PerceptionConfig:
    """All that decides what comes out, apart from the network."""

    detector: DetectorConfig = field(default_factory=DetectorConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    ground: GroundConfig = field(default_factory=GroundConfig)
    ground_filter: GroundFilterConfig = field(default_factory=GroundFilterConfig)


class Perception:
    """
    Detects, follows and places people. For one thread, the one that owns the backend.

    Attributes:
        pipeline: that detects.
        follower: that knows who is who, and where.
    """

    def __init__(self, backend: Backend, config: PerceptionConfig) -> None:
        """
        Take a backend, which the caller closes, and check the configuration.

        Raises:
            ConfigError: a view cannot be read, or the views do not fit the batch.
        """
        self.pipeline = Pipeline(backend, config.detector, config.tracker.low_score)
        self.follower = Follower(config.tracker, config.ground, config.ground_filter)

    def step(self, frames: Sequence[Frame], views: Sequence[Sequence[ViewSpec]] | None = None,
             mountings: Mapping[str, Mounting | GroundReason] | None = None,
             ego: EgoMotion | None = None) -> tuple[tuple[Seen, ...], StageTimes, float]:
        """
        Take in the newest pictures of some cameras.

        Args:
            frames: at most one of each camera.
            views: of each frame, None for those of the configuration.
            mountings: by camera; what is missing counts as not calibrated.
            ego: motion of the vehicle, None where it is not known.

        Returns:
            What is known of each frame, in the same order; the times of the pipeline; and the
            seconds that following took.

        Raises:
            BackendError: the inference failed; the frames are lost, everything stays usable.
        """
        detections, times = self.pipeline.step(frames, views)
        begin_s = time.perf_counter()
        # Oldest first: the filter on the ground carries everybody forward in time.
        seen: dict[int, Seen] = {}
        for index in sorted(range(len(frames)), key=lambda index: frames[index].stamp_ns):
            mounting = (mountings or {}).get(frames[index].camera, GroundReason.NO_CALIBRATION)
            seen[index] = self.follower.step(frames[index], detections[index], mounting, ego)
        return (tuple(seen[index] for index in range(len(frames))), times,
                time.perf_counter() - begin_s)
