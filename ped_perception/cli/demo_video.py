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

"""The annotated video of the demo, drawn after the timed run, and some of its pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
import tempfile
from types import TracebackType

import cv2
import numpy as np
from ped_perception.cli.demo_nodes import CAMERA, DemoSettings
from ped_perception.cli.demo_run import DemoRun
from ped_perception.core.config import size_hw_from_text
from ped_perception.core.draw import draw_caption, draw_detections
from ped_perception.core.errors import ImageError
from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.video import VideoWriter
from ped_perception.ros.camera_config import CameraPlayerConfig
from ped_perception.ros.camera_publisher import recorded_size_hw
from ped_perception.sources import open_source, Picture
from tqdm import tqdm

# As the camera sends them: stamp in nanoseconds, picture.
Sent = tuple[int, Uint8Array]


class JpegSpool:
    """
    Keeps the annotated pictures of a live camera on disk until there is time to encode them.

    A context manager; its file is gone afterwards.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._index: list[tuple[int, int]] = []

    def add(self, stamp_ns: int, jpeg: bytes) -> None:
        """Keep one picture."""
        self._file.write(jpeg)
        self._index.append((stamp_ns, len(jpeg)))

    @property
    def count(self) -> int:
        """Pictures kept."""
        return len(self._index)

    def pictures(self) -> Iterator[Sent]:
        """Give stamp and picture, in the order in which they came."""
        self._file.seek(0)
        for stamp_ns, size in self._index:
            data = np.frombuffer(self._file.read(size), np.uint8)
            yield stamp_ns, np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    def __enter__(self) -> JpegSpool:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Remove the file."""
        self._file.close()


def sent_pictures(run: DemoRun, settings: DemoSettings) -> Iterator[Sent]:
    """
    Read the source again and give each picture with the stamp that the camera gave it.

    The camera sends a CameraInfo with each picture, so the k-th stamp belongs to the k-th
    picture that it sent. One that was sent but cannot be decoded is not given.

    Raises:
        SourceError: the source cannot be read any more.
    """
    size_hw = size_hw_from_text(settings.size) if settings.size else None
    sent_as = CameraPlayerConfig(transport=settings.transport, size=settings.size)
    stamps = iter(run.camera_stamps_ns)
    with open_source(settings.source, camera=CAMERA, rate_hz=settings.rate_hz,
                     topics=[settings.topic] if settings.topic else []) as source:
        for frame in source:
            image_hw3 = _decoded(frame.picture)
            if image_hw3 is None and not _was_sent(frame.picture, sent_as):
                continue
            stamp_ns = next(stamps, None)
            if stamp_ns is None:
                return
            if image_hw3 is not None:
                yield stamp_ns, _in_size(image_hw3, size_hw or image_hw3.shape[:2])


def _decoded(picture: Picture) -> Uint8Array | None:
    try:
        return picture.bgr()
    except ImageError:
        return None


def _was_sent(undecodable: Picture, sent_as: CameraPlayerConfig) -> bool:
    """Tell whether the camera sent a picture all the same, with the bytes of the recording."""
    compressed = sent_as.transport == 'compressed'
    try:
        return recorded_size_hw(undecodable, compressed, sent_as) is not None
    except ImageError:
        return False


def drawn_pictures(run: DemoRun, sent: Iterable[Sent]) -> Iterator[Sent]:
    """Draw into each picture what the detector published for its stamp."""
    heard_by_stamp = {heard.detections.stamp_ns: heard for heard in run.heard}
    for stamp_ns, image_hw3 in sent:
        time_s = (stamp_ns - run.camera_stamps_ns[0]) / 1e9
        heard = heard_by_stamp.get(stamp_ns)
        if heard is None:
            drawn_hw3, text = np.array(image_hw3), 'not looked at'
        else:
            drawn_hw3 = draw_detections(image_hw3, heard.detections)
            count = len(heard.detections)
            text = (f'{count} pedestrian{"s" if count != 1 else ""}   '
                    f'{(heard.published_ns - stamp_ns) / 1e6:.0f} ms')
        draw_caption(drawn_hw3, f'{time_s:5.1f} s   {text}')
        yield stamp_ns, drawn_hw3


def write_video(pictures: Iterable[Sent], file: Path, rate_hz: float, total: int,
                keep: Collection[int], quiet: bool) -> dict[int, Uint8Array]:
    """
    Write pictures into a video at the times of their stamps.

    Args:
        pictures: the first gives the size of all; others are scaled to it.
        file: MP4 to write.
        rate_hz: about how many a second.
        total: about how many there are, for the progress bar.
        keep: stamps of the pictures to give back.
        quiet: show no progress.

    Returns:
        The pictures to keep, by stamp.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    kept: dict[int, Uint8Array] = {}
    writer: VideoWriter | None = None
    first_ns, first_hw = 0, (0, 0)
    try:
        for stamp_ns, image_hw3 in tqdm(
                pictures, total=total, unit=' frames', disable=quiet, mininterval=0.5,
                desc='  video', dynamic_ncols=True):
            if writer is None:
                first_ns, first_hw = stamp_ns, (image_hw3.shape[0], image_hw3.shape[1])
                writer = VideoWriter(file, first_hw, rate_hz)
            if stamp_ns in keep:
                kept[stamp_ns] = image_hw3
            writer.write(_in_size(image_hw3, first_hw), (stamp_ns - first_ns) / 1e9)
    finally:
        if writer is not None:
            writer.close()
    return kept


def _in_size(image_hw3: Uint8Array, size_hw: tuple[int, ...]) -> Uint8Array:
    if image_hw3.shape[:2] == size_hw:
        return image_hw3
    shrinks = size_hw[0] < image_hw3.shape[0]
    return np.asarray(cv2.resize(
        image_hw3, size_hw[::-1],
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def stamps_worth_showing(run: DemoRun, count: int = 4) -> list[int]:
    """Give the stamp with most pedestrians, the surest where equal, in each part of the run."""
    if not run.heard:
        return []
    parts = np.array_split(np.arange(len(run.heard)), min(count, len(run.heard)))
    return [max((run.heard[index].detections for index in part),
                key=lambda found: (len(found), float(found.scores_n.sum()))).stamp_ns
            for part in parts]
