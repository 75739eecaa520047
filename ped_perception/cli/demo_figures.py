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

"""What a run of the demo amounts to: ``report.json`` and its ten lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from ped_perception.cli.demo_nodes import DemoSettings
from ped_perception.cli.demo_run import count_in, DemoRun
from ped_perception.evaluation.machine import machine_description, versions

STAGES = ('receive', 'decode', 'views', 'infer', 'postprocess', 'track', 'publish')


def figures_from_run(run: DemoRun, settings: DemoSettings) -> dict[str, Any]:
    """
    Compute everything that ``report.json`` says, in types of JSON; None is not measured.

    Counts and stages are the detector's own (``/diagnostics``). Latencies are taken for every
    picture: from the stamp of the image to the time at which the detector's middleware sent the
    detections, and to that at which the listener's had them.
    """
    status = run.status
    received = count_in(status, 'frames_received')
    return {
        'frames_sent': run.frames_sent,
        'frames_received': received,
        'frames_processed': count_in(status, 'frames_processed'),
        'frames_dropped': count_in(status, 'frames_dropped'),
        'frames_reduced': count_in(status, 'frames_reduced'),
        'frames_small': count_in(status, 'frames_small'),
        'frames_lost_in_transport': run.frames_sent - received,
        'fps': _rate_hz([heard.published_ns for heard in run.heard]),
        'latency_ms': percentiles(latencies_ms(run)),
        'latency_arrival_ms': percentiles(
            [(heard.received_ns - heard.detections.stamp_ns) / 1e6 for heard in run.heard]),
        'latency_detector_window_ms': {
            name: _number(status, f'latency_ms_{name}') for name in ('p50', 'p95', 'p99')},
        'stage_ms': {stage: _number(status, f'stage_ms_{stage}') for stage in STAGES},
        'detections_total': count_in(status, 'detections_total'),
        'frames_with_pedestrians': sum(len(heard.detections) > 0 for heard in run.heard),
        'most_pedestrians_in_a_frame': max(
            (len(heard.detections) for heard in run.heard), default=0),
        'peak_rss_mb': _number(status, 'peak_rss_mb'),
        'cpu_percent': _rounded(run.cpu_percent.get('detector')),
        'cpu_percent_camera': _rounded(run.cpu_percent.get('camera')),
        'cpu_percent_listener': _rounded(run.cpu_percent.get('listener')),
        **{key: status.get(key) for key in (
            'backend', 'model', 'precision', 'network_size', 'views', 'device')},
        'duration_s': _rounded(_span_s(run.camera_stamps_ns)),
        'ended_early': run.interrupted,
        'source': {'path': settings.source, 'topic': settings.topic or None,
                   'transport': settings.transport, 'rate_hz': settings.rate_hz or None,
                   'width': run.source_hw[1], 'height': run.source_hw[0],
                   'live': settings.is_live},
        'ros': {'domain_id': int(run.domain), 'middleware': run.middleware,
                'distribution': os.environ.get('ROS_DISTRO') or 'wheels'},
        'finished': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'machine': machine_description(), 'versions': versions()}


def latencies_ms(run: DemoRun) -> list[float]:
    """Give the time from the image's stamp to published detections, for each picture."""
    return [(heard.published_ns - heard.detections.stamp_ns) / 1e6 for heard in run.heard]


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Give p50, p95 and p99, None where there is no value."""
    if not values:
        return dict.fromkeys(('p50', 'p95', 'p99'))
    found = np.percentile(values, (50, 95, 99))
    return {f'p{percent}': round(float(value), 3)
            for percent, value in zip((50, 95, 99), found, strict=True)}


def summary(figures: Mapping[str, Any], files: Sequence[Path], logs: Path) -> str:
    """Say in ten lines what was done, measured and written."""
    source, latency = figures['source'], figures['latency_ms']
    form = f'{source["transport"]} {source["width"]}x{source["height"]}'
    rows = {
        'source': f'{source["path"]}, sent as {form}'
                  + (f' at {source["rate_hz"]:g} Hz' if source['rate_hz'] else ' as recorded'),
        'network': f'{figures["model"]} {figures["network_size"]} {figures["precision"]}, views '
                   f'{figures["views"]}, {figures["backend"]} ({figures["device"]})',
        'frames': f'{figures["frames_sent"]} sent, {figures["frames_received"]} received, '
                  f'{figures["frames_processed"]} processed, {figures["frames_dropped"]} dropped',
        'rate': f'{written(figures["fps"])} frames per second{lack_of_time(figures)}',
        'latency': f'p50 {written(latency["p50"])} ms, p95 {written(latency["p95"])} ms, p99 '
                   f'{written(latency["p99"])} ms, from image stamp to published detections',
        'processor': f'{written(figures["cpu_percent"], 0)} % of one core; the camera takes '
                     f'{written(figures["cpu_percent_camera"], 0)} % more',
        'memory': f'{written(figures["peak_rss_mb"], 0)} MB at the peak, detector process',
        'pedestrians': f'{figures["detections_total"]} detections in '
                       f'{figures["frames_with_pedestrians"]} of {figures["frames_processed"]} '
                       f'frames, up to {figures["most_pedestrians_in_a_frame"]} in one',
        'look at': ', '.join(map(str, files)),
        'logs': f'{logs}{os.sep}camera.log, detector.log'}
    return '\n'.join(f'  {label:<12}{text}' for label, text in rows.items())


def lack_of_time(figures: Mapping[str, Any]) -> str:
    """Say what was given up so that no picture had to be dropped; nothing if nothing was."""
    given_up = [f'{count} {how}' for count, how in (
        (figures['frames_reduced'], 'through one view only'),
        (figures['frames_small'], 'by the small network')) if count]
    return f'; for lack of time seen {", ".join(given_up)}' if given_up else ''


def written(value: float | None, decimals: int = 1) -> str:
    """Write a figure, or that there is none."""
    return 'unknown' if value is None else f'{value:.{decimals}f}'


def _number(status: Mapping[str, str], key: str) -> float | None:
    value = float(status.get(key, 'nan'))
    return value if math.isfinite(value) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _span_s(stamps_ns: Sequence[int]) -> float | None:
    return (stamps_ns[-1] - stamps_ns[0]) / 1e9 if len(stamps_ns) > 1 else None


def _rate_hz(times_ns: Sequence[int]) -> float | None:
    span_s = _span_s(times_ns)
    return round((len(times_ns) - 1) / span_s, 3) if span_s else None
