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
How people and the vehicle move: a Kalman filter over many people at once, in 2 x 2 blocks.

Everybody has a position and a velocity in base_link with the covariance blocks position x
position, position x velocity and velocity x velocity. Velocity wanders as a random walk
(white-noise acceleration; Bar-Shalom, Li and Kirubarajan, "Estimation with applications to
tracking and navigation", 2001, 6.2.2), whose growth does not depend on how a span of time is
cut into steps: frames may be dropped and rates may vary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ped_perception.core.types import Float64Array, Int64Array

_WALKING_M_S = 1.5
# By which people the arrays of the filter end: products of 2 x 2 matrices are then a handful of
# multiplications of long rows.
_EYE_221 = np.eye(2)[:, :, None]


@dataclass(frozen=True)
class EgoMotion:
    """
    Motion of base_link over ground, from odometry.

    Attributes:
        speed_m_s: along x of base_link.
        yaw_rate_rad_s: about z, positive to the left.
        left_m_s: along y of base_link: of omnidirectional robots, and on bends of every vehicle
            whose base_link is not on the rear axle.
    """

    speed_m_s: float
    yaw_rate_rad_s: float
    left_m_s: float = 0.0

    @property
    def is_faster_than_walking(self) -> bool:
        """Tell whether what a camera sees must change from picture to picture."""
        return float(np.hypot(self.speed_m_s, self.left_m_s)) > _WALKING_M_S


@dataclass(eq=False)
class MotionState:
    """
    Positions, velocities and their covariances of M people.

    Attributes:
        values_16m: float64[16, M]; the properties are views of its rows.
    """

    values_16m: Float64Array

    @staticmethod
    def start(x_2m: Float64Array, xx_22m: Float64Array, speed_sigma_m_s: float) -> MotionState:
        """Begin at measured positions with velocities unknown but for their usual size."""
        state = MotionState(np.zeros((16, x_2m.shape[1])))
        state.x_2m[:], state.xx_22m[:] = x_2m, xx_22m
        state.vv_22m[:] = _EYE_221 * speed_sigma_m_s ** 2
        return state

    @property
    def x_2m(self) -> Float64Array:
        """Positions in metres."""
        return self.values_16m[:2]

    @property
    def v_2m(self) -> Float64Array:
        """Velocities in m/s."""
        return self.values_16m[2:4]

    @property
    def xx_22m(self) -> Float64Array:
        """Covariances of the positions."""
        return self.values_16m[4:8].reshape(2, 2, -1)

    @property
    def xv_22m(self) -> Float64Array:
        """Covariances of positions (rows) and velocities (columns)."""
        return self.values_16m[8:12].reshape(2, 2, -1)

    @property
    def vv_22m(self) -> Float64Array:
        """Covariances of the velocities."""
        return self.values_16m[12:].reshape(2, 2, -1)

    def take(self, rows: Int64Array) -> MotionState:
        """Give a copy of some people."""
        return MotionState(self.values_16m.take(rows, axis=1))

    def put(self, rows: Int64Array, other: MotionState) -> None:
        """Replace some people."""
        self.values_16m[:, rows] = other.values_16m

    def extended(self, other: MotionState) -> MotionState:
        """Give the people of both."""
        return MotionState(np.concatenate([self.values_16m, other.values_16m], axis=1))

    def predict(self, duration_s: float, wander: float) -> None:
        """Let everybody walk on; wander is the growth of velocity variance in m2/s3."""
        xx_22m, xv_22m, vv_22m = self.xx_22m, self.xv_22m, self.vv_22m
        moved_4m = duration_s * self.values_16m[12:]
        moved_22m = moved_4m.reshape(2, 2, -1)
        self.values_16m[:2] += duration_s * self.values_16m[2:4]
        xx_22m += duration_s * (xv_22m + xv_22m.swapaxes(0, 1) + moved_22m)
        xx_22m += wander * duration_s ** 3 / 3 * _EYE_221
        xv_22m += moved_22m
        xv_22m += wander * duration_s ** 2 / 2 * _EYE_221
        vv_22m += wander * duration_s * _EYE_221

    def move_frame(self, ego: EgoMotion, duration_s: float) -> None:
        """Express everything in base_link as it is a while later."""
        self.x_2m[:] = moved_points(self.x_2m.T, ego, duration_s).T
        if ego.yaw_rate_rad_s == 0:
            return
        turn_22 = turned_back(ego, duration_s)
        self.v_2m[:] = turn_22 @ self.v_2m
        for cov_22m in (self.xx_22m, self.xv_22m, self.vv_22m):
            cov_22m[:] = turned(cov_22m, turn_22)

    def change_reference(self, ego: EgoMotion, sign: float) -> None:
        """Make velocities over ground (sign 1) from ones that base_link sees, or back (-1)."""
        x_m, y_m = self.x_2m
        vx_m, vy_m = self.v_2m
        vx_m += sign * (ego.speed_m_s - ego.yaw_rate_rad_s * y_m)
        vy_m += sign * (ego.left_m_s + ego.yaw_rate_rad_s * x_m)

    def drifts(self, lasting_22m: Float64Array, ego: EgoMotion | None) -> Float64Array:
        """
        Give the covariances of velocities that come of errors of positions that last.

        Who is taken to be a tenth nearer than he is, because he is tall, is so all along: as the
        vehicle comes up to him, he seems to move. The error turns and shrinks with the way to
        him: it is to its own change as that way is to the relative velocity.

        Args:
            lasting_22m: covariances of what lasts.
            ego: motion of the vehicle, None where velocities are those that base_link sees.

        Returns:
            float64[2, 2, M].
        """
        # The plane as complex numbers: a quotient turns and scales.
        x_m, v_m = (part_2m[0] + 1j * part_2m[1] for part_2m in (self.x_2m, self.v_2m))
        if ego is not None:
            v_m -= ego.speed_m_s + 1j * ego.left_m_s
        # Within a metre there is no direction.
        change_m = v_m * x_m.conj() / np.maximum((x_m * x_m.conj()).real, 1.0)
        # A symmetric matrix turns by twice the angle about its mean.
        (xx_m, xy_m), (_, yy_m) = lasting_22m / 2
        off_m = (xx_m - yy_m + 2j * xy_m) * change_m * change_m
        mean_m = (xx_m + yy_m) * (change_m * change_m.conj()).real
        return np.array([[mean_m + off_m.real, off_m.imag], [off_m.imag, mean_m - off_m.real]])

    def correct(self, x_2m: Float64Array, cov_22m: Float64Array) -> None:
        """Take measured positions in, one for each person."""
        xx_22m, xv_22m, vv_22m = self.xx_22m, self.xv_22m, self.vv_22m
        gain_22m = _inverse(xx_22m + cov_22m)
        gain_x_22m = _product(xx_22m, gain_22m)
        gain_v_22m = _product(xv_22m.swapaxes(0, 1), gain_22m)
        miss_2m = x_2m - self.x_2m
        self.values_16m[:2] += gain_x_22m[:, 0] * miss_2m[0] + gain_x_22m[:, 1] * miss_2m[1]
        self.values_16m[2:4] += gain_v_22m[:, 0] * miss_2m[0] + gain_v_22m[:, 1] * miss_2m[1]
        vv_22m -= _product(gain_v_22m, xv_22m)
        vv_22m[0, 1] = vv_22m[1, 0] = (vv_22m[0, 1] + vv_22m[1, 0]) / 2
        rest_22m = _EYE_221 - gain_x_22m
        # Joseph's form stays positive definite however exact the measurement is.
        xx_22m[:] = (_product(_product(rest_22m, xx_22m), rest_22m.swapaxes(0, 1))
                     + _product(_product(gain_x_22m, cov_22m), gain_x_22m.swapaxes(0, 1)))
        xv_22m[:] = _product(rest_22m, xv_22m)


def moved_points(x_m2: Float64Array, ego: EgoMotion, duration_s: float) -> Float64Array:
    """Express fixed points [M, 2] in base_link as it is a while later, exactly on an arc."""
    moved_m2: Float64Array = x_m2 - travelled(ego, np.array([duration_s]))
    return moved_m2 @ turned_back(ego, duration_s).T


def travelled(ego: EgoMotion, times_s_n: Float64Array) -> Float64Array:
    """Tell where base_link will be after some times: float64[N, 2], as it is now."""
    half_n = ego.yaw_rate_rad_s * times_s_n / 2
    # The chord of the arc; numpy's sinc has pi in it.
    chord_n = times_s_n * np.sinc(half_n / np.pi)
    cos_n, sin_n = chord_n * np.cos(half_n), chord_n * np.sin(half_n)
    return np.stack([ego.speed_m_s * cos_n - ego.left_m_s * sin_n,
                     ego.speed_m_s * sin_n + ego.left_m_s * cos_n], axis=-1)


def squared_sigmas(off_2m: Float64Array, cov_22m: Float64Array) -> Float64Array:
    """Give squared Mahalanobis lengths of vectors [2, M]."""
    x_m, y_m = off_2m
    (a_m, b_m), (_, d_m) = cov_22m
    lengths_m: Float64Array = ((d_m * x_m * x_m - 2.0 * b_m * x_m * y_m + a_m * y_m * y_m)
                               / (a_m * d_m - b_m * b_m))
    return lengths_m


def turned(cov_22m: Float64Array, turn_22: Float64Array) -> Float64Array:
    """Express covariances [2, 2, M] in a frame that is turned."""
    turn_221 = turn_22[:, :, None]
    return _product(_product(turn_221, cov_22m), turn_221.swapaxes(0, 1))


def turned_back(ego: EgoMotion, duration_s: float) -> Float64Array:
    """Give the rotation [2, 2] from base_link now to base_link as it is a while later."""
    angle = ego.yaw_rate_rad_s * duration_s
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _product(a_22m: Float64Array, b_22m: Float64Array) -> Float64Array:
    """Multiply 2 x 2 matrices, many at once."""
    product_22m: Float64Array = a_22m[:, :1] * b_22m[0]
    product_22m += a_22m[:, 1:] * b_22m[1]
    return product_22m


def _inverse(matrix_22m: Float64Array) -> Float64Array:
    """Invert symmetric 2 x 2 matrices, many at once."""
    (a_m, b_m), (_, d_m) = matrix_22m
    inverse_22m = np.empty_like(matrix_22m)
    inverse_22m[0, 0], inverse_22m[1, 1] = d_m, a_m
    inverse_22m[0, 1] = inverse_22m[1, 0] = -b_m
    inverse_22m /= a_m * d_m - b_m * b_m
    return inverse_22m
