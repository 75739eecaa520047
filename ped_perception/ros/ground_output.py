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

"""What the node publishes of everybody around the vehicle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ped_perception.core.config import param
from ped_perception.core.follow import Seen
from ped_perception.core.types import GroundTracks
from rclpy.clock import Clock
from rclpy.lifecycle import LifecycleNode


@dataclass(frozen=True)
class GroundOutputConfig:
    """How everybody around the vehicle is told."""

    predict_to_now: bool = param(
        False, 'Publish where everybody will be at the time of publication, instead of where '
        'they were at the time of the newest picture.', dynamic=True)


class GroundOutput:
    """Publishers of everybody around the vehicle; used by the inference thread only."""

    def __init__(self, node: LifecycleNode, base_frame: str, config: GroundOutputConfig) -> None:
        """Create the publishers."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody subscribes."""
        return False

    def publish(self, everybody: GroundTracks, seen: Sequence[Seen],
                predicted: Callable[[int], GroundTracks | None], clock: Clock) -> None:
        """Publish."""

    def close(self) -> None:
        """Destroy the publishers."""
