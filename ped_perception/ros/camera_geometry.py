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

"""Calibration and mounting of one camera at the time of a picture."""

from __future__ import annotations

from ped_perception.core.camera import camera_model_from_calibration, CameraModel
from ped_perception.core.errors import CalibrationError, TransformError
from ped_perception.core.follow import Mounting
from ped_perception.core.ground import centre_of_projection
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.horizon import horizon_crop, HorizonConfig
from ped_perception.core.transforms import base_from_optical, TransformBuffer
from ped_perception.core.types import Float64Array, Frame
from ped_perception.core.views import Region
from ped_perception.ros.config import CameraConfig
from sensor_msgs.msg import CameraInfo

# The horizon moves with the mounting; for a mounting that moves all the time once a second does.
_HORIZON_NS = 1_000_000_000


class CameraGeometry:
    """
    Gives the mounting of a camera for each picture.

    ``take`` is called by the executor's thread, everything else by the inference thread.

    Attributes:
        problem: why there was no mounting for the last picture, empty where there was one.
    """

    def __init__(self, config: CameraConfig, buffer: TransformBuffer, base_frame: str,
                 tolerance_s: float, horizon: HorizonConfig, ground_z_m: float) -> None:
        """
        Begin without a calibration.

        Args:
            config: of the camera.
            buffer: transforms, used where the configuration has no mounting.
            base_frame: frame of the vehicle.
            tolerance_s: of transforms against pictures.
            horizon: what the band of far pedestrians must show.
            ground_z_m: of the ground in base_frame.

        Raises:
            TransformError: the configured mounting is incomplete.
        """
        self._config = config
        self._buffer, self._base_frame, self._tolerance_s = buffer, base_frame, tolerance_s
        self._horizon_config, self._ground_z_m = horizon, ground_z_m
        self._fixed_44: Float64Array | None = (
            base_from_optical(config.mounting_xyz_m, config.mounting_rpy_deg)
            if config.mounting_xyz_m else None)
        self._info: CameraInfo | None = None
        self._model: tuple[CameraInfo, CameraModel | CalibrationError] | None = None
        self._horizon: tuple[int, CameraModel, Region | None] | None = None
        self.problem = 'no CameraInfo has come'

    @property
    def needs_transforms(self) -> bool:
        """Whether the mounting comes from TF."""
        return self._fixed_44 is None

    def take(self, info: CameraInfo) -> None:
        """Take the newest calibration."""
        self._info = info

    def model(self, frame: Frame) -> CameraModel | GroundReason:
        """Give the calibration for an upright picture, or why there is none."""
        info = self._info
        if info is None:
            self.problem = 'no CameraInfo has come'
            return GroundReason.NO_CALIBRATION
        model = self._model_of(info)
        if isinstance(model, CalibrationError):
            self.problem = str(model)
            return GroundReason.NO_CALIBRATION
        if model.size_hw != frame.source_hw:
            self.problem = (f'the CameraInfo is for pictures of {model.size_hw[1]}x'
                            f'{model.size_hw[0]}, they have {frame.source_hw[1]}x'
                            f'{frame.source_hw[0]}')
            return GroundReason.NO_CALIBRATION
        return model

    def mounting(self, frame: Frame) -> Mounting | GroundReason:
        """Give calibration and mounting for an upright picture, or why there is none."""
        model = self.model(frame)
        if isinstance(model, GroundReason):
            return model
        try:
            base_from_camera_44 = self._fixed_44 if self._fixed_44 is not None else (
                self._buffer.lookup(self._base_frame, frame.frame_id, frame.stamp_ns,
                                    self._tolerance_s))
            # A mounting without its height places nobody, and an integrator must know why.
            centre_of_projection(model, base_from_camera_44, self._ground_z_m)
        except (TransformError, CalibrationError) as error:
            self.problem = str(error)
            return GroundReason.NO_TRANSFORM
        self.problem = ''
        return Mounting(model, base_from_camera_44)

    def horizon(self, frame: Frame, mounting: Mounting | GroundReason,
                network_hw: tuple[int, int]) -> Region | None:
        """Give the band of far pedestrians in fractions of the picture, None for not known."""
        if isinstance(mounting, GroundReason):
            return None
        known = self._horizon
        if (known is None or known[1] is not mounting.model
                or abs(frame.stamp_ns - known[0]) > _HORIZON_NS):
            known = (frame.stamp_ns, mounting.model, self._placed(mounting, network_hw))
            self._horizon = known
        return known[2]

    def _placed(self, mounting: Mounting, network_hw: tuple[int, int]) -> Region | None:
        crop = horizon_crop(mounting.model, mounting.base_from_camera_44, network_hw,
                            self._horizon_config, self._ground_z_m)
        if crop is None:
            return None
        height, width = mounting.model.size_hw
        return crop[0] / width, crop[1] / height, crop[2] / width, crop[3] / height

    def _model_of(self, info: CameraInfo) -> CameraModel | CalibrationError:
        """Build the model of a calibration; drivers send the same one with every picture."""
        if self._model is None or not _same(self._model[0], info):
            try:
                model: CameraModel | CalibrationError = camera_model_from_info(
                    info, self._config.rectified).turned(self._config.rotation_deg // 90)
            except CalibrationError as error:
                model = error
            self._model = (info, model)
        return self._model[1]


def camera_model_from_info(info: CameraInfo, rectified: bool) -> CameraModel:
    """
    Build a camera from its CameraInfo.

    Args:
        info: the message.
        rectified: the pictures are rectified already.

    Raises:
        CalibrationError: not calibrated, not finite, or contradictory.
    """
    roi = info.roi
    return camera_model_from_calibration(
        size_hw=(info.height, info.width), k_9=info.k.tolist(),
        distortion_model=info.distortion_model, d_k=info.d.tolist(), r_9=info.r.tolist(),
        p_12=info.p.tolist(), rectified=rectified, binning_xy=(info.binning_x, info.binning_y),
        roi_xyxy=(roi.x_offset, roi.y_offset, roi.x_offset + roi.width,
                  roi.y_offset + roi.height) if roi.width and roi.height else None)


def _same(first: CameraInfo, second: CameraInfo) -> bool:
    if first is second:
        return True
    # All but the header; NaN, which is unlike itself, is built again and refused again.
    return all(
        (getattr(first, name).tolist() if name in 'krpd' else getattr(first, name))
        == (getattr(second, name).tolist() if name in 'krpd' else getattr(second, name))
        for name in ('height', 'width', 'k', 'd', 'r', 'p', 'distortion_model', 'binning_x',
                     'binning_y', 'roi'))
