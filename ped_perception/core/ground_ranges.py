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
The two inverse ranges of a box, its bearing, and how every source of error moves them.

A source is a row of the tables [10, T]: pixels of the box, angles of the mounting, the height of
the ground plane, of the person, and so on. Derivatives are exact; a test holds them against
random draws.
"""

from __future__ import annotations

from dataclasses import dataclass
import functools

import numpy as np
from ped_perception.core.border import Cuts, whole_boxes
from ped_perception.core.camera import CameraModel
from ped_perception.core.config import param
from ped_perception.core.types import Float64Array, Tracks

# The middle of a box that the border cuts is known this many times worse than of a whole one.
_CUT_MIDDLE = 6
# Rows of the tables; the first six move the ray itself.
CX, CY, FOCAL, ROLL, PITCH, YAW, HEIGHT_PX, PLANE, PERSON, AHEAD = range(10)
_SOURCES, _MOVES = 10, 6


@dataclass(frozen=True)
class GroundConfig:
    """
    What is assumed of people, of the ground and of the mounting.

    The default person is an adult: people of 1.71 m (men) and 1.59 m (women) on average
    (NCD Risk Factor Collaboration, "A century of trends in adult human height", eLife 2016)
    plus shoes and hair, with 0.07 m of spread within and 0.06 m between the sexes.
    """

    person_height_m: float = param(
        1.70, 'Height of a person with shoes.', unit='m', minimum=0.5, maximum=2.5)
    person_height_sigma_m: float = param(
        0.09, 'Standard deviation of the height of adults; children are found by disagreement.',
        unit='m', minimum=0.01, maximum=1.0)
    ground_z_m: float = param(
        0.0, 'Height of the ground plane in base_link; below zero where base_link is on the axle.',
        unit='m', minimum=-5.0, maximum=5.0)
    ground_sigma_m: float = param(
        0.10, 'Standard deviation of the ground under people from the plane: kerbs, camber.',
        unit='m', minimum=0.0, maximum=2.0)
    camera_height_sigma_m: float = param(
        0.02, 'Standard deviation of the mounting height.', unit='m', minimum=0.0, maximum=1.0)
    mounting_sigma_deg: float = param(
        0.3, 'Standard deviation of each angle of the mounting (roll, pitch, yaw).', unit='deg',
        minimum=0.0, maximum=10.0)
    nodding_sigma_deg: float = param(
        0.4, 'Standard deviation of roll and pitch of the moving body against base_link.',
        unit='deg', minimum=0.0, maximum=10.0)
    focal_sigma: float = param(
        0.003, 'Relative standard deviation of the focal length.', minimum=0.0, maximum=0.2)
    edge_sigma: float = param(
        0.02, "Standard deviation of a box's edges against the person's outline, in heights of "
        'the box, beyond what the tracker knows.', minimum=0.0, maximum=0.5)
    foot_ahead_m: float = param(
        0.15, 'From the lower edge of a box to the point below the body.', unit='m', minimum=0.0,
        maximum=1.0)
    foot_ahead_sigma_m: float = param(
        0.15, 'Standard deviation of foot_ahead_m: strides.', unit='m', minimum=0.0, maximum=1.0)
    disagreement_sigmas: float = param(
        3.0, 'Foot point and height disagree when further apart than this many standard '
        'deviations.', minimum=1.0, maximum=10.0)
    horizon_guard_sigmas: float = param(
        3.0, 'The foot point must be this many standard deviations below the horizon to count.',
        minimum=1.0, maximum=10.0)
    max_range_m: float = param(
        80.0, 'No positions beyond.', unit='m', minimum=1.0, maximum=500.0)


@dataclass(frozen=True, eq=False)
class Ranges:
    """
    The two inverse ranges and the bearing, with their derivatives by the error sources.

    The ranges are those of the lower edge of the box; the body is foot_ahead_m farther.
    """

    foot_t: Float64Array
    height_t: Float64Array
    bearing_t: Float64Array
    q_foot_t: Float64Array
    q_head_t: Float64Array
    foot_kt: Float64Array
    height_kt: Float64Array
    bearing_kt: Float64Array

    @staticmethod
    def of(boxes_t4: Float64Array, cut: Cuts, model: CameraModel,
           turn_33: Float64Array, plane_z_m: float, config: GroundConfig) -> Ranges:
        """Measure boxes; turn_33 is the rotation of base_from_camera, the plane seen from it."""
        count, ahead_m = len(boxes_t4), config.foot_ahead_m
        # The feet first, then the heads.
        pixels_n2 = np.empty((2 * count, 2))
        whole_t4 = whole_boxes(boxes_t4, cut)
        pixels_n2[:count, 0] = pixels_n2[count:, 0] = (whole_t4[:, 0] + whole_t4[:, 2]) / 2
        pixels_n2[:count, 1], pixels_n2[count:, 1] = boxes_t4[:, 3], boxes_t4[:, 1]
        bundle_33n = model.ray_bundle(pixels_n2, turn_33)
        # A longer focal length moves every pixel towards the principal point.
        off_n2 = np.subtract(model.principal_xy, pixels_n2)
        q_n, q_kn, bearing_t, bearing_kt = _upright(*_directions(
            bundle_33n[:, 0], bundle_33n[:, 1], bundle_33n[:, 2], off_n2.T, count))
        q_foot_t, q_head_t = q_n[:count], q_n[count:]
        q_foot_kt, q_head_kt = q_kn[:, :count], q_kn[:, count:]
        foot_t, foot_kt = q_foot_t / plane_z_m, q_foot_kt / plane_z_m
        foot_kt[PLANE] = -foot_t / plane_z_m
        person_t = config.person_height_m - ahead_m * q_head_t
        height_t = (q_head_t - q_foot_t) / person_t
        height_kt = q_head_kt * (1 + ahead_m * height_t)
        height_kt -= q_foot_kt
        height_kt /= person_t
        height_kt[PERSON] = -height_t / person_t
        height_kt[AHEAD] = height_t * q_head_t / person_t
        return Ranges(foot_t, height_t, bearing_t, q_foot_t, q_head_t, foot_kt, height_kt,
                      bearing_kt)


def _directions(ray_3n: Float64Array, by_u_3n: Float64Array, by_v_3n: Float64Array,
                off_2n: Float64Array, count: int,
                ) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """
    Give how far rays in base_link rise, where they point to, and how sources move both.

    Returns:
        tangents of elevation [N] and their derivatives [10, N]; unit vectors along the ground
        [2, N] and the derivatives [10, N] of their bearings. The first ``count`` rays are of
        lower edges, the others of upper ones.
    """
    x_n, y_n, z_n = ray_3n
    flat_n = np.maximum(np.sqrt(x_n * x_n + y_n * y_n), 1e-9)
    q_n = z_n / flat_n
    move_3mn = np.empty((3, _MOVES, len(x_n)))
    move_3mn[:, CX], move_3mn[:, CY] = by_u_3n, by_v_3n
    move_3mn[:, FOCAL] = by_u_3n * off_2n[0] + by_v_3n * off_2n[1]
    # A small turn about an axis of base_link moves a ray by axis x ray.
    turns: dict[int, tuple[Float64Array | float, Float64Array | float, Float64Array | float]] = {
        ROLL: (0.0, -z_n, y_n), PITCH: (z_n, 0.0, -x_n), YAW: (-y_n, x_n, 0.0)}
    for row, (dx_n, dy_n, dz_n) in turns.items():
        move_3mn[0, row], move_3mn[1, row], move_3mn[2, row] = dx_n, dy_n, dz_n
    dx_mn, dy_mn, dz_mn = move_3mn
    q_kn, bearing_kn = np.zeros((2, _SOURCES, len(x_n)))
    along_2n = ray_3n[:2] / flat_n
    np.divide(dz_mn - (along_2n[0] * dx_mn + along_2n[1] * dy_mn) * q_n, flat_n,
              out=q_kn[:_MOVES])
    np.divide(along_2n[0] * dy_mn - along_2n[1] * dx_mn, flat_n, out=bearing_kn[:_MOVES])
    # Both edges move with the centre, apart with the height of the box.
    for slope_kn in (q_kn, bearing_kn):
        slope_kn[HEIGHT_PX, :count] = slope_kn[CY, :count] / 2
        slope_kn[HEIGHT_PX, count:] = slope_kn[CY, count:] / -2
    return q_n, q_kn, along_2n, bearing_kn


def _upright(q_n: Float64Array, q_kn: Float64Array, along_2n: Float64Array,
             bearing_kn: Float64Array,
             ) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """
    Put the feet below the head; for what :func:`_directions` gives of feet, then heads.

    A camera that is pitched or rolled draws upright people at a slant, the more so at the sides
    of a wide picture. The middles of a box's lower and upper edge then lie on either side of the
    body: it stands between, and its feet and head are where that bearing meets the two edges.

    Returns:
        as :func:`_directions`, with one bearing [T] and its derivatives [10, T] instead of the
        directions.
    """
    count = len(q_n) // 2
    (foot_x_t, head_x_t), (foot_y_t, head_y_t) = along_2n.reshape(2, 2, count)
    half_t = (foot_x_t * head_y_t - foot_y_t * head_x_t) / 2
    half_kt = (bearing_kn[:, count:] - bearing_kn[:, :count]) / 2
    # Along the edge, in pixels: short enough to go straight.
    by_u_n = q_kn[CX] / bearing_kn[CX]
    q_n = q_n + by_u_n * np.concatenate([half_t, -half_t])
    q_kn = q_kn + by_u_n * np.concatenate([half_kt, -half_kt], axis=1)
    bearing_t = np.arctan2(foot_y_t + head_y_t, foot_x_t + head_x_t)
    return q_n, q_kn, bearing_t, (bearing_kn[:, :count] + bearing_kn[:, count:]) / 2


def error_sources(tracks: Tracks, boxes_t4: Float64Array, cut: Cuts, config: GroundConfig
                  ) -> tuple[Float64Array, Float64Array]:
    """Give variances [10, T] of the sources: new in each picture, and lasting."""
    noise_kt, lasting_kt = np.empty((2, _SOURCES, len(tracks)))
    constant_k2 = _constant_sources(config)
    noise_kt[:], lasting_kt[:] = constant_k2[:, :1], constant_k2[:, 1:]
    sigma_4t = tracks.sigmas_t4.T
    for row, column in ((CX, 0), (CY, 1), (HEIGHT_PX, 3)):
        # In double precision: a square of pixels has more digits than a float.
        np.multiply(sigma_4t[column], sigma_4t[column], out=noise_kt[row], dtype=np.float64)
    edge_t = (config.edge_sigma * (boxes_t4[:, 3] - boxes_t4[:, 1])) ** 2
    # Two edges that err on their own, as their mean and their distance.
    np.multiply(edge_t, 0.5, out=lasting_kt[CY])
    np.multiply(edge_t, 2.0, out=lasting_kt[HEIGHT_PX])
    edge_t[cut.left_t | cut.right_t] *= _CUT_MIDDLE ** 2
    lasting_kt[CX] = edge_t
    return noise_kt, lasting_kt


@functools.lru_cache(maxsize=8)
def _constant_sources(config: GroundConfig) -> Float64Array:
    """Give the variances [10, 2], new and lasting, of sources that are the same for everybody."""
    constant_k2: Float64Array = np.zeros((_SOURCES, 2))
    constant_k2[[ROLL, PITCH], 0] = np.radians(config.nodding_sigma_deg) ** 2
    constant_k2[[ROLL, PITCH, YAW], 1] = np.radians(config.mounting_sigma_deg) ** 2
    constant_k2[PLANE, 1] = config.ground_sigma_m ** 2 + config.camera_height_sigma_m ** 2
    constant_k2[PERSON, 1] = config.person_height_sigma_m ** 2
    # A stride changes within a second.
    constant_k2[AHEAD, 0] = config.foot_ahead_sigma_m ** 2
    constant_k2[FOCAL, 1] = config.focal_sigma ** 2
    return constant_k2
