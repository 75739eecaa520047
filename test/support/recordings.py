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

"""Small recordings for the tests, written with rosbags."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

STORE = get_typestore(Stores.ROS2_HUMBLE)
HEIGHT, WIDTH = 24, 40
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000


def picture(index: int) -> np.ndarray:
    """Give a picture of noise, which no compression makes small, that begins with its number."""
    image_hw3 = np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    image_hw3[0, 0] = index % 256
    return image_hw3


def header(stamp_ns: int, frame_id: str = 'optical') -> object:
    """Build a std_msgs/Header."""
    stamp = STORE.types['builtin_interfaces/msg/Time'](
        sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return STORE.types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def image_message(index: int, stamp_ns: int) -> object:
    """Build a raw image with row padding."""
    step = WIDTH * 3 + 4
    rows = np.zeros((HEIGHT, step), np.uint8)
    rows[:, :WIDTH * 3] = picture(index).reshape(HEIGHT, -1)
    return STORE.types['sensor_msgs/msg/Image'](
        header=header(stamp_ns), height=HEIGHT, width=WIDTH, encoding='bgr8', is_bigendian=0,
        step=step, data=rows.ravel())


def compressed_message(index: int, stamp_ns: int) -> object:
    """Build a PNG image, which loses nothing."""
    data = cv2.imencode('.png', picture(index))[1]
    return STORE.types['sensor_msgs/msg/CompressedImage'](
        header=header(stamp_ns), format='bgr8; png compressed bgr8', data=data.ravel())


def info_message(focal: float, stamp_ns: int) -> object:
    """Build a CameraInfo."""
    roi = STORE.types['sensor_msgs/msg/RegionOfInterest'](
        x_offset=1, y_offset=2, height=3, width=4, do_rectify=True)
    k = np.array([focal, 0, 20, 0, focal, 12, 0, 0, 1.0])
    p = np.array([focal, 0, 20, 0, 0, focal, 12, 0, 0, 0, 1, 0.0])
    return STORE.types['sensor_msgs/msg/CameraInfo'](
        header=header(stamp_ns), height=HEIGHT, width=WIDTH, distortion_model='plumb_bob',
        d=np.array([0.1, 0, 0, 0, 0.2]), k=k, r=np.eye(3).ravel(), p=p, binning_x=1, binning_y=2,
        roi=roi)


BUILDERS = {
    'sensor_msgs/msg/Image': image_message,
    'sensor_msgs/msg/CompressedImage': compressed_message,
    'sensor_msgs/msg/CameraInfo': lambda index, stamp_ns: info_message(500.0 + index, stamp_ns),
}


def write_bag(path: Path, topics: dict[str, str], *, count: int = 10,
              plugin: StoragePlugin = StoragePlugin.MCAP, latency_ns: int = 5_000_000,
              first_stamp_ns: int = START_NS, compressed: bool = False) -> Path:
    """
    Write a recording with one message of each topic per period.

    Args:
        path: folder to make.
        topics: message type by topic; ``std_msgs/msg/String`` writes text.
        count: messages of each topic.
        plugin: storage.
        latency_ns: from the header's stamp to the time of writing.
        first_stamp_ns: header stamp of the first message; 0 writes 0 into every header.
        compressed: whether mcap chunks are compressed with zstd.
    """
    writer = Writer(path, version=9, storage_plugin=plugin)
    if compressed:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connections = {topic: writer.add_connection(topic, kind, typestore=STORE)
                       for topic, kind in topics.items()}
        for index in range(count):
            stamp_ns = first_stamp_ns + index * PERIOD_NS if first_stamp_ns else 0
            log_ns = START_NS + index * PERIOD_NS + latency_ns
            for offset, (topic, kind) in enumerate(topics.items()):
                if kind in BUILDERS:
                    message = BUILDERS[kind](index, stamp_ns)
                else:
                    message = STORE.types[kind](data='text')
                writer.write(connections[topic], log_ns + offset,
                             STORE.serialize_cdr(message, kind))
    return path


def only_file(folder: Path) -> Path:
    """Give the storage file of a recording."""
    (file,) = [entry for entry in folder.iterdir() if entry.suffix in ('.db3', '.mcap')]
    return file


def write_video(path: Path, *, count: int = 20, rate_hz: float = 10.0,
                size_hw: tuple[int, int] = (48, 64)) -> Path:
    """Write a Motion JPEG video whose frames get brighter by 10 from one to the next."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), rate_hz, size_hw[::-1])
    for index in range(count):
        writer.write(np.full((*size_hw, 3), index * 10, np.uint8))
    writer.release()
    return path
