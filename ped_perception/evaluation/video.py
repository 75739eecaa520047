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

"""Writes videos that browsers play: H.264 in MP4, at the times of the frames."""

from __future__ import annotations

from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from ped_perception.core.errors import import_extra
from ped_perception.core.types import Uint8Array

# Microseconds, so that every frame keeps the time it was taken at.
_TIME_BASE = Fraction(1, 1_000_000)


class VideoWriter(AbstractContextManager['VideoWriter']):
    """
    Writes frames of one size into an MP4 file.

    OpenCV's wheels have no H.264 encoder, and browsers play nothing else that they write at a
    bearable speed; PyAV brings one.

    Args:
        file: to write, overwritten.
        source_hw: height and width of the frames; an odd last row or column is doubled.
        rate_hz: about how many frames come in a second, a hint for players.

    Raises:
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, file: Path, source_hw: tuple[int, int], rate_hz: float) -> None:
        self._av = import_extra('av', 'video')
        # The colour planes of H.264 have half the size.
        self._padding = (0, source_hw[0] % 2), (0, source_hw[1] % 2), (0, 0)
        self._container: Any = self._av.open(str(file), 'w', options={'movflags': '+faststart'})
        self._stream: Any = self._container.add_stream(
            'libx264', rate=Fraction(max(rate_hz, 1.0)).limit_denominator(1000),
            options={'preset': 'veryfast', 'crf': '23'})
        self._stream.height = source_hw[0] + source_hw[0] % 2
        self._stream.width = source_hw[1] + source_hw[1] % 2
        self._stream.pix_fmt = 'yuv420p'
        self._stream.codec_context.time_base = _TIME_BASE
        self._last_pts = -1

    def write(self, image_hw3: Uint8Array, time_s: float) -> None:
        """
        Add a frame.

        Args:
            image_hw3: uint8[H, W, 3] BGR, of the size given.
            time_s: since the first frame; at least a microsecond after the frame before.
        """
        frame = self._av.VideoFrame.from_ndarray(
            np.pad(image_hw3, self._padding, 'edge'), format='bgr24')
        self._last_pts = max(round(time_s / _TIME_BASE), self._last_pts + 1)
        frame.pts, frame.time_base = self._last_pts, _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._container is None:
            return
        if self._last_pts >= 0:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        self._container = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Finish the file."""
        self.close()
