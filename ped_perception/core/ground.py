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
Where on the ground a box stands: two independent ranges, their uncertainty, and when not to say.

The first range is the foot point: the ray through the box's lower edge, below the body, meets the
ground plane. It suffers from pitch and from ground that is not where the plane is. The second
is the person height: the angle between the upper and the lower edge, for somebody as tall as
people are. It suffers from who the person is. What troubles the one leaves the other alone.

Both are inverse ranges, 1/m, because those are linear in what is measured: with ``q`` the tangent
of a ray's elevation, a camera at height ``h`` above the ground and a person of height ``H``,
the foot point gives ``w = -q_foot / h`` and the height ``w = (q_head - q_foot) / H``. They are
fused by their joint covariance (both use the lower edge) when they agree.

When they disagree, the nearer one is taken and the difference goes into its uncertainty:

* the foot point is nearer when the person is short (a child), sits, or has the head hidden: the
  foot point is right;
* the height is nearer when the person stands higher than the plane (pavement, embankment) or
  the vehicle nods: the height is right. With hidden feet both are too far and the height is the
  better one.

Feet hidden behind something lower than the camera stretch both ranges nearly alike, by about
``h / (h - hidden)``: no geometry of one box can see that. Only where the cover is another
pedestrian's box is it recognised, and the position becomes the stretch between the two.

The lower edge of a box is where the nearest shoe ends, ``foot_ahead_m`` in front of the point
below the body.
"""

from __future__ import annotations

import math

import numpy as np
from ped_perception.core.association import pairs_across
from ped_perception.core.border import Cuts
from ped_perception.core.camera import CameraModel
from ped_perception.core.errors import CalibrationError
from ped_perception.core.ground_ranges import (
    AHEAD,
    CX,
    CY,
    error_sources,
    GroundConfig,
    Ranges,
)
from ped_perception.core.ground_types import GroundPositions, GroundReason
from ped_perception.core.lens import is_rotation
from ped_perception.core.types import Float64Array, Int64Array, Tracks, Uint8Array

# Comparing an array with a member of an enumeration takes ten times as long as with a number.
_AGREED, _FOOT_NEARER, _HEIGHT_NEARER, _UNPLACED = (int(reason) for reason in (
    GroundReason.AGREED, GroundReason.FOOT_NEARER, GroundReason.HEIGHT_NEARER,
    GroundReason.ABOVE_HORIZON))
# A uniform stretch of length 1 has this variance.
_UNIFORM = 1 / 12
# A square centimetre keeps covariances positive definite when every source is switched off: for
# what is new in each picture, and for what lasts on top of it.
_FLOORS_M2 = np.array([[1e-4], [2e-4]])


def unavailable_positions(tracks: Tracks, reason: GroundReason) -> GroundPositions:
    """Say of every track of a picture that it has no position, and why."""
    count = len(tracks)
    return GroundPositions(
        tracks.camera, tracks.stamp_ns, tracks.ids_t, tracks.scores_t, tracks.ages_s_t,
        ~tracks.predicted_t, np.full((count, 2), np.nan), np.full((count, 2, 2), np.nan),
        np.full((count, 2, 2), np.nan), np.full(count, np.nan),
        np.full(count, reason, np.uint8))


def centre_of_projection(model: CameraModel, base_from_camera_44: Float64Array,
                         ground_z_m: float) -> Float64Array:
    """
    Check the mounting of a camera and tell where in base_link its rays start.

    Args:
        model: of the camera.
        base_from_camera_44: float64[4, 4], from the optical frame to base_link, metres.
        ground_z_m: of the ground plane in base_link.

    Raises:
        CalibrationError: not a rigid transform, or the camera is not above the ground.
    """
    # NaN and infinity are no rotation; sixteen numbers are compared faster as numbers.
    if (base_from_camera_44.shape != (4, 4) or not is_rotation(base_from_camera_44[:3, :3])
            or not all(map(math.isfinite, base_from_camera_44[:3, 3].tolist()))
            or base_from_camera_44[3].tolist() != [0.0, 0.0, 0.0, 1.0]):
        raise CalibrationError(f'base_from_camera is no rigid transform: '
                               f'{base_from_camera_44.tolist()}. Check the mounting parameters.')
    centre_3: Float64Array = (
        base_from_camera_44[:3, :3] @ model.centre_3 + base_from_camera_44[:3, 3])
    if centre_3[2] <= ground_z_m:
        raise CalibrationError(f'The camera is {ground_z_m - centre_3[2]:.2f} m below the ground. '
                               f'Check its z in base_link and ground_z_m.')
    return centre_3


def ground_positions(tracks: Tracks, model: CameraModel, base_from_camera_44: Float64Array,
                     config: GroundConfig) -> GroundPositions:
    """
    Place the tracks of one picture on the ground.

    Args:
        tracks: of one camera; their sigmas become part of the uncertainty.
        model: of the camera, for pictures of the size that the tracks are of.
        base_from_camera_44: float64[4, 4] at the time of the picture.
        config: assumptions.

    Raises:
        CalibrationError: the transform is not rigid, puts the camera below the ground, or the
            model is for pictures of another size.
    """
    if tracks.source_hw != model.size_hw:
        raise CalibrationError(f'The calibration of camera {tracks.camera} is for '
                               f'{model.size_hw} pixels, its pictures have {tracks.source_hw}. '
                               f'Use CameraModel.resized or cropped.')
    centre_3 = centre_of_projection(model, base_from_camera_44, config.ground_z_m)
    boxes_t4 = tracks.boxes_t4.astype(np.float64)
    cut = Cuts.of(boxes_t4, model.size_hw)
    with np.errstate(all='ignore'):
        ranges = Ranges.of(boxes_t4, cut, model, base_from_camera_44[:3, :3],
                           config.ground_z_m - centre_3[2], config)
        variance_2kt = error_sources(tracks, boxes_t4, cut, config)
        return _placed(tracks, boxes_t4, cut, ranges, variance_2kt, centre_3, config)


def _placed(tracks: Tracks, boxes_t4: Float64Array, cut: Cuts, ranges: Ranges,
            variance_2kt: Float64Array, centre_3: Float64Array, config: GroundConfig,
            ) -> GroundPositions:
    """Choose between the ranges, and turn range and bearing into positions."""
    ahead_m = config.foot_ahead_m
    reason_t, share_t, gap_t = _chosen(boxes_t4, cut, ranges, variance_2kt[1], config)
    rest_t = 1 - share_t
    edge_t = 1 / (share_t * ranges.foot_t + rest_t * ranges.height_t)
    range_t = edge_t + ahead_m
    plane_z_m = config.ground_z_m - float(centre_3[2])
    nearest_t = _nearest(boxes_t4, cut, ranges, reason_t, range_t, plane_z_m, config)
    hidden_t = nearest_t < range_t
    reason_t[hidden_t & ~cut.bottom_t] = GroundReason.FEET_COVERED
    stretch_t = np.where(hidden_t, range_t - nearest_t, 0.0)
    range_t -= stretch_t / 2
    placed_t = reason_t < _UNPLACED
    reason_t[placed_t & ~(range_t <= config.max_range_m)] = GroundReason.TOO_FAR
    square_t = edge_t * edge_t
    by_range_kt = share_t * ranges.slopes_2kt[0]
    by_range_kt += rest_t * ranges.slopes_2kt[1]
    by_range_kt *= -square_t
    by_range_kt[AHEAD] += 1
    unsure_t = (square_t * gap_t) ** 2 + _UNIFORM * stretch_t * stretch_t
    cos_t, sin_t = np.cos(ranges.bearing_t), np.sin(ranges.bearing_t)
    xy_t2 = np.empty((len(tracks), 2))
    xy_t2[:, 0], xy_t2[:, 1] = centre_3[0] + range_t * cos_t, centre_3[1] + range_t * sin_t
    noise_t22, cov_t22 = _covariances(
        by_range_kt, ranges.bearing_kt * range_t, variance_2kt, unsure_t, cos_t, sin_t)
    # What is not seen of somebody is as tall as people are.
    heights_t = np.where(cut.top_t | cut.bottom_t | hidden_t, config.person_height_m,
                         edge_t * (ranges.q_head_t - ranges.q_foot_t) + ahead_m * ranges.q_head_t)
    lost = (reason_t >= _UNPLACED).nonzero()[0]
    if len(lost):
        for array in (xy_t2, cov_t22, noise_t22, heights_t):
            array[lost] = np.nan
    return GroundPositions(
        tracks.camera, tracks.stamp_ns, tracks.ids_t, tracks.scores_t, tracks.ages_s_t,
        ~tracks.predicted_t, xy_t2, cov_t22, noise_t22, heights_t, reason_t)


def _rules() -> tuple[Uint8Array, Float64Array]:
    """
    Tabulate the reason, and the share of the foot point where only one range counts.

    Returns:
        uint8[256] and float64[256] by the eight facts of :func:`_chosen`, the first one in the
        highest bit.
    """
    (disagree_c, foot_nearer_c, near_horizon_c, top_c, bottom_c, above_c, no_ray_c, bad_c
     ) = np.unpackbits(np.arange(256, dtype=np.uint8)[None], axis=0).astype(np.bool_)
    reason_c, share_c = np.full(256, GroundReason.AGREED, np.uint8), np.zeros(256)
    # From the least to the most specific: the last that applies holds.
    for applies_c, reason, share in [
            (disagree_c & foot_nearer_c, GroundReason.FOOT_NEARER, 1.0),
            (disagree_c & ~foot_nearer_c, GroundReason.HEIGHT_NEARER, 0.0),
            (near_horizon_c, GroundReason.HEIGHT_ONLY, 0.0),
            (top_c, GroundReason.FOOT_ONLY, 1.0),
            (top_c & near_horizon_c, GroundReason.TOO_FAR, 1.0),
            (bottom_c & (top_c | foot_nearer_c), GroundReason.FEET_CUT, 1.0),
            (bottom_c & ~top_c & ~foot_nearer_c, GroundReason.FEET_CUT, 0.0),
            (above_c, GroundReason.ABOVE_HORIZON, 0.0),
            (no_ray_c, GroundReason.NO_RAY, 0.0),
            (bad_c, GroundReason.BAD_BOX, 0.0)]:
        reason_c[applies_c], share_c[applies_c] = reason, share
    return reason_c, share_c


_REASONS, _SHARES = _rules()


def _chosen(boxes_t4: Float64Array, cut: Cuts, ranges: Ranges, variance_kt: Float64Array,
            config: GroundConfig) -> tuple[Uint8Array, Float64Array, Float64Array]:
    """Give the reason, the share of the foot point, and half the gap when the two disagree."""
    weighed_2kt = ranges.slopes_2kt * variance_kt
    foot_t, height_t = np.add.reduce(weighed_2kt * ranges.slopes_2kt, axis=1)
    both_t = np.add.reduce(weighed_2kt[0] * ranges.slopes_2kt[1])
    apart_t = np.maximum(foot_t + height_t - 2 * both_t, 1e-18)
    gap_t = ranges.foot_t - ranges.height_t
    facts_8t = np.empty((8, len(boxes_t4)), np.bool_)
    np.greater(np.abs(gap_t), config.disagreement_sigmas * np.sqrt(apart_t), out=facts_8t[0])
    np.greater(gap_t, 0, out=facts_8t[1])
    np.less(ranges.foot_t, config.horizon_guard_sigmas * np.sqrt(foot_t), out=facts_8t[2])
    facts_8t[3], facts_8t[4] = cut.top_t, cut.bottom_t
    # Written so that NaN is a fault.
    np.logical_not(ranges.q_foot_t < 0, out=facts_8t[5])
    np.logical_not(np.isfinite(ranges.height_t + ranges.bearing_t), out=facts_8t[6])
    sides_t2 = boxes_t4[:, 2:] - boxes_t4[:, :2]
    sound_t2 = (sides_t2 > 0) & (sides_t2 < np.inf)
    # Whose feet are above his head, or who lies more than he stands, as his bearing changes more
    # from row to row than from column to column, does not stand on the lower edge of his box.
    lies_t = np.abs(ranges.bearing_kt[CY]) > np.abs(ranges.bearing_kt[CX])
    np.logical_not(sound_t2[:, 0] & sound_t2[:, 1]
                   & ~(lies_t | (ranges.q_head_t <= ranges.q_foot_t)), out=facts_8t[7])
    case_t = np.packbits(facts_8t, axis=0)[0]
    reason_t = _REASONS.take(case_t)
    # Best linear unbiased; kept within what the two say.
    blend_t = np.minimum(np.maximum((height_t - both_t) / apart_t, 0), 1)
    share_t = np.where(reason_t == _AGREED, blend_t, _SHARES.take(case_t))
    disagreed_t = (reason_t == _FOOT_NEARER) | (reason_t == _HEIGHT_NEARER)
    return reason_t, share_t, np.where(disagreed_t, gap_t / 2, 0.0)


def _nearest(boxes_t4: Float64Array, cut: Cuts, ranges: Ranges, reason_t: Uint8Array,
             range_t: Float64Array, plane_z_m: float, config: GroundConfig) -> Float64Array:
    """Give the nearest possible range of those whose feet are not seen, NaN for all others."""
    farthest_t: Float64Array = np.full(len(boxes_t4), -np.inf)
    reachable_t = (reason_t < _UNPLACED) & ~cut.bottom_t
    cover_p, hidden_p = _covers(boxes_t4)
    known_p = reachable_t.take(cover_p)
    cover_p, hidden_p = cover_p[known_p], hidden_p[known_p]
    # Who hides behind several is behind the farthest of them.
    np.maximum.at(farthest_t, hidden_p, range_t[cover_p])
    nearest_t = np.where(reachable_t & (farthest_t > 0), farthest_t, np.nan)
    # From a camera above everybody's head, a head below the horizon keeps its distance.
    tall_m = config.person_height_m + 3 * config.person_height_sigma_m
    head_t = np.where((ranges.q_head_t < 0) & ~cut.top_t,
                      max(-tall_m - plane_z_m, 0) / -ranges.q_head_t, 0.0)
    return np.where(cut.bottom_t, head_t, nearest_t)


def _covers(boxes_t4: Float64Array) -> tuple[Int64Array, Int64Array]:
    """Give int64[P] each: boxes, and others whose feet they cover."""
    boxes_4t = np.ascontiguousarray(boxes_t4.T)
    x1_t, y1_t, x2_t, y2_t = boxes_4t
    width_t, slack_t = x2_t - x1_t, 0.03 * (y2_t - y1_t)
    # The feet are in the middle half of the lower edge; more than half of that is to be covered.
    feet_4t = np.stack([x1_t + 0.55 * width_t, y1_t, x2_t - 0.55 * width_t, y2_t])
    hidden_p, cover_p = pairs_across(feet_4t, boxes_4t)
    # Two who stand side by side end at the same row; jitter must not put one before the other.
    lower = ((y2_t.take(cover_p) > (y2_t + slack_t).take(hidden_p))
             & (y1_t.take(cover_p) < (y2_t - slack_t).take(hidden_p))).nonzero()[0]
    cover_p, hidden_p = cover_p.take(lower), hidden_p.take(lower)
    covers = ((x2_t.take(cover_p) > feet_4t[0].take(hidden_p))
              & (x1_t.take(cover_p) < feet_4t[2].take(hidden_p))
              & (width_t.take(cover_p) > 0.3 * width_t.take(hidden_p))).nonzero()[0]
    return cover_p.take(covers), hidden_p.take(covers)


def _covariances(ahead_kt: Float64Array, aside_kt: Float64Array,
                 variance_2kt: Float64Array, unsure_t: Float64Array, cos_t: Float64Array,
                 sin_t: Float64Array) -> tuple[Float64Array, Float64Array]:
    """
    Turn variances of the sources into covariances in base_link.

    Args:
        ahead_kt: float64[10, T], what each source moves along the ray, in metres.
        aside_kt: float64[10, T], the same across it to the left.
        variance_2kt: of what is new in each picture, and of everything.
        unsure_t: variance along the ray that is in no source.
        cos_t: along x of base_link, of the unit vectors along the rays.
        sin_t: along y.

    Returns:
        float64[T, 2, 2] of what is new, and of everything.
    """
    weighed_2kt = variance_2kt * ahead_kt
    along_2t = np.add.reduce(weighed_2kt * ahead_kt, axis=1)
    mixed_2t = np.add.reduce(weighed_2kt * aside_kt, axis=1)
    across_2t = np.add.reduce(variance_2kt * (aside_kt * aside_kt), axis=1)
    along_2t[1] += unsure_t
    # Turned by the bearing: a symmetric matrix turns by twice the angle about its mean.
    mean_2t, half_2t = (along_2t + across_2t) / 2, (along_2t - across_2t) / 2
    twice_cos_t, twice_sin_t = cos_t * cos_t - sin_t * sin_t, 2 * cos_t * sin_t
    off_2t = half_2t * twice_cos_t - mixed_2t * twice_sin_t
    mean_2t += _FLOORS_M2
    cov_2t22: Float64Array = np.empty((2, len(cos_t), 2, 2))
    np.add(mean_2t, off_2t, out=cov_2t22[..., 0, 0])
    np.subtract(mean_2t, off_2t, out=cov_2t22[..., 1, 1])
    cov_2t22[..., 0, 1] = half_2t * twice_sin_t + mixed_2t * twice_cos_t
    cov_2t22[..., 1, 0] = cov_2t22[..., 0, 1]
    return cov_2t22[0], cov_2t22[1]
