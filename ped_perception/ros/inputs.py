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

"""The subscriptions of all cameras, and why a camera is silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import time
from typing import Any

from ped_perception.ros.camera_input import CameraInput
from ped_perception.ros.pictures import Camera
from ped_perception.ros.silence import silence_reason
from rclpy.node import Node

# A reason for silence that stays is logged again after this time.
_LOG_PERIOD_S = 30.0
# A publisher that was killed counts as one for so long: Fast DDS waits 20 s for a sign of life.
_GHOST_S = 25.0


class Inputs:
    """Follows what is published of all cameras; for the executor's thread."""

    def __init__(self, node: Node, cameras: Mapping[str, Camera],
                 on_message: Callable[[str, Any], None]) -> None:
        """
        Subscribe, or wait for publishers.

        Args:
            node: that subscribes.
            cameras: by name; their silence is written here.
            on_message: called with the camera's name and each picture.

        Raises:
            ConfigError: a topic has an impossible name.
        """
        self._node, self._cameras = node, cameras
        self._opened_s = time.monotonic()
        self._logged: dict[str, tuple[str, float]] = {}
        self._shared_since_s: dict[str, float] = {}
        self._inputs: dict[str, CameraInput] = {}
        try:
            for name, camera in cameras.items():
                self._inputs[name] = CameraInput(
                    node, name, camera.config, on_message, camera.geometry.take)
        except Exception:
            self.close()
            raise

    def follow(self, patience_s: float) -> None:
        """
        Follow publishers, and find out why a camera is silent; call from time to time.

        Args:
            patience_s: a camera may be silent for this long before the reason is looked for.
        """
        now_s = time.monotonic()
        for name, camera_input in self._inputs.items():
            camera = self._cameras[name]
            camera_input.follow(look_elsewhere=now_s - max(
                camera.stats.received_s, camera_input.since_s) > patience_s)
            self._note_rivals(camera, camera_input.publishers(), now_s)
            silent_s = now_s - max(camera.stats.received_s, self._opened_s)
            if silent_s < patience_s:
                camera.silence = ''
                continue
            camera.silence = silence_reason(camera_input.facts())
            logged, when_s = self._logged.get(name, ('', 0.0))
            if camera.silence != logged or now_s - when_s > _LOG_PERIOD_S:
                self._logged[name] = (camera.silence, now_s)
                self._node.get_logger().warning(
                    f'No picture of camera {name} for {silent_s:.0f} s: {camera.silence}')

    def _note_rivals(self, camera: Camera, publishers: list[str], now_s: float) -> None:
        """Tell when several publishers share a topic, which no stamp needs to betray."""
        if len(publishers) < 2:
            self._shared_since_s.pop(camera.name, None)
            camera.rivals = ''
            return
        since_s = self._shared_since_s.setdefault(camera.name, now_s)
        if now_s - since_s > _GHOST_S:
            camera.rivals = (f'{len(publishers)} publishers on one topic, of '
                             f'{", ".join(sorted(set(publishers)))}')

    def close(self) -> None:
        """Unsubscribe."""
        for camera_input in self._inputs.values():
            camera_input.close()
        self._inputs = {}
