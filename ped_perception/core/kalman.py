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
    def spread_4(self) -> Float64Array:
        """Standard deviations of the rates, in heights for the centre."""
        return np.array([self.speed, self.speed, self.growth, self.growth])

    @cached_property
    def memory_4(self) -> Float64Array:
        """Times after which the rates are forgotten, in seconds."""
        return np.array([self.speed_memory_s, self.speed_memory_s, self.growth_memory_s,
                         self.growth_memory_s])

    @cached_property
    def noise_4(self) -> Float64Array:
        """Standard deviations of a measurement, in heights for the centre."""
        return np.array([self.centre_noise, self.centre_noise, self.width_noise,
                         self.height_noise])


@dataclass(frozen=True, eq=False)
class BoxStates:
    """
    Estimates of T boxes; columns are centre x, centre y (px), log width, log height.

    Attributes:
        values_5t4: float64[5, T, 4]; the properties are views of its five parts.
    """

    values_5t4: Float64Array

    def __len__(self) -> int:
        """Give the number of boxes."""
        return self.values_5t4.shape[1]

    @property
    def position_t4(self) -> Float64Array:
        """Coordinates of the boxes."""
        return self.values_5t4[0]

    @property
    def rate_t4(self) -> Float64Array:
        """Change of the position in one second."""
        return self.values_5t4[1]

    @property
    def var_t4(self) -> Float64Array:
        """Variance of the position."""
        return self.values_5t4[2]

    @property
    def cross_t4(self) -> Float64Array:
        """Covariance of position and rate."""
        return self.values_5t4[3]

    @property
    def rate_var_t4(self) -> Float64Array:
        """Variance of the rate."""
        return self.values_5t4[4]

    def __getitem__(self, rows: Int64Array | BoolArray) -> BoxStates:
        """Keep some of the boxes, by index or mask."""
        # Taking whole rows by number is several times as fast as indexing with an array.
        numbers = rows.nonzero()[0] if rows.dtype == np.bool_ else rows
        return BoxStates(self.values_5t4.take(numbers, axis=1))

    def joined(self, other: BoxStates) -> BoxStates:
        """Put other boxes behind these."""
        return BoxStates(np.concatenate([self.values_5t4, other.values_5t4], axis=1))

    def replaced(self, rows: Int64Array, other: BoxStates) -> BoxStates:
        """Give a copy in which some boxes are others."""
        values_5t4 = self.values_5t4.copy()
        values_5t4[:, rows] = other.values_5t4
        return BoxStates(values_5t4)

    @cached_property
    def sizes_t2(self) -> Float64Array:
        """Widths and heights in pixels."""
        sizes: Float64Array = np.exp(np.minimum(
            np.maximum(self.position_t4[:, 2:], _LOG_SIDES[0]), _LOG_SIDES[1]))
        return sizes

    @cached_property
    def units_t4(self) -> Float64Array:
        """Squares of what one means: a height in pixels for centres, one for logarithms."""
        return _square_units(self.sizes_t2[:, 1])

    @property
    def boxes_t4(self) -> Float64Array:
        """Corners ``x1 y1 x2 y2`` in pixels."""
        half_t2 = self.sizes_t2 / 2
        centre_t2 = self.position_t4[:, :2]
        boxes_t4 = np.empty_like(self.position_t4)
        np.subtract(centre_t2, half_t2, out=boxes_t4[:, :2])
        np.add(centre_t2, half_t2, out=boxes_t4[:, 2:])
        return boxes_t4

    @property
    def sigmas_t4(self) -> Float64Array:
        """Standard deviations of centre x, centre y, width and height in pixels."""
        sigma: Float64Array = np.sqrt(self.var_t4)
        sigma[:, 2:] *= self.sizes_t2
        return sigma


def measurements_from_boxes(boxes_n4: Float32Array | Float64Array) -> Float64Array:
    """
    Turn corners into centre x, centre y, log width, log height.

    Args:
        boxes_n4: ``x1 y1 x2 y2`` in pixels; sides below one pixel count as one pixel.

    Returns:
        float64[N, 4].
    """
    low_n2, high_n2 = boxes_n4[:, :2].astype(np.float64), boxes_n4[:, 2:]
    measured_n4 = np.empty((len(boxes_n4), 4))
    np.add(low_n2, high_n2, out=measured_n4[:, :2])
    measured_n4[:, :2] /= 2
    np.log(np.maximum(high_n2 - low_n2, _MIN_SIDE_PX), out=measured_n4[:, 2:])
    return measured_n4


def started(measured_n4: Float64Array, model: MotionModel) -> BoxStates:
    """Begin a state for each measurement: at rest, with the speeds of pedestrians as spread."""
    units_n4 = _square_units(np.exp(measured_n4[:, 3]))
    values_5n4 = np.zeros((5, *measured_n4.shape))
    values_5n4[0] = measured_n4
    values_5n4[2] = units_n4 * model.noise_4 ** 2
    values_5n4[4] = units_n4 * model.spread_4 ** 2
    return BoxStates(values_5n4)


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
    reach_4, keep_4, square_4, noise_34 = _transition(dt_s, model)
    position_t4, rate_t4, var_t4, cross_t4, rate_var_t4 = states.values_5t4
    values_5t4 = np.empty_like(states.values_5t4)
    np.add(position_t4, rate_t4 * reach_4, out=values_5t4[0])
    np.multiply(rate_t4, keep_4, out=values_5t4[1])
    values_5t4[2:] = states.units_t4 * noise_34[:, None]
    carried_t4 = cross_t4 + reach_4 * rate_var_t4
    values_5t4[2] += var_t4 + reach_4 * (cross_t4 + carried_t4)
    values_5t4[3] += keep_4 * carried_t4
    values_5t4[4] += square_4 * rate_var_t4
    return BoxStates(values_5t4)


# Cameras have few different periods.
@lru_cache(maxsize=32)
def _transition(dt_s: float, model: MotionModel
                ) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """
    Give what a step in time does to all boxes alike, each by column of a state.

    Returns:
        seconds of the rate that reach the position; share of the rate that is kept, and its
        square; and noise [3, 4] of position, cross and rate, in the units of a state.
    """
    memory_4 = model.memory_4
    # 1 - exp(-dt / memory) without cancellation
    loss_4 = -np.expm1(-dt_s / memory_4)
    keep_4, reach_4 = 1 - loss_4, memory_4 * loss_4
    # 2 m (dt - 2 m loss + m (1 - keep^2) / 2): differences of nearly equal numbers for tiny
    # steps, where the rounding may fall below zero.
    position_4 = np.maximum(2 * memory_4 * (dt_s - reach_4 * (2 - (1 + keep_4) / 2)), 0)
    noise_34 = model.spread_4 ** 2 * np.stack(
        [position_4, memory_4 * loss_4 ** 2, loss_4 * (1 + keep_4)])
    return reach_4, keep_4, keep_4 ** 2, noise_34


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
    position_t4, rate_t4, var_t4, cross_t4, rate_var_t4 = states.values_5t4
    noise_t4 = _noise_variances(states, model)
    noise_t4 *= (doubts_t * doubts_t)[:, None]
    total_t4 = var_t4 + noise_t4
    miss_t4 = (measured_t4 - position_t4) / total_t4
    share_t4 = noise_t4 / total_t4
    # Sums of positive terms only: the covariance stays positive definite in rounding too.
    determinant_t4 = np.maximum(var_t4 * rate_var_t4 - cross_t4 * cross_t4, 0)
    values_5t4 = np.empty_like(states.values_5t4)
    np.add(position_t4, var_t4 * miss_t4, out=values_5t4[0])
    np.add(rate_t4, cross_t4 * miss_t4, out=values_5t4[1])
    np.multiply(states.values_5t4[2:], share_t4, out=values_5t4[2:])
    values_5t4[4] += determinant_t4 / total_t4
    return BoxStates(values_5t4)


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
    # In units of the standard deviations of the states, which are fewer than the pairs.
    scale_t4 = _noise_variances(states, model)
    scale_t4 += states.var_t4
    np.sqrt(scale_t4, out=scale_t4)
    np.reciprocal(scale_t4, out=scale_t4)
    miss_p4 = measured_n4.take(columns_p, axis=0)
    miss_p4 -= states.position_t4.take(rows_p, axis=0)
    miss_p4 *= scale_t4.take(rows_p, axis=0)
    distance_p: Float64Array = np.einsum('pk,pk->p', miss_p4, miss_p4)
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
    centre_t2, rate_t2, cov_3t2 = (
        states.position_t4[:, :2], states.rate_t4[:, :2], states.values_5t4[2:, :, :2])
    depth_t = centre_t2 @ now_from_previous_33[2, :2] + now_from_previous_33[2, 2]
    linear_t22, moved_t2 = _linear_at(centre_t2, now_from_previous_33,
                                      np.maximum(depth_t, _MIN_DEPTH))
    scale_t = (linear_t22[:, 0, 0] * linear_t22[:, 1, 1]
               - linear_t22[:, 0, 1] * linear_t22[:, 1, 0])
    weight_t22 = linear_t22 * linear_t22
    values_5t4 = states.values_5t4.copy()
    values_5t4[0, :, :2] = moved_t2
    values_5t4[0, :, 2:] += (np.log(np.maximum(scale_t, _MIN_DEPTH ** 2)) / 2)[:, None]
    values_5t4[1, :, :2] = (linear_t22[:, :, 0] * rate_t2[:, :1]
                            + linear_t22[:, :, 1] * rate_t2[:, 1:])
    values_5t4[2:, :, :2] = (weight_t22[:, :, 0] * cov_3t2[:, :, :1]
                             + weight_t22[:, :, 1] * cov_3t2[:, :, 1:])
    lost = (~((depth_t > _MIN_DEPTH) & (scale_t > _MIN_DEPTH ** 2))).nonzero()[0]
    values_5t4[:, lost] = states.values_5t4[:, lost]
    return BoxStates(values_5t4)


def _linear_at(points_t2: Float64Array, homography_33: Float64Array, depth_t: Float64Array,
               ) -> tuple[Float64Array, Float64Array]:
    """Give the Jacobian of a homography at points, float64[T, 2, 2], and their images."""
    image_t2 = (points_t2 @ homography_33[:2, :2].T + homography_33[:2, 2]) / depth_t[:, None]
    jacobian_t22 = (homography_33[None, :2, :2]
                    - image_t2[:, :, None] * homography_33[None, 2:, :2])
    return jacobian_t22 / depth_t[:, None, None], image_t2


def _square_units(heights_t: Float64Array) -> Float64Array:
    units_t4 = np.ones((len(heights_t), 4))
    units_t4[:, :2] = (heights_t * heights_t)[:, None]
    return units_t4


def _noise_variances(states: BoxStates, model: MotionModel) -> Float64Array:
    variances: Float64Array = states.units_t4 * model.noise_4 ** 2
    return variances
