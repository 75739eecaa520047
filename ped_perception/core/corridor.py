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
Who comes into the vehicle's way, and when: geometry only.

The vehicle keeps its speed and yaw rate, thus drives straight or on a circle, and sweeps a
corridor. Pedestrians keep their velocity. Time to collision is when one of them is within the
outline, a rigid box: on a bend its outer front corner swings out beyond the path. Gap and offset
are those of now, in the coordinates of the path: distance along it and offset to the left of it.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from ped_perception.core.config import param
from ped_perception.core.ground_motion import EgoMotion, travelled
from ped_perception.core.ground_types import GroundTracks
from ped_perception.core.types import BoolArray, Float64Array, Int64Array, read_only

# Straighter than this is straight: a circle of 1000 km.
_STRAIGHT_1_M = 1e-6
_STANDING_M_S = 0.01
# Steps looked at together, to find out who can be left out.
_STRETCH = 16
# More than the last digits of what is computed in two ways.
_ROUNDING_M = 1e-6


@dataclass(frozen=True)
class CorridorConfig:
    """The vehicle's outline, and how far to look ahead."""

    half_width_m: float = param(
        1.3, "Half of the vehicle's width and the distance to keep at its sides.", unit='m',
        minimum=0.1, maximum=10.0, dynamic=True)
    front_m: float = param(
        4.0, 'From base_link to the front bumper and the distance to keep before it.', unit='m',
        minimum=0.0, maximum=30.0, dynamic=True)
    rear_m: float = param(
        1.0, 'From base_link to the rear bumper.', unit='m', minimum=0.0, maximum=30.0)
    horizon_s: float = param(
        6.0, 'Look this far ahead.', unit='s', minimum=0.1, maximum=30.0, dynamic=True)
    step_s: float = param(
        0.05, 'Look in steps of this length.', unit='s', minimum=0.01, maximum=0.5)
    sigmas: float = param(
        1.0, 'Pedestrians are taken to be larger by this many standard deviations of their '
        'positions.', minimum=0.0, maximum=5.0, dynamic=True)
    priority: float = param(
        2.0, 'A camera that sees somebody who comes into the way within horizon_s is looked at '
        'this many times as often as by its own priority, where there is no time for all.',
        minimum=1.0, maximum=10.0, dynamic=True)


@dataclass(frozen=True, eq=False)
class Conflicts:
    """
    What stands between the vehicle and each pedestrian.

    Attributes:
        time_s_t: float64[T], until he is within the vehicle's outline, 0 for now, infinite for
            not within the time looked ahead, NaN for somebody without a
            position or without its uncertainty.
        gap_m_t: float64[T], along the path from the front bumper to him now; negative beside or
            behind the bumper; NaN without a position.
        offset_m_t: float64[T], from the middle of the path now, positive to the left; NaN without
            a position.
        inside_t: bool[T], he is in the corridor now and not behind the front bumper's line.
    """

    time_s_t: Float64Array
    gap_m_t: Float64Array
    offset_m_t: Float64Array
    inside_t: BoolArray

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        for name in ('time_s_t', 'gap_m_t', 'offset_m_t', 'inside_t'):
            kind = np.bool_ if name == 'inside_t' else np.float64
            object.__setattr__(self, name, read_only(
                name, getattr(self, name), kind, (len(self.time_s_t),)))


@dataclass(frozen=True)
class Danger:
    """
    Who comes into the vehicle's way, in short.

    Attributes:
        soonest_s: seconds until the first pedestrian is within the vehicle's outline, infinite
            for nobody within the time looked ahead, NaN where it is not known.
        cameras: that see somebody who comes into the way.
    """

    soonest_s: float = math.nan
    cameras: frozenset[str] = frozenset()


def danger_of(everybody: GroundTracks, ego: EgoMotion, config: CorridorConfig) -> Danger:
    """
    Sum up who of everybody comes into the vehicle's way.

    Args:
        everybody: with velocities over ground; who has no position is left out.
        ego: motion of the vehicle.
        config: outline and times.
    """
    time_s_t = conflicts_of(everybody.xy_t2, everybody.velocity_t2, everybody.cov_t22, ego,
                            config).time_s_t
    coming = np.isfinite(time_s_t).nonzero()[0].tolist()
    return Danger(float(np.fmin.reduce(time_s_t, initial=math.inf)), frozenset(
        camera for row in coming for camera, _ in everybody.sources_t[row]))


def conflicts_of(xy_t2: Float64Array, velocity_t2: Float64Array, cov_t22: Float64Array,
                 ego: EgoMotion, config: CorridorConfig) -> Conflicts:
    """
    Find who comes into the vehicle's way.

    Args:
        xy_t2: float64[T, 2], positions in base_link in metres, NaN for unknown.
        velocity_t2: float64[T, 2] in m/s over ground; relative velocities would count the
            vehicle's motion twice.
        cov_t22: float64[T, 2, 2] of the positions. The uncertainty of velocities is left out: it
            would fill every corridor within seconds.
        ego: motion of the vehicle; driving backwards sweeps the corridor behind it. Gap, offset
            and inside_t are along its x axis where it moves to the side.
        config: outline and times.
    """
    curvature_1_m = (ego.yaw_rate_rad_s / ego.speed_m_s
                     if abs(ego.speed_m_s) > _STANDING_M_S else 0.0)
    with np.errstate(invalid='ignore'):
        time_s_t = _soonest(xy_t2, velocity_t2, cov_t22, ego, config)
        along_t, offset_t, left_t2 = path_coordinates(xy_t2, curvature_1_m)
        left_x_t, left_y_t = left_t2.T
        ahead_t, across_t = config.sigmas * np.sqrt(_variances(
            left_y_t * left_y_t - left_x_t * left_x_t, -2 * left_x_t * left_y_t, cov_t22.T))
        # Whose uncertainty is no number may be anywhere.
        unknown_t = ~np.isfinite((xy_t2 + 0 * velocity_t2).sum(axis=1) + across_t + ahead_t)
    time_s_t[unknown_t] = np.nan
    gap_m_t = along_t - config.front_m
    inside_t = (np.abs(offset_t) <= config.half_width_m + across_t) & (gap_m_t >= -ahead_t)
    return Conflicts(time_s_t, gap_m_t, offset_t.copy(), inside_t)


def _soonest(xy_t2: Float64Array, velocity_t2: Float64Array, cov_t22: Float64Array,
             ego: EgoMotion, config: CorridorConfig) -> Float64Array:
    """Give the first of the times looked at when each is within the outline, infinite for none."""
    steps = round(config.horizon_s / config.step_s)
    first_k = np.arange(0, steps + 1, _STRETCH)
    times_s_ks = np.minimum(first_k[:, None] + np.arange(_STRETCH), steps) * config.step_s
    places_ks2 = travelled(ego, times_s_ks)
    stretch_p, person_p = _may_meet(xy_t2, velocity_t2, cov_t22, times_s_ks, places_ks2,
                                    config).nonzero()
    times_s_ps = times_s_ks.take(stretch_p, axis=0)
    x_ps, y_ps = (xy_t2[person_p, axis, None] + velocity_t2[person_p, axis, None] * times_s_ps
                  - places_ks2[..., axis].take(stretch_p, axis=0) for axis in (0, 1))
    hit_ps = _within(x_ps, y_ps, ego.yaw_rate_rad_s * times_s_ks, stretch_p, cov_t22[person_p],
                     config)
    hit = np.flatnonzero(hit_ps.any(axis=1))
    time_s_t = np.full(len(xy_t2), np.inf)
    np.minimum.at(time_s_t, person_p[hit], times_s_ps[hit, hit_ps[hit].argmax(axis=1)])
    return time_s_t


def _may_meet(xy_t2: Float64Array, velocity_t2: Float64Array, cov_t22: Float64Array,
              times_s_ks: Float64Array, places_ks2: Float64Array, config: CorridorConfig,
              ) -> BoolArray:
    """
    Leave out who is nowhere near the vehicle in a stretch of time: most of a crowd, mostly.

    Within a stretch the places of the vehicle lie in an upright rectangle, and so do those of a
    pedestrian. Where the two are further apart than the outline reaches, whichever way it is
    turned, he is not within it; of all others nothing is said.

    Returns:
        bool[K, T], by stretch and pedestrian.
    """
    # No direction has a larger variance than this.
    largest_t = np.maximum(cov_t22[:, 0, 0], cov_t22[:, 1, 1]) + np.abs(cov_t22[:, 0, 1])
    spread_t = config.sigmas * np.sqrt(np.maximum(largest_t, 0)) + _ROUNDING_M
    reach_t = np.hypot(max(config.front_m, config.rear_m) + spread_t,
                       config.half_width_m + spread_t)
    may_meet_kt = np.ones((len(times_s_ks), len(xy_t2)), np.bool_)
    for axis in (0, 1):
        before_kt = xy_t2[:, axis] + velocity_t2[:, axis] * times_s_ks[:, :1]
        after_kt = xy_t2[:, axis] + velocity_t2[:, axis] * times_s_ks[:, -1:]
        low_k1 = places_ks2[..., axis].min(axis=1, keepdims=True)
        high_k1 = places_ks2[..., axis].max(axis=1, keepdims=True)
        may_meet_kt &= np.minimum(before_kt, after_kt) - high_k1 <= reach_t
        may_meet_kt &= low_k1 - np.maximum(before_kt, after_kt) <= reach_t
    return may_meet_kt


def _within(x_ps: Float64Array, y_ps: Float64Array, angle_ks: Float64Array,
            stretch_p: Int64Array, cov_p22: Float64Array, config: CorridorConfig) -> BoolArray:
    """
    Tell which points are within the outline.

    Args:
        x_ps: float64[P, S], from base_link to the point, along x of base_link as it is now.
        y_ps: float64[P, S], the same along y.
        angle_ks: float64[K, S], by which base_link is turned then, to the left.
        stretch_p: int64[P], which of the K belongs to each row of points.
        cov_p22: float64[P, 2, 2] of the points.
        config: the outline.
    """
    cos_ps, sin_ps, twice_cos_ps, twice_sin_ps = (
        part_ks.take(stretch_p, axis=0) for part_ks in (
            np.cos(angle_ks), np.sin(angle_ks), np.cos(2 * angle_ks), np.sin(2 * angle_ks)))
    ahead_ps, left_ps = cos_ps * x_ps + sin_ps * y_ps, cos_ps * y_ps - sin_ps * x_ps
    # Of covariances that are nearly flat, rounding may go below zero.
    long_ps, wide_ps = (config.sigmas * np.sqrt(np.maximum(variance_ps, 0)) for variance_ps in
                        _variances(twice_cos_ps, twice_sin_ps, cov_p22.T[..., None]))
    within_ps: BoolArray = ((np.abs(left_ps) <= config.half_width_m + wide_ps)
                            & (ahead_ps <= config.front_m + long_ps)
                            & (ahead_ps >= -config.rear_m - long_ps))
    return within_ps


def path_coordinates(points_n2: Float64Array, curvature_1_m: float,
                     ) -> tuple[Float64Array, Float64Array, Float64Array]:
    """
    Express points in the coordinates of a path that starts along x at the origin.

    Args:
        points_n2: float64[..., 2] in metres.
        curvature_1_m: positive to the left.

    Returns:
        Distance along the path [...], on a circle at most half of it to either side; offset to
        the left [...]; and the unit vector to the left [..., 2] at each point.
    """
    x_n, y_n = points_n2[..., 0], points_n2[..., 1]
    if abs(curvature_1_m) < _STRAIGHT_1_M:
        return x_n, y_n, np.broadcast_to(np.array([0.0, 1.0]), points_n2.shape)
    side, radius_m = np.sign(curvature_1_m), 1 / abs(curvature_1_m)
    # From the point towards the centre of the circle, which lies at (0, side * radius).
    inward_n = radius_m - side * y_n
    distance_n = np.hypot(x_n, inward_n)
    along_n = np.arctan2(x_n, inward_n) * radius_m
    offset_n = side * (radius_m - distance_n)
    safe_n = np.maximum(distance_n, 1e-9)
    left_n2 = np.stack([-side * x_n / safe_n, inward_n / safe_n], axis=-1)
    return along_n, offset_n, left_n2


def _variances(twice_cos_n: Float64Array, twice_sin_n: Float64Array, cov_22n: Float64Array,
               ) -> tuple[Float64Array, Float64Array]:
    """Give variances along directions and across them, by cosine and sine of twice the angle."""
    (xx_n, xy_n), (_, yy_n) = cov_22n
    mean_n, off_n = (xx_n + yy_n) / 2, (xx_n - yy_n) / 2 * twice_cos_n + xy_n * twice_sin_n
    return mean_n + off_n, mean_n - off_n
