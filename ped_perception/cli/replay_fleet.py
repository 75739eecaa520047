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
Recordings replayed by the machines of a Ray cluster.

Ray (Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018) places
the attempts and tells how they ended. What is tried again, and what was finished before, is
decided where it is decided for processes of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
import os
from pathlib import Path
import socket
import tempfile
import time
from types import TracebackType
from typing import Any

from ped_perception.cli.replay_workers import Attempt, failure_of, replaying
from ped_perception.core.errors import ConfigError, import_extra, PedPerceptionError

# What a recording takes of a machine where its parameters do not say.
_CORES = 2
_POLL_S = 0.2
_END_S, _REACH_S = 15.0, 10.0
# A network file system may believe for so long that there is no such folder (acdirmax of NFS).
_PATIENCE_S = 65.0
# Recordings handed over at a time: a cluster that grows is used, a queue of Ray stays short.
_MOST = 200


class FleetWorkers(AbstractContextManager['FleetWorkers']):
    """
    The machines of a Ray cluster, all with this package and the same file system.

    Attributes:
        most: recordings at a time; Ray starts as many of them as there are cores for.
        threads: cores that each of them takes.
        patience_s: how long a finished result may take to be seen from here.
    """

    patience_s = _PATIENCE_S

    def __init__(self, address: str, *, most: int | None = None, threads: int = 0,
                 gpu: bool = False) -> None:
        """
        Join a cluster.

        Args:
            address: as ``ray.init`` takes it: ``host:6379``, ``auto`` for one of this machine,
                ``local`` for a new one of this machine, which ends with this program.
            most: recordings at a time, None for as many as there are cores.
            threads: cores that a recording takes, 0 for two, or one where there are no two.
            gpu: a recording takes a GPU.

        Raises:
            MissingExtraError: Ray is not installed.
            PedPerceptionError: there is no cluster, or it does not let this program in.
            ConfigError: no machine of it has what a recording takes.
        """
        # Otherwise a cluster that begins here tells its makers about itself.
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        self._ray: Any = import_extra('ray', 'fleet')
        self.most = most or _MOST
        self._running: list[Any] = []
        try:
            _reach(address)
            self._ray.init(address=address, include_dashboard=False, log_to_driver=False,
                           logging_level='ERROR')
        # Which one it is depends on the address and on the version: OSError, ValueError,
        # RuntimeError, ImportError for ray:// without its own extra, …
        except Exception as error:
            raise PedPerceptionError(
                f'The Ray cluster at {address} cannot be joined: {error}. Does it run (ray start '
                f'--head), and is RAY_AUTH_TOKEN its token, where it wants one?') from error
        try:
            self.threads = self._cores(threads, gpu)
        except ConfigError:
            self._ray.shutdown()
            raise
        self._task = self._ray.remote(
            num_cpus=self.threads, num_gpus=int(gpu), max_retries=0)(replay_here)

    def _cores(self, threads: int, gpu: bool) -> int:
        """Choose the cores of a recording; a request that nobody can meet waits for ever."""
        machines = [node['Resources'] for node in self._ray.nodes() if node['Alive']]
        if gpu and not any(resources.get('GPU', 0) >= 1 for resources in machines):
            raise ConfigError('Backend tensorrt was asked for, but no machine of the cluster has '
                              'a GPU that Ray knows of.')
        largest = int(max(resources.get('CPU', 0) for resources in machines))
        if threads > largest:
            raise ConfigError(f'threads is {threads}, but no machine of the cluster has more than '
                              f'{largest} cores.')
        return threads or max(1, min(_CORES, largest))

    def start(self, arguments: Sequence[str]) -> Attempt:
        """Have ``ped_replay`` run somewhere; paths mean the same there."""
        attempt = self._task.remote(list(arguments))
        self._running.append(attempt)
        return FleetAttempt(self._ray, attempt)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End all attempts, then leave the cluster, or end it where it began here."""
        _, left = self._ray.wait(self._running, num_returns=len(self._running),
                                 timeout=0) if self._running else ([], [])
        for attempt in left:
            self._ray.cancel(attempt)
        if left:
            self._ray.wait(left, num_returns=len(left), timeout=_END_S)
        self._ray.shutdown()


def _reach(address: str) -> None:
    """Connect to an address with a port: Ray itself knocks at a dead one for minutes."""
    host, _, port = address.rpartition(':')
    if host and port.isdecimal() and '/' not in host:
        socket.create_connection((host.strip('[]'), int(port)), _REACH_S).close()


class FleetAttempt:
    """A recording somewhere in the cluster."""

    def __init__(self, ray: Any, attempt: Any) -> None:
        """Take Ray and its handle."""
        self._ray, self._attempt = ray, attempt

    def failure(self) -> str | None:
        """Say why it failed; empty when it did not, None while it goes on."""
        if not self._ray.wait([self._attempt], timeout=0)[0]:
            return None
        try:
            return str(self._ray.get(self._attempt))
        except self._ray.exceptions.RayError as error:
            # A machine that went away, memory that ran out: lines of advice. What Python raised
            # there comes with its traceback, and is its last line.
            text = str(error).strip()
            if isinstance(error, self._ray.exceptions.RayTaskError):
                return text.splitlines()[-1]
            return f'{type(error).__name__}: {" ".join(text.split())}'


def replay_here(arguments: Sequence[str]) -> str:
    """
    Run ``ped_replay`` on a machine of the cluster, in a process of its own.

    Returns:
        Why it failed and on which machine, empty when it did not.
    """
    with tempfile.TemporaryDirectory(prefix='ped_replay_') as folder, \
            replaying(arguments, Path(folder) / 'log') as child:
        while (failure := failure_of(child)) is None:
            time.sleep(_POLL_S)
    return failure and f'{failure} on {os.uname().nodename}'
