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
Where published detections are placed on the ground, against where the people stand.

Each picture by itself, as :mod:`ped_perception.core.ground` places a box: what the tracker and
the filter on the ground add over time is not in these figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import itertools
from typing import Any

import numpy as np
from ped_perception.core.camera import CameraModel
from ped_perception.core.follow import Mounting
from ped_perception.core.ground import ground_positions
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.tracker import Tracker
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections, Float64Array
from ped_perception.evaluation.mot import Labels

# Metres from the camera.
DISTANCE_EDGES_M = (0, 10, 20, 30, 40, 50, 80, 1000)
# Squared Mahalanobis distance that holds 95 % in two dimensions.
_INSIDE_95 = 5.991


@dataclass(frozen=True, eq=False)
class Placed:
    """
    People who were found, published and labelled with where they stand, in base_link.

    Attributes:
        truth_m2: float64[M, 2] in metres.
        xy_m2: float64[M, 2], where they were placed, NaN for nowhere.
        cov_m22: float64[M, 2, 2] in square metres.
        distance_m: float64[M], from the camera in metres.
    """

    truth_m2: Float64Array
    xy_m2: Float64Array
    cov_m22: Float64Array
    distance_m: Float64Array


def depths_of(detections: Detections, model: CameraModel, person_height_m: float) -> Float64Array:
    """
    Tell how far along the optical axis a person of usual height is who fills each box.

    Args:
        detections: of the upright picture.
        model: of the camera, for that picture.
        person_height_m: of a person.

    Returns:
        float64[N] in metres, NaN where the lens has no ray.
    """
    boxes_n4 = detections.boxes_n4.astype(np.float64)
    middle_n = (boxes_n4[:, 0] + boxes_n4[:, 2]) / 2
    ends_2n3 = [model.rays_from_pixels(np.stack([middle_n, edge_n], axis=1))
                for edge_n in (boxes_n4[:, 1], boxes_n4[:, 3])]
    with np.errstate(all='ignore'):
        head_n2, foot_n2 = (rays_n3[:, :2] / rays_n3[:, 2:] for rays_n3 in ends_2n3)
        depth_n: Float64Array = person_height_m / np.linalg.norm(foot_n2 - head_n2, axis=1)
    depth_n[~np.isfinite(depth_n)] = np.nan
    return depth_n


def positions_of(published: Detections, mounting: Mounting, tracker: TrackerConfig,
                 ground: GroundConfig) -> tuple[Float64Array, Float64Array]:
    """
    Place detections on the ground, each as somebody who is seen for the first time.

    Args:
        published: in the upright picture.
        mounting: of the camera.
        tracker: tells how sure the edges of a box are.
        ground: assumptions.

    Returns:
        float64[N, 2] and float64[N, 2, 2] in base_link, NaN without a position.

    Raises:
        CalibrationError: the mounting is impossible.
    """
    anybody = replace(tracker, new_score=0.0, confirm_s=0.0, ego_motion=False)
    tracks = Tracker(anybody, itertools.count(1)).step(published)
    found = ground_positions(tracks, mounting.model, mounting.base_from_camera_44, ground)
    return found.xy_t2, found.cov_t22


def placed_from(labels: Labels, people: Sequence[int], source_model: CameraModel,
                base_from_camera_44: Float64Array, xy_m2: Float64Array, cov_m22: Float64Array,
                ) -> Placed:
    """
    Put people who were found beside where they stand.

    Of whom only the depth is labelled stands on the ray through the middle of the box.

    Args:
        labels: of the picture, in pixels of the camera.
        people: rows of those labels who were found, M of them.
        source_model: of the camera, for its pictures as it sends them.
        base_from_camera_44: float64[4, 4], where it is.
        xy_m2: float64[M, 2], where they were placed.
        cov_m22: float64[M, 2, 2].
    """
    rows = np.array(people, np.int64)
    position_m3 = labels.positions_n3[rows]
    boxes_m4 = labels.boxes_n4[rows]
    rays_m3 = source_model.rays_from_pixels((boxes_m4[:, :2] + boxes_m4[:, 2:]) / 2)
    centre_3 = source_model.centre_3
    on_ray_m3 = centre_3 + rays_m3 / rays_m3[:, 2:] * (position_m3[:, 2:] - centre_3[2])
    position_m3 = np.where(np.isnan(position_m3), on_ray_m3, position_m3)
    truth_m3 = position_m3 @ base_from_camera_44[:3, :3].T + base_from_camera_44[:3, 3]
    known_m = np.isfinite(truth_m3[:, :2]).all(axis=1)
    camera_3 = base_from_camera_44[:3, :3] @ centre_3 + base_from_camera_44[:3, 3]
    truth_m2 = truth_m3[known_m, :2]
    return Placed(truth_m2, xy_m2[known_m], cov_m22[known_m],
                  np.linalg.norm(truth_m2 - camera_3[:2], axis=1))


def ground_errors(pictures: Sequence[Placed]) -> list[dict[str, Any]]:
    """
    Give the errors by distance, the last row over all distances.

    Returns:
        rows with ``from_m``, ``to_m``, ``people``, ``placed``; of those placed ``median_m`` and
        ``p95_m``, ``median_share`` of the distance, and ``inside_95``, the share whose true place
        is within the published 95 % ellipse. None where nobody was placed.
    """
    truth_m2 = np.concatenate([placed.truth_m2 for placed in pictures])
    off_m2 = np.concatenate([placed.xy_m2 for placed in pictures]) - truth_m2
    cov_m22 = np.concatenate([placed.cov_m22 for placed in pictures])
    distance_m = np.concatenate([placed.distance_m for placed in pictures])
    rows = []
    for low, high in (*itertools.pairwise(DISTANCE_EDGES_M),
                      (DISTANCE_EDGES_M[0], DISTANCE_EDGES_M[-1])):
        here_m = (distance_m >= low) & (distance_m < high)
        told_m = here_m & np.isfinite(off_m2).all(axis=1)
        rows.append({'from_m': low, 'to_m': high, 'people': int(here_m.sum()),
                     'placed': int(told_m.sum()), **_errors(
                         off_m2[told_m], cov_m22[told_m], distance_m[told_m])})
    return rows


def _errors(off_m2: Float64Array, cov_m22: Float64Array, distance_m: Float64Array,
            ) -> dict[str, float | None]:
    if not len(off_m2):
        return dict.fromkeys(('median_m', 'p95_m', 'median_share', 'inside_95'))
    error_m = np.linalg.norm(off_m2, axis=1)
    squared_m = np.einsum('mi,mij,mj->m', off_m2, np.linalg.inv(cov_m22), off_m2)
    return {'median_m': float(np.median(error_m)), 'p95_m': float(np.percentile(error_m, 95)),
            'median_share': float(np.median(error_m / distance_m)),
            'inside_95': float((squared_m <= _INSIDE_95).mean())}
