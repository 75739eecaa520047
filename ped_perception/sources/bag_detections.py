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

"""Detections that were recorded in a rosbag2 recording: labels, or what a detector published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import math
from pathlib import Path
import struct
from typing import Any

from ped_perception.core.errors import SourceError
from ped_perception.sources.storage import open_storage
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

DETECTIONS = 'vision_msgs/msg/Detection2DArray'
# vision_msgs 4, the same from Humble on; recordings in sqlite3 may be without definitions.
_DEFINITIONS = {
    DETECTIONS: 'std_msgs/Header header\nvision_msgs/Detection2D[] detections',
    'vision_msgs/msg/Detection2D': (
        'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
        'vision_msgs/BoundingBox2D bbox\nstring id'),
    'vision_msgs/msg/ObjectHypothesisWithPose': (
        'vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose'),
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score',
    'vision_msgs/msg/BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'vision_msgs/msg/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta',
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y'}
_NOWHERE = (math.nan,) * 3
_SERDE_ERRORS = (SerdeError, ValueError, IndexError, TypeError, AssertionError, struct.error)


@dataclass(frozen=True)
class RecordedBox:
    """
    One object of a recorded message.

    Attributes:
        box_xyxy: ``x1 y1 x2 y2`` in pixels.
        class_id: of its first hypothesis, '' where it has none.
        track_id: who it is, '' where nobody says.
        position_m: of the pose of its first hypothesis, in the frame of the message; NaN where
            nobody filled it in.
    """

    box_xyxy: tuple[float, float, float, float]
    class_id: str
    track_id: str
    position_m: tuple[float, float, float]


def recorded_detections(path: Path, topic: str) -> Iterator[tuple[int, list[RecordedBox]]]:
    """
    Read a topic of ``vision_msgs/Detection2DArray``.

    Args:
        path: of the recording.
        topic: to read.

    Yields:
        Stamp of the picture in nanoseconds, and what the message has.

    Raises:
        SourceError: the recording cannot be read, it has no such topic, or a message is not
            what its type says.
    """
    storage, _ = open_storage(path)
    try:
        types = {entry.name: entry.message_type for entry in storage.topics}
        if types.get(topic) != DETECTIONS:
            of_type = ', '.join(name for name, kind in types.items() if kind == DETECTIONS)
            what = f'is of type {types[topic]}' if topic in types else 'is not in it'
            raise SourceError(f'The recording {path} cannot give labels: {topic} {what}. Topics '
                              f'of type {DETECTIONS}: {of_type or "none"}.')
        store = typestore_with_detections()
        for _, log_ns, data in storage.messages({topic}, storage.start_ns):
            try:
                yield _read(store, data)
            except _SERDE_ERRORS as error:
                raise SourceError(f'A message of {topic} in {path}, written at {log_ns / 1e9:.3f} '
                                  f's, cannot be read as {DETECTIONS} of vision_msgs 4: {error}.'
                                  ) from error
    finally:
        storage.close()


def typestore_with_detections() -> Typestore:
    """Give a typestore of rosbags that knows detections."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in _DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


def _read(store: Typestore, data: bytes) -> tuple[int, list[RecordedBox]]:
    message: Any = store.deserialize_cdr(data, DETECTIONS)
    boxes = []
    for entry in message.detections:
        centre, half_x, half_y = entry.bbox.center, entry.bbox.size_x / 2, entry.bbox.size_y / 2
        x, y = centre.position.x, centre.position.y
        class_id, position_m = '', _NOWHERE
        if entry.results:
            class_id = entry.results[0].hypothesis.class_id
            place = entry.results[0].pose.pose.position
            # A pose that was not filled in is all zero, and nobody stands inside of the lens.
            position_m = (place.x, place.y, place.z) if place.z > 0 else _NOWHERE
        boxes.append(RecordedBox((x - half_x, y - half_y, x + half_x, y + half_y), class_id,
                                 entry.id, position_m))
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec, boxes
