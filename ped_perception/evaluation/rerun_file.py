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
A run as a file for the Rerun viewer (rerun.io): to scrub through a drive, picture by picture.

============================  =====================================================================
``CAMERA``                    the pictures as JPEG, those of a JPEG recording as they were recorded
``CAMERA/tracks``             people with ids, a colour each; where they are hidden, predicted
``CAMERA/detections``         what is published, with scores
``CAMERA/labels``             the labels that count
``time_ms``                   how long the picture took
============================  =====================================================================

All of it over ``stamp``, the times of the pictures.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
import re
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.core.errors import ConfigError, import_extra
from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.looking import Looked, Sight
from ped_perception.evaluation.mot import NO_LABELS
from ped_perception.sources import CompressedPicture, SourceFrame

_JPEG_QUALITY = 85
# Earlier stamps count from the start of a drive: the viewer shows them as times, not as dates.
_FIRST_DATE_NS = 10**17
_DETECTION, _LABEL = (255, 200, 0), (0, 200, 80)


class RerunFile(AbstractContextManager['RerunFile']):
    """A new .rrd file; picture by picture, in their order."""

    def __init__(self, file: Path, score_threshold: float) -> None:
        """
        Begin.

        Args:
            file: to write.
            score_threshold: smallest score of a published detection.

        Raises:
            MissingExtraError: the SDK is not installed.
            ConfigError: there is such a file already, or it cannot be written.
        """
        self._rerun: Any = import_extra('rerun', 'view')
        if file.exists():
            raise ConfigError(f'{file} exists already, and nothing is overwritten. Remove it, or '
                              f'give another name.')
        self._score_threshold = score_threshold
        self._stream = self._rerun.RecordingStream('ped_perception')
        try:
            self._stream.save(file)
        # The SDK raises what its Rust part gives it.
        except Exception as error:
            raise ConfigError(f'{file} cannot be written: {error}') from error

    def take(self, taken: SourceFrame, sight: Sight, looked: Looked) -> None:
        """
        Write a picture and what was found in it.

        Args:
            taken: as the source gave it.
            sight: the same, decoded.
            looked: what was found.
        """
        frame = sight.source
        self._set_time(frame.stamp_ns)
        # Of several recordings each is a camera of its own: their cameras may be of one name.
        name = re.sub(r'\W+', '_', looked.recording or taken.camera).strip('_') or 'camera'
        self._stream.log(name, self._rerun.EncodedImage(
            contents=_jpeg(taken, frame.image_hw3), media_type='image/jpeg'))
        tracks = looked.tracks.confirmed()
        self._log_boxes(f'{name}/tracks', tracks.boxes_t4, [
            f'{identity}{" predicted" if hidden else ""}'
            for identity, hidden in zip(tracks.ids_t.tolist(), tracks.predicted_t.tolist(),
                                        strict=True)], ids_n=tracks.ids_t)
        found = looked.detections.from_score(self._score_threshold)
        self._log_boxes(f'{name}/detections', found.boxes_n4,
                        [f'{score:.2f}' for score in found.scores_n], colour=_DETECTION)
        labels = looked.labels or NO_LABELS
        self._log_boxes(f'{name}/labels', labels.boxes_n4[labels.counted_n], None, colour=_LABEL)
        self._stream.log('time_ms', self._rerun.Scalars(looked.time_s * 1e3))

    def _set_time(self, stamp_ns: int) -> None:
        if stamp_ns >= _FIRST_DATE_NS:
            self._stream.set_time('stamp', timestamp=np.datetime64(stamp_ns, 'ns'))
        else:
            self._stream.set_time('stamp', duration=np.timedelta64(stamp_ns, 'ns'))

    def _log_boxes(self, entity: str, boxes_n4: NDArray[np.floating], labels: list[str] | None,
                   *, ids_n: NDArray[np.integer] | None = None,
                   colour: tuple[int, int, int] | None = None) -> None:
        # An empty picture is logged too, or the viewer would go on showing the boxes before it.
        # The viewer gives each class a colour of its own; of those there are 65536.
        self._stream.log(entity, self._rerun.Boxes2D(
            array=boxes_n4, array_format=self._rerun.Box2DFormat.XYXY, labels=labels,
            class_ids=None if ids_n is None else ids_n % 65536,
            colors=None if colour is None else [colour] * len(boxes_n4)))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Write what is left, and close."""
        self._stream.disconnect()


def _jpeg(taken: SourceFrame, image_hw3: Uint8Array) -> bytes:
    if isinstance(taken.picture, CompressedPicture):
        data = taken.picture.data.tobytes()
        if data.startswith(b'\xff\xd8\xff'):
            return data
    return cv2.imencode('.jpg', image_hw3, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
