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
# Rows of the tables.
CX, CY, FOCAL, ROLL, PITCH, YAW, HEIGHT_PX, PLANE, PERSON, AHEAD = range(10)
_SOURCES = 10
# The lower and the upper edge of a box, by its height.
_HALF_APART_21 = np.array([[0.5], [-0.5]])


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
    # By foot point and by height.
    slopes_2kt: Float64Array
    bearing_kt: Float64Array

    @staticmethod
    def of(boxes_t4: Float64Array, cut: Cuts, model: CameraModel,
           turn_33: Float64Array, plane_z_m: float, config: GroundConfig) -> Ranges:
        """Measure boxes; turn_33 is the rotation of base_from_camera, the plane seen from it."""
        count, ahead_m = len(boxes_t4), config.foot_ahead_m
        # The feet first, then the heads.
        x_2t, y_2t = pixels_22t = np.empty((2, 2, count))
        whole_t4 = whole_boxes(boxes_t4, cut)
        x_2t[:] = (whole_t4[:, 0] + whole_t4[:, 2]) / 2
        y_2t[0], y_2t[1] = boxes_t4[:, 3], boxes_t4[:, 1]
        pixels_2n = pixels_22t.reshape(2, -1)
        bundle_33n = model.ray_bundle(pixels_2n.T, turn_33)
        # A longer focal length moves every pixel towards the principal point.
        off_2n = np.array(model.principal_xy)[:, None] - pixels_2n
        q_2t, q_k2t, bearing_t, bearing_kt = _upright(*_directions(bundle_33n, off_2n))
        q_foot_t, q_head_t = q_2t
        slopes_2kt = np.empty((2, _SOURCES, count))
        foot_kt, height_kt = slopes_2kt
        foot_t = q_foot_t / plane_z_m
        np.divide(q_k2t[:, 0], plane_z_m, out=foot_kt)
        foot_kt[PLANE] = -foot_t / plane_z_m
        person_t = config.person_height_m - ahead_m * q_head_t
        height_t = (q_head_t - q_foot_t) / person_t
        np.multiply(q_k2t[:, 1], 1 + ahead_m * height_t, out=height_kt)
        height_kt -= q_k2t[:, 0]
        height_kt /= person_t
        height_kt[PERSON] = -height_t / person_t
        height_kt[AHEAD] = height_t * q_head_t / person_t
        return Ranges(foot_t, height_t, bearing_t, q_foot_t, q_head_t, slopes_2kt, bearing_kt)


def _directions(bundle_33n: Float64Array, off_2n: Float64Array,
                ) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """
    Give how far rays in base_link rise, where they point to, and how sources move both.

    Args:
        bundle_33n: of the T lower edges, then of the upper ones; see CameraModel.ray_bundle.
        off_2n: from the pixels to the principal point.

    Returns:
        tangents of elevation [2, T] and their derivatives [10, 2, T]; unit vectors along the
        ground [2, 2, T], x and y first, and the derivatives [10, 2, T] of their bearings.
    """
    ray_3n, by_pixel_32n = bundle_33n[:, 0], bundle_33n[:, 1:]
    flat_n = np.maximum(np.sqrt(ray_3n[0] * ray_3n[0] + ray_3n[1] * ray_3n[1]), 1e-9)
    cos_n, sin_n, q_n = direction_3n = ray_3n / flat_n
    slopes_2kn = np.zeros((2, _SOURCES, len(q_n)))
    q_kn, bearing_kn = slopes_2kn
    by_pixel_32n = by_pixel_32n / flat_n
    q_kn[:2] = by_pixel_32n[2] - (cos_n * by_pixel_32n[0] + sin_n * by_pixel_32n[1]) * q_n
    bearing_kn[:2] = cos_n * by_pixel_32n[1] - sin_n * by_pixel_32n[0]
    slopes_2kn[:, FOCAL] = slopes_2kn[:, CX] * off_2n[0] + slopes_2kn[:, CY] * off_2n[1]
    # A small turn about an axis of base_link moves a ray by axis x ray.
    steep_n = 1 + q_n * q_n
    q_kn[ROLL], q_kn[PITCH] = sin_n * steep_n, -cos_n * steep_n
    bearing_kn[ROLL], bearing_kn[PITCH], bearing_kn[YAW] = -cos_n * q_n, -sin_n * q_n, 1
    slopes_2k2t = slopes_2kn.reshape(2, _SOURCES, 2, -1)
    # Both edges move with the centre, apart with the height of the box.
    np.multiply(slopes_2k2t[:, CY], _HALF_APART_21, out=slopes_2k2t[:, HEIGHT_PX])
    return (q_n.reshape(2, -1), slopes_2k2t[0], direction_3n[:2].reshape(2, 2, -1),
            slopes_2k2t[1])


def _upright(q_2t: Float64Array, q_k2t: Float64Array, along_22t: Float64Array,
             bearing_k2t: Float64Array,
             ) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """
    Put the feet below the head; for what :func:`_directions` gives.

    A camera that is pitched or rolled draws upright people at a slant, the more so at the sides
    of a wide picture. The middles of a box's lower and upper edge then lie on either side of the
    body: it stands between, and its feet and head are where that bearing meets the two edges.

    Returns:
        as :func:`_directions`, with one bearing [T] and its derivatives [10, T] instead of the
        directions.
    """
    (foot_x_t, head_x_t), (foot_y_t, head_y_t) = along_22t
    # Along the edges to the middle of the two bearings: short enough to go straight.
    by_bearing_2t = q_k2t[CX] / bearing_k2t[CX] * _HALF_APART_21
    q_2t = q_2t + by_bearing_2t * (foot_x_t * head_y_t - foot_y_t * head_x_t)
    q_k2t = q_k2t + by_bearing_2t * (bearing_k2t[:, 1:] - bearing_k2t[:, :1])
    bearing_t = np.arctan2(foot_y_t + head_y_t, foot_x_t + head_x_t)
    return q_2t, q_k2t, bearing_t, (bearing_k2t[:, 0] + bearing_k2t[:, 1]) / 2


def error_sources(tracks: Tracks, boxes_t4: Float64Array, cut: Cuts, config: GroundConfig,
                  ) -> Float64Array:
    """Give variances [2, 10, T] of the sources: of what is new in each picture, and of all."""
    variance_2kt = np.empty((2, _SOURCES, len(tracks)))
    variance_2kt[:] = _constant_sources(config)
    new_kt, all_kt = variance_2kt
    # In double precision: a square of pixels has more digits than a float.
    square_4t = np.square(tracks.sigmas_t4.T, dtype=np.float64)
    new_kt[CX], new_kt[CY], new_kt[HEIGHT_PX] = square_4t[0], square_4t[1], square_4t[3]
    edge_t = (config.edge_sigma * (boxes_t4[:, 3] - boxes_t4[:, 1])) ** 2
    # Two edges that err on their own, as their mean and their distance.
    np.add(new_kt[CY], edge_t * 0.5, out=all_kt[CY])
    np.add(new_kt[HEIGHT_PX], edge_t * 2.0, out=all_kt[HEIGHT_PX])
    np.multiply(edge_t, _CUT_MIDDLE ** 2, out=edge_t, where=cut.left_t | cut.right_t)
    np.add(new_kt[CX], edge_t, out=all_kt[CX])
    return variance_2kt


@functools.lru_cache(maxsize=8)
def _constant_sources(config: GroundConfig) -> Float64Array:
    """Give the variances [2, 10, 1], new and all, of sources that are the same for everybody."""
    constant_2k1: Float64Array = np.zeros((2, _SOURCES, 1))
    new_k1, lasting_k1 = constant_2k1
    new_k1[[ROLL, PITCH]] = np.radians(config.nodding_sigma_deg) ** 2
    lasting_k1[[ROLL, PITCH, YAW]] = np.radians(config.mounting_sigma_deg) ** 2
    lasting_k1[PLANE] = config.ground_sigma_m ** 2 + config.camera_height_sigma_m ** 2
    lasting_k1[PERSON] = config.person_height_sigma_m ** 2
    # A stride changes within a second.
    new_k1[AHEAD] = config.foot_ahead_sigma_m ** 2
    lasting_k1[FOCAL] = config.focal_sigma ** 2
    return constant_2k1.cumsum(axis=0)
