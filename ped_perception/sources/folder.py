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

"""A folder of picture files as a camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
import re
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.core.errors import ImageError, SourceError
from ped_perception.core.types import Uint8Array
from ped_perception.sources.frames import (
    CameraStream,
    CompressedPicture,
    FIRST_STAMP_NS,
    Picture,
    SourceFrame,
)

# What CompressedImage knows can be passed on; the others are decoded here.
FORMAT_OF_SUFFIX = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png'}
PICTURE_SUFFIXES = (*FORMAT_OF_SUFFIX, '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
DEFAULT_RATE_HZ = 10.0


@dataclass(frozen=True, eq=False)
class FilePicture:
    """A picture file of a format that ROS does not transport, as uint8[N] bytes."""

    data: NDArray[np.uint8]

    def bgr(self) -> Uint8Array:
        """
        Decode to uint8[H, W, 3] BGR.

        Raises:
            ImageError: OpenCV does not read the file.
        """
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(self.data, flags) if self.data.size else None
        if image is None:
            raise ImageError(f'a picture file of {self.data.size} bytes cannot be decoded')
        return np.asarray(image, np.uint8)


class FolderSource(AbstractContextManager['FolderSource']):
    """
    One frame per picture file, sorted by name with numbers read as numbers.

    Args:
        folder: holds the pictures; folders inside are not looked at.
        camera: name of the camera.
        rate_hz: how fast they were taken; 0 assumes 10 Hz and says so in the notes.
        start_s: leaves out what comes before this time.

    Raises:
        SourceError: the folder cannot be read or holds no picture.
    """

    is_live = False

    def __init__(self, folder: Path, *, camera: str, rate_hz: float = 0.0, start_s: float = 0.0,
                 ) -> None:
        self.name = str(folder)
        self.skipped = 0
        self.notes: tuple[str, ...] = ()
        if rate_hz <= 0.0:
            rate_hz = DEFAULT_RATE_HZ
            self.notes = (f'{folder} has no recorded rate: {rate_hz:g} Hz is assumed.',)
        self.rate_hz = rate_hz
        self._files = _pictures_of(folder)
        self._start_index = int(np.ceil(start_s * rate_hz - 1e-6))
        if self._start_index >= len(self._files):
            raise SourceError(
                f'{folder} has {len(self._files)} pictures, {len(self._files) / rate_hz:.1f} s at '
                f'{rate_hz:g} Hz: nothing is left from {start_s:g} s on. Start earlier.')
        self.frame_count = len(self._files) - self._start_index
        self.cameras = (CameraStream(camera, len(self._files), rate_hz),)

    def __iter__(self) -> Iterator[SourceFrame]:
        """Give the frames from the start on; a file that cannot be read is skipped."""
        camera = self.cameras[0].name
        for index in range(self._start_index, len(self._files)):
            file = self._files[index]
            try:
                data = np.frombuffer(file.read_bytes(), np.uint8)
            except OSError:
                self.skipped += 1
                continue
            stamp_ns = FIRST_STAMP_NS + round(index * 1e9 / self.rate_hz)
            yield SourceFrame(
                camera=camera, stamp_ns=stamp_ns, log_ns=stamp_ns, frame_id='',
                picture=_picture(file, data), name=file.name)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()


def _picture(file: Path, data: NDArray[np.uint8]) -> Picture:
    known = FORMAT_OF_SUFFIX.get(file.suffix.lower())
    return FilePicture(data) if known is None else CompressedPicture(data, known)


def _pictures_of(folder: Path) -> list[Path]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise SourceError(f'The folder {folder} cannot be read: {error.strerror}.') from error
    files = [entry for entry in entries if entry.suffix.lower() in PICTURE_SUFFIXES]
    if not files:
        seen = ', '.join(entry.name for entry in entries[:3])
        content = f'only other files ({seen}{", …" if len(entries) > 3 else ""})' if seen \
            else 'no file at all'
        raise SourceError(
            f'The folder {folder} holds no pictures, {content}. Give a folder of '
            f'{", ".join(PICTURE_SUFFIXES)} files, or of a rosbag2 recording.')
    return sorted(files, key=_natural_key)


def _natural_key(file: Path) -> list[tuple[int, str]]:
    """Sort frame_2 before frame_10."""
    return [(int(part), '') if part.isdecimal() else (0, part)
            for part in re.split(r'(\d+)', file.name)]
