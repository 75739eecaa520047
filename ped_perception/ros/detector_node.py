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
The detector node: pictures of N cameras in, pedestrians out.

Callbacks of the executor's thread store the newest picture of each camera; one inference thread
decodes, detects and publishes (``ros.worker``). All arithmetic is in ``core``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.errors import BackendError, ConfigError, ImageError, PedPerceptionError
from ped_perception.core.overload import ViewBudget
from ped_perception.core.pipeline import Backend, DetectorConfig, Pipeline, StageTimes
from ped_perception.core.types import Detections, Frame
from ped_perception.core.views import specs_from_texts
from ped_perception.engine.golden import run_golden, shipped_expectation
from ped_perception.ros import diagnostics
from ped_perception.ros.camera_input import CameraInput
from ped_perception.ros.camera_output import CameraOutput, CameraStats
from ped_perception.ros.config import CameraConfig, NodeConfig
from ped_perception.ros.convert import frame_from_compressed_image, frame_from_image
from ped_perception.ros.params import changed, declare_and_read, refusal, refuse_unknown
from ped_perception.ros.qos import results_qos
from ped_perception.ros.running import ManagedNode, run_node
from ped_perception.ros.worker import Arrival, explain, Taken, Worker
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

# How often the inputs look for publishers of another transport.
FOLLOW_PERIOD_S = 0.5

# A problem that comes with every picture is logged once in this time.
LOG_PERIOD_S = 5.0


class DetectorNode(ManagedNode):
    """
    Managed node: configure loads the network, activate starts to look, cleanup frees all.

    The executor's thread owns the node; the inference thread decodes, detects and publishes.
    """

    def __init__(self, **node_options: Any) -> None:
        """
        Declare the parameters.

        Args:
            **node_options: of rclpy's Node.

        Raises:
            ConfigError: a parameter is unknown, of the wrong type or out of range.
        """
        super().__init__('ped_detector', **node_options)
        self._node_config = declare_and_read(self, NodeConfig)
        self._backend_config = declare_and_read(self, BackendConfig)
        self._detector_config = declare_and_read(self, DetectorConfig)
        self._camera_configs = {
            camera: declare_and_read(self, CameraConfig, f'{camera}.')
            for camera in self._node_config.cameras}
        refuse_unknown(self)
        self.autostart = self._node_config.autostart
        self.add_on_set_parameters_callback(self._on_parameters)
        self._worker: Worker | None = None
        self._pipeline: Pipeline | None = None
        self._backend: Backend | None = None
        self._stats: dict[str, CameraStats] = {}
        self._outputs: dict[str, CameraOutput] = {}
        self._inputs: list[CameraInput] = []
        self._timers: list[Any] = []
        self._budget = ViewBudget()
        self._meter = diagnostics.ProcessMeter()

    # --- transitions -------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network in the inference thread and create the publishers."""
        result = self._guarded('configure', self._configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._free()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to look."""
        if self._guarded('activate', self._activate) != TransitionCallbackReturn.SUCCESS:
            return TransitionCallbackReturn.FAILURE
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop looking; the network stays loaded."""
        self._stop_looking()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything that configuring made."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, from any state."""
        self._stop_looking()
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def _guarded(self, what: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        # rclpy swallows exceptions of transitions without a word.
        try:
            action()
        except Exception as error:  # noqa: BLE001
            self.get_logger().error(f'Cannot {what}: {explain(error)}')
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        cameras = self._node_config.cameras
        if not cameras or len(set(cameras)) != len(cameras):
            raise ConfigError(f'Parameter cameras must name each camera once, not {cameras}.')
        self._stats = {camera: CameraStats() for camera in cameras}
        self._outputs = {
            camera: CameraOutput(self, camera, self._node_config.annotated_quality)
            for camera in cameras}
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', results_qos())
        worker = Worker(self._open_pipeline, self._process, self._on_worker_death)
        worker.start()
        self._worker = worker
        info = self._loaded().info
        self.get_logger().info(
            f'{info.model} {info.network_hw[1]}x{info.network_hw[0]} {info.precision} loaded: '
            f'{info.device}, up to {info.max_batch} views at once')

    def _activate(self) -> None:
        self._test_network()
        self._inputs = [CameraInput(self, camera, config, self._on_image)
                        for camera, config in self._camera_configs.items()]
        self._follow()
        self._reported = dict.fromkeys(self._stats, 0)
        self._timers = [
            self.create_timer(FOLLOW_PERIOD_S, self._follow),
            self.create_timer(self._node_config.diagnostics_period_s, self._report)]

    def _test_network(self) -> None:
        """
        Look for known pedestrians with the network as it was loaded.

        Raises:
            PedPerceptionError: they are not found, or must be known and are not.
        """
        mode, worker, backend = self._node_config.self_test, self._worker, self._backend
        if mode == 'off' or worker is None or backend is None:
            return
        model, network_hw = self._backend_config.model, backend.info.network_hw
        if mode == 'known' and shipped_expectation(model, network_hw) is None:
            self.get_logger().warning(
                f'No self-test: what {model} must find at {network_hw[1]}x{network_hw[0]} is not '
                f'shipped. Verify it once with: ped_engine verify {model}')
            return
        report = worker.call(lambda: run_golden(backend, model))
        report.refuse()
        self.get_logger().info(f'Self-test passed: {report}')

    def _stop_looking(self) -> None:
        for timer in self._timers:
            self.destroy_timer(timer)
        for camera_input in self._inputs:
            camera_input.close()
        self._timers, self._inputs = [], []

    def _free(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._report()
        for output in self._outputs.values():
            output.close()
        self._worker, self._pipeline, self._backend, self._outputs = None, None, None, {}

    def _loaded(self) -> Pipeline:
        if self._pipeline is None:
            raise PedPerceptionError('The node is not configured; trigger configure first.')
        return self._pipeline

    # --- the executor's thread ---------------------------------------------------------------

    def _on_image(self, camera: str, message: Any) -> None:
        stats = self._stats[camera]
        stats.received += 1
        if self._worker is not None and self._worker.slots.put(
                Arrival(camera, message, time.monotonic())):
            stats.replaced += 1

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            config = changed(self._detector_config, changes)
        except ConfigError as error:
            return refusal(error)
        self._detector_config = config
        if self._pipeline is not None:
            self._pipeline.configure(config)
        return SetParametersResult(successful=True)

    def _follow(self) -> None:
        for camera_input in self._inputs:
            camera_input.follow()

    def _report(self) -> None:
        if self._pipeline is None:
            return
        info = self._pipeline.info
        process = self._meter.values()
        engine = diagnostics.engine_values(info, self._detector_config.views)
        statuses = []
        for camera, stats in self._stats.items():
            values: dict[str, float | str] = {
                **diagnostics.camera_values(stats, time.monotonic()), **process, **engine}
            since = stats.processed - self._reported.get(camera, 0)
            self._reported[camera] = stats.processed
            statuses.append(diagnostics.camera_status(
                f'{self.get_name()}: {camera}', info.device, stats, since, values))
        self._diagnostics.publish(diagnostics.diagnostic_array(
            self.get_clock().now().to_msg(), statuses))

    # --- the inference thread ----------------------------------------------------------------

    def _open_pipeline(self) -> tuple[Pipeline, Callable[[], None]]:
        # One thread of OpenCV: its pool would fight the inference for the cores.
        cv2.setNumThreads(1)
        views = len(self._detector_config.views)
        backend = open_backend(self._backend_config, len(self._stats) * max(1, views))
        try:
            self._pipeline = Pipeline(backend, self._detector_config)
        except PedPerceptionError:
            backend.close()
            raise
        self._backend = backend
        # The first inference allocates; it must not be the first picture of the road.
        backend.infer(backend.info.max_batch)
        return self._pipeline, backend.close

    def _process(self, pipeline: Pipeline, taken: Taken) -> None:
        frames = [frame for arrival in taken.arrivals
                  if (frame := self._decoded(arrival)) is not None]
        if not frames:
            return
        all_views = self._budget.all_views(taken.waited_s, taken.replaced)
        started_ns = self.get_clock().now().nanoseconds
        try:
            first = specs_from_texts(self._detector_config.views)[:1]
            detections, times = pipeline.step(frames, None if all_views else [first] * len(frames))
        except BackendError as error:
            self._skip(frames, error)
            return
        for frame, found in zip(frames, detections, strict=True):
            publishing = time.perf_counter()
            self._outputs[frame.camera].publish(found)
            self._stats[frame.camera].reduced += not all_views
            self._account(frame, found, times, started_ns, time.perf_counter() - publishing)
        for frame, found in zip(frames, detections, strict=True):
            self._outputs[frame.camera].publish_annotated(frame, found)

    def _decoded(self, arrival: Arrival) -> Frame | None:
        decode = (frame_from_compressed_image if isinstance(arrival.message, CompressedImage)
                  else frame_from_image)
        try:
            return decode(arrival.message, arrival.camera)
        except ImageError as error:
            self._skip([arrival], error)
            return None

    def _skip(self, pictures: Sequence[Arrival | Frame], error: PedPerceptionError) -> None:
        """Count pictures that could not be looked at, and say why."""
        for picture in pictures:
            stats = self._stats[picture.camera]
            stats.bad += 1
            stats.last_problem = str(error)
            self.get_logger().warning(
                f'Skipped a picture of camera {picture.camera}: {error}',
                throttle_duration_sec=LOG_PERIOD_S)

    def _account(self, frame: Frame, found: Detections, times: StageTimes, started_ns: int,
                 publish_s: float) -> None:
        """Take the times of one picture; the stages add up to the latency."""
        stats = self._stats[frame.camera]
        stats.processed += 1
        stats.detections += len(found)
        stats.rate.add(time.monotonic())
        now_ns = self.get_clock().now().nanoseconds
        stats.latency_ms.add((now_ns - frame.stamp_ns) / 1e6)
        stage_s = {'receive': (started_ns - frame.stamp_ns) / 1e9, 'views': times.views_s,
                   'infer': times.infer_s, 'postprocess': times.postprocess_s,
                   'publish': publish_s}
        for stage, value_s in stage_s.items():
            stats.stage_ms[stage].add(value_s * 1e3)

    def _on_worker_death(self, error: BaseException) -> None:
        # A node that no longer looks must not look alive: it ends, and is started anew.
        self.get_logger().fatal(f'The inference thread ended: {explain(error)}')
        self.failed = True


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end; the entry point of ``ped_detector``."""
    return run_node(DetectorNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
