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

"""Calibration and mounting of a camera, from messages."""

from __future__ import annotations

import numpy as np
from ped_perception.core.follow import Mounting
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.horizon import HorizonConfig
from ped_perception.core.transforms import base_from_optical, TransformBuffer
from ped_perception.core.types import Frame
from ped_perception.ros.camera_geometry import CameraGeometry
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.convert import camera_info_from_intrinsics
import pytest

pytestmark = pytest.mark.ros

MATRIX = np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])
MOUNTED = CameraConfig(mounting_xyz_m=(1.5, 0.0, 1.4), mounting_rpy_deg=(0.0, 0.0, 0.0))


def geometry(config=MOUNTED, buffer=None):
    return CameraGeometry(config, buffer or TransformBuffer(), 'base_link', 0.1, HorizonConfig(),
                          0.0)


def frame(size_hw=(720, 1280), stamp_ns=10**9):
    return Frame('front', stamp_ns, 'front_optical', np.zeros((*size_hw, 3), np.uint8))


def info(size_hw=(720, 1280), matrix=MATRIX):
    return camera_info_from_intrinsics(size_hw, 1, 'front_optical', matrix)


@pytest.mark.parametrize(('message', 'reason', 'fragment', 'why'), [
    (None, GroundReason.NO_CALIBRATION, 'no CameraInfo', 'nothing has come'),
    (info(matrix=None), GroundReason.NO_CALIBRATION, 'uncalibrated', 'a driver without one'),
    (info(matrix=MATRIX * np.nan), GroundReason.NO_CALIBRATION, 'no projection', 'nonsense'),
    (info((480, 640)), GroundReason.NO_CALIBRATION, 'they have 1280x720', 'of another size'),
])
def test_what_is_missing_is_said(message, reason, fragment, why):
    camera = geometry()
    if message is not None:
        camera.take(message)
    assert camera.mounting(frame()) is reason, why
    assert fragment in camera.problem, why


def test_a_mounting_that_can_place_nobody_is_said_and_leaves_no_band():
    camera = geometry(CameraConfig(mounting_xyz_m=(1.5, 0.0, 0.0)))
    camera.take(info())
    mounting = camera.mounting(frame())
    assert mounting is GroundReason.NO_TRANSFORM
    assert 'below the ground. Check its z' in camera.problem
    assert camera.horizon(frame(), mounting, (384, 640)) is None


def test_a_mounting_by_parameters_needs_no_transforms():
    camera = geometry()
    assert not camera.needs_transforms
    camera.take(info())
    mounting = camera.mounting(frame())
    assert isinstance(mounting, Mounting)
    assert mounting.base_from_camera_44[:3, 3].tolist() == [1.5, 0.0, 1.4]
    assert camera.problem == ''


def test_a_mounting_by_transforms_is_that_of_the_time_of_the_picture():
    buffer = TransformBuffer()
    for second in (1, 2):
        buffer.put('base_link', 'front_optical', second * 10**9,
                   base_from_optical((float(second), 0.0, 1.4), (0.0, 0.0, 0.0)))
    camera = geometry(CameraConfig(), buffer)
    camera.take(info())
    assert camera.needs_transforms
    assert camera.mounting(frame(stamp_ns=1_500_000_000)).base_from_camera_44[0, 3] == 1.5
    assert camera.mounting(frame(stamp_ns=3 * 10**9)) is GroundReason.NO_TRANSFORM
    assert '1.000 s after' in camera.problem


def test_the_same_calibration_is_read_once_and_another_one_at_once():
    camera = geometry()
    camera.take(info())
    first = camera.mounting(frame()).model
    camera.take(info())
    assert camera.mounting(frame()).model is first
    camera.take(info(matrix=MATRIX * [[2, 1, 1], [1, 2, 1], [1, 1, 1]]))
    assert camera.mounting(frame()).model.focal_xy == (2000.0, 2000.0)


def test_a_turned_picture_has_a_turned_model():
    camera = geometry(CameraConfig(mounting_xyz_m=(1.5, 0.0, 1.4), rotation_deg=90))
    camera.take(info())
    assert camera.mounting(frame((1280, 720))).model.size_hw == (1280, 720)


def test_the_horizon_is_a_band_at_native_resolution_where_far_people_are():
    camera = geometry()
    assert camera.horizon(frame(), GroundReason.NO_CALIBRATION, (384, 640)) is None
    camera.take(info())
    left, top, right, bottom = camera.horizon(frame(), camera.mounting(frame()), (384, 640))
    assert ((right - left) * 1280, (bottom - top) * 720) == pytest.approx((640, 384))
    assert top < 360 / 720 < bottom, 'a level camera has the horizon in its middle'
