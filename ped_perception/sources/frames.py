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
What every source gives: frames whose pictures are decoded only when somebody looks at them.

A player that changes nothing passes a recorded picture on as it is, and a consumer that skips
frames does not pay for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from ped_perception.core import encodings
from ped_perception.core.types import Frame, Uint8Array

Float64Tuple: TypeAlias = tuple[float, ...]

# ROS reads the time 0 as 'no time yet', so sources without recorded times begin one second later.
FIRST_STAMP_NS = 1_000_000_000


@dataclass(frozen=True)
class Calibration:
    """
    A camera's calibration, field by field as ``sensor_msgs/CameraInfo`` has it.

    Attributes:
        size_hw: height and width of the calibrated picture in pixels.
        distortion_model: for example ``'plumb_bob'``, ``''`` where it is unknown.
        d: distortion coefficients.
        k: intrinsic matrix 3x3, row by row; all zero means not calibrated.
        r: rectification matrix 3x3, row by row.
        p: projection matrix 3x4, row by row.
        binning_xy: 0 and 1 both mean that nothing is binned.
        roi_xyhw: x and y offset, height and width of the region read out; all 0: the whole.
        roi_rectify: whether the region of interest is to be rectified.
    """

    size_hw: tuple[int, int]
    distortion_model: str = ''
    d: Float64Tuple = ()
    k: Float64Tuple = (0.0,) * 9
    r: Float64Tuple = (0.0,) * 9
    p: Float64Tuple = (0.0,) * 12
    binning_xy: tuple[int, int] = (0, 0)
    roi_xyhw: tuple[int, int, int, int] = (0, 0, 0, 0)
    roi_rectify: bool = False

    def __post_init__(self) -> None:
        """Check the number of elements of each matrix."""
        for name, values, count in (('k', self.k, 9), ('r', self.r, 9), ('p', self.p, 12)):
            if len(values) != count:
                raise ValueError(f'{name} of a calibration must have {count} elements, '
                                 f'not {len(values)}')

    def resized(self, size_hw: tuple[int, int]) -> Calibration:
        """
        Give the calibration of the same picture scaled to another size.

        Pixel centres are at whole coordinates in K and P, so the principal point scales about
        the corner of the picture, half a pixel away. Distortion does not depend on the size.
        """
        if size_hw == self.size_hw:
            return self
        scale_x, scale_y = size_hw[1] / self.size_hw[1], size_hw[0] / self.size_hw[0]
        x, y, height, width = self.roi_xyhw
        return replace(
            self, size_hw=size_hw,
            k=_scaled(self.k, 3, scale_x, scale_y), p=_scaled(self.p, 4, scale_x, scale_y),
            roi_xyhw=(round(x * scale_x), round(y * scale_y),
                      round(height * scale_y), round(width * scale_x)))


def _scaled(matrix: Float64Tuple, columns: int, scale_x: float, scale_y: float) -> Float64Tuple:
    """Scale the first two rows of a row-by-row matrix, and shift by the half pixel."""
    if matrix[0] == 0.0:
        return matrix
    rows = np.asarray(matrix, dtype=np.float64).reshape(3, columns)
    scale = np.array([[scale_x, 0.0, (scale_x - 1.0) / 2.0],
                      [0.0, scale_y, (scale_y - 1.0) / 2.0],
                      [0.0, 0.0, 1.0]])
    return tuple(float(value) for value in (scale @ rows).ravel())


class Picture(Protocol):
    """A picture that is decoded when somebody asks for it."""

    def bgr(self) -> Uint8Array:
        """
        Give uint8[H, W, 3] BGR.

        Raises:
            ImageError: it cannot be decoded.
        """


@dataclass(frozen=True, eq=False)
class DecodedPicture:
    """A picture that the source had to decode anyway: uint8[H, W, 3] BGR."""

    image_hw3: Uint8Array

    def bgr(self) -> Uint8Array:
        """Give the picture as uint8[H, W, 3] BGR."""
        return self.image_hw3


@dataclass(frozen=True, eq=False)
class RawPicture:
    """
    A recorded ``sensor_msgs/Image``, not decoded.

    Attributes:
        data: uint8[height * step], as recorded.
        encoding: name of sensor_msgs/image_encodings.
        height: rows.
        width: pixels in a row.
        step: bytes from one row to the next.
        is_bigendian: byte order of elements longer than one byte.
    """

    data: NDArray[np.uint8]
    encoding: str
    height: int
    width: int
    step: int
    is_bigendian: bool

    def bgr(self) -> Uint8Array:
        """
        Decode to uint8[H, W, 3] BGR; may be a view of ``data``.

        Raises:
            ImageError: unknown encoding, or the fields contradict each other.
        """
        return encodings.bgr_from_raw(
            self.data, encoding=self.encoding, height=self.height, width=self.width,
            step=self.step, is_bigendian=self.is_bigendian)


@dataclass(frozen=True, eq=False)
class CompressedPicture:
    """
    A JPEG or PNG (or another picture file), not decoded.

    Attributes:
        data: uint8[N], the bytes of the file.
        ros_format: as in ``sensor_msgs/CompressedImage``, for example ``'jpeg'``.
    """

    data: NDArray[np.uint8]
    ros_format: str

    def bgr(self) -> Uint8Array:
        """
        Decode to uint8[H, W, 3] BGR.

        Raises:
            ImageError: the bytes are not a whole picture of a known format.
        """
        return encodings.bgr_from_compressed(self.data, image_format=self.ros_format)


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """
    One picture of one camera, as the source has it.

    The arrays stay valid after the next frame was read.

    Attributes:
        camera: name of a :class:`CameraStream` of the source; a topic where it is a bag.
        stamp_ns: time of capture: a bag's header stamp, a video's presentation time.
        log_ns: when the recorder wrote it, the clock a player follows; elsewhere the stamp.
        frame_id: from the recorded header, ``''`` where there is none.
        picture: decoded on demand.
        calibration: recorded with the camera up to now, or None.
        name: of the file where each picture has one, else ''.
    """

    camera: str
    stamp_ns: int
    log_ns: int
    frame_id: str
    picture: Picture
    calibration: Calibration | None = None
    name: str = ''

    def frame(self, camera: str | None = None) -> Frame:
        """
        Decode the picture.

        Args:
            camera: name to give to the frame; None keeps the source's.

        Raises:
            ImageError: the picture cannot be decoded.
        """
        return Frame(camera=self.camera if camera is None else camera, stamp_ns=self.stamp_ns,
                     frame_id=self.frame_id, pixels=self.picture.bgr())


@dataclass(frozen=True)
class CameraStream:
    """
    One camera of a source.

    Attributes:
        name: the topic in a bag, else the name given when the source was opened.
        frame_count: frames the container promises over its whole length, or None.
        rate_hz: recorded mean rate, or None where it is unknown.
        info_topic: topic of its CameraInfo in a bag, or None.
    """

    name: str
    frame_count: int | None
    rate_hz: float | None
    info_topic: str | None = None


class Source(Protocol):
    """
    Frames in the order in which they were recorded; every iteration begins at the start again.

    Not thread-safe. One iteration at a time: a new one ends the one before.
    """

    @property
    def name(self) -> str:
        """Path or address, for messages."""

    @property
    def cameras(self) -> tuple[CameraStream, ...]:
        """Give the cameras whose frames are given, at least one."""

    @property
    def frame_count(self) -> int | None:
        """Frames of all cameras that the container promises, or None; a hint, not a contract."""

    @property
    def rate_hz(self) -> float | None:
        """Give the recorded rate of the fastest camera, or None where it is unknown."""

    @property
    def is_live(self) -> bool:
        """Whether frames come when they are captured, and cannot be repeated."""

    @property
    def skipped(self) -> int:
        """Frames that could not be read at all since the source was opened."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Give what a user should know: what was repaired, left out or assumed."""

    def __iter__(self) -> Iterator[SourceFrame]:
        """
        Give the frames from the start on.

        Raises:
            SourceError: reading cannot go on.
        """

    def close(self) -> None:
        """Give back files and devices; may be called twice."""

    def __enter__(self) -> Source:
        """Give the source itself."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
