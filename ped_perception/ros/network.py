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

"""Loads the network, and sees that it finds known people before anybody relies on it."""

from __future__ import annotations

from dataclasses import replace

from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.pipeline import Backend
from ped_perception.engine.ensure import Watch
from ped_perception.engine.golden import run_golden, shipped_expectation
from rclpy.impl.rcutils_logger import RcutilsLogger


def open_network(config: BackendConfig, slots: int, *, may_build: bool, logger: RcutilsLogger,
                 ) -> Backend:
    """
    Open the network; for the thread that will own it.

    Args:
        config: which one, and what runs it.
        slots: of a batch.
        may_build: what is missing may be built, which takes minutes and is then said.
        logger: of the node.

    Raises:
        PedPerceptionError: see ``backends.open_backend``.
    """
    return open_backend(
        replace(config, allow_build=config.allow_build and may_build), slots,
        Watch(building=lambda plan: logger.warning(
            f'Building {plan.name} for this GPU, which takes minutes. Build it beforehand '
            f'with: ped_engine build {config.model}'),
            waiting=lambda: logger.warning('Another process builds the plan; waiting for it')))


def check_network(mode: str, model: str, backend: Backend, logger: RcutilsLogger) -> None:
    """
    Look for known pedestrians with the network as it was loaded; in the thread that owns it.

    Args:
        mode: the parameter ``self_test``.
        model: its name or path.
        backend: the loaded network.
        logger: is told what came out.

    Raises:
        PedPerceptionError: they are not found, or must be known and are not.
    """
    if mode == 'skip':
        return
    height, width = backend.info.network_hw
    if mode == 'known' and shipped_expectation(model, (height, width)) is None:
        logger.warning(
            f'No self-test: what {model} must find at {width}x{height} is not shipped. Verify it '
            f'once with: ped_engine verify {model}')
        return
    report = run_golden(backend, model)
    report.refuse()
    logger.info(f'Self-test passed: {report}')
