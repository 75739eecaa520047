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
Kalman filter of many boxes at once, in closed form.

A box is four coordinates that move on their own: centre x, centre y, log width, log height.
Each is a position with a rate, so that the filter of a box is four filters of two numbers and a
step over all boxes is a handful of multiplications of [T, 4] arrays, without a single matrix.
Logarithms keep sizes positive and make an approach at steady speed nearly linear.

The rate is an Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein 1930; used for motion by
Singer, "Estimating optimal tracking filter performance for manned maneuvering targets", 1970):
it wanders around zero with a standard deviation that can be measured on pedestrians, and
forgets with a time constant. Its transition is exact for any time step: for a box of constant
height two steps of 50 ms are one step of 100 ms, so frames may be dropped and rates may vary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from ped_perception.core.types import BoolArray, Float32Array, Float64Array, Int64Array

# Boxes thinner than this have no logarithm worth filtering.
_MIN_SIDE_PX = 1.0
# Logarithms outside these are no side of a box in any picture; they would also make variances
# zero or infinite.
_LOG_SIDES = (0.0, 11.0)
# A homography that brings a point this near to its horizon says nothing about a box there.
_MIN_DEPTH = 0.1


@dataclass(frozen=True)
class MotionModel:
    """
    How boxes of pedestrians move, and how well a detector places them.

    Lengths are in heights of the box, so that one set of figures serves near and far.

    Attributes:
        speed: standard deviation of the centre's speed, heights/s.
        speed_memory_s: time after which a speed is forgotten.
        growth: standard deviation of the relative rate of growth, 1/s.
        growth_memory_s: time after which a rate of growth is forgotten.
        centre_noise: standard deviation of a detected centre, heights.
        width_noise: standard deviation of a detected width, relative.
        height_noise: standard deviation of a detected height, relative.
    """

    speed: float
    speed_memory_s: float
    growth: float
    growth_memory_s: float
    centre_noise: float
    width_noise: float
    height_noise: float

    @cached_property
    def rate_var_41(self) -> Float64Array:
        """Variances of the rates, in square heights for the centre."""
        return _column([self.speed] * 2 + [self.growth] * 2) ** 2

    @cached_property
    def memory_41(self) -> Float64Array:
        """Times after which the rates are forgotten, in seconds."""
        return _column([self.speed_memory_s] * 2 + [self.growth_memory_s] * 2)

    @cached_property
    def noise_var_41(self) -> Float64Array:
        """Variances of a measurement, in square heights for the centre."""
        return _column([self.centre_noise] * 2 + [self.width_noise, self.height_noise]) ** 2


def _column(values: list[float]) -> Float64Array:
    return np.array(values)[:, None]


@dataclass(frozen=True, eq=False)
class BoxStates:
    """
    Estimates of T boxes; columns are centre x, centre y (px), log width, log height.

    Attributes:
        values_54t: float64[5, 4, T]; the properties named ``t4`` are views of its five parts.
    """

    values_54t: Float64Array

    def __len__(self) -> int:
        """Give the number of boxes."""
        return self.values_54t.shape[2]

    @property
    def position_t4(self) -> Float64Array:
        """Coordinates of the boxes."""
        return np.transpose(self.values_54t[0])

    @property
    def rate_t4(self) -> Float64Array:
        """Change of the position in one second."""
        return np.transpose(self.values_54t[1])

    @property
    def var_t4(self) -> Float64Array:
        """Variance of the position."""
        return np.transpose(self.values_54t[2])

    @property
    def cross_t4(self) -> Float64Array:
        """Covariance of position and rate."""
        return np.transpose(self.values_54t[3])

    @property
    def rate_var_t4(self) -> Float64Array:
        """Variance of the rate."""
        return np.transpose(self.values_54t[4])

    def __getitem__(self, rows: Int64Array | BoolArray) -> BoxStates:
        """Keep some of the boxes, by index or mask."""
        # Taking by number is several times as fast as indexing with an array.
        numbers = rows.nonzero()[0] if rows.dtype == np.bool_ else rows
        return BoxStates(self.values_54t.take(numbers, axis=2))

    def joined(self, other: BoxStates) -> BoxStates:
        """Put other boxes behind these."""
        return BoxStates(np.concatenate([self.values_54t, other.values_54t], axis=2))

    def replaced(self, rows: Int64Array, other: BoxStates) -> BoxStates:
        """Give a copy in which some boxes are others."""
        values_54t = self.values_54t.copy()
        values_54t[:, :, rows] = other.values_54t
        return BoxStates(values_54t)

    @cached_property
    def sizes_2t(self) -> Float64Array:
        """Widths and heights in pixels."""
        sizes: Float64Array = np.exp(np.minimum(
            np.maximum(self.values_54t[0, 2:], _LOG_SIDES[0]), _LOG_SIDES[1]))
        return sizes

    @cached_property
    def units_4t(self) -> Float64Array:
        """Squares of what one means: a height in pixels for centres, one for logarithms."""
        return _square_units(self.sizes_2t[1])

    @property
    def boxes_t4(self) -> Float64Array:
        """Corners ``x1 y1 x2 y2`` in pixels."""
        half_2t, centre_2t = self.sizes_2t / 2, self.values_54t[0, :2]
        boxes_4t = np.empty((4, len(self)))
        np.subtract(centre_2t, half_2t, out=boxes_4t[:2])
        np.add(centre_2t, half_2t, out=boxes_4t[2:])
        return boxes_4t.T

    @property
    def sigmas_t4(self) -> Float64Array:
        """Standard deviations of centre x, centre y, width and height in pixels."""
        sigma_4t: Float64Array = np.sqrt(self.values_54t[2])
        sigma_4t[2:] *= self.sizes_2t
        return sigma_4t.T


def measurements_from_boxes(boxes_n4: Float32Array | Float64Array) -> Float64Array:
    """
    Turn corners into centre x, centre y, log width, log height.

    Args:
        boxes_n4: ``x1 y1 x2 y2`` in pixels; sides below one pixel count as one pixel.

    Returns:
        float64[N, 4].
    """
    low_2n, high_2n = boxes_n4.T[:2].astype(np.float64), boxes_n4.T[2:]
    measured_4n = np.empty((4, len(boxes_n4)))
    np.add(low_2n, high_2n, out=measured_4n[:2])
    measured_4n[:2] /= 2
    np.log(np.maximum(high_2n - low_2n, _MIN_SIDE_PX), out=measured_4n[2:])
    return measured_4n.T


def started(measured_n4: Float64Array, model: MotionModel) -> BoxStates:
    """Begin a state for each measurement: at rest, with the speeds of pedestrians as spread."""
    units_4n = _square_units(np.exp(measured_n4[:, 3]))
    values_54n = np.zeros((5, *units_4n.shape))
    values_54n[0] = measured_n4.T
    values_54n[2] = units_4n * model.noise_var_41
    values_54n[4] = units_4n * model.rate_var_41
    return BoxStates(values_54n)


def predicted(states: BoxStates, dt_s: float, model: MotionModel) -> BoxStates:
    """
    Carry the estimates forward in time.

    Args:
        states: of T boxes.
        dt_s: step in seconds, zero or more.
        model: speeds and memories.

    Raises:
        ValueError: the step is negative or not finite.
    """
    if not 0 <= dt_s < np.inf:
        raise ValueError(f'dt_s is {dt_s}; boxes can only be carried forward in time')
    reach_41, keep_41, noise_341 = _transition(dt_s, model)
    position_4t, rate_4t, var_4t, cross_4t, rate_var_4t = states.values_54t
    values_54t = np.empty_like(states.values_54t)
    np.add(position_4t, rate_4t * reach_41, out=values_54t[0])
    np.multiply(rate_4t, keep_41, out=values_54t[1])
    np.multiply(states.units_4t, noise_341, out=values_54t[2:])
    carried_4t = cross_4t + reach_41 * rate_var_4t
    values_54t[2] += var_4t + reach_41 * (cross_4t + carried_4t)
    values_54t[3] += keep_41 * carried_4t
    values_54t[4] += keep_41 * keep_41 * rate_var_4t
    return BoxStates(values_54t)


# Cameras have few different periods.
@lru_cache(maxsize=32)
def _transition(dt_s: float, model: MotionModel) -> tuple[Float64Array, Float64Array,
                                                          Float64Array]:
    """
    Give what a step in time does to all boxes alike.

    Returns:
        float64[4, 1], seconds of the rate that reach the position; float64[4, 1], share of the
        rate that is kept; float64[3, 4, 1], noise of position, cross and rate in the units of a
        state.
    """
    memory_41 = model.memory_41
    # 1 - exp(-dt / memory) without cancellation
    loss_41 = -np.expm1(-dt_s / memory_41)
    keep_41, reach_41 = 1 - loss_41, memory_41 * loss_41
    # 2 m (dt - 2 m loss + m (1 - keep^2) / 2): differences of nearly equal numbers for tiny
    # steps, where the rounding may fall below zero.
    position_41 = np.maximum(2 * memory_41 * (dt_s - reach_41 * (2 - (1 + keep_41) / 2)), 0)
    noise_341 = model.rate_var_41 * np.stack(
        [position_41, memory_41 * loss_41 ** 2, loss_41 * (1 + keep_41)])
    return reach_41, keep_41, noise_341


def corrected(states: BoxStates, measured_t4: Float64Array, model: MotionModel,
              doubts_t: Float64Array) -> BoxStates:
    """
    Take a measurement into each estimate.

    Args:
        states: of T boxes, predicted to the time of the measurements.
        measured_t4: one row for each state, see :func:`measurements_from_boxes`.
        model: noise of the measurements.
        doubts_t: factor on that noise for each measurement, 1 for a good one.
    """
    position_4t, rate_4t, var_4t, cross_4t, rate_var_4t = states.values_54t
    noise_4t = states.units_4t * model.noise_var_41
    noise_4t *= doubts_t * doubts_t
    total_4t = var_4t + noise_4t
    miss_4t = (measured_t4.T - position_4t) / total_4t
    # Sums of positive terms only: the covariance stays positive definite in rounding too.
    determinant_4t = np.maximum(var_4t * rate_var_4t - cross_4t * cross_4t, 0)
    values_54t = np.empty_like(states.values_54t)
    np.add(position_4t, var_4t * miss_4t, out=values_54t[0])
    np.add(rate_4t, cross_4t * miss_4t, out=values_54t[1])
    np.multiply(states.values_54t[2:], noise_4t / total_4t, out=values_54t[2:])
    values_54t[4] += determinant_4t / total_4t
    return BoxStates(values_54t)


def squared_distances(states: BoxStates, measured_n4: Float64Array, rows_p: Int64Array,
                      columns_p: Int64Array, model: MotionModel) -> Float64Array:
    """
    Give the squared Mahalanobis distances of some pairs.

    Args:
        states: of T boxes.
        measured_n4: see :func:`measurements_from_boxes`.
        rows_p: int64[P], which of the states.
        columns_p: int64[P], which of the measurements.
        model: noise of the measurements.

    Returns:
        float64[P]; chi-square distributed with 4 degrees of freedom for true pairs.
    """
    scale_4t = states.units_4t * model.noise_var_41
    scale_4t += states.values_54t[2]
    miss_4p = measured_n4.T.take(columns_p, axis=1)
    miss_4p -= states.values_54t[0].take(rows_p, axis=1)
    miss_4p *= miss_4p
    miss_4p /= scale_4t.take(rows_p, axis=1)
    distance_p: Float64Array = np.add.reduce(miss_4p)
    return distance_p


def warped(states: BoxStates, now_from_previous_33: Float64Array) -> BoxStates:
    """
    Move the estimates as the picture of the background moved.

    The homography is made linear at the centre of each box. Correlations of x with y, which a
    roll of the camera brings, are dropped: the variances along the new axes are exact.

    Args:
        states: of T boxes in the previous picture.
        now_from_previous_33: float64[3, 3] homography between pixels of the pictures, its last
            element 1. Boxes that it throws to its horizon or turns inside out stay unmoved.
    """
    x_t, y_t = states.values_54t[0, :2]
    (xx, xy, x0), (yx, yy, y0), (zx, zy, z0) = now_from_previous_33.tolist()
    # A similarity, as the background moves, does the same to all boxes: numbers are enough.
    alike = zx == zy == 0
    depth_t = z0 if alike else zx * x_t + zy * y_t + z0
    safe_t = np.maximum(depth_t, _MIN_DEPTH)
    moved_2t = np.array([xx * x_t + xy * y_t + x0, yx * x_t + yy * y_t + y0]) / safe_t
    # The Jacobian at the centre of each box.
    at_x_t, at_y_t = (0.0, 0.0) if alike else moved_2t
    by_x_2t = np.array([xx - zx * at_x_t, yx - zx * at_y_t]) / safe_t
    by_y_2t = np.array([xy - zy * at_x_t, yy - zy * at_y_t]) / safe_t
    if alike:
        by_x_2t, by_y_2t = by_x_2t[:, None], by_y_2t[:, None]
    scale_t = by_x_2t[0] * by_y_2t[1] - by_y_2t[0] * by_x_2t[1]
    values_54t = states.values_54t.copy()
    values_54t[0, :2] = moved_2t
    values_54t[0, 2:] += np.log(np.maximum(scale_t, _MIN_DEPTH ** 2)) / 2
    x_4t, y_4t = states.values_54t[1:, 0], states.values_54t[1:, 1]
    values_54t[1, :2] = by_x_2t * x_4t[0] + by_y_2t * y_4t[0]
    values_54t[2:, :2] = (by_x_2t * by_x_2t * x_4t[1:, None]
                          + by_y_2t * by_y_2t * y_4t[1:, None])
    sound_t = (depth_t > _MIN_DEPTH) & (scale_t > _MIN_DEPTH ** 2)
    if not sound_t.all():
        values_54t = np.where(sound_t, values_54t, states.values_54t)
    return BoxStates(values_54t)


def _square_units(heights_t: Float64Array) -> Float64Array:
    units_4t = np.ones((4, len(heights_t)))
    units_4t[:2] = heights_t * heights_t
    return units_4t
