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

"""Image topics of a rosbag2 recording as cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
import struct
from types import TracebackType
from typing import Any

from ped_perception.core.errors import SourceError
from ped_perception.sources.frames import (
    Calibration,
    CameraStream,
    CompressedPicture,
    Picture,
    RawPicture,
    SourceFrame,
)
from ped_perception.sources.storage import open_storage, Topic
from rosbags.serde import SerdeError
from rosbags.typesys import get_typestore, Stores

_RAW = 'sensor_msgs/msg/Image'
_COMPRESSED = 'sensor_msgs/msg/CompressedImage'
_INFO = 'sensor_msgs/msg/CameraInfo'
_COMPRESSED_ENDING = '/compressed'
_SERDE_ERRORS = (SerdeError, ValueError, IndexError, TypeError, AssertionError, struct.error)


class BagSource(AbstractContextManager['BagSource']):
    """
    A rosbag2 recording, sqlite3 or mcap, of any ROS 2 distribution.

    The image types are the same from Humble on, so the definitions in the recording are not
    needed: recordings without any, and those with broken ones of other topics, are read too.

    Args:
        path: the recording's folder, or one ``.db3`` or ``.mcap`` file of it.
        topics: image topics to read. Empty means all, but where a camera was recorded both raw
            and compressed only the raw topic, which lost nothing.
        start_s: leaves out what was written before this time after the recording's start.

    Raises:
        SourceError: nothing can be read, or there is no such image topic.
    """

    is_live = False

    def __init__(self, path: Path, *, topics: Sequence[str] = (), start_s: float = 0.0) -> None:
        self.name = str(path)
        self.skipped = 0
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._storage, notes = open_storage(path)
        self._notes = list(notes)
        self._start_s = start_s
        try:
            selected = self._selected(topics)
            self._types = {topic.name: topic.message_type for topic in self._storage.topics}
            self.cameras = tuple(self._stream(topic, selected) for topic in selected)
            # A CameraInfo may be written after the picture it belongs to: begin with the first.
            self._first_calibrations = {
                topic: self._first_calibration(topic) for topic in self._info_topics()}
        except SourceError:
            self.close()
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """Give what a user should know of this recording."""
        return tuple(self._notes)

    @property
    def frame_count(self) -> int | None:
        """Frames of all selected topics, None when the start is left out."""
        if self._start_s > 0.0:
            return None
        return sum(camera.frame_count or 0 for camera in self.cameras)

    @property
    def rate_hz(self) -> float | None:
        """Give the rate of the fastest camera, or None where there is one frame only."""
        return max((camera.rate_hz for camera in self.cameras if camera.rate_hz), default=None)

    def __iter__(self) -> Iterator[SourceFrame]:
        """
        Give the frames of all selected topics in the order in which they were written.

        A message that is not what its type says is skipped and counted.

        Raises:
            SourceError: the recording is damaged from here on, or nothing is left of it.
        """
        calibrations = dict(self._first_calibrations)
        info_topics = {camera.name: camera.info_topic for camera in self.cameras}
        start_ns = self._storage.start_ns + round(self._start_s * 1e9)
        given = 0
        for topic, log_ns, data in self._storage.messages(
                {*info_topics, *self._info_topics()}, start_ns):
            try:
                message = self._store.deserialize_cdr(data, self._types[topic])
                if topic in calibrations:
                    calibrations[topic] = _calibration_from_message(message)
                    continue
                calibration = calibrations.get(info_topics[topic] or '')
                frame = _frame_from_message(message, topic, log_ns, calibration)
            except _SERDE_ERRORS:
                self.skipped += 1
                continue
            given += 1
            yield frame
        if not given:
            raise SourceError(self._nothing_text())

    def close(self) -> None:
        """Close the files; may be called twice."""
        self._storage.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def _selected(self, topics: Sequence[str]) -> list[Topic]:
        available = {topic.name: topic for topic in self._storage.topics
                     if topic.message_type in (_RAW, _COMPRESSED)}
        if not available:
            raise SourceError(f'The recording {self.name} has no image topic. '
                              f'It has: {_listing(self._storage.topics)}.')
        unknown = [name for name in topics if name not in available]
        if unknown:
            raise SourceError(f'The recording {self.name} has no image topic {unknown[0]}. '
                              f'Its image topics: {_listing(tuple(available.values()))}.')
        if topics:
            return [available[name] for name in topics]
        twins = [name for name in available if name.endswith(_COMPRESSED_ENDING)
                 and name.removesuffix(_COMPRESSED_ENDING) in available]
        if twins:
            self._notes.append(f'Left out, as they were recorded raw too: {", ".join(twins)}.')
        return [topic for name, topic in sorted(available.items()) if name not in twins]

    def _stream(self, topic: Topic, selected: list[Topic]) -> CameraStream:
        duration_ns = self._storage.end_ns - self._storage.start_ns
        rate_hz = (topic.count - 1) * 1e9 / duration_ns if topic.count > 1 else None
        info_topics = [other.name for other in self._storage.topics if other.message_type == _INFO]
        # image_transport's convention: camera_info beside the base topic.
        base = PurePosixPath(topic.name.removesuffix(_COMPRESSED_ENDING))
        info_topic: str | None = str(base.with_name('camera_info'))
        if info_topic not in info_topics:
            is_only_pair = len(info_topics) == 1 and len(selected) == 1
            info_topic = info_topics[0] if is_only_pair else None
        return CameraStream(topic.name, topic.count, rate_hz, info_topic)

    def _info_topics(self) -> set[str]:
        return {camera.info_topic for camera in self.cameras if camera.info_topic is not None}

    def _first_calibration(self, topic: str) -> Calibration | None:
        for _, _, data in self._storage.messages({topic}, self._storage.start_ns):
            try:
                return _calibration_from_message(self._store.deserialize_cdr(data, _INFO))
            except _SERDE_ERRORS:
                continue
        return None

    def _nothing_text(self) -> str:
        duration_s = (self._storage.end_ns - self._storage.start_ns) / 1e9
        topics = ', '.join(camera.name for camera in self.cameras)
        return (f'The recording {self.name} ({duration_s:.1f} s) gave no picture of {topics} from '
                f'{self._start_s:g} s on; {self.skipped} messages were unreadable.')


def _frame_from_message(message: Any, topic: str, log_ns: int, calibration: Calibration | None,
                        ) -> SourceFrame:
    stamp = message.header.stamp
    picture: Picture
    if message.__msgtype__ == _RAW:
        picture = RawPicture(
            data=message.data, encoding=message.encoding, height=message.height,
            width=message.width, step=message.step, is_bigendian=bool(message.is_bigendian))
    else:
        picture = CompressedPicture(data=message.data, ros_format=message.format)
    # A driver that does not stamp leaves 0; when it was written is the best that is known.
    stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec or log_ns
    return SourceFrame(camera=topic, stamp_ns=stamp_ns, log_ns=log_ns,
                       frame_id=message.header.frame_id, picture=picture,
                       calibration=calibration)


def _calibration_from_message(message: Any) -> Calibration:
    roi = message.roi
    return Calibration(
        size_hw=(message.height, message.width), distortion_model=message.distortion_model,
        d=tuple(map(float, message.d)), k=tuple(map(float, message.k)),
        r=tuple(map(float, message.r)), p=tuple(map(float, message.p)),
        binning_xy=(message.binning_x, message.binning_y),
        roi_xyhw=(roi.x_offset, roi.y_offset, roi.height, roi.width),
        roi_rectify=bool(roi.do_rectify))


def _listing(topics: Sequence[Topic]) -> str:
    return ', '.join(f'{topic.name} ({topic.message_type})' for topic in topics) or 'nothing'
