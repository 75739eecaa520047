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
Measure the detector node as a process: six cameras, a dead camera, and a long run.

Part of ``make bench``; see ``tools/bench.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time

from bench_rows import Row
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.cli.processes import Child
from ped_perception.ros.qos import results_qos
from ped_perception.ros.running import new_executor
import rclpy
from vision_msgs.msg import Detection2DArray

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / 'demo' / 'pets_street.mp4'
CAMERAS = tuple(f'c{number}' for number in range(6))

# Sends JPEGs of all cameras in turn, encoded once, so that it costs little itself.
SENDER = """
import sys, time
import cv2, rclpy
from ped_perception.ros import convert, memory, qos
from sensor_msgs.msg import CompressedImage
clip, names, rate_hz = sys.argv[1], sys.argv[2].split(','), float(sys.argv[3])
memory.keep_large_blocks()
rclpy.init()
node = rclpy.create_node('bench_cameras')
publishers = [node.create_publisher(CompressedImage, f'{name}/image_raw/compressed',
                                    qos.camera_publisher_qos()) for name in names]
video = cv2.VideoCapture(clip)
pictures = [convert.compressed_image_from_bgr(cv2.resize(video.read()[1], (1280, 720)), 1, name)
            for name in names for _ in range(4)]
due, number = time.monotonic(), 0
while True:
    index = number % len(names)
    message = pictures[(number * 5) % len(pictures)]
    message.header = convert.header_from_stamp(time.time_ns(), names[index])
    publishers[index].publish(message)
    number += 1
    due += 1 / rate_hz / len(names)
    time.sleep(max(0.0, due - time.monotonic()))
"""


class Listener:
    """Keeps the newest diagnostics and health of a detector, and when health changed."""

    def __init__(self, cameras: Sequence[str]) -> None:
        """Subscribe; also to the detections, as nobody looks for nobody."""
        self.values: dict[str, Mapping[str, str]] = {}
        self.health = ''
        self.node = rclpy.create_node('bench_listener')
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._take, results_qos())
        self.node.create_subscription(
            DiagnosticStatus, '/ped_detector/health', self._take_health, results_qos())
        for camera in cameras:
            self.node.create_subscription(Detection2DArray, f'/ped_detector/{camera}/detections',
                                          lambda _: None, results_qos(), raw=True)
        self._executor = new_executor()
        self._executor.add_node(self.node)

    def spin(self, duration_s: float) -> None:
        """Listen for some time."""
        until_s = time.monotonic() + duration_s
        while time.monotonic() < until_s:
            self._executor.spin_once(timeout_sec=0.05)

    def until(self, health: str, patience_s: float = 90.0) -> float:
        """Listen until health begins with a word; give the steady time."""
        until_s = time.monotonic() + patience_s
        while not self.health.startswith(health):
            if time.monotonic() > until_s:
                raise TimeoutError(f'waited {patience_s} s for {health}: {self.health}')
            self._executor.spin_once(timeout_sec=0.01)
        return time.monotonic()

    def close(self) -> None:
        """Unsubscribe."""
        self._executor.shutdown()
        self.node.destroy_node()

    def figure(self, camera: str, key: str) -> float:
        """Give a number of the newest diagnostics of a camera."""
        return float(self.values[camera][key])

    def _take(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.values[status.name.removeprefix('ped_detector: ')] = {
                pair.key: pair.value for pair in status.values}

    def _take_health(self, message: DiagnosticStatus) -> None:
        self.health = message.message


@contextlib.contextmanager
def running(cameras: Sequence[str], *parameters: str) -> Iterator[Listener]:
    """Run a detector and listen to it."""
    names = ','.join(f"'{camera}'" for camera in cameras)
    words = [word for text in (f'cameras:=[{names}]', *parameters) for word in ('-p', text)]
    with tempfile.TemporaryDirectory() as folder, Child(
            'detector', [sys.executable, '-m', 'ped_perception.ros.detector_node', '--ros-args',
                         *words], Path(folder) / 'log', {}):
        listener = Listener(cameras)
        try:
            yield listener
        finally:
            listener.close()


@contextlib.contextmanager
def sending(cameras: Sequence[str], rate_hz: float) -> Iterator[subprocess.Popen[bytes]]:
    """Send JPEGs of some cameras."""
    with subprocess.Popen([sys.executable, '-c', SENDER, str(CLIP), ','.join(cameras),
                           str(rate_hz)]) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def own_domain() -> Iterator[None]:
    """Measure in a ROS domain of its own."""
    os.environ['ROS_DOMAIN_ID'] = '93'
    rclpy.init()
    try:
        yield
    finally:
        rclpy.shutdown()


@own_domain()
def bench_cameras(duration_s: float = 20.0) -> list[Row]:
    """Compare six cameras through the node with the bare backend on the same batches."""
    rows: list[Row] = []
    for precision, views, small in (
            ('fp32', ('whole',), 'none'), ('int8', ('whole',), 'none'),
            ('int8', ('whole', 'whole@0.65'), 'none'), ('int8', ('whole',), 'auto'),
            ('int8', ('whole', 'whole@0.65'), 'auto')):
        slots = min(8, len(CAMERAS) * len(views)) // len(views) * len(views)
        with open_backend(BackendConfig(precision=precision, backend='openvino'), slots) as bare:
            bare.infer(slots)
            begin_s, count = time.perf_counter(), 0
            while time.perf_counter() < begin_s + duration_s / 4:
                bare.infer(slots)
                count += slots
            bare_per_s = count / (time.perf_counter() - begin_s)
        # A fifth more than could be looked at if nothing else were to be done.
        rate_hz = 1.2 * bare_per_s / len(views) / len(CAMERAS)
        texts = ','.join(f"'{view}'" for view in views)
        # Enough time for all of them at once, so that batches are those of the bare backend.
        with running(CAMERAS, f'precision:={precision}', 'backend:=openvino', f'views:=[{texts}]',
                     f'overload_size:={small}', 'step_budget_s:=2.0', 'max_frame_age_s:=3.0',
                     'stale_result_s:=3.0', 'ground_filter.max_lag_s:=3.2',
                     'latency_warn_s:=3.0') as listener, sending(CAMERAS, rate_hz):
            listener.until('OK')
            listener.spin(3.0)
            before = {c: listener.figure(c, 'frames_processed') for c in CAMERAS}
            reduced = sum(listener.figure(c, 'frames_reduced') for c in CAMERAS)
            hurried = sum(listener.figure(c, 'frames_small') for c in CAMERAS)
            begin_s = time.monotonic()
            listener.spin(duration_s)
            seconds = time.monotonic() - begin_s
            done = [listener.figure(c, 'frames_processed') - before[c] for c in CAMERAS]
            reduced = sum(listener.figure(c, 'frames_reduced') for c in CAMERAS) - reduced
            hurried = sum(listener.figure(c, 'frames_small') for c in CAMERAS) - hurried
            left_out = (reduced + hurried) * (len(views) - 1)
            views_per_s = (sum(done) * len(views) - left_out) / seconds
            rows.append({
                'precision': precision, 'views': ' + '.join(views), 'camera_hz': rate_hz,
                'bare_views_per_s': bare_per_s, 'node_views_per_s': views_per_s,
                'ratio': views_per_s / bare_per_s,
                'bare_pictures_per_s': bare_per_s / len(views),
                'pictures_per_s': sum(done) / seconds,
                'pictures_ratio': sum(done) / seconds / bare_per_s * len(views),
                'one_view_share': reduced / sum(done), 'small_share': hurried / sum(done),
                'least_share': float(min(done) / np.mean(done)),
                'latency_ms_p50': max(listener.figure(c, 'latency_ms_p50') for c in CAMERAS),
                'latency_ms_p99': max(listener.figure(c, 'latency_ms_p99') for c in CAMERAS)})
    return rows


@own_domain()
def bench_dead_camera(times: int = 10, rate_hz: float = 20.0) -> list[Row]:
    """Kill a camera and see how long it takes until BLIND is heard."""
    delays_ms = []
    with running(('camera',)) as listener:
        for _ in range(times):
            with sending(('camera',), rate_hz) as camera:
                listener.until('OK')
                listener.spin(1.0)
                os.kill(camera.pid, signal.SIGKILL)
                killed_s = time.monotonic()
                delays_ms.append((listener.until('BLIND') - killed_s) * 1e3)
    bound_ms = 2e3 / rate_hz + 100
    return [{'camera_hz': rate_hz, 'times': times, 'median_ms': float(np.median(delays_ms)),
             'longest_ms': max(delays_ms), 'bound_ms': bound_ms}]


@own_domain()
def bench_soak(duration_s: float) -> list[Row]:
    """Run the defaults at 30 Hz for a long time and watch the memory."""
    samples = []
    with running(('camera',)) as listener, sending(('camera',), 30.0):
        listener.until('OK')
        begin_s = time.monotonic()
        while time.monotonic() < begin_s + duration_s:
            listener.spin(5.0)
            samples.append((listener.figure('camera', 'rss_mb'),
                            listener.figure('camera', 'latency_ms_p99')))
        processed = listener.figure('camera', 'frames_processed')
        dropped = listener.figure('camera', 'frames_dropped')
    # The first tenth warms caches and rings up.
    rss_mb = np.array(samples)[max(1, len(samples) // 10):, 0]
    tenth = max(1, len(rss_mb) // 10)
    first, last = float(np.median(rss_mb[:tenth])), float(np.median(rss_mb[-tenth:]))
    return [{'minutes': duration_s / 60, 'processed': int(processed), 'dropped': int(dropped),
             'rss_mb_after_warm_up': first, 'rss_mb_at_the_end': last,
             'growth_percent': (last / first - 1) * 100,
             'latency_ms_p99_median': float(np.median(np.array(samples)[1:, 1])),
             'latency_ms_p99_worst': float(np.max(np.array(samples)[1:, 1]))}]
