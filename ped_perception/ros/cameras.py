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

"""Makes all that the node has of each camera."""

from __future__ import annotations

from collections.abc import Callable

from ped_perception.core.image_monitor import ImageMonitor
from ped_perception.core.schedule import RateLimit
from ped_perception.core.stamps import StampGuard
from ped_perception.core.transforms import TransformBuffer
from ped_perception.ros.camera_geometry import CameraGeometry
from ped_perception.ros.camera_output import CameraOutput
from ped_perception.ros.camera_stats import CameraStats
from ped_perception.ros.pictures import Camera
from ped_perception.ros.settings import Settings
from rclpy.lifecycle import LifecycleNode


def make_cameras(node: LifecycleNode, settings: Callable[[], Settings],
                 buffer: TransformBuffer) -> dict[str, Camera]:
    """
    Make the cameras of the settings, with their publishers.

    Args:
        node: that publishes.
        settings: gives the parameters as they are now.
        buffer: of the transforms.

    Returns:
        By name.

    Raises:
        TransformError: a configured mounting is incomplete.
    """
    now = settings()
    geometries = {
        name: CameraGeometry(config, buffer, now.node.base_frame, now.node.tf_tolerance_s,
                             now.horizon, now.ground.ground_z_m)
        for name, config in now.cameras.items()}
    return {
        name: Camera(
            name, now.cameras[name], CameraStats(),
            CameraOutput(node, name, lambda: settings().node.annotated_quality), geometry,
            StampGuard(), ImageMonitor(now.image_monitor), RateLimit())
        for name, geometry in geometries.items()}
