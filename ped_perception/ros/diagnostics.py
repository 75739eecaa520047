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

from collections.abc import Mapping
import resource

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from ped_perception.core.config import text_from_size_hw
from ped_perception.core.pipeline import BackendInfo
from ped_perception.ros.camera_output import CameraStats
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
                # ru_maxrss is in KiB on Linux.
                'peak_rss_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
                'cpu_percent': self._process.cpu_percent()}


def camera_values(stats: CameraStats, now_s: float) -> dict[str, float]:
    """Give the figures of one camera; ``now_s`` is on the steady clock of its stamps."""
    p50, p95, p99 = stats.latency_ms.percentiles(50, 95, 99)
    return {'frames_received': stats.received, 'frames_processed': stats.processed,
            'frames_dropped': stats.dropped, 'frames_bad': stats.bad,
            'frames_reduced': stats.reduced,
            'detections_total': stats.detections, 'fps': stats.rate.rate_hz(now_s),
            'latency_ms_p50': p50, 'latency_ms_p95': p95, 'latency_ms_p99': p99,
            **{f'stage_ms_{stage}': window.percentiles(50)[0]
               for stage, window in stats.stage_ms.items()}}


def engine_values(info: BackendInfo, views: tuple[str, ...]) -> dict[str, str]:
    """Give what runs the network, in words."""
    return {'backend': info.backend, 'model': info.model, 'precision': info.precision,
            'network_size': text_from_size_hw(info.network_hw), 'views': ' '.join(views),
            'device': info.device}


def camera_status(name: str, hardware_id: str, stats: CameraStats, frames_since: int,
                  values: Mapping[str, float | str]) -> DiagnosticStatus:
    """
    Write the status of one camera.

    Args:
        name: of the node and the camera.
        hardware_id: what runs the network.
        stats: of the camera.
        frames_since: frames processed since the last status.
        values: key-values; floats are written with three decimals.
    """
    if frames_since:
        level, message = DiagnosticStatus.OK, 'detecting'
    elif stats.received:
        level, message = DiagnosticStatus.WARN, 'no new picture processed'
    else:
        level, message = DiagnosticStatus.WARN, 'no picture received yet'
    if stats.last_problem:
        message += f'; last problem: {stats.last_problem}'
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value if isinstance(value, str) else f'{value:.3f}')
                for key, value in values.items()])


def diagnostic_array(stamp: object, statuses: list[DiagnosticStatus]) -> DiagnosticArray:
    """Put statuses into one message; ``stamp`` is a builtin_interfaces/Time."""
    message = DiagnosticArray(status=statuses)
    message.header.stamp = stamp
    return message
