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
The nouns: what travels between the stages, as frozen records of read-only arrays.

An array carries its shape in its name: ``image_hw3`` is [H, W, 3], ``boxes_n4`` is [N, 4].
Boxes are ``x1 y1 x2 y2`` in pixels, x to the right, y down, the origin at the outer corner of
the first pixel, so that a box over the whole picture is ``0 0 W H``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.native import bgr_from_pixels, NativePixels, Pixels

Uint8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Int64Array = NDArray[np.int64]


def read_only(name: str, array: NDArray[Any], dtype: Any, shape: tuple[int | None, ...],
              ) -> NDArray[Any]:
    """
    Check an array at the birth of a record and give a read-only view of it.

    The view shares memory with the array: the caller's own reference stays writable.

    Args:
        name: of the field, for the message.
        array: to check.
        dtype: that it must have; nothing is converted silently.
        shape: that it must have; None stands for any length.

    Raises:
        TypeError: not an array, or of another dtype.
        ValueError: of another shape.
    """
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f'{name} must be an array of {np.dtype(dtype).name}, not {got}')
    have = array.shape
    # Mostly the shape is known; a step makes dozens of these arrays.
    if have != shape and (len(have) != len(shape) or any(
            length not in (None, got) for length, got in zip(shape, have, strict=True))):
        want_text = ', '.join('any' if want is None else str(want) for want in shape)
        raise ValueError(f'{name} must have the shape [{want_text}], not {list(have)}')
    view = array.view()
    view.setflags(write=False)
    return view


def fix_field(record: object, name: str, dtype: Any, *shape: int | None) -> None:
    """
    Check an array of a record at its birth and store it read-only; see :func:`read_only`.

    Args:
        record: frozen, while its ``__post_init__`` runs.
        name: of the field.
        dtype: that it must have.
        shape: that it must have; None stands for any length.
    """
    # object.__setattr__ is the only way to store the checked view in a frozen record.
    object.__setattr__(record, name, read_only(name, getattr(record, name), dtype, shape))


@dataclass(frozen=True, eq=False)
class Frame:
    """
    One picture of one camera.

    Attributes:
        camera: name of the camera, unique in the node.
        stamp_ns: time of capture, from the message header, ROS time in nanoseconds.
        frame_id: optical frame of the camera, from the message header.
        pixels: uint8[H, W, 3] BGR, may be a strided view of a message's buffer; or as the camera
            packs them, where the backend takes that.
    """

    camera: str
    stamp_ns: int
    frame_id: str
    pixels: Pixels

    def __post_init__(self) -> None:
        """Check the image and make it read-only."""
        if not isinstance(self.pixels, NativePixels):
            fix_field(self, 'pixels', np.uint8, None, None, 3)
        if 0 in self.pixels.shape:
            raise ValueError(f'The picture of camera {self.camera!r} is empty: '
                             f'{list(self.pixels.shape)}')

    @property
    def image_hw3(self) -> Uint8Array:
        """The picture as uint8[H, W, 3] BGR; decoded by the first who asks."""
        return bgr_from_pixels(self.pixels)

    @property
    def source_hw(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class View:
    """
    Where one slot of the batch looks at a picture: crop, then scale, then pad.

    ``network = (source - crop_xyxy[:2]) * scale_xy + pad_xy``. The two scales differ only by the
    rounding of the scaled crop to whole pixels.

    Attributes:
        crop_xyxy: cut out of the source picture, whole pixels.
        scale_xy: network pixels for one source pixel, along x and y.
        pad_xy: network pixels left of and above the scaled crop.
        size_xy: of the scaled crop, whole network pixels.
        source_hw: height and width of the source picture in pixels.
    """

    crop_xyxy: tuple[int, int, int, int]
    scale_xy: tuple[float, float]
    pad_xy: tuple[int, int]
    size_xy: tuple[int, int]
    source_hw: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Candidates:
    """
    What a backend gives for a batch: the K best boxes of each slot, best first.

    The arrays may be the backend's own buffers: valid until its next inference.

    Attributes:
        boxes_nk4: float32[N, K, 4], pixels of the network input.
        scores_nk: float32[N, K] in 0..1.
    """

    boxes_nk4: Float32Array
    scores_nk: Float32Array

    def __post_init__(self) -> None:
        """Check that the two arrays belong together."""
        fix_field(self, 'boxes_nk4', np.float32, None, None, 4)
        fix_field(self, 'scores_nk', np.float32, *self.boxes_nk4.shape[:2])


@dataclass(frozen=True, eq=False)
class Detections:
    """
    Pedestrians seen in one picture, best first.

    Attributes:
        camera: name of the camera.
        stamp_ns: of the picture, ROS time in nanoseconds.
        frame_id: optical frame of the camera.
        source_hw: height and width of the picture in pixels.
        boxes_n4: float32[N, 4], pixels of the source picture, clipped to it.
        scores_n: float32[N] in 0..1, descending.
    """

    camera: str
    stamp_ns: int
    frame_id: str
    source_hw: tuple[int, int]
    boxes_n4: Float32Array
    scores_n: Float32Array

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        fix_field(self, 'boxes_n4', np.float32, None, 4)
        fix_field(self, 'scores_n', np.float32, self.boxes_n4.shape[0])

    def __len__(self) -> int:
        """Give the number of pedestrians."""
        return len(self.boxes_n4)

    def from_score(self, score: float) -> Detections:
        """Keep those with at least this score, the first ones."""
        count = int(np.count_nonzero(self.scores_n >= score))
        return Detections(self.camera, self.stamp_ns, self.frame_id, self.source_hw,
                          self.boxes_n4[:count], self.scores_n[:count])


@dataclass(frozen=True, eq=False)
class Tracks:
    """
    Pedestrians followed through the pictures of one camera, oldest id first.

    A predicted track was not seen in this picture: its box is where the person should be by
    now. Whoever publishes what the camera sees leaves predicted tracks out or marks them.

    Attributes:
        camera: name of the camera.
        stamp_ns: of the picture, ROS time in nanoseconds.
        frame_id: optical frame of the camera.
        source_hw: height and width of the picture in pixels.
        ids_t: int64[T], unique and ascending; an id is never given to anyone else.
        boxes_t4: float32[T, 4], estimated, pixels of the source picture, not clipped to it.
        scores_t: float32[T] in 0..1, of the last detection.
        ages_s_t: float32[T], seconds since the first detection.
        unseen_s_t: float32[T], seconds since the last detection, 0 for a track seen now.
        confirmed_t: bool[T], detected long enough to be taken for a person.
        detections_t: int64[T], row of the detection seen now, -1 for a predicted track.
        velocities_t2: float32[T, 2], of the centre, px/s, movement of the camera removed as far
            as it was known.
        sigmas_t4: float32[T, 4], standard deviations of centre x, centre y, width and height in
            pixels. Their errors are independent, so that the variance of the foot point's y is
            ``sigma_y ** 2 + sigma_height ** 2 / 4``.
    """

    camera: str
    stamp_ns: int
    frame_id: str
    source_hw: tuple[int, int]
    ids_t: Int64Array
    boxes_t4: Float32Array
    scores_t: Float32Array
    ages_s_t: Float32Array
    unseen_s_t: Float32Array
    confirmed_t: BoolArray
    detections_t: Int64Array
    velocities_t2: Float32Array
    sigmas_t4: Float32Array

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        fix_field(self, 'ids_t', np.int64, None)
        count = self.ids_t.shape[0]
        fix_field(self, 'boxes_t4', np.float32, count, 4)
        for name in ('scores_t', 'ages_s_t', 'unseen_s_t'):
            fix_field(self, name, np.float32, count)
        fix_field(self, 'confirmed_t', np.bool_, count)
        fix_field(self, 'detections_t', np.int64, count)
        fix_field(self, 'velocities_t2', np.float32, count, 2)
        fix_field(self, 'sigmas_t4', np.float32, count, 4)

    def __len__(self) -> int:
        """Give the number of tracks, predicted and unconfirmed ones too."""
        return len(self.ids_t)

    @property
    def predicted_t(self) -> BoolArray:
        """Tell which tracks were not seen in this picture: bool[T]."""
        return self.detections_t < 0

    def confirmed(self) -> Tracks:
        """Leave the unconfirmed out."""
        if self.confirmed_t.all():
            return self
        rows = {name: getattr(self, name)[self.confirmed_t]
                for name in ('ids_t', 'boxes_t4', 'scores_t', 'ages_s_t', 'unseen_s_t',
                             'confirmed_t', 'detections_t', 'velocities_t2', 'sigmas_t4')}
        return Tracks(self.camera, self.stamp_ns, self.frame_id, self.source_hw, **rows)
