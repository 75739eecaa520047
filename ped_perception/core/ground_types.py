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

"""The nouns of the ground: where pedestrians stand, in base_link; see ``types`` for the rules."""

from __future__ import annotations

from dataclasses import dataclass, fields
import enum

import numpy as np
from ped_perception.core.types import (
    BoolArray,
    fix_field,
    Float32Array,
    Float64Array,
    Int64Array,
    Uint8Array,
)


class GroundReason(enum.IntEnum):
    """
    How the position of a pedestrian was found, or why there is none.

    Those below :attr:`ABOVE_HORIZON` come with a position, the others without.
    """

    AGREED = 0
    """Foot point and person height agree: both are in the position."""
    FOOT_ONLY = 1
    """The head is cut off by the border of the picture: foot point alone."""
    HEIGHT_ONLY = 2
    """The foot point is too close to the horizon to measure: person height alone."""
    FOOT_NEARER = 3
    """The two disagree and the foot point is nearer: short, sitting, or the head is hidden."""
    HEIGHT_NEARER = 4
    """The two disagree and the person height is nearer: feet hidden, or on raised ground."""
    FEET_CUT = 5
    """The feet are below the picture: somewhere between the camera and the picture's edge."""
    FEET_COVERED = 6
    """Somebody nearer covers the feet: somewhere between him and the farthest place possible."""
    ABOVE_HORIZON = 10
    """The foot point meets the ground nowhere."""
    TOO_FAR = 11
    """Farther than the range that positions are asked for."""
    NO_RAY = 12
    """The calibrated lens does not draw anything at that pixel."""
    BAD_BOX = 13
    """The box is empty, not finite, or of somebody lying or upside down: see ``rotation_deg``."""
    NO_CALIBRATION = 14
    """There is no usable CameraInfo for this camera."""
    NO_TRANSFORM = 15
    """The mounting of the camera is not known at the time of the picture."""
    LOST = 16
    """Not placed for so long that the last position says nothing any more."""


_UNPLACED = int(GroundReason.ABOVE_HORIZON)


@dataclass(frozen=True, eq=False)
class GroundPositions:
    """
    Where the tracks of one camera stand in one picture: a measurement, nothing filtered.

    Positions are in base_link (x forward, y left, metres). Rows without one are NaN.

    Attributes:
        camera: name of the camera.
        stamp_ns: of the picture, ROS time in nanoseconds.
        ids_t: int64[T], track ids of this camera.
        scores_t: float32[T] in 0..1.
        ages_s_t: float32[T], seconds since the first detection.
        seen_t: bool[T], False for boxes that the tracker predicted.
        xy_t2: float64[T, 2] in metres.
        cov_t22: float64[T, 2, 2] in square metres, everything included.
        noise_t22: float64[T, 2, 2], the part of cov_t22 that is new in every picture; the rest
            stays as it is for a while (a tall person stays tall) and cannot be averaged away.
        heights_t: float64[T], of the person in metres.
        reason_t: uint8[T] of :class:`GroundReason`.
    """

    camera: str
    stamp_ns: int
    ids_t: Int64Array
    scores_t: Float32Array
    ages_s_t: Float32Array
    seen_t: BoolArray
    xy_t2: Float64Array
    cov_t22: Float64Array
    noise_t22: Float64Array
    heights_t: Float64Array
    reason_t: Uint8Array

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        fix_field(self, 'ids_t', np.int64, None)
        count = self.ids_t.shape[0]
        fix_field(self, 'scores_t', np.float32, count)
        fix_field(self, 'ages_s_t', np.float32, count)
        fix_field(self, 'seen_t', np.bool_, count)
        fix_field(self, 'xy_t2', np.float64, count, 2)
        fix_field(self, 'cov_t22', np.float64, count, 2, 2)
        fix_field(self, 'noise_t22', np.float64, count, 2, 2)
        fix_field(self, 'heights_t', np.float64, count)
        fix_field(self, 'reason_t', np.uint8, count)

    def __len__(self) -> int:
        """Give the number of tracks, with a position or without."""
        return len(self.ids_t)

    @property
    def valid_t(self) -> BoolArray:
        """Tell which tracks have a position: bool[T]."""
        # With a member of an enumeration the comparison would take ten times as long.
        placed_t: BoolArray = self.reason_t < _UNPLACED
        return placed_t

    def take(self, taken_t: BoolArray) -> GroundPositions:
        """Leave the others out."""
        rows = {entry.name: getattr(self, entry.name)[taken_t] for entry in fields(self)
                if entry.name not in ('camera', 'stamp_ns')}
        return GroundPositions(self.camera, self.stamp_ns, **rows)


@dataclass(frozen=True, eq=False)
class GroundTracks:
    """
    Pedestrians around the vehicle at one instant, each once however many cameras see him.

    In base_link: x forward, y left, metres.

    Attributes:
        stamp_ns: that the positions are for, ROS time in nanoseconds.
        ids_t: int64[T], ascending, never given to anyone else in this run.
        xy_t2: float64[T, 2], NaN where not valid.
        cov_t22: float64[T, 2, 2] of the position, NaN where not valid.
        velocity_t2: float64[T, 2] in m/s along the axes of base_link, NaN where not valid.
        velocity_cov_t22: float64[T, 2, 2], everything included, NaN where not valid.
        heights_t: float64[T] in metres, NaN where not known.
        scores_t: float32[T], best of the cameras.
        valid_t: bool[T], there is a position.
        predicted_t: bool[T], the newest picture of none of its cameras gave a position.
        reason_t: uint8[T], :class:`GroundReason` of the latest measurement.
        sources_t: for each pedestrian the (camera, track id) pairs that are this pedestrian.
        over_ground: velocities are over ground (there was odometry), else as base_link sees
            them, the vehicle's own motion included.
    """

    stamp_ns: int
    ids_t: Int64Array
    xy_t2: Float64Array
    cov_t22: Float64Array
    velocity_t2: Float64Array
    velocity_cov_t22: Float64Array
    heights_t: Float64Array
    scores_t: Float32Array
    valid_t: BoolArray
    predicted_t: BoolArray
    reason_t: Uint8Array
    sources_t: tuple[tuple[tuple[str, int], ...], ...]
    over_ground: bool

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        fix_field(self, 'ids_t', np.int64, None)
        count = self.ids_t.shape[0]
        for name in ('xy_t2', 'velocity_t2'):
            fix_field(self, name, np.float64, count, 2)
        for name in ('cov_t22', 'velocity_cov_t22'):
            fix_field(self, name, np.float64, count, 2, 2)
        fix_field(self, 'heights_t', np.float64, count)
        fix_field(self, 'scores_t', np.float32, count)
        fix_field(self, 'valid_t', np.bool_, count)
        fix_field(self, 'predicted_t', np.bool_, count)
        fix_field(self, 'reason_t', np.uint8, count)
        if len(self.sources_t) != count:
            raise ValueError(f'sources_t must have {count} entries, not {len(self.sources_t)}')

    def __len__(self) -> int:
        """Give the number of pedestrians, with a position or without."""
        return len(self.ids_t)
