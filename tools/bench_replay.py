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
Measure ``ped_replay``: what all but looking costs, and memory over the length of a recording.

Part of ``make bench``; see ``tools/bench.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from bench_rows import Row, spread_of, with_ratio
import cv2
import numpy as np
from ped_perception.core.types import Uint8Array
from ped_perception.replay.runner import replay, settings_for_bag
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / 'demo' / 'pets_street.mcap'
RUNS = 5
# Raw pictures of 2.76 MB: the long recordings have more than 2 GB.
LENGTHS = (40, 740)
STORAGES = (StoragePlugin.MCAP, StoragePlugin.SQLITE3)
CAMERA_WH = (1280, 720)
PERIOD_NS = 100_000_000
FIRST_NS = 1_000_000_000
IMAGE = 'sensor_msgs/msg/Image'

# What a program uses at its peak, only the program itself knows: see backends.process_memory.
PROGRAM = """
import sys
from ped_perception.backends.process_memory import peak_memory_mb
from ped_perception.cli.replay import main
code = main(sys.argv[1:])
print(peak_memory_mb())
sys.exit(code)
"""


def bench_replay() -> list[Row]:
    """Replay the recording of the package some times."""
    settings = settings_for_bag(RECORDING, {}, all_cameras=True)
    summaries = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            summaries.append(replay(RECORDING, Path(folder) / 'results', settings))
    stages = [stage for stage in summaries[0].times_s if stage != 'total']
    return [{
        'precision': summaries[0].precision, 'pictures': summaries[0].pictures,
        'per_s': spread_of([summary.pictures / summary.times_s['total']
                            for summary in summaries]),
        **{f'{stage}_ms': spread_of([1e3 * summary.times_s[stage] / summary.pictures
                                     for summary in summaries]) for stage in stages},
        'overhead': spread_of([summary.overhead for summary in summaries])}]


def bench_replay_memory() -> list[Row]:
    """
    Replay short and long recordings, each in a process of its own, and give its peak memory.

    Seen in one view by a small network, which is not what is measured. The ratio is to the short
    recording of the same storage.
    """
    rows: list[Row] = []
    pictures = _pictures()
    for storage in STORAGES:
        of_storage: list[Row] = []
        for count in LENGTHS:
            with tempfile.TemporaryDirectory() as folder:
                bag = Path(folder) / 'bag'
                size = _write_raw(bag, pictures, count, storage)
                begin_s = time.perf_counter()
                printed = subprocess.run(
                    [sys.executable, '-c', PROGRAM, str(bag), '-o', str(Path(folder) / 'results'),
                     '--quiet', '-p', 'views:=[whole]', '-p', 'network_size:=320x192'],
                    check=True, stdout=subprocess.PIPE, text=True).stdout
                seconds = time.perf_counter() - begin_s
            of_storage.append({
                'storage': storage.name.lower(), 'pictures': count, 'size_gb': size / 1e9,
                'seconds': seconds, 'peak_mib': float(printed.split()[-1])})
        rows += with_ratio(of_storage, 'peak_mib')
    return rows


def _pictures() -> list[Uint8Array]:
    video = cv2.VideoCapture(str(ROOT / 'demo' / 'pets_street.mp4'))
    return [np.asarray(cv2.resize(video.read()[1], CAMERA_WH), np.uint8) for _ in range(20)]


def _write_raw(bag: Path, pictures: Sequence[Uint8Array], count: int, storage: StoragePlugin,
               ) -> int:
    """Write raw pictures, one message at a time; give the size of the recording in bytes."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    width, height = CAMERA_WH
    with Writer(bag, version=9, storage_plugin=storage) as writer:
        topic = writer.add_connection('/camera/image_raw', IMAGE, typestore=store)
        for number in range(count):
            stamp_ns = FIRST_NS + number * PERIOD_NS
            # Back and forth, so that people walk instead of jumping.
            position = number % (2 * len(pictures))
            image_hw3 = pictures[min(position, 2 * len(pictures) - 1 - position)]
            stamp = store.types['builtin_interfaces/msg/Time'](
                sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
            header = store.types['std_msgs/msg/Header'](stamp=stamp, frame_id='camera')
            writer.write(topic, stamp_ns, store.serialize_cdr(store.types[IMAGE](
                header=header, height=height, width=width, encoding='bgr8', is_bigendian=0,
                step=width * 3, data=image_hw3.ravel()), IMAGE))
    return sum(file.stat().st_size for file in bag.iterdir())
