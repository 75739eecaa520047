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
Distortion of lenses and its inverse, in image coordinates of focal length one.

Pinhole lenses follow OpenCV's polynomials (Brown, "Close-range camera calibration", 1971, with
the rational and the thin prism terms). Fisheyes follow the equidistant model of Kannala and
Brandt, "A generic camera model and calibration method", PAMI 2006. Inverses are Newton
iterations that start from a table: OpenCV's own fixed-point inverse stops after five rounds and
misses by pixels in the corners of strong lenses.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from ped_perception.core.types import Float64Array

# Newton doubles the digits each round; close to the fold of a lens it takes a few more.
_ROUNDS = 20
# Image coordinates of focal length one: 1e-9 is a millionth of a pixel for 1000 px.
_DONE = 1e-9
_FAILED = 1e-6
# A pinhole picture ends before this angle from its axis.
_WIDEST_PINHOLE_RAD = np.radians(88)
_SAMPLES = 4000
_COEFFICIENTS = 12


def is_rotation(matrix_33: Float64Array, tolerance: float = 1e-3) -> bool:
    """Tell whether a matrix turns and does nothing else."""
    # Nine numbers: plain arithmetic is several times as fast as arrays. NaN is no rotation.
    (a, b, c), (d, e, f), (g, h, i) = matrix_33.tolist()
    offs = (a * a + b * b + c * c - 1, d * d + e * e + f * f - 1, g * g + h * h + i * i - 1,
            a * d + b * e + c * f, a * g + b * h + c * i, d * g + e * h + f * i)
    upright: bool = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) > 0
    return upright and all(abs(off) < tolerance for off in offs)


def profile_of(fisheye: bool, coefficients_k: Float64Array) -> Float64Array:
    """
    Tabulate how far from the axis the lens draws what it sees, as far as that distance grows.

    Returns:
        float64[2, M]: undistorted radii (for a fisheye angles in radians) and the distorted
        radii. The table ends where the distortion folds over and two points share one pixel.
    """
    radii_2m: Float64Array = np.empty((2, _SAMPLES))
    if fisheye:
        radii_2m[0] = np.linspace(0, np.pi, _SAMPLES)
        radii_2m[1] = _fisheye_radius(radii_2m[0], coefficients_k)
    else:
        # Even in angle: fine where the picture is, coarse where only the limit matters.
        radii_2m[0] = np.tan(np.linspace(0, _WIDEST_PINHOLE_RAD, _SAMPLES))
        radial_k = coefficients_k.copy()
        radial_k[2:4], radial_k[8:] = 0, 0
        with np.errstate(all='ignore'):
            radii_2m[1] = _distorted(radii_2m[0], np.zeros(_SAMPLES), radial_k)[0]
    # Written so that NaN stops the growth too.
    stops = np.flatnonzero(~(np.diff(radii_2m[1]) > 0))
    return radii_2m[:, :stops[0] + 1] if len(stops) else radii_2m


def pinhole_rays(image_n2: Float64Array, coefficients_k: Float64Array, profile_2m: Float64Array,
                 ) -> Float64Array:
    """
    Undo the distortion of a pinhole camera.

    Args:
        image_n2: float64[N, 2], distorted image coordinates.
        coefficients_k: OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4]]], empty for none.
        profile_2m: from :func:`profile_of`.

    Returns:
        float64[3, 3, N]: by x, y, z the unit ray, then its derivatives by the two columns of
        image_n2; NaN without a ray.
    """
    x_n, y_n = np.ascontiguousarray(image_n2.T)
    # The inverse of the distortion's Jacobian: the two columns.
    slopes: list[tuple[Float64Array | float, Float64Array | float]] = [(1.0, 0.0), (0.0, 1.0)]
    if len(coefficients_k):
        x_n, y_n, slopes = _newton(x_n, y_n, coefficients_k, profile_2m)
    shrink_n = 1 / np.sqrt(x_n * x_n + y_n * y_n + 1)
    bundle_33n: Float64Array = np.empty((3, 3, len(image_n2)))
    ray_3n = bundle_33n[:, 0]
    ray_3n[0], ray_3n[1], ray_3n[2] = x_n * shrink_n, y_n * shrink_n, shrink_n
    # A unit vector r = v/|v| moves by (dv - r (r dv)) / |v|, and only x and y of v move.
    for column, (dx_n, dy_n) in enumerate(slopes, start=1):
        along_n = ray_3n[0] * dx_n + ray_3n[1] * dy_n
        bundle_33n[0, column] = (dx_n - ray_3n[0] * along_n) * shrink_n
        bundle_33n[1, column] = (dy_n - ray_3n[1] * along_n) * shrink_n
        bundle_33n[2, column] = -ray_3n[2] * along_n * shrink_n
    return bundle_33n


def pinhole_images(points_n3: Float64Array, coefficients_k: Float64Array,
                   profile_2m: Float64Array) -> Float64Array:
    """Project points; NaN behind the camera and where the distortion folds over."""
    with np.errstate(all='ignore'):
        image_n2 = points_n3[:, :2] / points_n3[:, 2:]
        radius_n = np.hypot(image_n2[:, 0], image_n2[:, 1])
        seen_n = (points_n3[:, 2] > 0) & (radius_n < np.inf)
        if len(coefficients_k):
            seen_n &= radius_n <= profile_2m[0, -1]
            x_n, y_n, _ = _distorted(image_n2[:, 0], image_n2[:, 1], coefficients_k)
            image_n2 = np.stack([x_n, y_n], axis=1)
    image_n2[~seen_n] = np.nan
    return image_n2


def fisheye_rays(image_n2: Float64Array, coefficients_k: Float64Array, profile_2m: Float64Array,
                 ) -> Float64Array:
    """Undo the equidistant distortion; as :func:`pinhole_rays`, beyond 90 degrees too."""
    x_n, y_n = np.ascontiguousarray(image_n2.T)
    radius_n = np.hypot(x_n, y_n)
    angle_n = np.interp(radius_n, profile_2m[1], profile_2m[0])
    with np.errstate(all='ignore'):
        for _ in range(_ROUNDS):
            slope_n = _fisheye_slope(angle_n, coefficients_k)
            miss_n = _fisheye_radius(angle_n, coefficients_k) - radius_n
            if np.all(np.abs(miss_n) < _DONE):
                break
            angle_n = np.clip(angle_n - miss_n / slope_n, 0, profile_2m[0, -1])
        lost_n = ~((np.abs(miss_n) < _FAILED) & (slope_n > 0))
        # On the axis every direction is as good, and sin(angle) / radius has the limit 1.
        on_axis_n = radius_n < 1e-12
        x_n = np.where(on_axis_n, 1.0, x_n / radius_n)
        y_n = np.where(on_axis_n, 0.0, y_n / radius_n)
        sine_n, cosine_n = np.sin(angle_n), np.cos(angle_n)
        around_n = np.where(on_axis_n, 1.0, sine_n / radius_n)
        outward_n = cosine_n / slope_n
    turn_n = x_n * y_n * (outward_n - around_n)
    bundle_33n = np.stack([
        x_n * sine_n, x_n * x_n * outward_n + y_n * y_n * around_n, turn_n,
        y_n * sine_n, turn_n, y_n * y_n * outward_n + x_n * x_n * around_n,
        cosine_n, -x_n * sine_n / slope_n, -y_n * sine_n / slope_n]).reshape(3, 3, -1)
    bundle_33n[:, :, lost_n] = np.nan
    return bundle_33n


def fisheye_images(points_n3: Float64Array, coefficients_k: Float64Array,
                   profile_2m: Float64Array) -> Float64Array:
    """Project points by the equidistant model; NaN beyond the angle it is valid for."""
    across_n = np.hypot(points_n3[:, 0], points_n3[:, 1])
    angle_n = np.arctan2(across_n, points_n3[:, 2])
    with np.errstate(divide='ignore', invalid='ignore'):
        outward_n2 = np.where(across_n[:, None] > 0, points_n3[:, :2] / across_n[:, None], 0.0)
    image_n2 = outward_n2 * _fisheye_radius(angle_n, coefficients_k)[:, None]
    # Straight backwards has no direction in the picture, nor has the centre of projection.
    seen_n = (angle_n < profile_2m[0, -1]) & (np.abs(points_n3).max(axis=1) > 0)
    image_n2[~seen_n] = np.nan
    return image_n2


def _newton(goal_x_n: Float64Array, goal_y_n: Float64Array, coefficients_k: Float64Array,
            profile_2m: Float64Array) -> tuple[
                Float64Array, Float64Array,
                list[tuple[Float64Array | float, Float64Array | float]]]:
    """Find the undistorted x, y and the columns of the inverse of the Jacobian there."""
    goal_n = np.hypot(goal_x_n, goal_y_n)
    with np.errstate(all='ignore'):
        # Exact but for the tangential terms, thus Newton is done in two or three rounds.
        start_n = np.interp(goal_n, profile_2m[1], profile_2m[0]) / np.maximum(goal_n, 1e-12)
        x_n, y_n = goal_x_n * start_n, goal_y_n * start_n
        for _ in range(_ROUNDS):
            image_x_n, image_y_n, (xx_n, xy_n, yx_n, yy_n) = _distorted(x_n, y_n, coefficients_k)
            miss_x_n, miss_y_n = image_x_n - goal_x_n, image_y_n - goal_y_n
            area_n = xx_n * yy_n - xy_n * yx_n
            miss_n = np.maximum(np.abs(miss_x_n), np.abs(miss_y_n))
            if np.all(miss_n < _DONE):
                break
            x_n = x_n - (yy_n * miss_x_n - xy_n * miss_y_n) / area_n
            y_n = y_n - (xx_n * miss_y_n - yx_n * miss_x_n) / area_n
        lost_n = ~((miss_n < _FAILED) & (area_n > 0)
                   & (x_n * x_n + y_n * y_n <= profile_2m[0, -1] ** 2))
        area_n = np.where(lost_n, np.nan, area_n)
        columns = [(yy_n / area_n, -yx_n / area_n), (-xy_n / area_n, xx_n / area_n)]
    x_n, y_n = np.where(lost_n, np.nan, x_n), np.where(lost_n, np.nan, y_n)
    return x_n, y_n, [*columns]


def _distorted(x_n: Float64Array, y_n: Float64Array, coefficients_k: Float64Array,
               ) -> tuple[Float64Array, Float64Array, tuple[Float64Array, ...]]:
    """Distort coordinates, and give the derivatives x by x, x by y, y by x, y by y."""
    padded_k = [*coefficients_k.tolist(), *[0.0] * (_COEFFICIENTS - len(coefficients_k))]
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = padded_k
    xy_n, rr_n = x_n * y_n, x_n * x_n + y_n * y_n
    above_n, below_n = 1 + rr_n * (k1 + rr_n * (k2 + rr_n * k3)), 1.0
    slope_n = k1 + rr_n * (2 * k2 + rr_n * 3 * k3)
    if k4 or k5 or k6:
        below_n = 1 + rr_n * (k4 + rr_n * (k5 + rr_n * k6))
        slope_n = (slope_n - above_n / below_n * (k4 + rr_n * (2 * k5 + rr_n * 3 * k6))) / below_n
    gain_n, slope_n = above_n / below_n, 2 * slope_n
    mixed_n = xy_n * slope_n + 2 * (p1 * x_n + p2 * y_n)
    image_x_n = x_n * gain_n + 2 * p1 * xy_n + p2 * (rr_n + 2 * x_n * x_n)
    image_y_n = y_n * gain_n + 2 * p2 * xy_n + p1 * (rr_n + 2 * y_n * y_n)
    slopes = [gain_n + x_n * x_n * slope_n + 2 * p1 * y_n + 6 * p2 * x_n, mixed_n, mixed_n,
              gain_n + y_n * y_n * slope_n + 6 * p1 * y_n + 2 * p2 * x_n]
    if s1 or s2 or s3 or s4:
        image_x_n, image_y_n = (image_x_n + rr_n * (s1 + s2 * rr_n),
                                image_y_n + rr_n * (s3 + s4 * rr_n))
        by_x_n, by_y_n = 2 * (s1 + 2 * s2 * rr_n), 2 * (s3 + 2 * s4 * rr_n)
        slopes = [slope + side_n * prism_n for slope, side_n, prism_n in zip(
            slopes, (x_n, y_n, x_n, y_n), (by_x_n, by_x_n, by_y_n, by_y_n), strict=True)]
    return cast(Float64Array, image_x_n), cast(Float64Array, image_y_n), tuple(slopes)


def _fisheye_radius(angle_n: Float64Array, coefficients_k: Float64Array) -> Float64Array:
    k1, k2, k3, k4 = coefficients_k
    square_n = angle_n * angle_n
    powers_n = k1 + square_n * (k2 + square_n * (k3 + square_n * k4))
    return cast(Float64Array, angle_n * (1 + square_n * powers_n))


def _fisheye_slope(angle_n: Float64Array, coefficients_k: Float64Array) -> Float64Array:
    k1, k2, k3, k4 = coefficients_k
    square_n = angle_n * angle_n
    powers_n = 3 * k1 + square_n * (5 * k2 + square_n * (7 * k3 + square_n * 9 * k4))
    return cast(Float64Array, 1 + square_n * powers_n)
