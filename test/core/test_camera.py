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

"""Lenses: agreement with OpenCV, exact round trips, and refusal of what is no calibration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.camera import camera_model_from_calibration, CameraModel
from ped_perception.core.errors import CalibrationError
import pytest

SHARED = Path(os.environ.get('PED_SHARED_DATA', Path(__file__).parents[2] / '../shared/data'))
K_9 = [500.0, 0, 330, 0, 510, 230, 0, 0, 1]
K_33 = np.reshape(K_9, (3, 3))

# name, distortion model, D, why
LENSES = [
    ('straight', 'plumb_bob', [0.0] * 5, 'simulators publish zeros'),
    ('webcam', 'plumb_bob', [-0.266, -0.0386, 0.00178, -0.000281, 0.238], 'the chessboard set'),
    ('strong barrel', 'plumb_bob', [-0.38, 0.17, 0.001, -0.002, -0.04],
     'OpenCV alone misses by pixels in the corners'),
    ('pincushion', 'plumb_bob', [0.25, 0.12, -0.002, 0.001], 'four coefficients are legal'),
    ('rational', 'rational_polynomial',
     [5.4, 3.2, -0.0003, 0.0002, 0.16, 5.7, 4.9, 0.85], 'wide angle, eight coefficients'),
    ('thin prism', 'rational_polynomial',
     [-0.3, 0.1, 0.001, -0.001, 0.01, 0.02, 0.01, 0.001, 0.002, -0.001, 0.001, 0.003],
     'OpenCV appends four prism terms'),
    ('fisheye', 'equidistant', [-0.02, 0.004, -0.003, 0.0005], 'beyond what a pinhole can do'),
    ('bare fisheye', 'equidistant', [0.0] * 4, 'zeros do not turn a fisheye into a pinhole'),
]
MODELS = {
    name: camera_model_from_calibration(
        size_hw=(480, 640), k_9=K_9, distortion_model=model, d_k=d)
    for name, model, d, _ in LENSES}


def grid_of(model: CameraModel) -> np.ndarray:
    height, width = model.size_hw
    x, y = np.meshgrid(np.linspace(0, width, 17), np.linspace(0, height, 13))
    return np.column_stack([x.ravel(), y.ravel()])


def opencv_pixels(model: CameraModel, points_n3: np.ndarray) -> np.ndarray:
    project = cv2.fisheye.projectPoints if model.distortion == 'equidistant' else None
    zero, points = np.zeros(3), points_n3.reshape(-1, 1, 3)
    d = model.coefficients_k.copy()
    if project is not None:
        return project(points, zero, zero, np.array(model.matrix_33), d)[0].reshape(-1, 2)
    return cv2.projectPoints(points, zero, zero, np.array(model.matrix_33), d)[0].reshape(-1, 2)


@pytest.mark.parametrize('name', MODELS)
def test_every_pixel_of_the_picture_makes_the_round_trip(name: str) -> None:
    model = MODELS[name]
    pixels_n2 = grid_of(model)
    rays_n3 = model.rays_from_pixels(pixels_n2)
    np.testing.assert_allclose(np.linalg.norm(rays_n3, axis=1), 1)
    np.testing.assert_allclose(model.pixels_from_points(7 * rays_n3), pixels_n2, atol=0.001)


@pytest.mark.parametrize('name', MODELS)
def test_projection_agrees_with_opencv(name: str) -> None:
    """Pixels of OpenCV start half a pixel further in than those of boxes."""
    model = MODELS[name]
    points_n3 = 9 * model.rays_from_pixels(grid_of(model))
    np.testing.assert_allclose(model.pixels_from_points(points_n3) - 0.5,
                               opencv_pixels(model, points_n3), atol=0.001)


def test_rays_agree_with_opencv_where_its_inverse_converges() -> None:
    model = MODELS['webcam']
    pixels_n2 = grid_of(model)
    flat = cv2.undistortPointsIter(
        (pixels_n2 - 0.5).reshape(-1, 1, 2), np.array(model.matrix_33),
        model.coefficients_k.copy(), np.eye(3), np.eye(3),
        (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)).reshape(-1, 2)
    rays_n3 = model.rays_from_pixels(pixels_n2)
    moved_px = (rays_n3[:, :2] / rays_n3[:, 2:] - flat) * model.focal_xy
    assert np.abs(moved_px).max() < 0.01


@pytest.mark.parametrize('name', MODELS)
@settings(max_examples=40, deadline=None)
@given(x=st.floats(5, 635), y=st.floats(5, 475))
def test_jacobians_are_the_slopes_of_the_rays(name: str, x: float, y: float) -> None:
    model, step = MODELS[name], 1e-4
    pixels_n2 = np.array([[x, y], [x + step, y], [x - step, y], [x, y + step], [x, y - step]])
    rays_n3, jacobians_n32 = model.rays_and_jacobians(pixels_n2)
    slopes_32 = np.column_stack([rays_n3[1] - rays_n3[2], rays_n3[3] - rays_n3[4]]) / (2 * step)
    np.testing.assert_allclose(jacobians_n32[0], slopes_32, atol=1e-7)


def test_a_fisheye_sees_behind_itself() -> None:
    model = camera_model_from_calibration(
        size_hw=(1000, 1000), k_9=[250.0, 0, 499.5, 0, 250, 499.5, 0, 0, 1],
        distortion_model='fisheye', d_k=[0.0] * 4)
    ray_3 = model.rays_from_pixels(np.array([[990.0, 500.0]]))[0]
    assert ray_3[2] < 0 < ray_3[0]
    np.testing.assert_allclose(model.pixels_from_points(ray_3[None]), [[990, 500]])


def test_what_a_pinhole_cannot_see_has_no_pixel() -> None:
    points_n3 = np.array([[0, 0, -1.0], [0, 0, 0], [1, 0, 0], [np.nan, 0, 1], [0, 0, 1]])
    for name in ('straight', 'strong barrel'):
        seen_n = np.isfinite(MODELS[name].pixels_from_points(points_n3)).all(axis=1)
        assert seen_n.tolist() == [False, False, False, False, True]


def test_points_beyond_the_fold_of_a_barrel_do_not_come_back_into_the_picture() -> None:
    model = camera_model_from_calibration(
        size_hw=(480, 640), k_9=K_9, distortion_model='plumb_bob', d_k=[-0.3, 0, 0, 0, 0])
    # r - 0.3 r^3 grows until r = 1.054; at r = 1.7 it is back at 0.23, inside the picture.
    far_out = np.array([[1.7, 0, 1.0], [1.0, 0, 1]])
    assert np.isnan(model.pixels_from_points(far_out)).all(axis=1).tolist() == [True, False]
    # The largest distorted radius is 0.703, that is 351 px from the axis.
    rays_n3 = model.rays_from_pixels(np.array([[330.5 + 360, 230.5], [330.5 + 345, 230.5]]))
    assert np.isnan(rays_n3).all(axis=1).tolist() == [True, False]


def calibration(**changes: Any) -> dict[str, Any]:
    usual = {'size_hw': (480, 640), 'k_9': K_9, 'distortion_model': 'plumb_bob',
             'd_k': [-0.2, 0.1, 0, 0, 0]}
    return {**usual, **changes}


@pytest.mark.parametrize(('changes', 'says'), [
    ({'k_9': [0.0] * 9}, 'uncalibrated'),                       # REP 104: K[0] == 0
    ({'k_9': [np.nan, *K_9[1:]]}, 'not finite'),
    ({'d_k': [np.inf, 0, 0, 0, 0]}, 'not finite'),
    ({'k_9': [500.0, 0, 330, 0, -510, 230, 0, 0, 1]}, 'positive focal'),
    ({'k_9': [500.0, 2, 330, 0, 510, 230, 0, 0, 1]}, 'K must be'),  # skew, or K transposed
    ({'d_k': [-0.2, 0.1, 0]}, '4 or 5 coefficients, .* has 3'),
    ({'distortion_model': 'equidistant'}, 'equidistant has 4'),
    ({'distortion_model': 'thin_prism'}, 'no distortion model'),
    ({'r_9': [2.0, 0, 0, 0, 1, 0, 0, 0, 1]}, 'no rotation'),
    ({'r_9': [1.0, 0, 0, 0, 1, 0, 0, 0, -1]}, 'no rotation'),   # a mirror
    ({'rectified': True}, 'P of the CameraInfo is zero'),
    ({'p_12': [500.0, 0, 330, np.nan, 0, 500, 230, 0, 0, 0, 1, 0]}, 'no projection'),
    ({'p_12': [500.0, 0, 330, 0, 0, 500, 230, 0, 0, 0, 0, 0]}, 'no projection'),  # without its 1
    ({'size_hw': (0, 640)}, 'width of the picture'),             # drivers that fill K only
])
def test_what_is_no_calibration_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        camera_model_from_calibration(**calibration(**changes))


def test_raw_and_rectified_topics_of_a_stereo_camera_give_the_same_ray() -> None:
    """The rays differ in pixels, lens and matrix, but not in the frame that TF knows."""
    turn = cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))[0]
    raw_33, d_5 = K_33.copy(), np.array([-0.27, 0.08, 0.001, -0.001, 0.0])
    sides = cv2.stereoRectify(raw_33, d_5, raw_33, d_5, (640, 480), turn,
                              np.array([-0.12, 0.001, 0.002]), flags=cv2.CALIB_ZERO_DISPARITY)
    right_r, right_p = sides[1], sides[3]
    both = [camera_model_from_calibration(
        **calibration(d_k=d_5, r_9=right_r.ravel(), p_12=right_p.ravel(), rectified=rectified))
        for rectified in (False, True)]
    pixels_n2 = grid_of(both[0])
    rectified_n2 = cv2.undistortPointsIter(
        (pixels_n2 - 0.5).reshape(-1, 1, 2), raw_33, d_5, right_r, right_p,
        (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 500, 1e-12)).reshape(-1, 2) + 0.5
    np.testing.assert_allclose(both[0].rays_from_pixels(pixels_n2),
                               both[1].rays_from_pixels(rectified_n2), atol=1e-5)
    for model in both:
        # The second camera sits a baseline to the right in the frame of the first.
        np.testing.assert_allclose(model.centre_3, [0.12, 0, 0], atol=1e-4)
        points_n3 = model.centre_3 + 4 * model.rays_from_pixels(pixels_n2)
        np.testing.assert_allclose(model.pixels_from_points(points_n3), pixels_n2, atol=0.001)


def test_joined_pixels_of_an_odd_picture_are_twice_as_large_to_the_last_digit() -> None:
    model = camera_model_from_calibration(
        size_hw=(481, 641), k_9=[500.0, 0, 319.5, 0, 500, 239.5, 0, 0, 1],
        distortion_model='plumb_bob', d_k=[0.0] * 5, binning_xy=(2, 2))
    assert model.size_hw == (240, 320)
    assert model.focal_xy == (250.0, 250.0)
    assert model.principal_xy == (160.0, 120.0)


def test_a_smaller_picture_of_the_same_camera_sees_the_same() -> None:
    """Binning, regions and resizing change pixels only."""
    full = MODELS['webcam']
    pixels_n2 = grid_of(full)
    rays_n3 = full.rays_from_pixels(pixels_n2)
    half = full.resized((240, 320))
    np.testing.assert_allclose(half.rays_from_pixels(pixels_n2 / 2), rays_n3, atol=1e-9)
    part = camera_model_from_calibration(
        size_hw=(480, 640), k_9=K_9, distortion_model='plumb_bob', d_k=LENSES[1][2],
        roi_xyxy=(40, 80, 600, 480), binning_xy=(2, 2))
    assert part.size_hw == (200, 280)
    np.testing.assert_allclose(part.rays_from_pixels((pixels_n2 - (40, 80)) / 2), rays_n3,
                               atol=1e-9)


@pytest.mark.parametrize(('file', 'matrix', 'coefficients', 'lost'), [
    ('left_intrinsics.yml', 'camera_matrix', 'distortion_coefficients', 0),
    # This calibration folds at 384 px from the axis: the outermost corners have no ray.
    ('intrinsics.yml', 'M2', 'D2', 6),
])
def test_real_calibrations_make_the_round_trip(
        file: str, matrix: str, coefficients: str, lost: int) -> None:
    path = SHARED / 'camera_calibration' / file
    if not path.is_file():
        pytest.skip('the chessboard set is not here')
    store = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    model = camera_model_from_calibration(
        size_hw=(480, 640), k_9=store.getNode(matrix).mat().ravel(), distortion_model='plumb_bob',
        d_k=store.getNode(coefficients).mat().ravel())
    pixels_n2 = grid_of(model)
    points_n3 = 5 * model.rays_from_pixels(pixels_n2)
    has_ray_n = np.isfinite(points_n3).all(axis=1)
    assert np.count_nonzero(~has_ray_n) <= lost
    pixels_n2, points_n3 = pixels_n2[has_ray_n], points_n3[has_ray_n]
    np.testing.assert_allclose(model.pixels_from_points(points_n3), pixels_n2, atol=0.001)
    np.testing.assert_allclose(opencv_pixels(model, points_n3) + 0.5, pixels_n2, atol=0.1)


@pytest.mark.parametrize('quarter_turns', [0, 1, 2, 3, 5])
@pytest.mark.parametrize('name', MODELS)
def test_a_turned_picture_has_the_same_rays(name: str, quarter_turns: int) -> None:
    model = MODELS[name]
    turned = model.turned(quarter_turns)
    pixels_n2 = grid_of(model)
    places_n2 = pixels_n2
    for turn in range(quarter_turns % 4):
        # Clockwise: what was the distance from the bottom is now that from the left.
        places_n2 = np.stack([model.size_hw[turn % 2] - places_n2[:, 1], places_n2[:, 0]], axis=1)
    assert turned.size_hw == (model.size_hw if quarter_turns % 2 == 0 else model.size_hw[::-1])
    expected_n3 = model.rays_from_pixels(pixels_n2)
    assert np.allclose(turned.rays_from_pixels(places_n2), expected_n3, atol=1e-9, equal_nan=True)
    assert np.allclose(turned.pixels_from_points(expected_n3 + model.centre_3), places_n2,
                       atol=1e-4, equal_nan=True)
