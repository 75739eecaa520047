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

Four threads. The executor's owns the node: its callbacks store the newest picture of each
camera. The inference thread (``ros.lookout``) detects. The thread of ``core.perception`` follows
people and publishes (``ros.announcer``). The health thread (``ros.health``) tells how far the
answers can be trusted, whatever the others do. All arithmetic is in ``core``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import time
from typing import Any

from ped_perception.core.errors import ConfigError, PedPerceptionError
from ped_perception.core.health import CameraFacts, NodeFacts
from ped_perception.core.ids import Ids
from ped_perception.ros import diagnostics
from ped_perception.ros.camera_stats import Drop
from ped_perception.ros.cameras import make_cameras
from ped_perception.ros.command_line import answer_help
from ped_perception.ros.diagnostics_output import DiagnosticsOutput
from ped_perception.ros.ground_output import GroundOutput
from ped_perception.ros.health import HealthReporter
from ped_perception.ros.inputs import Inputs
from ped_perception.ros.lookout import Lookout
from ped_perception.ros.memory import keep_objects, prefer_huge_pages
from ped_perception.ros.network import check_networks, Networks, open_networks
from ped_perception.ros.params import refusal
from ped_perception.ros.pictures import Camera
from ped_perception.ros.running import ManagedNode, run_node
from ped_perception.ros.settings import read_settings, specs_by_name
from ped_perception.ros.surroundings import Surroundings
from ped_perception.ros.worker import Arrival, explain, Worker
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

# How often the inputs look for publishers, and how often silence is looked into.
FOLLOW_PERIOD_S = 0.5

# What is told while the node is on its way into a state.
_ON_THE_WAY = {'inactive': 'loading the network', 'active': 'testing the network',
               'unconfigured': 'cleaning up', 'finalized': 'shutting down'}


class DetectorNode(ManagedNode):
    """Managed node: configure loads the network, activate starts to look, cleanup frees all."""

    def __init__(self, **node_options: Any) -> None:
        """
        Declare the parameters and begin to publish ``~/health``.

        Args:
            **node_options: of rclpy's Node.

        Raises:
            ConfigError: a parameter is unknown, of the wrong type or out of range.
        """
        super().__init__('ped_detector', **node_options)
        self._settings = read_settings(self)
        self.autostart = self._settings.node.autostart
        self.add_on_set_parameters_callback(self._on_parameters)
        self._ids = Ids()
        self._state = 'unconfigured'
        self._refused = ''
        self._enabled = True
        self._death = ''
        self._worker: Worker | None = None
        self._lookout: Lookout | None = None
        self._cameras: dict[str, Camera] = {}
        self._inputs: Inputs | None = None
        self._following: Any = None
        self.create_service(SetBool, '~/enable', self._on_enable)
        # What was seen before the clock was set belongs to another time.
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, on_clock_change=True,
                min_backward=Duration(seconds=-self._settings.age.jump_back_s)),
            post_callback=self._on_time_jump)
        self._health = HealthReporter(
            self, self._settings.health, self._facts, self._health_values,
            functools.partial(self._on_death, 'health'))
        # Not the node's clock: a player that waits for subscribers has not begun /clock, and the
        # subscriptions must not wait for it in turn.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics = DiagnosticsOutput(self, self._health, self._settings.backend.device)
        self.create_timer(self._settings.node.diagnostics_period_s, self._report,
                          clock=self._steady)

    def destroy_node(self) -> None:
        """Stop telling of health and destroy the node."""
        self._health.stop()
        super().destroy_node()

    # --- transitions -------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network in the inference thread and create the publishers."""
        return self._transition('configure', self._configure, 'inactive', self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Test the network and start to look."""
        result = self._transition('activate', self._activate, 'active', self._stop_looking)
        if result != TransitionCallbackReturn.SUCCESS:
            return result
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop looking; the network stays loaded."""
        self._stop_looking()
        self._state = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything that configuring made."""
        return self._transition('clean up', self._free, 'unconfigured', lambda: None)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured again."""
        self._stop_looking()
        return self._transition('recover', self._free, 'unconfigured', lambda: None)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, from any state."""
        self._stop_looking()
        return self._transition('shut down', self._free, 'finalized', lambda: None)

    def _transition(self, what: str, action: Callable[[], None], state: str,
                    undo: Callable[[], None]) -> TransitionCallbackReturn:
        # rclpy swallows exceptions of transitions without a word.
        before, self._state, self._refused = self._state, _ON_THE_WAY[state], ''
        try:
            action()
        except Exception as error:  # noqa: BLE001
            self._refused = f'cannot {what}: {explain(error)}'
            self.get_logger().error(f'The node {self._refused}')
            undo()
            self._state = before
            return TransitionCallbackReturn.FAILURE
        self._state = state
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        config, slots = self._settings.node, self._settings.slots()
        self._surroundings = Surroundings(self, config)
        self._ground = GroundOutput(
            self, config.base_frame, self._settings.ground.ground_z_m,
            lambda: self._settings.output)
        try:
            self._cameras = make_cameras(self, lambda: self._settings, self._surroundings.buffer)
        except PedPerceptionError:
            # Configured again and again, it must not publish more than once.
            self._ground.close()
            raise
        self._lookout = Lookout(
            self._cameras, self._settings.lookout(), self._settings.recovery, self._surroundings,
            self._ground, functools.partial(self._open_networks, slots), self._ids,
            self.get_clock(), self.get_logger())
        self._worker = Worker(self._lookout, functools.partial(self._on_death, 'inference'))
        self._worker.start()
        # What loading left at the end of the heap was given back, its huge pages with it.
        prefer_huge_pages()
        keep_objects()
        info = self._lookout.info
        assert info is not None
        self.get_logger().info(
            f'{info.model} {info.network_hw[1]}x{info.network_hw[0]} {info.precision} loaded: '
            f'{info.device}, up to {info.max_batch} views at once')

    def _open_networks(self, slots: int, may_build: bool) -> Networks:
        """Open the networks, in the inference thread."""
        networks = open_networks(self._settings.backend, slots, len(self._cameras),
                                 may_build=may_build, logger=self.get_logger())
        if self._state == 'active':
            # After failures: what failed once must show that it finds people again.
            try:
                return self._check_networks(networks, spare_small=True)
            except Exception:
                networks.close()
                raise
        return networks

    def _check_networks(self, networks: Networks, spare_small: bool = False) -> Networks:
        return check_networks(self._settings.node.self_test, self._settings.backend.model,
                              networks, self.get_logger(), spare_small)

    def _activate(self) -> None:
        networks = self._lookout.networks if self._lookout is not None else None
        if self._worker is None or networks is None:
            raise PedPerceptionError('The network is not loaded; clean up and configure again.')
        self._worker.call(functools.partial(self._check_networks, networks))
        self._surroundings.listen(to_transforms=any(
            camera.geometry.needs_transforms for camera in self._cameras.values()))
        if self._enabled:
            self._open_inputs()
        self._diagnostics.begin(self._cameras)
        self._following = self.create_timer(FOLLOW_PERIOD_S, self._follow, clock=self._steady)

    def _open_inputs(self) -> None:
        self._inputs = Inputs(self, self._cameras, self._on_image)

    def _close_inputs(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._worker is not None:
            for camera in self._worker.slots.clear():
                self._cameras[camera].stats.dropped(Drop.IDLE)

    def _stop_looking(self) -> None:
        if self._following is not None:
            self.destroy_timer(self._following)
        self._following = None
        self._close_inputs()
        if self._lookout is not None:
            self._surroundings.close()

    def _free(self) -> None:
        if self._worker is not None:
            worker, self._worker = self._worker, None
            self._report()
            worker.stop()
        was_configured = self._lookout is not None
        # The health thread must find no camera whose publishers are gone.
        cameras, self._cameras, self._lookout = self._cameras, {}, None
        for camera in cameras.values():
            camera.output.close()
        if was_configured:
            self._ground.close()

    # --- the executor's thread ---------------------------------------------------------------

    def _on_image(self, name: str, message: Any) -> None:
        camera, now_s = self._cameras[name], time.monotonic()
        camera.stats.arrived(now_s)
        if self._worker is None:
            return
        camera.wanted = self._is_wanted(camera)
        if not camera.wanted:
            camera.stats.dropped(Drop.IDLE)
        elif not camera.rate_limit.lets_through(now_s, camera.config.target_rate_hz):
            camera.stats.dropped(Drop.RATE)
        elif self._worker.slots.put(Arrival(name, message, now_s)):
            camera.stats.dropped(Drop.REPLACED)

    def _is_wanted(self, camera: Camera) -> bool:
        return (not self._settings.node.lazy or camera.output.is_wanted
                or self._ground.is_wanted)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response,
                   ) -> SetBool.Response:
        """Answer ``~/enable``: stop listening to cameras, or begin again."""
        if request.data != self._enabled and self._state == 'active':
            try:
                (self._open_inputs if request.data else self._close_inputs)()
            except ConfigError as error:
                response.success, response.message = False, str(error)
                return response
        self._enabled = request.data
        response.success = True
        response.message = ('looking' if self._enabled and self._state == 'active' else
                            f'enabled, but the node is {self._state}' if self._enabled else
                            'not looking; ~/health says BLIND')
        return response

    def _on_time_jump(self, jump: TimeJump) -> None:
        if self._lookout is not None:
            self._lookout.time_was_set()

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Take all changes, or none and say why."""
        try:
            settings = self._settings.changed(changes)
            info = self._lookout.info if self._lookout is not None else None
            if info is not None and settings.slots() > info.max_batch:
                raise ConfigError(f'{settings.slots()} views do not fit the batch of '
                                  f'{info.max_batch} that the network was loaded with. Configure '
                                  f'the node again, or take fewer.')
        except ConfigError as error:
            return refusal(error)
        self._settings = settings
        self._health.config = settings.health
        for name, camera in self._cameras.items():
            camera.config = settings.cameras[name]
            camera.monitor.configure(settings.image_monitor)
        if self._lookout is not None:
            self._lookout.configure(settings.lookout())
        return SetParametersResult(successful=True)

    def _follow(self) -> None:
        if self._inputs is not None:
            self._inputs.follow(self._settings.health.silence_report_s)

    def _report(self) -> None:
        """Publish ``/diagnostics``, in any state."""
        self._diagnostics.publish(self._lookout, self._cameras, self._settings.detector.views)

    # --- the health thread -------------------------------------------------------------------

    def _facts(self) -> tuple[NodeFacts, dict[str, CameraFacts]]:
        now_s, lookout = time.monotonic(), self._lookout
        inference = ('', '', '') if lookout is None else diagnostics.inference_facts(
            lookout, self._settings.recovery, now_s)
        facts = {name: diagnostics.camera_facts(camera, now_s, self._is_wanted(camera))
                 for name, camera in list(self._cameras.items())}
        return NodeFacts(self._state, self._refused, self._enabled, self._death,
                         *inference), facts

    def _health_values(self) -> dict[str, float | str]:
        return diagnostics.all_health_values(
            list(self._cameras.values()), self._lookout, time.monotonic())

    # --- any thread --------------------------------------------------------------------------

    def _on_death(self, thread: str, error: BaseException) -> None:
        # A node that no longer looks must not look alive: it ends, and is started anew.
        self._death = f'the {thread} thread ended: {explain(error)}'
        self.get_logger().fatal(f'The node ends: {self._death}')
        self.failed = True


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end."""
    answer_help('ped_detector', specs_by_name(['NAME']), args)
    return run_node(DetectorNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
