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

"""Video files, network streams and V4L2 devices, through OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
import math
from pathlib import Path
import time
from types import TracebackType

import cv2
import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.sources.frames import CameraStream, DecodedPicture, FIRST_STAMP_NS, SourceFrame

# What a container says when it does not know; also keeps nonsense headers out.
_MAXIMUM_RATE_HZ = 1000.0
_FALLBACK_RATE_HZ = 25.0


class VideoSource(AbstractContextManager['VideoSource']):
    """
    A video file.

    Stamps are presentation times, one second added (see ``FIRST_STAMP_NS``), so that recordings
    of variable rate keep their timing. Where a file has none they are counted from the rate.

    Args:
        file: any container and codec of OpenCV's FFmpeg.
        camera: name of the camera.
        start_s: leaves out what comes before this time. Frames are decoded up to it, because
            seeking is off by up to a group of pictures in some files.

    Raises:
        SourceError: the file does not open.
    """

    is_live = False

    def __init__(self, file: Path, *, camera: str, start_s: float = 0.0) -> None:
        self.name = str(file)
        self.skipped = 0
        self.notes: tuple[str, ...] = ()
        self._file = file
        self._start_ns = round(start_s * 1e9)
        self._capture = self._opened()
        self.rate_hz = self._known_rate()
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        total = int(count) if 0 < count < 1e9 else None
        self.frame_count = None if total is None else max(
            0, total - math.ceil(start_s * self.rate_hz - 1e-6))
        self.cameras = (CameraStream(camera, total, self.rate_hz),)

    def __iter__(self) -> Iterator[SourceFrame]:
        """
        Give the frames from the start on.

        Raises:
            SourceError: not a single frame could be decoded.
        """
        self.close()
        capture = self._capture = self._opened()
        camera, period_ns = self.cameras[0].name, 1e9 / self.rate_hz
        time_ns, given = -1, 0
        # grab() only decodes; retrieve() converts colours, which skipped frames do not need.
        index = 0
        while capture.grab():
            time_ns = _time_ns(capture, index, period_ns, time_ns)
            index += 1
            if time_ns < self._start_ns:
                continue
            ok, image_hw3 = capture.retrieve()
            if not ok:
                self.skipped += 1
                continue
            given += 1
            stamp_ns = FIRST_STAMP_NS + time_ns
            yield SourceFrame(camera=camera, stamp_ns=stamp_ns, log_ns=stamp_ns, frame_id='',
                              picture=DecodedPicture(np.asarray(image_hw3, np.uint8)))
        if not given:
            raise SourceError(self._nothing_text(index, max(time_ns, 0)))

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._capture.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def _opened(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._file))
        if not capture.isOpened():
            size = self._file.stat().st_size
            raise SourceError(
                f'The video {self._file} ({size} bytes) does not open: it is cut off, or not a '
                f'video that OpenCV {cv2.__version__} reads. Look at it with ffprobe, or write it '
                f'anew: ffmpeg -i {self._file.name} -c:v libx264 out.mp4')
        return capture

    def _known_rate(self) -> float:
        rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        if 0.0 < rate_hz <= _MAXIMUM_RATE_HZ:
            return rate_hz
        self.notes = (f'{self._file} does not say its rate: {_FALLBACK_RATE_HZ:g} Hz is assumed.',)
        return _FALLBACK_RATE_HZ

    def _nothing_text(self, frames: int, end_ns: int) -> str:
        if frames:
            return (f'The video {self._file} ends at {end_ns / 1e9:.1f} s: nothing is left from '
                    f'{self._start_ns / 1e9:g} s on. Start earlier.')
        return (f'The video {self._file} opens, but not one frame can be decoded. It is cut off '
                f'or damaged; look at it with ffprobe.')


def _time_ns(capture: cv2.VideoCapture, index: int, period_ns: float, previous_ns: int) -> int:
    """
    Give the presentation time of the grabbed frame, always later than the one before.

    Some files carry none (0 throughout) or repeat it: those frames follow after one period.
    """
    time_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
    if index == 0:
        return max(time_ns, 0)
    return time_ns if time_ns > previous_ns else previous_ns + round(period_ns)


class LiveSource(AbstractContextManager['LiveSource']):
    """
    A camera device or a network stream: frames come when they are captured, until it ends.

    Args:
        address: ``/dev/video0``, ``rtsp://…``, ``http://…``.
        camera: name of the camera.
        rate_hz: asked of a device; 0 leaves it as it is.
        size_hw: asked of a device; None leaves it as it is.

    Raises:
        SourceError: the device or stream does not open.
    """

    is_live = True
    frame_count: int | None = None

    def __init__(self, address: str, *, camera: str, rate_hz: float = 0.0,
                 size_hw: tuple[int, int] | None = None) -> None:
        self.name = address
        self.skipped = 0
        self.notes: tuple[str, ...] = ()
        is_device = address.startswith('/dev/')
        self._capture = cv2.VideoCapture(address, cv2.CAP_V4L2 if is_device else cv2.CAP_ANY)
        if not self._capture.isOpened():
            hint = ('Is it there (ls /dev/video*), a capture device (a camera often has a second '
                    'one for metadata), not in use, and are you in the group video?'
                    if is_device else 'Is the address right and the sender running?')
            raise SourceError(f'{address} does not open. {hint}')
        if is_device:
            self._ask_for(rate_hz, size_hw)
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate_hz: float | None = rate if 0.0 < rate <= _MAXIMUM_RATE_HZ else None
        self.cameras = (CameraStream(camera, None, self.rate_hz),)

    def _ask_for(self, rate_hz: float, size_hw: tuple[int, int] | None) -> None:
        # Without MJPG a USB 2 camera falls to a few frames a second above VGA.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*'MJPG'))
        if size_hw is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size_hw[0])
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size_hw[1])
        if rate_hz > 0.0:
            self._capture.set(cv2.CAP_PROP_FPS, rate_hz)

    def __iter__(self) -> Iterator[SourceFrame]:
        """
        Give frames as they come, stamped with the system clock when they arrive.

        Raises:
            SourceError: not a single frame came.
        """
        given = 0
        while self._capture.isOpened() and self._capture.grab():
            stamp_ns = time.time_ns()
            ok, image_hw3 = self._capture.retrieve()
            if not ok:
                self.skipped += 1
                continue
            given += 1
            yield SourceFrame(camera=self.cameras[0].name, stamp_ns=stamp_ns, log_ns=stamp_ns,
                              frame_id='', picture=DecodedPicture(np.asarray(image_hw3, np.uint8)))
        if not given:
            raise SourceError(f'{self.name} opened, but no frame came from it. '
                              f'Is another program using it?')

    def close(self) -> None:
        """Give the device back; may be called twice."""
        self._capture.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()
