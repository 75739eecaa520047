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

"""The publisher of ``/diagnostics``, and what it counts from one message to the next."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from ped_perception.ros.diagnostics import all_statuses, diagnostic_array, ProcessMeter
from ped_perception.ros.health import HealthReporter
from ped_perception.ros.lookout import Lookout
from ped_perception.ros.pictures import Camera
from ped_perception.ros.qos import results_qos
from rclpy.lifecycle import LifecycleNode


class DiagnosticsOutput:
    """Tells how the inference and each camera are doing. For the executor's thread."""

    def __init__(self, node: LifecycleNode, health: HealthReporter, gpu_index: int) -> None:
        """
        Create the publisher.

        Args:
            node: that the statuses are named after.
            health: whose latest report is told along.
            gpu_index: of the GPU that TensorRT runs on, as CUDA counts.
        """
        self._node, self._health, self._gpu_index = node, health, gpu_index
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', results_qos())
        self._meter = ProcessMeter()
        self._processed: dict[str, int] = {}

    def begin(self, cameras: Mapping[str, Camera]) -> None:
        """Count the pictures looked at from here on."""
        self._processed = {name: camera.stats.processed for name, camera in cameras.items()}

    def publish(self, lookout: Lookout | None, cameras: Mapping[str, Camera],
                views: tuple[str, ...]) -> None:
        """
        Publish one message.

        Args:
            lookout: of the inference, None while the node is not configured.
            cameras: by name.
            views: of cameras that have none of their own.
        """
        processed, before = {name: camera.stats.processed
                             for name, camera in cameras.items()}, self._processed
        self._processed = processed
        self._publisher.publish(diagnostic_array(
            self._node.get_clock().now().to_msg(), all_statuses(
                self._node.get_name(), lookout, cameras,
                {name: count - before.get(name, 0) for name, count in processed.items()},
                self._health.report, self._health.config, views, self._meter.values(),
                self._gpu_index)))
