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
from ped_perception.core.types import BoolArray, Float64Array, Int64Array

# Whole numbers pick rows, bool[M] keeps them.
Rows = Int64Array | BoolArray

_EYE_22 = np.eye(2)


@dataclass(frozen=True)
class EgoMotion:
    """
    Motion of base_link over ground, from odometry.

    Attributes:
        speed_m_s: along x of base_link.
        yaw_rate_rad_s: about z, positive to the left.
    """

    speed_m_s: float
    yaw_rate_rad_s: float


@dataclass(eq=False)
class MotionState:
    """
    Positions, velocities and their covariances; rows of all arrays belong together.

    Attributes:
        x_m2, v_m2: float64[M, 2] in metres and m/s.
        xx_m22, xv_m22, vv_m22: float64[M, 2, 2], blocks of the covariance.
    """

    x_m2: Float64Array
    v_m2: Float64Array
    xx_m22: Float64Array
    xv_m22: Float64Array
    vv_m22: Float64Array

    @staticmethod
    def start(x_m2: Float64Array, xx_m22: Float64Array, speed_sigma_m_s: float) -> MotionState:
        """Begin at measured positions with velocities unknown but for their usual size."""
        count = len(x_m2)
        vv_m22: Float64Array = np.tile(_EYE_22 * speed_sigma_m_s ** 2, (count, 1, 1))
        return MotionState(x_m2.copy(), np.zeros((count, 2)), xx_m22.copy(),
                           np.zeros((count, 2, 2)), vv_m22)

    def take(self, rows: Rows) -> MotionState:
        """Give a copy of some rows."""
        # By number it is several times as fast as indexing with an array.
        numbers = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return MotionState(*(array.take(numbers, axis=0) for array in self._arrays()))

    def put(self, rows: Rows, other: MotionState) -> None:
        """Replace some rows."""
        for mine, theirs in zip(self._arrays(), other._arrays(), strict=True):
            mine[rows] = theirs

    def extended(self, other: MotionState) -> MotionState:
        """Give all rows of both."""
        return MotionState(*(np.concatenate(pair) for pair in
                             zip(self._arrays(), other._arrays(), strict=True)))

    def predict(self, duration_s: float, wander: float) -> None:
        """Let everybody walk on; wander is the growth of velocity variance in m2/s3."""
        self.x_m2 += duration_s * self.v_m2
        cross_m22 = self.xv_m22 + self.xv_m22.swapaxes(1, 2)
        self.xx_m22 += (duration_s * cross_m22 + duration_s ** 2 * self.vv_m22
                        + wander * duration_s ** 3 / 3 * _EYE_22)
        self.xv_m22 += duration_s * self.vv_m22 + wander * duration_s ** 2 / 2 * _EYE_22
        self.vv_m22 += wander * duration_s * _EYE_22

    def move_frame(self, ego: EgoMotion, duration_s: float) -> None:
        """Express everything in base_link as it is a while later."""
        self.x_m2 = moved_points(self.x_m2, ego, duration_s)
        if ego.yaw_rate_rad_s == 0:
            return
        turn_22 = turned_back(ego, duration_s)
        self.v_m2 = self.v_m2 @ turn_22.T
        for name in ('xx_m22', 'xv_m22', 'vv_m22'):
            setattr(self, name, turn_22 @ getattr(self, name) @ turn_22.T)

    def change_reference(self, ego: EgoMotion, sign: float) -> None:
        """Make velocities over ground (sign 1) from ones that base_link sees, or back (-1)."""
        turning = ego.yaw_rate_rad_s * np.stack([-self.x_m2[:, 1], self.x_m2[:, 0]], axis=1)
        self.v_m2 += sign * (turning + (ego.speed_m_s, 0.0))

    def correct(self, x_m2: Float64Array, cov_m22: Float64Array) -> None:
        """Take measured positions in, one for each row."""
        gain_22 = inverse_22(self.xx_m22 + cov_m22)
        gain_x_m22 = self.xx_m22 @ gain_22
        gain_v_m22 = self.xv_m22.swapaxes(1, 2) @ gain_22
        miss_m21 = (x_m2 - self.x_m2)[:, :, None]
        self.x_m2 = self.x_m2 + (gain_x_m22 @ miss_m21)[:, :, 0]
        self.v_m2 = self.v_m2 + (gain_v_m22 @ miss_m21)[:, :, 0]
        vv_m22 = self.vv_m22 - gain_v_m22 @ self.xv_m22
        rest_m22 = _EYE_22 - gain_x_m22
        # Joseph's form stays positive definite however exact the measurement is.
        self.xx_m22 = (rest_m22 @ self.xx_m22 @ rest_m22.swapaxes(1, 2)
                       + gain_x_m22 @ cov_m22 @ gain_x_m22.swapaxes(1, 2))
        self.xv_m22 = rest_m22 @ self.xv_m22
        self.vv_m22 = (vv_m22 + vv_m22.swapaxes(1, 2)) / 2

    def _arrays(self) -> tuple[Float64Array, ...]:
        return self.x_m2, self.v_m2, self.xx_m22, self.xv_m22, self.vv_m22


def moved_points(x_m2: Float64Array, ego: EgoMotion, duration_s: float) -> Float64Array:
    """Express fixed points [M, 2] in base_link as it is a while later, exactly on an arc."""
    half = ego.yaw_rate_rad_s * duration_s / 2
    # The chord of the arc; numpy's sinc has pi in it.
    chord = ego.speed_m_s * duration_s * np.sinc(half / np.pi)
    moved_m2: Float64Array = x_m2 - (chord * np.cos(half), chord * np.sin(half))
    return moved_m2 @ turned_back(ego, duration_s).T


def inverse_22(matrix_m22: Float64Array) -> Float64Array:
    """Invert symmetric 2 x 2 matrices, many at once."""
    a_m, b_m, d_m = matrix_m22[:, 0, 0], matrix_m22[:, 0, 1], matrix_m22[:, 1, 1]
    inverse_m22 = np.empty_like(matrix_m22)
    inverse_m22[:, 0, 0], inverse_m22[:, 1, 1] = d_m, a_m
    inverse_m22[:, 0, 1] = inverse_m22[:, 1, 0] = -b_m
    inverse_m22 /= (a_m * d_m - b_m * b_m)[:, None, None]
    return inverse_m22


def squared_sigmas(off_m2: Float64Array, cov_m22: Float64Array) -> Float64Array:
    """Give squared Mahalanobis lengths of vectors [M, 2]."""
    x_m, y_m = off_m2.T
    a_m, b_m, d_m = cov_m22[:, 0, 0], cov_m22[:, 0, 1], cov_m22[:, 1, 1]
    lengths_m: Float64Array = ((d_m * x_m * x_m - 2 * b_m * x_m * y_m + a_m * y_m * y_m)
                               / (a_m * d_m - b_m * b_m))
    return lengths_m


def turned_back(ego: EgoMotion, duration_s: float) -> Float64Array:
    """Give the rotation [2, 2] from base_link now to base_link as it is a while later."""
    angle = ego.yaw_rate_rad_s * duration_s
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
