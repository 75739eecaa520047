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
The whole story: frames in, people out.

The node and the offline replay run this object, so that what is measured is what drives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

from ped_perception.core.follow import Follower, Mounting, Seen
from ped_perception.core.ground_filter import GroundFilterConfig
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.ids import Ids
from ped_perception.core.pipeline import Backend, DetectorConfig, Pipeline, StageTimes
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections, Frame
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
    Detects, follows and places people.

    Two threads share the work, so that neither waits for the other: that of the caller, which
    owns the backend, detects; one of this object's own follows people and does whatever else is
    to be done with what was found, in the order of the pictures, while the network looks at the
    next ones. Close it at the end.

    Attributes:
        pipeline: that detects; for the caller's thread.
        follower: that knows who is who, and where; for tasks of :meth:`afterwards`.
    """

    def __init__(self, backend: Backend, config: PerceptionConfig, ids: Ids | None = None,
                 small: Backend | None = None) -> None:
        """
        Take a backend, which the caller closes, and check the configuration.

        Args:
            backend: that detects.
            config: all parameters.
            ids: of the run, where something was followed before; else they begin at 1.
            small: the same network for a smaller input, for :meth:`detect` in a hurry.

        Raises:
            ConfigError: a view cannot be read, or the views do not fit the batch.
        """
        self.pipeline = Pipeline(backend, config.detector, config.tracker.low_score, small)
        self.follower = Follower(config.tracker, config.ground, config.ground_filter, ids)
        self._thread = ThreadPoolExecutor(1, 'follow')
        self._waiting: deque[Future[None]] = deque()

    def close(self) -> None:
        """Finish what is to be done and end the thread; closing twice is harmless."""
        self._thread.shutdown()

    def __enter__(self) -> Perception:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def detect(self, frames: Sequence[Frame], views: Sequence[Sequence[ViewSpec]] | None = None,
               small: bool = False) -> tuple[tuple[Detections, ...], StageTimes]:
        """
        Detect people in the newest pictures of some cameras; follow them next, in their order.

        Meanwhile the other thread sees how the cameras moved.

        Args:
            frames: at most one of each camera.
            views: of each frame, None for those of the configuration.
            small: let the small network look, if there is one.

        Returns:
            The detections of each frame, in the same order, and the times of the stages.

        Raises:
            BackendError: the inference failed; the frames are lost, everything stays usable.
        """
        for frame in frames:
            self._thread.submit(self.follower.look_ahead, frame)
        return self.pipeline.step(frames, views, small)

    def afterwards(self, task: Callable[[], None], most_waiting: int = 1) -> Future[None]:
        """
        Have something done in the other thread, after all that came before.

        Args:
            task: is called there.
            most_waiting: wait until no more tasks than this are left. What they raised is raised
                here.
        """
        future = self._thread.submit(task)
        self._waiting.append(future)
        self._wait(most_waiting)
        return future

    def settle(self) -> None:
        """Wait until nothing is left to be done; what went wrong is raised here."""
        self._wait(0)

    def reset(self) -> None:
        """Forget everybody, for example because time was set, once all else is done."""
        self.afterwards(self.follower.reset, most_waiting=0)

    def follow(self, frames: Sequence[Frame], detections: Sequence[Detections],
               mountings: Mapping[str, Mounting | GroundReason] | None = None,
               ego: EgoMotion | None = None) -> tuple[Seen, ...]:
        """
        Follow and place the people of some pictures; in a task of :meth:`afterwards`.

        Args:
            frames: at most one of each camera.
            detections: found in them.
            mountings: by camera; what is missing counts as not calibrated.
            ego: motion of the vehicle, None where it is not known.

        Returns:
            What is known of each frame, in the same order.
        """
        # Oldest first: the filter on the ground carries everybody forward in time.
        seen: dict[int, Seen] = {}
        for index in sorted(range(len(frames)), key=lambda index: frames[index].stamp_ns):
            mounting = (mountings or {}).get(frames[index].camera, GroundReason.NO_CALIBRATION)
            seen[index] = self.follower.step(frames[index], detections[index], mounting, ego)
        return tuple(seen[index] for index in range(len(frames)))

    def step(self, frames: Sequence[Frame]) -> tuple[Seen, ...]:
        """
        Detect and follow people in pictures without a calibration, and wait for the result.

        Args:
            frames: at most one of each camera.

        Raises:
            BackendError: see :meth:`detect`.
        """
        detections, _ = self.detect(frames)
        seen: list[Seen] = []
        self.afterwards(lambda: seen.extend(self.follow(frames, detections)))
        self.settle()
        return tuple(seen)

    def _wait(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()
