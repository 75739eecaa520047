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
The lens: pixels to rays and points to pixels, for pinhole and fisheye cameras with distortion.

Pixels here are those of the boxes: the origin is the outer corner of the first pixel. The matrix
keeps the convention of CameraInfo and OpenCV, whose origin is the centre of that pixel, half a
pixel away; the conversion happens inside. Rays and points are in the optical frame of REP 103:
z forward, x right, y down.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from dataclasses import dataclass, field

import numpy as np
from ped_perception.core import lens
from ped_perception.core.errors import CalibrationError
from ped_perception.core.types import Float64Array, read_only

# How many coefficients each distortion model may have. The names are those of
# sensor_msgs/distortion_models.hpp; OpenCV appends four thin prism terms to the rational ones.
COEFFICIENT_COUNTS = {
    'none': (0,), 'plumb_bob': (4, 5), 'rational_polynomial': (8, 12), 'equidistant': (4,)}
# What drivers write for the same models.
_ALIASES = {'fisheye': 'equidistant', '': 'none'}
_SHAPES: dict[str, tuple[int | None, ...]] = {
    'matrix_33': (3, 3), 'coefficients_k': (None,), 'optical_from_lens_33': (3, 3),
    'centre_3': (3,)}
# From the origin of OpenCV's pixels to that of the boxes.
PIXEL_CENTRE = 0.5


@dataclass(frozen=True, eq=False)
class CameraModel:
    """
    One calibrated camera.

    Attributes:
        size_hw: height and width in pixels of the pictures that the model is for.
        matrix_33: float64[3, 3], focal lengths and principal point in pixels.
        distortion: one of :data:`COEFFICIENT_COUNTS`.
        coefficients_k: float64[K] of the distortion model.
        optical_from_lens_33: float64[3, 3], turns rays behind the lens into the optical frame:
            the rectification matrix of CameraInfo for raw pictures, identity otherwise.
        centre_3: float64[3], the centre of projection in the optical frame in metres: not zero
            for the second camera of a stereo pair, which shares the frame of the first.
        profile_2m: float64[2, M], undistorted radii (for a fisheye angles in radians) and the
            radii they are drawn at, as far as the drawing grows. Derived.
    """

    size_hw: tuple[int, int]
    matrix_33: Float64Array
    distortion: str
    coefficients_k: Float64Array
    optical_from_lens_33: Float64Array = field(default_factory=lambda: np.eye(3))
    centre_3: Float64Array = field(default_factory=lambda: np.zeros(3))
    profile_2m: Float64Array = field(init=False)

    def __post_init__(self) -> None:
        """Refuse what is no calibration."""
        for name, shape in _SHAPES.items():
            object.__setattr__(self, name, read_only(name, getattr(self, name), np.float64, shape))
        _check(self)
        object.__setattr__(self, 'profile_2m', lens.profile_of(
            self.distortion == 'equidistant', self.coefficients_k))

    @property
    def focal_xy(self) -> tuple[float, float]:
        """Focal lengths along x and y in pixels."""
        return float(self.matrix_33[0, 0]), float(self.matrix_33[1, 1])

    @property
    def principal_xy(self) -> tuple[float, float]:
        """Where the optical axis meets the picture, in pixels of the boxes."""
        return (float(self.matrix_33[0, 2]) + PIXEL_CENTRE,
                float(self.matrix_33[1, 2]) + PIXEL_CENTRE)

    def rays_from_pixels(self, pixels_n2: Float64Array) -> Float64Array:
        """
        Give the direction each pixel looks into.

        Args:
            pixels_n2: float64[N, 2], may lie outside the picture.

        Returns:
            float64[N, 3] unit vectors in the optical frame; NaN where the lens model has no ray.
        """
        return self.rays_and_jacobians(pixels_n2)[0]

    def rays_and_jacobians(self, pixels_n2: Float64Array) -> tuple[Float64Array, Float64Array]:
        """
        Give the ray of each pixel, and how it turns when the pixel moves.

        Returns:
            float64[N, 3] unit vectors in the optical frame, and float64[N, 3, 2], their
            derivatives by the pixel; NaN where the lens model has no ray.
        """
        bundle_33n = self.ray_bundle(pixels_n2, np.eye(3))
        return bundle_33n[:, 0].T, bundle_33n[:, 1:].transpose(2, 0, 1)

    def ray_bundle(self, pixels_n2: Float64Array, base_from_optical_33: Float64Array,
                   ) -> Float64Array:
        """
        Give rays and how they turn in another frame, laid out for arithmetic on many at once.

        Returns:
            float64[3, 3, N]: by x, y, z the unit ray, then its derivatives by the columns of
            the pixels; NaN where the lens model has no ray.
        """
        focal_xy = self.focal_xy
        image_2n = np.empty((2, len(pixels_n2)))
        for axis in (0, 1):
            np.subtract(pixels_n2[:, axis], self.principal_xy[axis], out=image_2n[axis])
            image_2n[axis] /= focal_xy[axis]
        undo = lens.fisheye_rays if self.distortion == 'equidistant' else lens.pinhole_rays
        bundle_33n = undo(image_2n.T, self.coefficients_k, self.profile_2m)
        bundle_33n[:, 1] /= focal_xy[0]
        bundle_33n[:, 2] /= focal_xy[1]
        # One product of small matrices instead of one for each pixel.
        turn_33 = base_from_optical_33 @ self.optical_from_lens_33
        return (turn_33 @ bundle_33n.reshape(3, -1)).reshape(3, 3, -1)

    def pixels_from_points(self, points_n3: Float64Array) -> Float64Array:
        """
        Project points of the optical frame.

        Args:
            points_n3: float64[N, 3] in metres.

        Returns:
            float64[N, 2] pixels, possibly outside the picture; NaN for a point that this lens
            cannot see: behind a pinhole, or beyond the angle where its distortion folds over.
        """
        lens_n3 = (np.asarray(points_n3, np.float64) - self.centre_3) @ self.optical_from_lens_33
        do = (lens.fisheye_images if self.distortion == 'equidistant' else lens.pinhole_images)
        image_n2 = do(lens_n3, self.coefficients_k, self.profile_2m)
        return image_n2 * self.focal_xy + self.principal_xy

    def resized(self, size_hw: tuple[int, int]) -> CameraModel:
        """Give the model of the same camera for pictures scaled to another size."""
        scale_x, scale_y = size_hw[1] / self.size_hw[1], size_hw[0] / self.size_hw[0]
        cx, cy = self.principal_xy
        fx, fy = self.focal_xy
        matrix_33 = np.array([[fx * scale_x, 0, cx * scale_x - PIXEL_CENTRE],
                              [0, fy * scale_y, cy * scale_y - PIXEL_CENTRE], [0, 0, 1]])
        return dataclasses.replace(self, size_hw=size_hw, matrix_33=matrix_33)

    def turned(self, quarter_turns: int) -> CameraModel:
        """
        Give the model of the same camera for pictures that were turned to stand upright.

        Args:
            quarter_turns: clockwise, any whole number.
        """
        model = self
        for _ in range(quarter_turns % 4):
            model = _turned_once(model)
        return model

    def cropped(self, crop_xyxy: tuple[int, int, int, int]) -> CameraModel:
        """Give the model of the same camera for pictures cut to whole pixels."""
        x1, y1, x2, y2 = crop_xyxy
        matrix_33 = self.matrix_33 - np.array([[0, 0, x1], [0, 0, y1], [0, 0, 0]])
        return dataclasses.replace(self, size_hw=(y2 - y1, x2 - x1), matrix_33=matrix_33)


def camera_model_from_calibration(
        *, size_hw: tuple[int, int], k_9: Sequence[float], distortion_model: str,
        d_k: Sequence[float], r_9: Sequence[float] = (), p_12: Sequence[float] = (),
        rectified: bool = False, binning_xy: tuple[int, int] = (1, 1),
        roi_xyxy: tuple[int, int, int, int] | None = None) -> CameraModel:
    """
    Build a camera from the numbers of a CameraInfo.

    A raw picture is described by K and D, a rectified one (``image_rect``) by P alone. Both give
    the same ray for the same thing, in the frame that TF knows: rays of raw pictures are turned
    by R, and the translation in P becomes the centre of projection.

    Args:
        size_hw: height and width of the full-resolution picture, as in CameraInfo.
        k_9: K, row by row.
        distortion_model: as in CameraInfo; an empty name with no coefficients means none.
        d_k: D; all zeros count as no distortion.
        r_9: R, row by row; empty or all zeros count as identity.
        p_12: P, row by row; needed for rectified pictures.
        rectified: the pictures are rectified already.
        binning_xy: pixels that the driver joined, 0 counts as 1.
        roi_xyxy: part of the full-resolution picture that is sent, None for all of it.

    Raises:
        CalibrationError: uncalibrated (K[0] is 0), not finite, or contradictory.
    """
    matrix_33: Float64Array = np.array(k_9, float).reshape(3, 3)
    turn_33: Float64Array = np.eye(3)
    centre_3: Float64Array = np.zeros(3)
    kind = _ALIASES.get(distortion_model, distortion_model)
    coefficients_k = np.array(d_k, float)
    if len(r_9) and np.any(r_9):
        turn_33 = np.array(r_9, float).reshape(3, 3)
    if len(p_12) and np.any(p_12):
        projection_34, centre_3 = _projection_from_p(p_12)
        if rectified:
            matrix_33, turn_33 = projection_34[:, :3], np.eye(3)
    elif rectified:
        raise CalibrationError('P of the CameraInfo is zero, but a rectified picture is described '
                               'by P alone. Subscribe the raw image topic or publish P.')
    # A fisheye without coefficients is a fisheye still.
    is_straight = kind in COEFFICIENT_COUNTS and kind != 'equidistant' and not np.any(d_k)
    if rectified or is_straight:
        kind, coefficients_k = 'none', np.zeros(0)
    model = CameraModel(size_hw, matrix_33, kind, coefficients_k, turn_33, centre_3)
    if roi_xyxy is not None and roi_xyxy != (0, 0, 0, 0):
        model = model.cropped(roi_xyxy)
    bin_x, bin_y = (max(1, count) for count in binning_xy)
    if (bin_x, bin_y) != (1, 1):
        height, width = model.size_hw[0] // bin_y, model.size_hw[1] // bin_x
        # What is left over of an odd picture is in no joined pixel.
        model = model.cropped((0, 0, width * bin_x, height * bin_y)).resized((height, width))
    return model


def _projection_from_p(p_12: Sequence[float]) -> tuple[Float64Array, Float64Array]:
    """
    Read P of a CameraInfo.

    Returns:
        P, float64[3, 4], and the centre of projection, float64[3].

    Raises:
        CalibrationError: it projects nothing.
    """
    projection_34: Float64Array = np.array(p_12, float).reshape(3, 4)
    try:
        centre_3 = -np.linalg.solve(projection_34[:, :3], projection_34[:, 3])
    except np.linalg.LinAlgError:
        centre_3 = np.full(3, np.nan)
    if not projection_34[0, 0] or not np.isfinite([*p_12, *centre_3]).all():
        raise CalibrationError(f'P of the CameraInfo is no projection: {list(p_12)}. '
                               f'Calibrate the camera, or publish zeros for P.')
    return projection_34, centre_3.astype(np.float64)


def _turned_once(model: CameraModel) -> CameraModel:
    # What was up is now right: x' = -y, y' = x. Radial distortion looks the same from all sides;
    # the tangential terms (p2, p1) and the thin prisms (s1, s3), (s2, s4) are vectors and turn.
    quarter_33 = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    (fx, fy), (cx, cy) = model.focal_xy, model.principal_xy
    height, width = model.size_hw
    coefficients_k = model.coefficients_k.copy()
    if model.distortion in ('plumb_bob', 'rational_polynomial'):
        coefficients_k[[3, 2]] = quarter_33[:2, :2] @ coefficients_k[[3, 2]]
        for first, second in ((8, 10), (9, 11)) if len(coefficients_k) == 12 else ():
            coefficients_k[[first, second]] = (
                quarter_33[:2, :2] @ coefficients_k[[first, second]])
    return dataclasses.replace(
        model, size_hw=(width, height), coefficients_k=coefficients_k,
        matrix_33=np.array([[fy, 0.0, height - cy - PIXEL_CENTRE],
                            [0.0, fx, cx - PIXEL_CENTRE], [0.0, 0.0, 1.0]]),
        optical_from_lens_33=model.optical_from_lens_33 @ quarter_33.T)


def _check(model: CameraModel) -> None:
    """Say what makes a calibration unusable."""
    matrix_33, kind = model.matrix_33, model.distortion
    count = len(model.coefficients_k)
    if min(model.size_hw) <= 0:
        raise CalibrationError(f'Height and width of the picture are {model.size_hw}. '
                               f'Fill height and width of the CameraInfo.')
    if matrix_33[0, 0] == 0:
        raise CalibrationError('The camera is uncalibrated: K[0] of its CameraInfo is 0. '
                               'Calibrate it (ros2 run camera_calibration cameracalibrator).')
    if kind not in COEFFICIENT_COUNTS:
        raise CalibrationError(f'There is no distortion model {kind!r}; '
                               f'known are: {", ".join(COEFFICIENT_COUNTS)}.')
    if count not in COEFFICIENT_COUNTS[kind]:
        wanted = ' or '.join(str(number) for number in COEFFICIENT_COUNTS[kind])
        raise CalibrationError(f'The distortion model {kind} has {wanted} coefficients, '
                               f'but D of the CameraInfo has {count}.')
    for name in _SHAPES:
        if not np.isfinite(getattr(model, name)).all():
            raise CalibrationError(f'{name} of the camera is not finite: '
                                   f'{getattr(model, name).tolist()}. Calibrate the camera again.')
    shape_33 = matrix_33 * [[0, 1, 0], [1, 0, 0], [1, 1, 1]]
    if matrix_33[0, 0] < 0 or matrix_33[1, 1] <= 0 or np.any(shape_33 != np.diag([0, 0, 1])):
        raise CalibrationError(f'K must be fx 0 cx, 0 fy cy, 0 0 1 with positive focal lengths, '
                               f'not {matrix_33.tolist()}.')
    if not lens.is_rotation(model.optical_from_lens_33):
        raise CalibrationError(f'R of the CameraInfo is no rotation: '
                               f'{model.optical_from_lens_33.tolist()}.')
