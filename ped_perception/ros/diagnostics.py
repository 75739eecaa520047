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

"""What the node says of itself on ``/diagnostics``, in diagnostic_updater's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import functools
import importlib
import importlib.util
import time
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from ped_perception.backends.process_memory import peak_memory_mb
from ped_perception.core.config import text_from_size_hw
from ped_perception.core.health import CameraFacts, Health, HealthConfig, HealthReport
from ped_perception.core.overload import Look
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.recovery import RecoveryConfig
from ped_perception.engine.gpu import pci_bus_id
from ped_perception.ros.camera_stats import CameraStats, Drop
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.health import LEVELS, status_from_report
from ped_perception.ros.lookout import Lookout
from ped_perception.ros.pictures import Camera
import psutil


class ProcessMeter:
    """Memory and processor use of this process."""

    def __init__(self) -> None:
        """Begin to measure."""
        self._process = psutil.Process()
        self._process.cpu_percent()

    def values(self) -> dict[str, float]:
        """Give resident memory, its peak, and the processor use since the last call."""
        return {'rss_mb': self._process.memory_info().rss / 2**20,
                'peak_rss_mb': peak_memory_mb(),
                'cpu_percent': self._process.cpu_percent()}


class Watched(Protocol):
    """What health is judged from, of a camera of the node or of a recording."""

    @property
    def config(self) -> CameraConfig:
        """Parameters."""

    @property
    def stats(self) -> CameraStats:
        """Counts and times."""

    @property
    def image_problems(self) -> tuple[str, ...]:
        """What the monitor said of the newest picture."""

    @property
    def silence(self) -> str:
        """Why no pictures come, as far as it is known."""

    @property
    def rivals(self) -> str:
        """Which publishers share the topic, empty where there is one."""


def camera_facts(camera: Watched, now_s: float, is_wanted: bool) -> CameraFacts:
    """Give what health is judged from; ``now_s`` is on the steady clock."""
    stats, expected_hz = camera.stats, camera.config.expected_rate_hz
    target_hz = camera.config.target_rate_hz
    return CameraFacts(
        period_s=1 / expected_hz if expected_hz else stats.period_s,
        since_received_s=now_s - stats.received_s, since_looked_at_s=now_s - stats.looked_at_s,
        look_period_s=1 / target_hz if target_hz else 0.0,
        bad_share=stats.bad_share, last_problem=stats.last_problem, problem=stats.problem,
        image_problems=camera.image_problems, rivals=camera.rivals,
        latency_s=stats.recent_latency_s, silence=camera.silence, active=is_wanted)


def inference_facts(lookout: Lookout, config: RecoveryConfig, now_s: float,
                    ) -> tuple[str, str, str]:
    """Give the last three of ``NodeFacts``: lost, failing and weakened."""
    recovery, networks = lookout.recovery, lookout.networks
    weakened = lookout.small_recovery.problem or (
        networks.small_problem if networks is not None else '')
    for what, since_s in (('the inference', lookout.step_began_s),
                          ('the following of people', lookout.waits_since_s)):
        # Written so that NaN, which is nothing at hand, is no.
        if now_s - since_s > config.hang_s:
            lost = f'{what} has not answered for {now_s - since_s:.1f} s'
            return lost, recovery.problem, weakened
    if recovery.is_lost(now_s):
        failing_s = now_s - recovery.failing_since_s
        lost = (f'the inference has failed {recovery.failures} times in {failing_s:.0f} s: '
                f'{recovery.problem}')
        return lost, recovery.problem, weakened
    return '', recovery.problem, weakened


def health_values(camera: Camera, now_s: float) -> dict[str, float | str]:
    """Give the key-values of one camera in ``~/health``, named ``<camera>.<key>``."""
    stats, name = camera.stats, camera.name
    return {f'{name}.age_s': now_s - stats.looked_at_s, f'{name}.fps': stats.rate.rate_hz(now_s),
            f'{name}.received_fps': stats.received_rate.rate_hz(now_s),
            f'{name}.first_view_share': stats.share_of(Look.FIRST_VIEW),
            f'{name}.small_network_share': stats.share_of(Look.SMALL_NETWORK),
            f'{name}.ground': camera.geometry.problem,
            **{f'{name}.drops.{cause.value}': str(count) for cause, count in stats.drops.items()}}


def load_values(lookout: Lookout) -> dict[str, float | str]:
    """Give how overload is handled, failures of the inference, and what positions say."""
    return {'cameras_left_out': str(lookout.schedule.left_out),
            'steps_with_fewer_views': str(lookout.looks.counts[Look.FIRST_VIEW]),
            'steps_with_small_network': str(lookout.looks.counts[Look.SMALL_NETWORK]),
            'inference_ms_per_view': lookout.schedule.slot_s * 1e3,
            'inference_failures': str(lookout.recovery.total),
            'odometry': lookout.odometry_problem,
            'soonest_conflict_s': lookout.danger.soonest_s}


def all_health_values(cameras: Iterable[Camera], lookout: Lookout | None, now_s: float,
                      ) -> dict[str, float | str]:
    """Give the key-values of ``~/health``; those of the inference where there is one."""
    values: dict[str, float | str] = {}
    for camera in cameras:
        values.update(health_values(camera, now_s))
    return values if lookout is None else {**values, **load_values(lookout)}


def camera_values(stats: CameraStats, now_s: float) -> dict[str, float]:
    """Give the figures of one camera; ``now_s`` is on the steady clock of its stamps."""
    p50, p95, p99 = stats.latency_ms.percentiles(50, 95, 99)
    return {'frames_received': stats.received, 'frames_processed': stats.processed,
            'frames_dropped': stats.total_dropped, 'frames_bad': stats.drops[Drop.BAD],
            'frames_reduced': stats.looks[Look.FIRST_VIEW],
            'frames_small': stats.looks[Look.SMALL_NETWORK],
            **{f'drops_{cause.value}': count for cause, count in stats.drops.items()},
            'detections_total': stats.detections, 'fps': stats.rate.rate_hz(now_s),
            'latency_ms_p50': p50, 'latency_ms_p95': p95, 'latency_ms_p99': p99,
            **{f'stage_ms_{stage}': window.percentiles(50)[0]
               for stage, window in stats.stage_ms.items()}}


def engine_values(info: BackendInfo) -> dict[str, str]:
    """Give what runs the network, in words."""
    return {'backend': info.backend, 'model': info.model, 'precision': info.precision,
            'network_size': text_from_size_hw(info.network_hw), 'device': info.device}


def camera_status(node: str, camera: Camera, frames_since: int, report: HealthReport,
                  config: HealthConfig, views: tuple[str, ...],
                  shared: Mapping[str, float | str], hardware_id: str) -> DiagnosticStatus:
    """
    Write the status of one camera.

    Args:
        node: its name.
        camera: to write about.
        frames_since: pictures looked at since the last status.
        report: of the health.
        config: of the health.
        views: of cameras that have none of their own.
        shared: key-values of process and network.
        hardware_id: what runs the network.
    """
    stats = camera.stats
    state, reason = report.cameras.get(camera.name, (Health.OK, ''))
    level = LEVELS[state]
    if state == Health.DEGRADED and stats.recent_latency_s > config.latency_error_s:
        level = DiagnosticStatus.ERROR
    message = reason or ('detecting' if frames_since else 'idle')
    if stats.last_problem:
        message += f'; last problem: {stats.last_problem}'
    values: dict[str, float | str] = {
        **camera_values(stats, time.monotonic()), **shared,
        'views': ' '.join(camera.config.views or views), 'ground': camera.geometry.problem}
    return _status(f'{node}: {camera.name}', hardware_id, level, message, values)


def engine_status(node: str, lookout: Lookout, report: HealthReport, gpu_index: int,
                  ) -> DiagnosticStatus:
    """Write the status of what runs the network, and of its GPU where there is one."""
    info = lookout.info
    problem = lookout.recovery.problem
    level = (LEVELS[report.health] if report.health == Health.FAILED
             else DiagnosticStatus.WARN if problem else DiagnosticStatus.OK)
    values: dict[str, float | str] = load_values(lookout)
    if info is not None and info.backend == 'tensorrt':
        values.update(gpu_values(gpu_index))
    return _status(f'{node}: inference', info.device if info else '', level,
                   problem or 'inferring', values)


def all_statuses(node: str, lookout: Lookout | None, cameras: Mapping[str, Camera],
                 frames_since: Mapping[str, int], report: HealthReport, config: HealthConfig,
                 views: tuple[str, ...], process: Mapping[str, float], gpu_index: int,
                 ) -> list[DiagnosticStatus]:
    """
    Write the status of the node, and where the network is loaded of it and of each camera.

    Args:
        node: its name.
        lookout: of the inference, None while the node is not configured.
        cameras: by name.
        frames_since: pictures of each camera looked at since the last time.
        report: of the health.
        config: of the health.
        views: of cameras that have none of their own.
        process: key-values of the process.
        gpu_index: of the GPU that TensorRT runs on, as CUDA counts.
    """
    whole = status_from_report(node, report, process)
    if lookout is None or lookout.info is None:
        return [whole]
    whole.hardware_id = lookout.info.device
    shared: dict[str, float | str] = {**process, **engine_values(lookout.info)}
    return [whole, engine_status(node, lookout, report, gpu_index), *(
        camera_status(node, camera, frames_since[name], report, config, views, shared,
                      lookout.info.device) for name, camera in cameras.items())]


# A GPU stays where it is.
_pci_bus_id = functools.cache(pci_bus_id)


@functools.cache
def _nvml() -> Any:
    """Give NVIDIA's management library where it is installed and a driver answers."""
    if importlib.util.find_spec('pynvml') is None:
        return None
    library = importlib.import_module('pynvml')
    try:
        library.nvmlInit()
    except library.NVMLError:
        return None
    return library


def gpu_values(index: int) -> dict[str, float]:
    """Give memory, load and temperature of a GPU, as CUDA counts; nothing where it is not."""
    library, place = _nvml(), _pci_bus_id(index)
    if library is None or not place:
        return {}
    try:
        handle = library.nvmlDeviceGetHandleByPciBusId(place.encode())
        memory = library.nvmlDeviceGetMemoryInfo(handle)
        return {'gpu_memory_used_mb': memory.used / 2**20,
                'gpu_memory_total_mb': memory.total / 2**20,
                'gpu_load_percent': library.nvmlDeviceGetUtilizationRates(handle).gpu,
                'gpu_temperature_c': library.nvmlDeviceGetTemperature(
                    handle, library.NVML_TEMPERATURE_GPU)}
    except library.NVMLError:
        # Jetsons have the library, but not all of its answers.
        return {}


def _status(name: str, hardware_id: str, level: bytes, message: str,
            values: Mapping[str, float | str]) -> DiagnosticStatus:
    """Write a status; floats with three decimals."""
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value if isinstance(value, str) else f'{value:.3f}')
                for key, value in values.items()])


def diagnostic_array(stamp: object, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    """Put statuses into one message; ``stamp`` is a builtin_interfaces/Time."""
    message = DiagnosticArray(status=statuses)
    message.header.stamp = stamp
    return message
