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

"""What a run knows of each picture before it looks at it, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ped_perception.core.camera import CameraModel
from ped_perception.core.follow import Mounting
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.types import Detections, Float64Array, Frame, Tracks
from ped_perception.core.views import ViewSpec
from ped_perception.evaluation.ground_score import Placed
from ped_perception.evaluation.labelled import LabelledPictures
from ped_perception.evaluation.mot import Labels, NO_REGIONS
from ped_perception.sources import Source, SourceFrame


@dataclass(frozen=True, eq=False)
class Sight:
    """
    A picture, and what the node knows of it before it looks.

    Attributes:
        source: as the camera sent it.
        upright: the same, turned so that people stand upright.
        turns: by how many quarters clockwise.
        views: to look at.
        model: calibration for the upright picture, None where it is not known.
        mounting: the same with the place of the camera, or why it is not known.
        problem: that in words, '' where it is known.
        ego: motion of the vehicle, None where it is not known.
    """

    source: Frame
    upright: Frame
    turns: int
    views: Sequence[ViewSpec]
    model: CameraModel | None
    mounting: Mounting | GroundReason
    problem: str
    ego: EgoMotion | None


class Camera(Protocol):
    """A camera with its parameters: what the node does before and after the network."""

    @property
    def jumps(self) -> int:
        """How often time was set back."""

    def is_fine(self, taken: SourceFrame) -> bool:
        """Judge the stamp of a picture; not fine is one that repeats or comes out of order."""

    def forget_times(self) -> None:
        """Begin anew because time was set."""

    def sight(self, taken: SourceFrame, network_hw: tuple[int, int]) -> Sight | None:
        """Prepare a picture, None for one that cannot be decoded."""

    def detections(self, sight: Sight, detections: Detections) -> Detections:
        """Give detections of the upright picture in pixels of the camera."""

    def tracks(self, sight: Sight, tracks: Tracks) -> Tracks:
        """Give tracks of the upright picture in pixels of the camera."""


@dataclass(frozen=True, eq=False)
class Recording:
    """
    Pictures of one camera with their labels.

    Attributes:
        name: '' for the only one of a run; it comes before the ids of its pictures.
        source: of the pictures, open.
        labels: of them; pictures without are followed, but not scored.
        camera: that took them.
    """

    name: str
    source: Source
    labels: LabelledPictures
    camera: Camera

    def image_id(self, number: int, taken: SourceFrame) -> int | str:
        """Give what a picture is called in the files that are written."""
        own = self.labels.image_id(number, taken)
        return f'{self.name}/{own}' if self.name else own


@dataclass(frozen=True, eq=False)
class Looked:
    """
    What was found in one picture, in pixels of the camera.

    Attributes:
        number: of the picture in its source, from 1.
        image_id: what it is called in the files that are written.
        labels: None for a picture without.
        detections: also those too unsure for the tracker.
        tracks: predicted and unconfirmed ones too.
        time_s: that it took, from decoded picture to tracks.
        name: of its file, '' where it has none.
        recording: that it is of, '' for the only one.
        regions_r4: float64[R, 4], ``x1 y1 x2 y2``, where people are not labelled.
        depths_n: float64[N], how far away each detection is in metres by its height; None
            without a calibration.
        placed: where people are and where they were placed, None where that is not known.
    """

    number: int
    image_id: int | str
    labels: Labels | None
    detections: Detections
    tracks: Tracks
    time_s: float
    name: str = ''
    recording: str = ''
    regions_r4: Float64Array = field(default_factory=lambda: NO_REGIONS)
    depths_n: Float64Array | None = None
    placed: Placed | None = None


def disorder_note(count: int, source: str) -> str:
    """Say what became of pictures whose stamps repeat or come out of order."""
    return (f'{count} pictures of {source} are no later than the one before and are left out, as '
            f'the node does.')
