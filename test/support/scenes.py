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

"""Pedestrians on a flat ground in front of made-up and real cameras, with their true places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from ped_perception.core.camera import camera_model_from_calibration, CameraModel
from ped_perception.core.types import Tracks
import pytest

SIZE_HW = (720, 1280)


def shared_data(name: str) -> Path:
    """Give a folder of the shared data, or skip the test where it is not."""
    root = os.environ.get('PED_SHARED_DATA', Path(__file__).parents[2] / '../shared/data')
    if not (Path(root) / name).is_dir():
        pytest.skip(f'the shared data set {name} is not here')
    return Path(root) / name


def pinhole(size_hw: tuple[int, int] = SIZE_HW, focal_px: float = 900.0) -> CameraModel:
    """Give a camera without distortion whose axis meets the middle of the picture."""
    height, width = size_hw
    return camera_model_from_calibration(
        size_hw=size_hw, distortion_model='none', d_k=[],
        k_9=[focal_px, 0, width / 2 - 0.5, 0, focal_px, height / 2 - 0.5, 0, 0, 1])


def base_from_camera(xyz: Sequence[float] = (1.5, 0.0, 1.5), roll_deg: float = 0.0,
                     pitch_deg: float = 0.0, yaw_deg: float = 0.0) -> np.ndarray:
    """Mount a camera: pitch is positive downwards, yaw to the left, as in REP 103."""
    roll, pitch, yaw = np.radians([roll_deg, pitch_deg, yaw_deg])
    about_z = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    about_y = [[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]]
    about_x = [[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]]
    transform_44 = np.eye(4)
    body_from_optical = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    transform_44[:3, :3] = np.array(about_z) @ about_y @ about_x @ body_from_optical
    transform_44[:3, 3] = xyz
    return transform_44


def person_box(model: CameraModel, base_from_camera_44: np.ndarray, xy: Sequence[float],
               height_m: float = 1.70, ahead_m: float = 0.15, lift_m: float = 0.0,
               ) -> list[float]:
    """Draw the box of a person: the shoe ahead below, the head above the body's point."""
    camera_xy = base_from_camera_44[:2, 3]
    outward = (np.array(xy) - camera_xy) / np.linalg.norm(np.array(xy) - camera_xy)
    shoe = [*(np.array(xy) - ahead_m * outward), lift_m]
    points_n4 = np.array([[*shoe, 1], [*xy, height_m + lift_m, 1]])
    optical_n4 = points_n4 @ np.linalg.inv(base_from_camera_44).T
    (foot_u, foot_v), (head_u, head_v) = model.pixels_from_points(optical_n4[:, :3])
    half = 0.205 * abs(foot_v - head_v)
    middle = (foot_u + head_u) / 2
    return [middle - half, head_v, middle + half, foot_v]


def body_box(model: CameraModel, base_from_camera_44: np.ndarray, xy: Sequence[float],
             height_m: float = 1.70) -> list[float]:
    """Draw the box around a whole body of rings: shoes, hips, shoulders, head."""
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = [np.column_stack([xy[0] + radius_m * np.cos(turns), xy[1] + radius_m * np.sin(turns),
                              np.full(24, share * height_m), np.ones(24)])
             for share, radius_m in ((0, 0.15), (0.5, 0.18), (0.8, 0.24), (0.93, 0.11), (1, 0.02))]
    optical_n4 = np.concatenate(rings) @ np.linalg.inv(base_from_camera_44).T
    pixels_n2 = model.pixels_from_points(optical_n4[:, :3])
    return [*pixels_n2.min(axis=0).tolist(), *pixels_n2.max(axis=0).tolist()]


def tracks_of(boxes_t4: Sequence[Sequence[float]] | np.ndarray, *, camera: str = 'front',
              stamp_ns: int = 0, ids: Sequence[int] | None = None,
              size_hw: tuple[int, int] = SIZE_HW, sigma_px: float = 1.0,
              seen: Sequence[bool] | None = None) -> Tracks:
    """Make tracks of boxes, one second old, all seen unless said otherwise."""
    count = len(boxes_t4)
    seen_t = np.ones(count, bool) if seen is None else np.array(seen, bool)
    return Tracks(
        camera=camera, stamp_ns=stamp_ns, frame_id=f'{camera}_optical', source_hw=size_hw,
        ids_t=np.arange(1, count + 1) if ids is None else np.array(ids, np.int64),
        boxes_t4=np.array(boxes_t4, np.float32).reshape(-1, 4),
        scores_t=np.full(count, 0.9, np.float32), ages_s_t=np.ones(count, np.float32),
        unseen_s_t=np.where(seen_t, 0, 0.1).astype(np.float32),
        confirmed_t=np.ones(count, bool), detections_t=np.where(seen_t, np.arange(count), -1),
        velocities_t2=np.zeros((count, 2), np.float32),
        sigmas_t4=np.full((count, 4), sigma_px, np.float32))


@dataclass(frozen=True)
class RealView:
    """One real picture's camera with its labelled pedestrians; truth_t2 is in base_link."""

    camera: str
    model: CameraModel
    base_from_camera_44: np.ndarray
    tracks: Tracks
    truth_t2: np.ndarray


def _real_view(camera: str, model: CameraModel, base_from_camera_44: np.ndarray,
               instances: list[dict[str, Any]], depth_key: str) -> RealView:
    """
    Place labels by depth along the optical axis and the ray through the middle of the box.

    Labels count pixels from the centre of the first one, boxes here from its corner.
    """
    boxes_t4 = np.array([[x, y, x + w, y + h] for x, y, w, h in
                         (instance['bbox'] for instance in instances)]).reshape(-1, 4) + 0.5
    rays_n3 = model.rays_from_pixels((boxes_t4[:, :2] + boxes_t4[:, 2:]) / 2)
    depth_t1 = np.array([[instance[depth_key]] for instance in instances]).reshape(-1, 1)
    optical_t3 = model.centre_3 + rays_n3 / rays_n3[:, 2:] * (depth_t1 - model.centre_3[2])
    truth_t3 = optical_t3 @ base_from_camera_44[:3, :3].T + base_from_camera_44[:3, 3]
    tracks = tracks_of(boxes_t4, camera=camera, size_hw=model.size_hw,
                       ids=[instance['id'] for instance in instances])
    return RealView(camera, model, base_from_camera_44, tracks, truth_t3[:, :2])


def nuscenes_views() -> list[RealView]:
    """Give six cameras at one instant with 36 pedestrians (nuScenes v1.0-mini, scene 61)."""
    folder = shared_data('nuscenes6')
    cameras = json.loads((folder / 'cameras.json').read_text())
    labels = json.loads((folder / 'instances.json').read_text())
    views = []
    for image in labels['images']:
        camera = cameras[image['camera']]
        model = camera_model_from_calibration(
            size_hw=(camera['height'], camera['width']), k_9=np.ravel(camera['K']).tolist(),
            distortion_model='none', d_k=[])
        mine = [label for label in labels['annotations']
                if label['image_id'] == image['id'] and not label['iscrowd']]
        views.append(_real_view(image['camera'], model, np.array(camera['cam2ego']), mine,
                                'depth_m'))
    return views


def kitti_view() -> RealView:
    """
    Give the one pedestrian of KITTI object training 000000.

    KITTI's cameras are level, 1.65 m above the road (Geiger et al., "Vision meets robotics:
    the KITTI dataset", IJRR 2013); its label is in the frame of the first camera.
    """
    folder = shared_data('kitti3')
    rows = dict(line.split(': ', 1) for line in
                (folder / 'calib/000000.txt').read_text().splitlines() if line)
    labels = json.loads((folder / 'instances.json').read_text())
    p_12 = [float(number) for number in rows['P2'].split()]
    model = camera_model_from_calibration(
        size_hw=(labels['images'][0]['height'], labels['images'][0]['width']),
        k_9=[1.0, 0, 0, 0, 1, 0, 0, 0, 1], distortion_model='', d_k=[], p_12=p_12, rectified=True)
    mine = [label for label in labels['annotations']
            if label['image_id'] == 1 and not label['iscrowd']]
    return _real_view('kitti', model, base_from_camera((0.0, 0.0, 1.65)), mine, 'distance_z')
