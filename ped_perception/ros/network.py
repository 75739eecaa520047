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

"""Loads the networks, and sees that they find known people before anybody relies on them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
import math

from ped_perception.backends import BackendConfig, open_backend, open_small
from ped_perception.core.errors import PedPerceptionError
from ped_perception.core.pipeline import Backend
from ped_perception.engine.ensure import Watch
from ped_perception.engine.golden import run_golden, shipped_expectation
from rclpy.impl.rcutils_logger import RcutilsLogger


@dataclass(frozen=True, eq=False)
class Networks:
    """
    What looks at pictures: one thread opens, uses and closes it.

    Attributes:
        full: for the input ``network_size``.
        small: for ``overload_size``, None where there is none.
        small_problem: why the small one is not used any more, empty where nothing is wrong.
    """

    full: Backend
    small: Backend | None = None
    small_problem: str = ''

    @property
    def each(self) -> tuple[Backend, ...]:
        """All there are."""
        return (self.full,) if self.small is None else (self.full, self.small)

    @property
    def small_share(self) -> float | None:
        """How long the small one takes, as a share of the full one; None where there is none."""
        if self.small is None:
            return None
        # Both do the same for each pixel.
        return math.prod(self.small.info.network_hw) / math.prod(self.full.info.network_hw)

    def without_small(self, problem: str, logger: RcutilsLogger) -> Networks:
        """
        Give what is left when the small one is of no use: it is an aid, and costs no picture.

        Args:
            problem: what is wrong with it.
            logger: is told.
        """
        logger.error(f'The small network is not used any more: {problem} Under overload '
                     f'pictures are dropped. Configure the node again to load it anew')
        if self.small is not None:
            with suppress(Exception):       # it is broken already
                self.small.close()
        return Networks(self.full, small_problem=problem)

    def close(self) -> None:
        """Release everything; closing twice is harmless."""
        for backend in self.each:
            backend.close()


def open_networks(config: BackendConfig, slots: int, cameras: int, *, may_build: bool,
                  logger: RcutilsLogger) -> Networks:
    """
    Open the network, and the small one beside it; for the thread that will own them.

    Args:
        config: which one, and what runs it.
        slots: of a batch.
        cameras: of which the small network sees one view each.
        may_build: what is missing may be built, which takes minutes and is then said.
        logger: of the node.

    Raises:
        PedPerceptionError: see ``backends.open_backend``.
    """
    config = replace(config, allow_build=config.allow_build and may_build)
    watch = Watch(
        building=lambda plan: logger.warning(
            f'Building {plan.name} for this GPU, which takes minutes. Build it beforehand '
            f'with: ped_engine build {config.model}'),
        waiting=lambda: logger.warning('Another process builds the plan; waiting for it'))
    full = open_backend(config, slots, watch)
    try:
        return Networks(full, open_small(config, full.info, cameras, watch))
    except Exception as error:
        if config.overload_size == 'auto' and isinstance(error, PedPerceptionError):
            logger.info(f'Under overload pictures are dropped, for want of a smaller network: '
                        f'{error}')
            return Networks(full)
        full.close()
        raise


def check_networks(mode: str, model: str, networks: Networks, logger: RcutilsLogger,
                   spare_small: bool = False) -> Networks:
    """
    Look for known pedestrians with what was loaded; in the thread that owns it.

    Args:
        mode: the parameter ``self_test``.
        model: its name or path.
        networks: as they were loaded.
        logger: is told what came out.
        spare_small: go on without the small one where it is that which does not find them.

    Returns:
        The networks that may be used.

    Raises:
        PedPerceptionError: they are not found, or must be known and are not.
    """
    if mode == 'skip':
        return networks
    for backend in networks.each:
        height, width = backend.info.network_hw
        if mode == 'known' and shipped_expectation(model, (height, width)) is None:
            precision = ' --precision int8' if backend.info.precision == 'int8' else ''
            logger.warning(
                f'No self-test: what {model} must find at {width}x{height} is not shipped. Verify '
                f'it once with: ped_engine verify {model} --size {width}x{height}{precision}')
            continue
        try:
            report = run_golden(backend, model)
            report.refuse()
        except Exception as error:
            if not spare_small or backend is networks.full:
                raise
            return networks.without_small(str(error), logger)
        logger.info(f'Self-test passed: {report}')
    return networks
