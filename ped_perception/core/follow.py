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
Who is who, and where: from the detections of every camera to everybody around the vehicle.

One tracker for each camera, one filter on the ground for all of them. Needs no network, so that
recorded detections can be followed again with other parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ped_perception.core.camera import CameraModel
from ped_perception.core.ego_motion import homography_from_rotation
from ped_perception.core.errors import CalibrationError
from ped_perception.core.ground import ground_positions, unavailable_positions
from ped_perception.core.ground_filter import GroundFilter, GroundFilterConfig
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.ground_types import GroundPositions, GroundReason, GroundTracks
from ped_perception.core.ids import Ids
from ped_perception.core.tracker import Tracker
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections, Float64Array, Frame, Int64Array, Tracks

# The track id of a detection that belongs to no confirmed track.
NOBODY = -1


@dataclass(frozen=True, eq=False)
class Mounting:
    """
    What must be known of a camera to place people on the ground.

    Attributes:
        model: for pictures of the size that the camera sends.
        base_from_camera_44: float64[4, 4], from the optical frame to base_link, at the time of
            the picture.
    """

    model: CameraModel
    base_from_camera_44: Float64Array


@dataclass(frozen=True, eq=False)
class Seen:
    """
    What is known of one picture.

    Attributes:
        detections: all of them, also those too unsure to be published.
        tracks: of the camera, predicted and unconfirmed ones too.
        positions: of the confirmed tracks, in their order.
    """

    detections: Detections
    tracks: Tracks
    positions: GroundPositions

    def ids_n(self) -> Int64Array:
        """Give the id of the confirmed track of each detection, :data:`NOBODY` for none."""
        ids_n = np.full(len(self.detections), NOBODY, np.int64)
        tracks = self.tracks
        told_t = tracks.confirmed_t & ~tracks.predicted_t
        ids_n[tracks.detections_t[told_t]] = tracks.ids_t[told_t]
        return ids_n


class Follower:
    """Follows the people of all cameras. For one thread."""

    def __init__(self, tracker: TrackerConfig, ground: GroundConfig,
                 ground_filter: GroundFilterConfig, ids: Ids | None = None) -> None:
        """Begin with nobody; ids go on where those of the run ended."""
        self._tracker_config, self._ground_config = tracker, ground
        self._ids = ids or Ids()
        self._trackers: dict[str, Tracker] = {}
        self._stamps_ns: dict[str, int] = {}
        self._filter = GroundFilter(ground_filter, self._ids)
        self._everybody: GroundTracks | None = None

    def reset(self) -> None:
        """Forget everybody, for example because time was set back; ids go on."""
        for tracker in self._trackers.values():
            tracker.reset()
        self._stamps_ns.clear()
        self._filter.reset()
        self._everybody = None

    def look_ahead(self, frame: Frame) -> None:
        """
        Do what can be done before the people of a picture are known.

        Optional. Frames of different cameras may be looked at in different threads, as long as
        nothing else is called meanwhile.
        """
        self._tracker(frame.camera).look_ahead(frame.pixels)

    def step(self, frame: Frame, detections: Detections,
             mounting: Mounting | GroundReason = GroundReason.NO_CALIBRATION,
             ego: EgoMotion | None = None) -> Seen:
        """
        Take in one picture; call it for pictures without detections too.

        Args:
            frame: the picture.
            detections: found in it, from the tracker's ``low_score`` on.
            mounting: of its camera, or why it is not known.
            ego: motion of the vehicle, None where it is not known.
        """
        camera = frame.camera
        tracker = self._tracker(camera)
        turned_33 = self._turned(frame, mounting, ego)
        self._stamps_ns[camera] = frame.stamp_ns
        tracks = tracker.step(detections, frame.pixels, turned_33)
        positions = self._placed(tracks.confirmed(), mounting)
        self._everybody = self._filter.update(positions, ego)
        return Seen(detections, tracks, positions)

    def everybody(self, stamp_ns: int | None = None) -> GroundTracks | None:
        """
        Give everybody around the vehicle, at the time of the newest picture.

        Args:
            stamp_ns: predict them to this time instead, to make up for latency.

        Returns:
            None before the first picture.
        """
        if self._everybody is None or stamp_ns is None or stamp_ns <= self._everybody.stamp_ns:
            return self._everybody
        return self._filter.predicted_to(stamp_ns)

    def _tracker(self, camera: str) -> Tracker:
        if camera not in self._trackers:
            self._trackers[camera] = Tracker(self._tracker_config, self._ids.tracks)
        return self._trackers[camera]

    def _turned(self, frame: Frame, mounting: Mounting | GroundReason,
                ego: EgoMotion | None) -> Float64Array | None:
        """Tell how odometry moved the background, where it can tell."""
        before_ns = self._stamps_ns.get(frame.camera)
        if (ego is None or before_ns is None or isinstance(mounting, GroundReason)
                # No homography moves the picture of a lens that bends lines.
                or mounting.model.distortion == 'equidistant'):
            return None
        angle_rad = -ego.yaw_rate_rad_s * (frame.stamp_ns - before_ns) / 1e9
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        base_33 = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        base_from_lens_33 = (mounting.base_from_camera_44[:3, :3]
                             @ mounting.model.optical_from_lens_33)
        return homography_from_rotation(
            mounting.model.matrix_33, base_from_lens_33.T @ base_33 @ base_from_lens_33)

    def _placed(self, tracks: Tracks, mounting: Mounting | GroundReason) -> GroundPositions:
        if isinstance(mounting, GroundReason):
            return unavailable_positions(tracks, mounting)
        try:
            return ground_positions(tracks, mounting.model, mounting.base_from_camera_44,
                                    self._ground_config)
        except CalibrationError:
            return unavailable_positions(tracks, GroundReason.NO_CALIBRATION)
