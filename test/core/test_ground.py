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

"""Positions on the ground: scenes with known truth, honest uncertainty, and no guesses."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.camera import camera_model_from_calibration, CameraModel
from ped_perception.core.errors import CalibrationError
from ped_perception.core.ground import ground_positions, unavailable_positions
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.ground_types import GroundPositions, GroundReason
import pytest
from scenes import (
    base_from_camera,
    body_box,
    kitti_view,
    nuscenes_views,
    person_box,
    pinhole,
    RealView,
    tracks_of,
)

CONFIG = GroundConfig()
LEVEL = base_from_camera()
# Two degrees of freedom, 95 %: squared 2.448.
INSIDE_95 = 5.991


def mahalanobis(positions: GroundPositions, truth_t2: np.ndarray) -> np.ndarray:
    """Squared distance of the truth from the positions, in standard deviations."""
    off_t2 = positions.xy_t2 - truth_t2
    return np.array([off @ np.linalg.solve(cov, off) if np.isfinite(off).all() else np.nan
                     for off, cov in zip(off_t2, positions.cov_t22, strict=True)])


def place(box: list[float], mounting: np.ndarray = LEVEL, model: CameraModel | None = None,
          config: GroundConfig = CONFIG) -> GroundPositions:
    model = model or pinhole()
    return ground_positions(tracks_of([box], size_hw=model.size_hw), model, mounting, config)


SCENES: list[tuple[str, dict[str, Any], tuple[float, float], dict[str, float], GroundReason]] = [
    ('an adult on the plane', {}, (13.5, 1.0), {}, GroundReason.AGREED),
    ('camera to the left', {'yaw_deg': 90}, (2.0, 9.0), {}, GroundReason.AGREED),
    ('camera to the rear', {'yaw_deg': 180, 'pitch_deg': 8}, (-7.0, -2.0), {},
     GroundReason.AGREED),
    ('a rolled camera', {'roll_deg': 6, 'pitch_deg': 3}, (15.0, -5.0), {}, GroundReason.AGREED),
    ('a truck looks down', {'xyz': (3, 0, 2.9), 'pitch_deg': 15}, (11.0, 2.0), {},
     GroundReason.AGREED),
    ('a child: the foot point is right', {}, (11.0, 1.0), {'height_m': 1.1},
     GroundReason.FOOT_NEARER),
    ('on an embankment: the height is right', {}, (22.0, 2.0), {'lift_m': 0.8},
     GroundReason.HEIGHT_NEARER),
    ('feet just below the horizon', {}, (75.0, 3.0), {}, GroundReason.HEIGHT_ONLY),
    ('head above the picture', {'pitch_deg': 25}, (4.5, 0.2), {}, GroundReason.FOOT_ONLY),
]


@pytest.mark.parametrize(('why', 'mounting', 'xy', 'person', 'reason'), SCENES)
def test_a_person_is_placed_where_he_stands(
        why: str, mounting: dict[str, Any], xy: tuple[float, float], person: dict[str, float],
        reason: GroundReason) -> None:
    transform = base_from_camera(**mounting)
    positions = place(person_box(pinhole(), transform, xy, **person), transform)
    assert positions.reason_t[0] == reason
    range_m = np.linalg.norm(np.array(xy) - transform[:2, 3])
    assert np.linalg.norm(positions.xy_t2[0] - xy) < 0.015 * range_m
    assert mahalanobis(positions, np.array([xy]))[0] < INSIDE_95
    if reason not in (GroundReason.FOOT_ONLY, GroundReason.HEIGHT_ONLY):
        assert positions.heights_t[0] == pytest.approx(person.get('height_m', 1.7), abs=0.02)


@pytest.mark.parametrize(('why', 'box', 'reason'), [
    ('feet at the height of the camera', [600, 200, 680, 360], GroundReason.ABOVE_HORIZON),
    ('feet above the horizon: on a bridge', [600, 100, 680, 250], GroundReason.ABOVE_HORIZON),
    ('eight pixels high: 190 m away', [600, 356, 604, 364], GroundReason.TOO_FAR),
    ('head cut off, feet too near the horizon to tell 54 m', [600, 0, 680, 385],
     GroundReason.TOO_FAR),
    ('an empty box', [600, 400, 600, 500], GroundReason.BAD_BOX),
    ('upside down', [600, 500, 680, 400], GroundReason.BAD_BOX),
    ('not a number', [600, np.nan, 680, 500], GroundReason.BAD_BOX),
    ('infinite', [600, 300, np.inf, 500], GroundReason.BAD_BOX),
])
def test_no_position_rather_than_a_guess(
        why: str, box: list[float], reason: GroundReason) -> None:
    positions = place(box)
    assert positions.reason_t[0] == reason
    assert not positions.valid_t[0]
    assert np.isnan(positions.xy_t2).all()
    assert np.isnan(positions.cov_t22).all()


def test_a_pixel_beyond_the_fold_of_the_lens_has_no_position() -> None:
    model = camera_model_from_calibration(
        size_hw=(720, 1280), k_9=[500.0, 0, 639.5, 0, 500, 359.5, 0, 0, 1],
        distortion_model='plumb_bob', d_k=[-0.3, 0, 0, 0, 0])
    positions = place([1180, 400, 1240, 560], model=model)
    assert positions.reason_t[0] == GroundReason.NO_RAY
    assert not positions.valid_t[0]


@pytest.mark.parametrize(('xyz', 'xy'), [
    ((1.5, 0, 1.5), (3.5, 0.3)), ((1.5, 0, 1.5), (4.6, 0.0)), ((3.0, 0, 2.6), (6.0, 0.2)),
    ((3.0, 0, 2.6), (6.5, -0.5))])
def test_feet_below_the_picture_put_a_person_between_camera_and_edge(
        xyz: tuple[float, float, float], xy: tuple[float, float]) -> None:
    """The nearest person of all must not be the one without a position."""
    mounting = base_from_camera(xyz)
    box = person_box(pinhole(), mounting, xy)
    assert box[3] > 720
    positions = place([box[0], box[1], box[2], 720], mounting)
    assert positions.reason_t[0] == GroundReason.FEET_CUT
    assert mahalanobis(positions, np.array([xy]))[0] < INSIDE_95
    # The lower border of this picture shows the ground 3.75 m (5 m from a truck) ahead.
    assert positions.xy_t2[0, 0] < xyz[0] + 2.5 * xyz[2]


@pytest.mark.parametrize('side', ['left', 'right'])
def test_a_body_half_outside_the_picture_is_judged_from_its_inner_edge(side: str) -> None:
    sign = 1 if side == 'left' else -1
    xy = (11.5, sign * 10 * 640 / 900)
    x1, y1, x2, y2 = person_box(pinhole(), LEVEL, xy)
    positions = place([max(x1, 0), y1, min(x2, 1280), y2])
    assert np.linalg.norm(positions.xy_t2[0] - xy) < 0.1
    whole = place([640 - (x2 - x1) / 2, y1, 640 + (x2 - x1) / 2, y2])
    # Across the ray it is less sure than a whole body.
    assert (np.linalg.eigvalsh(positions.cov_t22[0])[0]
            > 4 * np.linalg.eigvalsh(whole.cov_t22[0])[0])


def test_feet_behind_another_pedestrian_lie_between_him_and_the_farthest_place() -> None:
    model, near_xy, far_xy = pinhole(), (9.5, 0.0), (12.0, 0.2)
    near, far = (person_box(model, LEVEL, xy) for xy in (near_xy, far_xy))
    # Only the upper half of the farther one is seen: both of his ranges are near 20 m.
    seen = [far[0], far[1], far[2], (far[1] + far[3]) / 2]
    both = ground_positions(tracks_of([near, seen]), model, LEVEL, CONFIG)
    assert both.reason_t.tolist() == [GroundReason.AGREED, GroundReason.FEET_COVERED]
    assert mahalanobis(both, np.array([near_xy, far_xy])).max() < INSIDE_95
    alone = ground_positions(tracks_of([seen]), model, LEVEL, CONFIG)
    assert alone.reason_t[0] == GroundReason.AGREED, 'one box cannot know'
    # Side by side nobody covers anybody, though the boxes overlap.
    side = [near[0] + 20, near[1] + 1, near[2] + 20, near[3] - 1]
    beside = ground_positions(tracks_of([near, side]), model, LEVEL, CONFIG)
    assert beside.reason_t.tolist() == [GroundReason.AGREED] * 2


@pytest.mark.parametrize(('why', 'mounting', 'xy', 'changes'), [
    ('near: pixels and height', {}, (8.0, 1.0), {}),
    ('middle: pitch and height', {}, (20.0, -4.0), {}),
    ('a rolled camera to the side', {'yaw_deg': 70, 'roll_deg': 10, 'pitch_deg': 5}, (5.0, 12.0),
     {}),
    ('long strides below a truck', {'xyz': (3, 0, 2.9), 'pitch_deg': 20}, (8.5, 1.0),
     {'foot_ahead_sigma_m': 0.6, 'person_height_sigma_m': 0.03}),
    ('only the height, below a bridge', {'xyz': (3, 0, 5.9), 'pitch_deg': 35}, (12.0, 1.0),
     {'foot_ahead_sigma_m': 0.5, 'person_height_sigma_m': 0.01, 'ground_sigma_m': 0.7,
      'edge_sigma': 0.001}),
])
def test_the_covariance_is_that_of_random_draws(
        why: str, mounting: dict[str, Any], xy: tuple[float, float],
        changes: dict[str, float]) -> None:
    transform, model = base_from_camera(**mounting), pinhole()
    config = dataclasses.replace(CONFIG, disagreement_sigmas=10.0, **changes)
    box = np.array(person_box(model, transform, xy))
    stated = place(box.tolist(), transform, config=config)
    assert stated.reason_t[0] == GroundReason.AGREED
    random = np.random.default_rng(7)
    draws = [_drawn(random, box, transform, model, config) for _ in range(500)]
    sampled_22 = np.cov(np.array(draws).T)
    root_22 = np.linalg.inv(np.linalg.cholesky(stated.cov_t22[0]))
    ratios = np.sqrt(np.linalg.eigvalsh(root_22 @ sampled_22 @ root_22.T))
    assert ratios.min() > 0.88
    assert ratios.max() < 1.12
    assert np.linalg.norm(root_22 @ (np.mean(draws, axis=0) - stated.xy_t2[0])) < 0.25


def _drawn(random: np.random.Generator, box: np.ndarray, transform: np.ndarray,
           model: CameraModel, config: GroundConfig) -> np.ndarray:
    """Place the same box with everything that is assumed of the scene slightly wrong."""
    edge = config.edge_sigma * (box[3] - box[1])
    centre_x, centre_y, height = random.normal(size=3)
    top, bottom, middle = random.normal(scale=edge, size=3)
    moved = box + [centre_x + middle, centre_y - height / 2 + top,
                   centre_x + middle, centre_y + height / 2 + bottom]
    mount, nod = np.radians([config.mounting_sigma_deg, config.nodding_sigma_deg])
    roll, pitch, yaw = random.normal(size=3) * [np.hypot(mount, nod), np.hypot(mount, nod), mount]
    turned = transform.copy()
    turned[:3, :3] = cv2.Rodrigues(np.array([roll, pitch, yaw]))[0] @ transform[:3, :3]
    focal = 1 + random.normal() * config.focal_sigma
    wrong = dataclasses.replace(
        config,
        ground_z_m=random.normal() * np.hypot(config.ground_sigma_m, config.camera_height_sigma_m),
        person_height_m=config.person_height_m + random.normal() * config.person_height_sigma_m,
        foot_ahead_m=config.foot_ahead_m + random.normal() * config.foot_ahead_sigma_m)
    lens = dataclasses.replace(model, matrix_33=model.matrix_33 * [[focal, 1, 1], [1, focal, 1],
                                                                   [1, 1, 1]])
    return place(moved.tolist(), turned, lens, wrong).xy_t2[0]


def test_turning_the_camera_turns_positions_and_covariances_alike() -> None:
    """Nothing but pitch and roll knows which way is forward, and here both weigh the same."""
    ahead = place(person_box(pinhole(), LEVEL, (16.5, 0.0)))
    left = base_from_camera((0.0, 1.5, 1.5), yaw_deg=90)
    aside = place(person_box(pinhole(), left, (0.0, 16.5)), left)
    np.testing.assert_allclose(aside.xy_t2[0], ahead.xy_t2[0] @ [[0, 1], [-1, 0]], atol=1e-3)
    turn_22 = np.array([[0, -1], [1, 0]])
    np.testing.assert_allclose(aside.cov_t22[0], turn_22 @ ahead.cov_t22[0] @ turn_22.T,
                               rtol=1e-3, atol=1e-5)


def test_part_of_the_uncertainty_cannot_be_averaged_away() -> None:
    positions = place(person_box(pinhole(), LEVEL, (20.0, 0.0)))
    lasting_22 = positions.cov_t22[0] - positions.noise_t22[0]
    assert np.linalg.eigvalsh(positions.noise_t22[0]).min() > 0
    # 0.09 m of 1.70 m at 18.5 m, with the foot point helping: more than half a metre.
    assert np.sqrt(lasting_22[0, 0]) > 0.5


def test_the_tracker_s_sigmas_widen_the_covariance() -> None:
    box = person_box(pinhole(), LEVEL, (20.0, 0.0))
    sure, unsure = (ground_positions(tracks_of([box], sigma_px=sigma), pinhole(), LEVEL, CONFIG)
                    for sigma in (0.5, 8.0))
    assert unsure.noise_t22[0, 0, 0] > 2 * sure.noise_t22[0, 0, 0]


def test_the_second_camera_of_a_stereo_pair_sees_from_where_it_is() -> None:
    """Its P holds the baseline; its frame is that of the first."""
    p_12 = [900.0, 0, 639.5, -900 * 0.5, 0, 900, 359.5, 0, 0, 0, 1, 0]
    right = camera_model_from_calibration(
        size_hw=(720, 1280), k_9=p_12[:3] + p_12[4:7] + p_12[8:11], distortion_model='plumb_bob',
        d_k=[0.0] * 5, p_12=p_12, rectified=True)
    box = person_box(pinhole(), base_from_camera((1.5, -0.5, 1.5)), (14.0, 2.0))
    np.testing.assert_allclose(place(box, model=right).xy_t2[0], [14, 2], atol=0.1)


@pytest.mark.parametrize(('why', 'mounting', 'xy'), [
    ('a rolled camera', {'roll_deg': 10}, (9.0, 0.5)),
    ('the side of a picture that looks down', {'pitch_deg': 15}, (8.5, 4.0)),
    ('the other side', {'pitch_deg': 15}, (8.5, -4.0)),
    ('a camera above a gate', {'xyz': (0, 0, 4.0), 'pitch_deg': 30}, (7.0, -3.0)),
])
def test_people_whom_the_camera_draws_at_a_slant_stand_between_the_edges(
        why: str, mounting: dict[str, Any], xy: tuple[float, float]) -> None:
    """The middle of the lower edge is up to half a metre beside their feet."""
    transform, model = base_from_camera(**mounting), pinhole()
    _stands(xy, place(body_box(model, transform, xy), transform, model))


@pytest.mark.parametrize('bearing_deg', [-150, -120, -60, -30])
@pytest.mark.parametrize('range_m', [3.0, 5.0, 8.0])
def test_a_surround_view_camera_places_people_in_its_corners(
        bearing_deg: float, range_m: float) -> None:
    """It looks down by 45 degrees, so that people lie nearly flat at its sides."""
    model = camera_model_from_calibration(
        size_hw=(960, 1280), k_9=[400.0, 0, 639.5, 0, 400, 479.5, 0, 0, 1],
        distortion_model='equidistant', d_k=[0.02, -0.005, 0, 0])
    mounting = base_from_camera((1.5, 0, 1.0), yaw_deg=-90, pitch_deg=45)
    along = np.array([np.cos(np.radians(bearing_deg)), np.sin(np.radians(bearing_deg))])
    xy = mounting[:2, 3] + range_m * along
    _stands(xy, place(body_box(model, mounting, xy), mounting, model))


def _stands(xy: tuple[float, float] | np.ndarray, positions: GroundPositions) -> None:
    """Check position and ellipse of a body whose shoes and shoulders are wider than a line."""
    range_m = np.linalg.norm(np.array(xy) - (1.5, 0))
    assert positions.reason_t[0] == GroundReason.AGREED
    assert np.linalg.norm(positions.xy_t2[0] - xy) < 0.06 * range_m
    assert mahalanobis(positions, np.array([xy]))[0] < INSIDE_95


@pytest.mark.parametrize(('yaw_deg', 'roll_deg', 'why'), [
    (180, 180, 'upside down: they stand on their heads, somewhere behind it'),
    (0, 90, 'on its side: they lie, and would be taken to be where the camera is'),
    (0, -90, 'on the other side'),
    (0, 50, 'no longer upright'),
    (0, 135, 'between the two')])
def test_a_camera_without_its_rotation_places_nobody(yaw_deg: float, roll_deg: float,
                                                     why: str) -> None:
    model = pinhole()
    mounting = base_from_camera((1.5, 0, 1.9), yaw_deg=yaw_deg, pitch_deg=2, roll_deg=roll_deg)
    ahead = math.cos(math.radians(yaw_deg))
    for x in (6.0, 10.0, 20.0, 40.0):
        box = body_box(model, mounting, (1.5 + ahead * x, 0.5))
        positions = place(box, mounting)
        assert positions.reason_t[0] == GroundReason.BAD_BOX, (why, x)
        assert np.isnan(positions.xy_t2).all(), (why, x)


def test_a_camera_that_is_aslant_places_people() -> None:
    model, mounting = pinhole(), base_from_camera((1.5, 0, 1.9), pitch_deg=2, roll_deg=15)
    for x in (6.0, 10.0, 20.0):
        _stands((1.5 + x, 0.5), place(body_box(model, mounting, (1.5 + x, 0.5)), mounting))


def test_a_fisheye_places_people_beside_the_vehicle() -> None:
    model = camera_model_from_calibration(
        size_hw=(800, 800), k_9=[250.0, 0, 399.5, 0, 250, 399.5, 0, 0, 1],
        distortion_model='equidistant', d_k=[0.01, -0.002, 0, 0])
    mounting = base_from_camera((3.5, 0, 0.8), pitch_deg=20)
    xy = (3.0, 3.0)                               # behind the plane of the lens
    box = person_box(model, mounting, xy)
    foot_u = (box[0] + box[2]) / 2
    assert model.rays_from_pixels(np.array([[foot_u, box[3]]]))[0, 2] < 0.2
    positions = place(box, mounting, model)
    assert positions.valid_t[0]
    assert mahalanobis(positions, np.array([xy]))[0] < INSIDE_95


@pytest.mark.parametrize(('transform', 'says'), [
    (np.full((4, 4), np.nan), 'no rigid transform'),
    (np.diag([1.0, 1, 1, 1]) * 2, 'no rigid transform'),
    (base_from_camera((1.5, 0, -0.3)), '0.30 m below the ground'),
    (np.eye(3), 'no rigid transform'),
])
def test_impossible_mountings_are_refused(transform: np.ndarray, says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        place([600, 400, 680, 560], transform)


def test_a_calibration_for_pictures_of_another_size_is_refused() -> None:
    with pytest.raises(CalibrationError, match='resized'):
        ground_positions(tracks_of([[1, 2, 3, 4]], size_hw=(360, 640)), pinhole(), LEVEL, CONFIG)


def test_without_calibration_every_track_says_so() -> None:
    tracks = tracks_of([[1, 2, 3, 4], [5, 6, 7, 8]], ids=[4, 9], seen=[True, False])
    positions = unavailable_positions(tracks, GroundReason.NO_TRANSFORM)
    assert positions.ids_t.tolist() == [4, 9]
    assert positions.reason_t.tolist() == [GroundReason.NO_TRANSFORM] * 2
    assert positions.seen_t.tolist() == [True, False]
    assert not positions.valid_t.any()


def test_a_picture_without_tracks_has_no_positions() -> None:
    assert len(ground_positions(tracks_of([]), pinhole(), LEVEL, CONFIG)) == 0


angles = st.floats(-30, 30)


@settings(max_examples=150, deadline=None)
@given(roll=angles, pitch=angles, yaw=st.floats(-180, 180), height=st.floats(0.3, 4),
       boxes=st.lists(st.tuples(st.floats(-50, 1300), st.floats(-50, 720), st.floats(1, 400),
                                st.floats(1, 600)), min_size=1, max_size=6))
def test_nothing_above_the_horizon_and_nothing_without_an_ellipse(
        roll: float, pitch: float, yaw: float, height: float,
        boxes: list[tuple[float, float, float, float]]) -> None:
    model, mounting = pinhole(), base_from_camera((1, 0, height), roll, pitch, yaw)
    boxes_t4 = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes])
    tracks = tracks_of(boxes_t4)
    positions = ground_positions(tracks, model, mounting, CONFIG)
    valid_t = positions.valid_t
    assert (np.isfinite(positions.xy_t2).all(axis=1) == valid_t).all()
    assert (np.isfinite(positions.heights_t) == valid_t).all()
    # On a slant the feet are beside the middle of the lower edge, by less than the box is high.
    middle_t, high_t = boxes_t4[:, [0, 2]].mean(axis=1), boxes_t4[:, 3] - boxes_t4[:, 1]
    uncut_t = (tracks.boxes_t4[:, 0] > 2) & (tracks.boxes_t4[:, 2] < 1278)
    up_t = np.ones(len(boxes_t4), np.bool_)
    for x_t in (middle_t - high_t, middle_t + high_t):
        rays_t3 = model.rays_from_pixels(np.column_stack([x_t, boxes_t4[:, 3]]))
        up_t &= (rays_t3 @ mounting[:3, :3].T)[:, 2] > 1e-6
    assert not valid_t[up_t & uncut_t].any()
    for cov_22, noise_22 in zip(
            positions.cov_t22[valid_t], positions.noise_t22[valid_t], strict=True):
        np.testing.assert_allclose(cov_22, cov_22.T)
        assert np.linalg.eigvalsh(noise_22).min() > 0
        assert np.linalg.eigvalsh(cov_22 - noise_22).min() > -1e-9 * np.abs(cov_22).max()
    ranges_t = np.linalg.norm(positions.xy_t2[valid_t] - mounting[:2, 3], axis=1)
    assert (ranges_t <= CONFIG.max_range_m + 1e-6).all()


@settings(max_examples=80, deadline=None)
@given(x=st.floats(6, 25), y=st.floats(-4, 4), roll=st.floats(-5, 5), pitch=st.floats(-3, 10),
       height=st.floats(1.0, 2.5))
def test_projecting_and_placing_are_inverse(
        x: float, y: float, roll: float, pitch: float, height: float) -> None:
    mounting = base_from_camera((0, 0, height), roll, pitch)
    box = person_box(pinhole(), mounting, (x, y))
    if box[1] < 3 or box[3] > 717:
        return
    positions = place(box, mounting)
    assert positions.reason_t[0] in (GroundReason.AGREED, GroundReason.HEIGHT_ONLY)
    # A rolled camera does not see head above shoe, and the box only knows their middle.
    assert np.linalg.norm(positions.xy_t2[0] - (x, y)) < 0.02 * x + 0.9 * abs(np.radians(roll))


@pytest.fixture(scope='module')
def real_views() -> list[RealView]:
    return [*nuscenes_views(), kitti_view()]


def test_the_depth_of_the_labels_is_along_the_optical_axis(real_views: list[RealView]) -> None:
    """People in both of two cameras come out at one place: as a slant range they would not."""
    front, right = (next(view for view in real_views if view.camera == name)
                    for name in ('CAM_FRONT', 'CAM_FRONT_RIGHT'))
    apart_tt = np.linalg.norm(front.truth_t2[:, None] - right.truth_t2, axis=2)
    assert (apart_tt.min(axis=0) < 0.15).sum() == 6


def test_true_boxes_of_real_pictures_give_true_positions(real_views: list[RealView]) -> None:
    """The bars of the project; the set is tiny: 37 people, 11 within 30 m."""
    errors, inside, ranges = [], [], []
    for view in real_views:
        positions = ground_positions(view.tracks, view.model, view.base_from_camera_44, CONFIG)
        camera_xy = view.base_from_camera_44[:2, 3]
        range_t = np.linalg.norm(view.truth_t2 - camera_xy, axis=1)
        errors += (np.linalg.norm(positions.xy_t2 - view.truth_t2, axis=1) / range_t).tolist()
        inside += (mahalanobis(positions, view.truth_t2) < INSIDE_95).tolist()
        ranges += range_t.tolist()
    errors_t, inside_t, ranges_t = np.array(errors), np.array(inside), np.array(ranges)
    placed_t, near_t = np.isfinite(errors_t), ranges_t < 30
    assert len(errors_t) == 37
    assert near_t.sum() == 11
    # One stands on a bank with his shoes above the camera: no position, as it should be.
    assert (~placed_t).sum() == 1
    assert np.median(errors_t[placed_t & near_t]) < 0.08
    assert inside_t[placed_t].mean() >= 0.90
    assert inside_t[placed_t & near_t].mean() >= 0.90


EDGES_M = (0, 10, 20, 30, 40, 50, 80)
MARKS = '<!-- ground table -->\n', '<!-- end -->\n'


def accuracy_rows(real_views: list[RealView]) -> list[str]:
    """Write the errors by distance as a table in Markdown."""
    found = []
    for view in real_views:
        positions = ground_positions(view.tracks, view.model, view.base_from_camera_44, CONFIG)
        range_t = np.linalg.norm(view.truth_t2 - view.base_from_camera_44[:2, 3], axis=1)
        error_t = np.linalg.norm(positions.xy_t2 - view.truth_t2, axis=1) / range_t
        sigma_t = np.sqrt(np.trace(positions.cov_t22, axis1=1, axis2=2)) / range_t
        found.append(np.stack([range_t, error_t, sigma_t,
                               mahalanobis(positions, view.truth_t2) < INSIDE_95], axis=1))
    every_t4 = np.concatenate(found)
    rows = ['| distance | people | no position | median error | largest | median sigma | inside |',
            '|---|---|---|---|---|---|---|']
    for low, high in [*itertools.pairwise(EDGES_M), (0, 30), (0, 80)]:
        mine_t4 = every_t4[(every_t4[:, 0] >= low) & (every_t4[:, 0] < high)]
        placed_t4 = mine_t4[np.isfinite(mine_t4[:, 1])]
        cells = ['–'] * 4
        if len(placed_t4):
            _, error, sigma, _ = np.median(placed_t4, axis=0)
            cells = [f'{100 * error:.1f} %', f'{100 * placed_t4[:, 1].max():.1f} %',
                     f'{100 * sigma:.1f} %', f'{placed_t4[:, 3].sum():.0f} of {len(placed_t4)}']
        rows.append(f'| {low} to {high} m | {len(mine_t4)} | {len(mine_t4) - len(placed_t4)} | '
                    + ' | '.join(cells) + ' |')
    return rows


def test_the_documented_accuracy_is_what_is_measured(
        real_views: list[RealView], root: Path, update_refs: bool) -> None:
    page = root / 'doc' / 'accuracy.md'
    text = page.read_text(encoding='utf-8')
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1], 1)[1]
    made = before + MARKS[0] + '\n'.join(accuracy_rows(real_views)) + '\n' + MARKS[1] + after
    if update_refs:
        page.write_text(made, encoding='utf-8')
    assert text == made or update_refs
