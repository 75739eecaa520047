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

"""The camera of a recording that is evaluated: what the replay does with a picture, and TF."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from ped_perception.core.camera import CameraModel
from ped_perception.core.errors import import_extra, SourceError
from ped_perception.core.types import Detections, Tracks
from ped_perception.evaluation.labels_kitti import kitti_projection
from ped_perception.evaluation.looking import Sight
from ped_perception.replay.camera import NoSurroundings, Picture, ReplayedCamera, Surroundings
from ped_perception.ros.settings import Settings
from ped_perception.sources import Calibration, SourceFrame
from ped_perception.sources.bag_layout import is_bag_folder, STORAGE_SUFFIXES
from ped_perception.sources.calibration import calibration_from_yaml

# Gives the calibration of a picture, None to keep that of the recording.
Calibrations = Callable[[SourceFrame, tuple[int, int]], 'Calibration | None']


class EvaluatedCamera:
    """One camera; see :class:`ped_perception.evaluation.looking.Camera`."""

    def __init__(self, name: str, settings: Settings, surroundings: Surroundings,
                 calibrations: Calibrations) -> None:
        """
        Prepare.

        Raises:
            TransformError: the configured mounting is incomplete.
        """
        self._camera = ReplayedCamera(name, settings, surroundings)
        self._surroundings, self._calibrations = surroundings, calibrations

    @property
    def jumps(self) -> int:
        """How often time was set back."""
        return self._camera.jumps

    def is_fine(self, taken: SourceFrame) -> bool:
        """Judge the stamp of a picture."""
        return self._camera.is_fine(taken)

    def forget_times(self) -> None:
        """Begin anew because time was set."""
        self._camera.forget_times()

    def sight(self, taken: SourceFrame, network_hw: tuple[int, int]) -> Sight | None:
        """Prepare a picture, None for one that cannot be decoded."""
        picture = self._camera.decoded(taken)
        if picture is None:
            return None
        self._surroundings.advance(taken.log_ns)
        calibration = self._calibrations(taken, picture.source.source_hw)
        if calibration is not None:
            taken = replace(taken, calibration=calibration)
        mounting = self._camera.mounting(taken, picture)
        problem = self._camera.geometry.problem
        model = self._camera.model(picture)
        return Sight(picture.source, picture.upright, self._camera.turns,
                     self._camera.views(picture, mounting, network_hw),
                     model if isinstance(model, CameraModel) else None, mounting, problem,
                     self._surroundings.ego(taken.stamp_ns))

    def detections(self, sight: Sight, detections: Detections) -> Detections:
        """Give detections of the upright picture in pixels of the camera."""
        return self._camera.detections(Picture(sight.source, sight.upright), detections)

    def tracks(self, sight: Sight, tracks: Tracks) -> Tracks:
        """Give tracks of the upright picture in pixels of the camera."""
        return self._camera.tracks(Picture(sight.source, sight.upright), tracks)


def bag_of(source: str) -> Path | None:
    """Give the path of a source that is a rosbag2 recording, None for others."""
    path = Path(source).expanduser()
    is_bag = path.suffix in STORAGE_SUFFIXES or (path.is_dir() and is_bag_folder(path))
    return path if is_bag else None


def camera_for(source: str, name: str, settings: Settings, calibrations: Calibrations,
               stack: ExitStack) -> EvaluatedCamera:
    """
    Make the camera of a recording, with its transforms and odometry where it is a rosbag2.

    Args:
        source: path of the recording.
        name: of the camera among the settings.
        settings: of the node.
        calibrations: of its pictures.
        stack: closes what is opened.

    Raises:
        PedPerceptionError: the recording cannot be read, or the mounting is incomplete.
    """
    bag = bag_of(source)
    if bag is None:
        return EvaluatedCamera(name, settings, NoSurroundings(), calibrations)
    surroundings = import_extra('ped_perception.replay.surroundings', 'bags')
    storage, _ = import_extra('ped_perception.sources.storage', 'bags').open_storage(bag)
    stack.callback(storage.close)
    return EvaluatedCamera(name, settings, surroundings.RecordedSurroundings(
        storage, settings.node, storage.start_ns), calibrations)


def no_calibrations(taken: SourceFrame, source_hw: tuple[int, int]) -> Calibration | None:
    """Keep the calibration of the recording."""
    return None


def calibrations_from(place: Path) -> Calibrations:
    """
    Read calibrations: a file for all pictures, or KITTI's folder ``calib`` with one for each.

    Raises:
        SourceError: nothing is there.
        CalibrationError: a file cannot be read.
    """
    if place.is_dir():
        if not any(place.glob('*.txt')):
            raise SourceError(f'The folder {place} has no calibrations: of several recordings '
                              f'NAME.yaml each, of KITTI a .txt for each picture.')
        return lambda taken, source_hw: _of_kitti(place, taken, source_hw)
    calibration = calibration_from_yaml(str(place))
    return lambda taken, source_hw: calibration


def _of_kitti(folder: Path, taken: SourceFrame, source_hw: tuple[int, int]) -> Calibration | None:
    path = folder / f'{Path(taken.name).stem}.txt'
    if not taken.name or not path.is_file():
        return None
    # Rectified, and labels are read into the frame of this camera: its K is the whole story.
    k_33 = kitti_projection(path)[:, :3]
    return Calibration(source_hw, 'plumb_bob', d=(0.0,) * 5, k=tuple(map(float, k_33.ravel())),
                       r=tuple(map(float, np.eye(3).ravel())),
                       p=tuple(map(float, np.column_stack([k_33, np.zeros(3)]).ravel())))
