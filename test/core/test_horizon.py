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

"""The band of far pedestrians, and the view that shows it at native resolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from ped_perception.core.camera import camera_model_from_calibration
from ped_perception.core.horizon import horizon_crop, horizon_rows, HorizonConfig
import pytest
from scenes import base_from_camera, nuscenes_views, pinhole

STILL = HorizonConfig(near_m=20.0, far_m=100.0, tallest_m=2.0, tilt_deg=0.0)


def test_the_band_of_a_level_camera_is_where_similar_triangles_put_it() -> None:
    """Focal length 900 px, 1.5 m above the ground, horizon at row 360."""
    rows = horizon_rows(pinhole(), base_from_camera((0, 0, 1.5)), STILL)
    assert rows is not None
    # In the middle of the picture a distance is a depth; off the axis rows move outwards.
    assert rows[1] >= 360 + 900 * 1.5 / 20 - 0.01
    assert rows[1] == pytest.approx(360 + 900 * 1.5 / 20 * np.hypot(1, 640 / 900), abs=0.5)
    assert rows[0] == pytest.approx(360 - 900 * 0.5 / 20 * np.hypot(1, 640 / 900), abs=0.5)


def test_tilt_widens_the_band() -> None:
    nodding = HorizonConfig(20.0, 100.0, 2.0, tilt_deg=2.0)
    still, wide = (horizon_rows(pinhole(), base_from_camera(), config)
                   for config in (STILL, nodding))
    assert still is not None
    assert wide is not None
    assert wide[0] < still[0] - 900 * np.tan(np.radians(1.9))
    assert wide[1] > still[1] + 900 * np.tan(np.radians(1.9))


@pytest.mark.parametrize(('why', 'mounting', 'network_hw', 'crop'), [
    ('level: the middle of the band is row 386', {'xyz': (0, 0, 1.5)}, (200, 640),
     (320, 286, 960, 486)),
    ('heading at column 483', {'xyz': (0, 0, 1.5), 'yaw_deg': -9.9}, (200, 640),
     (163, 286, 803, 486)),
    ('heading near the border: the view stays inside', {'xyz': (0, 0, 1.5), 'yaw_deg': 30},
     (200, 640), (640, 286, 1280, 486)),
    ('heading not in the picture: the middle', {'xyz': (0, 0, 1.5), 'yaw_deg': 90}, (200, 640),
     (320, 286, 960, 486)),
    ('a network wider than the picture', {'xyz': (0, 0, 1.5)}, (200, 2000), (0, 286, 1280, 486)),
])
def test_the_view_is_placed_without_scaling(
        why: str, mounting: dict[str, Any], network_hw: tuple[int, int],
        crop: tuple[int, int, int, int]) -> None:
    got = horizon_crop(pinhole(), base_from_camera(**mounting), network_hw, STILL)
    np.testing.assert_allclose(got, crop, atol=3)
    assert got is not None
    assert got[2] - got[0] == min(network_hw[1], 1280)
    assert got[3] - got[1] == network_hw[0]


def test_a_band_higher_than_the_network_is_followed_at_its_far_end() -> None:
    near = HorizonConfig(near_m=5.0, far_m=100.0, tallest_m=2.0, tilt_deg=0.0)
    crop = horizon_crop(pinhole(), base_from_camera((0, 0, 1.5)), (128, 640), near)
    assert crop is not None
    assert crop[1] < 360 - 900 * 0.5 / 100
    assert crop[3] > 360 + 900 * 1.5 / 100


@pytest.mark.parametrize('pitch_deg', [60, -60])
def test_a_camera_that_does_not_see_the_horizon_has_no_band(pitch_deg: float) -> None:
    assert horizon_crop(pinhole(), base_from_camera(pitch_deg=pitch_deg), (200, 640),
                        STILL) is None


def test_a_bent_horizon_is_all_in_the_band() -> None:
    """A pitched fisheye draws the horizon as a bow; every direction counts."""
    model = camera_model_from_calibration(
        size_hw=(720, 1280), k_9=[400.0, 0, 639.5, 0, 400, 359.5, 0, 0, 1],
        distortion_model='equidistant', d_k=[0.0] * 4)
    mounting = base_from_camera((0, 0, 1.5), pitch_deg=20)
    rows = horizon_rows(model, mounting, STILL)
    assert rows is not None
    for bearing in np.radians([-60, -30, 0, 30, 60]):
        point = np.array([50 * np.cos(bearing), 50 * np.sin(bearing), 0.0, 1.0])
        pixel = model.pixels_from_points((np.linalg.inv(mounting) @ point)[None, :3])[0]
        assert rows[0] <= pixel[1] <= rows[1]
    assert rows[1] - rows[0] > 60, 'the ends of the bow are far below its middle'


def test_far_people_in_real_pictures_are_in_the_band() -> None:
    """Labels of nuScenes from 30 m on; those on banks and slopes need the tilt."""
    inside, count = 0, 0
    for view in nuscenes_views():
        rows = horizon_rows(view.model, view.base_from_camera_44, HorizonConfig(near_m=30.0))
        range_t = np.linalg.norm(view.truth_t2 - view.base_from_camera_44[:2, 3], axis=1)
        boxes_t4 = view.tracks.boxes_t4[range_t > 30]
        assert rows is not None
        inside += int(((boxes_t4[:, 1] >= rows[0]) & (boxes_t4[:, 3] <= rows[1])).sum())
        count += len(boxes_t4)
    assert count == 26
    assert inside == 26
