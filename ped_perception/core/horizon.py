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
Where far pedestrians appear: the band of rows around the horizon, cut at native resolution.

Somebody far away is small and stands in a narrow band of the picture, which the mounting of the
camera places. A view of that band without scaling shows him as large as the camera can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ped_perception.core.camera import CameraModel
from ped_perception.core.config import param
from ped_perception.core.ground import centre_of_projection
from ped_perception.core.types import Float64Array

# Enough for the bend that a strong lens gives to the horizon.
_DIRECTIONS = 33


@dataclass(frozen=True)
class HorizonConfig:
    """Whom the band must show."""

    near_m: float = param(
        20.0, 'Pedestrians from this distance on are in the band.', unit='m', minimum=1.0,
        maximum=500.0)
    far_m: float = param(
        100.0, 'Pedestrians up to this distance are in the band.', unit='m', minimum=1.0,
        maximum=1000.0)
    tallest_m: float = param(
        2.0, 'Height of the tallest person.', unit='m', minimum=0.5, maximum=3.0)
    tilt_deg: float = param(
        1.0, 'The band is widened for nodding and slopes of this angle.', unit='deg', minimum=0.0,
        maximum=15.0)


def horizon_rows(model: CameraModel, base_from_camera_44: Float64Array, config: HorizonConfig,
                 ground_z_m: float = 0.0) -> tuple[float, float] | None:
    """
    Give the rows between which pedestrians of the distances asked for appear.

    Returns:
        Upper and lower row in pixels, within the picture; None when none of them would be in it.

    Raises:
        CalibrationError: the mounting is impossible.
    """
    pixels_n2 = _band_pixels(model, base_from_camera_44, config, ground_z_m)
    height, width = model.size_hw
    with np.errstate(invalid='ignore'):
        inside_n = (pixels_n2[:, 0] >= 0) & (pixels_n2[:, 0] <= width)
    rows_n = pixels_n2[inside_n, 1]
    if not len(rows_n) or rows_n.min() >= height or rows_n.max() <= 0:
        return None
    return max(0.0, float(rows_n.min())), min(float(height), float(rows_n.max()))


def horizon_crop(model: CameraModel, base_from_camera_44: Float64Array,
                 network_hw: tuple[int, int], config: HorizonConfig,
                 ground_z_m: float = 0.0) -> tuple[int, int, int, int] | None:
    """
    Place a view of the network's size, without scaling, where far pedestrians are.

    Across, it is centred where the vehicle is heading if the camera sees that, else in the middle
    of the picture. A band higher than the network is followed at its far end, the smaller people;
    the near ones are large enough in a view of the whole picture.

    Args:
        model: of the camera.
        base_from_camera_44: float64[4, 4], from the optical frame to base_link.
        network_hw: height and width of the network's input.
        config: whom to show.
        ground_z_m: of the ground plane in base_link.

    Returns:
        Crop x1 y1 x2 y2 in whole pixels, smaller than the network where the picture is; None
        where no far pedestrian can be in the picture.

    Raises:
        CalibrationError: the mounting is impossible.
    """
    rows = horizon_rows(model, base_from_camera_44, config, ground_z_m)
    if rows is None:
        return None
    height, width = (min(pair) for pair in zip(network_hw, model.size_hw, strict=True))
    middle = (rows[0] + rows[1]) / 2
    if rows[1] - rows[0] > height:
        far = HorizonConfig(config.far_m, config.far_m, config.tallest_m, 0.0)
        far_rows = horizon_rows(model, base_from_camera_44, far, ground_z_m) or rows
        # As much of the band as fits, with its far end in it.
        low, high = rows[0] + height / 2, rows[1] - height / 2
        middle = float(np.clip((far_rows[0] + far_rows[1]) / 2, low, high))
    column = _heading_column(model, base_from_camera_44)
    y1 = int(np.clip(round(middle - height / 2), 0, model.size_hw[0] - height))
    x1 = int(np.clip(round(column - width / 2), 0, model.size_hw[1] - width))
    return x1, y1, x1 + width, y1 + height


def _band_pixels(model: CameraModel, base_from_camera_44: Float64Array, config: HorizonConfig,
                 ground_z_m: float) -> Float64Array:
    """Project shoes and heads at both distances in all directions that the picture shows."""
    centre_3 = centre_of_projection(model, base_from_camera_44, ground_z_m)
    height, width = model.size_hw
    edge_n2 = np.column_stack([np.linspace(0, width, _DIRECTIONS),
                               np.full(_DIRECTIONS, height / 2)])
    rays_n3 = model.rays_from_pixels(edge_n2) @ base_from_camera_44[:3, :3].T
    bearings_n = np.arctan2(rays_n3[:, 1], rays_n3[:, 0])
    below_m = ground_z_m - float(centre_3[2])
    slopes = [(below_m + z_m) / distance_m + sign * np.tan(np.radians(config.tilt_deg))
              for distance_m in (config.near_m, config.far_m)
              for z_m in (0.0, config.tallest_m) for sign in (-1, 1)]
    directions_n3 = np.concatenate([np.column_stack(
        [np.cos(bearings_n), np.sin(bearings_n), np.full(_DIRECTIONS, slope)])
        for slope in slopes])
    points_n3 = centre_3 + config.far_m * directions_n3
    return model.pixels_from_points(
        (points_n3 - base_from_camera_44[:3, 3]) @ base_from_camera_44[:3, :3])


def _heading_column(model: CameraModel, base_from_camera_44: Float64Array) -> float:
    """Give the column of what lies straight ahead of the vehicle, else the middle one."""
    ahead_13 = (base_from_camera_44[:3, :3].T @ (1.0, 0.0, 0.0))[None]
    column = float(model.pixels_from_points(model.centre_3 + ahead_13)[0, 0])
    width = model.size_hw[1]
    return column if 0 <= column <= width else width / 2
