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
Publishes ``~/health``: from a thread of its own, so that it goes on whatever the others do.

A planner must be able to tell "nobody there" from "not looking": see ``doc/planner.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from ped_perception.core.health import (
    CameraFacts,
    Health,
    HealthConfig,
    HealthReport,
    node_health,
    NodeFacts,
)
from ped_perception.ros.qos import results_qos
from rclpy._rclpy_pybind11 import InvalidHandle
from rclpy.node import Node

# How soon a change is seen.
_TICK_S = 0.02
# The log is for people: of a state that changes to and fro they need no more than this.
_LOG_PERIOD_S = 1.0

LEVELS = {Health.OK: DiagnosticStatus.OK, Health.DEGRADED: DiagnosticStatus.WARN,
          Health.BLIND: DiagnosticStatus.ERROR, Health.FAILED: DiagnosticStatus.ERROR}


class HealthReporter:
    """
    Tells how far the answers can be trusted, at a fixed rate and at every change.

    Attributes:
        report: the newest one.
    """

    def __init__(self, node: Node, config: HealthConfig,
                 facts: Callable[[], tuple[NodeFacts, Mapping[str, CameraFacts]]],
                 values: Callable[[], Mapping[str, float | str]],
                 on_death: Callable[[BaseException], None]) -> None:
        """
        Begin to publish at once.

        Args:
            node: that publishes, in any state of its lifecycle.
            config: rate and limits; replace it by :attr:`config`.
            facts: what is known of node and cameras; called in this thread.
            values: further key-values; called in this thread.
            on_death: called in this thread when it cannot go on.
        """
        self.config = config
        self._facts, self._values, self._on_death = facts, values, on_death
        self._context = node.context
        self._name = node.get_name()
        self._logger = node.get_logger()
        # Not managed: a planner asks also while the node is inactive.
        self._publisher = node.create_publisher(DiagnosticStatus, '~/health', results_qos())
        self._ended = threading.Event()
        self.report = HealthReport(Health.BLIND, 'BLIND: starting', {})
        self._thread = threading.Thread(target=self._run, name='health', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; stopping twice is harmless."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._tell()
        except Exception as error:  # noqa: BLE001 - a thread must not die silently
            # While the node or ROS itself is shut down, nobody can be told anything.
            if not self._ended.is_set() and self._context.ok():
                self._on_death(error)

    def _tell(self) -> None:
        due_s = log_due_s = time.monotonic()
        told: tuple[Health, ...] = ()
        logged: tuple[Health, ...] = ()
        while not self._ended.wait(_TICK_S):
            try:
                report = node_health(*self._facts(), self.config)
            except InvalidHandle:
                # A camera's publishers were destroyed while it was asked for; it is gone now.
                continue
            states = (report.health, *(state for state, _ in report.cameras.values()))
            now_s = time.monotonic()
            if states != logged and now_s >= log_due_s:
                self._log(report)
                logged, log_due_s = states, now_s + _LOG_PERIOD_S
            if states == told and now_s < due_s:
                continue
            told, self.report = states, report
            period_s = 1 / self.config.health_rate_hz
            due_s = max(due_s + period_s, now_s + period_s / 2)
            self._publisher.publish(status_from_report(self._name, report, self._values()))

    def _log(self, report: HealthReport) -> None:
        if report.health == Health.OK:
            self._logger.info(f'Health: {report.message}')
        else:
            self._logger.warning(f'Health: {report.message}')


def status_from_report(name: str, report: HealthReport, values: Mapping[str, float | str],
                       ) -> DiagnosticStatus:
    """
    Give the message of ``~/health``.

    Args:
        name: of the node.
        report: state and reasons.
        values: further key-values.
    """
    pairs: dict[str, float | str] = {}
    for camera, (state, reason) in report.cameras.items():
        pairs[f'{camera}.state'] = state.name
        pairs[f'{camera}.reason'] = reason
    pairs.update(values)
    return DiagnosticStatus(
        level=LEVELS[report.health], name=f'{name}: health', message=report.message,
        values=[KeyValue(key=key, value=value if isinstance(value, str) else f'{value:.3f}')
                for key, value in pairs.items()])
