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
Measure how the cost grows: batches, threads, network sizes, pictures, cameras, people.

Part of ``make bench``; see ``tools/bench.py``.
"""

from __future__ import annotations

import itertools
import time

from bench_rows import Row, spread_of, times_ms, with_ratio
import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.camera import CameraModel
from ped_perception.core.ground import ground_positions
from ped_perception.core.ground_filter import GroundFilter, GroundFilterConfig
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.image_monitor import ImageMonitor, ImageMonitorConfig
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.tracker import Tracker
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections, Frame, Uint8Array
from ped_perception.ros.memory import keep_large_blocks

Float32Rows = NDArray[np.float32]

BATCHES = (1, 2, 4, 8)
# Backend, precision, network size, threads; the first is the reference.
NETWORKS = (
    ('onnxruntime', 'fp32', '640x384', 2),
    ('onnxruntime', 'fp32', '640x384', 1),
    ('openvino', 'fp32', '640x384', 2),
    ('openvino', 'fp32', '640x384', 1),
    ('openvino', 'fp32', '416x256', 2),
    ('openvino', 'fp32', '960x544', 2),
    ('openvino', 'int8', '640x384', 2),
    ('openvino', 'int8', '640x384', 1),
)
PICTURES_XY = ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
CAMERAS = (1, 2, 4, 6)
# How many, and whether they are told apart by their colours too, as by default.
PEOPLE = ((10, True), (50, True), (200, True), (200, False))
_SIZE_XY = (1280, 720)
_REPEATS = 40
_PEOPLE_REPEATS = 200


def bench_batches() -> list[Row]:
    """Measure the bare network: milliseconds for one slot in batches of several sizes."""
    rows: list[Row] = []
    for backend_name, precision, size, threads in NETWORKS:
        config = BackendConfig(backend=backend_name, precision=precision, network_size=size,
                               threads=threads)
        row: Row = {'backend': backend_name, 'precision': precision, 'size': size,
                    'threads': threads}
        with open_backend(config, max(BATCHES)) as backend:
            for count in BATCHES:
                spent_ms = times_ms(backend.infer, [count], max(8, _REPEATS // count))
                row[f'batch_{count}_ms'] = spread_of(np.array(spent_ms) / count)
        rows.append(row)
    return with_ratio(rows, 'batch_1_ms')


def bench_pictures(image_hw3: Uint8Array) -> list[Row]:
    """Measure what the size of a picture costs: views and the image monitor."""
    # As the node does; otherwise every larger array is fresh memory from the kernel.
    keep_large_blocks()
    rows: list[Row] = []
    with open_backend(BackendConfig(), 2) as backend:
        pipeline = Pipeline(backend, DetectorConfig())
        for size_xy in PICTURES_XY:
            # The monitor of a picture that never changes would only say that it is frozen.
            frames = [Frame('camera', index * 33_000_000, '', np.ascontiguousarray(
                np.roll(cv2.resize(image_hw3, size_xy), index, axis=1))) for index in range(2)]
            monitor = ImageMonitor(ImageMonitorConfig())
            views_s = [pipeline.step(frames[:1])[1].views_s for _ in range(23)][3:]
            rows.append({'picture': f'{size_xy[0]}x{size_xy[1]}',
                         'two_views_ms': spread_of(np.array(views_s) * 1e3),
                         'monitor_ms': spread_of(times_ms(monitor.check, frames, 200))})
    return with_ratio(rows, 'two_views_ms')


def bench_shared_batches(images: list[Uint8Array]) -> list[Row]:
    """Measure a step over the newest pictures of several cameras, one view each."""
    rows: list[Row] = []
    with open_backend(BackendConfig(), max(CAMERAS)) as backend:
        pipeline = Pipeline(backend, DetectorConfig(views=('whole',)))
        for count in CAMERAS:
            frames = [Frame(f'c{index}', 0, '', images[index]) for index in range(count)]
            steps_ms = np.array(times_ms(pipeline.step, [frames]))
            rows.append({'cameras': count, 'step_ms': spread_of(steps_ms),
                         'camera_ms': spread_of(steps_ms / count)})
    return with_ratio(rows, 'camera_ms')


def crowd(count: int, time_s: float) -> Float32Rows:
    """Give boxes of people who walk in rows, most of them apart from each other."""
    rng = np.random.default_rng(count)
    heights_n = rng.uniform(30, 120, count)
    x_n = rng.uniform(0, _SIZE_XY[0] - 50, count) + rng.uniform(-25, 25, count) * time_s
    feet_n = 380 + heights_n * 2.4
    return np.stack([x_n, feet_n - heights_n, x_n + heights_n * 0.4, feet_n],
                    axis=1).astype(np.float32)


def bench_people(image_hw3: Uint8Array) -> list[Row]:
    """Measure following and placing people at 10 Hz."""
    size_hw = _SIZE_XY[1], _SIZE_XY[0]
    model = CameraModel(size_hw, np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]]), 'none',
                        np.zeros(0))
    base_from_camera_44 = np.array([[0.0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5],
                                    [0, 0, 0, 1]])
    keep_large_blocks()
    rows: list[Row] = []
    for count, colours in PEOPLE:
        pixels = image_hw3 if colours else None
        tracker = Tracker(TrackerConfig(), itertools.count(1))
        people = GroundFilter(GroundFilterConfig())
        samples = []
        for number in range(_PEOPLE_REPEATS + 20):
            stamp_ns = number * 100_000_000
            boxes_n4 = crowd(count, stamp_ns / 1e9)
            found = Detections('front', stamp_ns, 'front', size_hw, boxes_n4,
                               np.linspace(0.9, 0.6, count, dtype=np.float32))
            marks_s = [time.perf_counter()]
            if pixels is not None:
                tracker.look_ahead(pixels)
            marks_s.append(time.perf_counter())
            tracks = tracker.step(found, pixels)
            marks_s.append(time.perf_counter())
            positions = ground_positions(tracks.confirmed(), model, base_from_camera_44,
                                         GroundConfig())
            marks_s.append(time.perf_counter())
            people.update(positions)
            marks_s.append(time.perf_counter())
            samples.append(np.diff(marks_s) * 1e3)
        stages_ms = np.array(samples[20:])
        ahead_ms, track_ms, ground_ms, filter_ms = np.median(stages_ms, axis=0).tolist()
        rows.append({'people': count, 'colours': 'yes' if colours else 'no',
                     'confirmed': len(tracks.confirmed()), 'ahead_ms': ahead_ms,
                     'track_ms': track_ms, 'ground_ms': ground_ms, 'filter_ms': filter_ms,
                     'least_ms': float(stages_ms[:, 1:].min(axis=0).sum()),
                     'sum_ms': spread_of(stages_ms[:, 1:].sum(axis=1))})
    return with_ratio(rows, 'sum_ms')
