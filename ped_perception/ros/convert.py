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
Between messages and the nouns of ``core``: the only place that reads and writes messages.

What is published at a camera's rate is filled into messages that are kept, because building
them anew costs more than anything else here: 0.08 ms for each detection, 2-20 ms of page faults
for each picture. Such a message is valid until the next call; ``publish`` has serialised it
when it returns.
"""

from __future__ import annotations

import array
from collections.abc import Collection, Sequence
import functools
from typing import Any

from builtin_interfaces.msg import Time
import cv2
import numpy as np
from ped_perception.core.encodings import bgr_from_compressed, pixels_from_raw, raw_from_bgr
from ped_perception.core.errors import import_extra
from ped_perception.core.types import Detections, Float64Array, Frame, Int64Array, Uint8Array
from ped_perception.sources.frames import Calibration, CompressedPicture, RawPicture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

CLASS_ID = 'pedestrian'

_NS_PER_S = 1_000_000_000


def stamp_ns_from_time(time: Time) -> int:
    """Give a ROS time in nanoseconds."""
    return int(time.sec) * _NS_PER_S + int(time.nanosec)


def time_from_stamp_ns(stamp_ns: int) -> Time:
    """Give nanoseconds as a ROS time."""
    sec, nanosec = divmod(stamp_ns, _NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def header_from_stamp(stamp_ns: int, frame_id: str) -> Header:
    """Give a message header."""
    return Header(stamp=time_from_stamp_ns(stamp_ns), frame_id=frame_id)


def frame_from_image(message: Image, camera: str, native: Collection[str] = ()) -> Frame:
    """
    Take in a raw image, decoded unless its layout is wanted as it is.

    The picture of ``bgr8`` or of a native layout is a view of the message's data and keeps it
    alive.

    Args:
        message: as received.
        camera: name to give.
        native: layouts that are not to be decoded, see ``core.native``.

    Raises:
        ImageError: the image is malformed or of an unknown encoding.
    """
    pixels = pixels_from_raw(
        message.data, encoding=message.encoding, height=message.height, width=message.width,
        step=message.step, is_bigendian=bool(message.is_bigendian), native=native)
    return Frame(camera, stamp_ns_from_time(message.header.stamp), message.header.frame_id,
                 pixels)


def frame_from_compressed_image(message: CompressedImage, camera: str) -> Frame:
    """
    Decode a JPEG or PNG image.

    Raises:
        ImageError: the image is malformed or of another format.
    """
    image_hw3 = bgr_from_compressed(message.data, image_format=message.format)
    return Frame(camera, stamp_ns_from_time(message.header.stamp), message.header.frame_id,
                 image_hw3)


class DetectionsFiller:
    """
    Writes detections into one message that is kept and grows with the most people seen.

    For one thread. The message is valid until the next call.
    """

    def __init__(self) -> None:
        """Begin with an empty message."""
        self._message = Detection2DArray()
        self._kept: list[Detection2D] = []

    def fill(self, detections: Detections, ids_n: Int64Array | None = None) -> Detection2DArray:
        """
        Give the message of one picture, with header and all, also for no detections.

        Args:
            detections: boxes in pixels of the source picture.
            ids_n: int64[>= N], of the track of each, negative for none: ``id`` is then empty.
        """
        header = header_from_stamp(detections.stamp_ns, detections.frame_id)
        while len(self._kept) < len(detections):
            self._kept.append(_empty_detection())
        centres_n2 = (detections.boxes_n4[:, :2] + detections.boxes_n4[:, 2:]) / 2
        sizes_n2 = detections.boxes_n4[:, 2:] - detections.boxes_n4[:, :2]
        used = self._kept[:len(detections)]
        # Plain floats at once: reading single numbers out of arrays is slow.
        ids = [-1] * len(used) if ids_n is None else ids_n[:len(used)].tolist()
        rows = zip(used, centres_n2.tolist(), sizes_n2.tolist(), detections.scores_n.tolist(),
                   ids, strict=True)
        for detection, (x, y), (size_x, size_y), score, track_id in rows:
            detection.header = header
            detection.id = str(track_id) if track_id >= 0 else ''
            detection.results[0].hypothesis.score = score
            position = detection.bbox.center.position
            position.x = x
            position.y = y
            detection.bbox.size_x = size_x
            detection.bbox.size_y = size_y
        self._message.header = header
        self._message.detections = used
        return self._message


def _empty_detection() -> Detection2D:
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = CLASS_ID
    return Detection2D(results=[result])


def detections_from_detection2d_array(message: Detection2DArray, camera: str,
                                      source_hw: tuple[int, int]) -> Detections:
    """
    Read detections as this package publishes them, best first.

    Args:
        message: each detection with one result at least; the first is taken.
        camera: name to give.
        source_hw: height and width of the picture, which the message does not tell.
    """
    rows = [(detection.bbox.center.position.x, detection.bbox.center.position.y,
             detection.bbox.size_x, detection.bbox.size_y,
             detection.results[0].hypothesis.score) for detection in message.detections]
    rows_n5 = np.asarray(rows, np.float32).reshape(-1, 5)
    centres_n2, halves_n2 = rows_n5[:, :2], rows_n5[:, 2:4] / 2
    return Detections(
        camera, stamp_ns_from_time(message.header.stamp), message.header.frame_id, source_hw,
        np.hstack([centres_n2 - halves_n2, centres_n2 + halves_n2]), rows_n5[:, 4].copy())


class ImageFiller:
    """
    Writes pictures into one raw image message that is kept, whatever their size.

    For one thread. The message is valid until the next call.
    """

    def __init__(self, encoding: str = 'bgr8', frame_id: str = '') -> None:
        """
        Begin with an empty message.

        Args:
            encoding: of the message, one of ``known_encodings()``.
            frame_id: of the header.
        """
        self._message = Image()
        self._encoding = encoding
        self._frame_id = frame_id

    def fill(self, image_hw3: Uint8Array, stamp_ns: int) -> Image:
        """
        Give the message of one picture.

        Args:
            image_hw3: uint8[H, W, 3] BGR; copied.
            stamp_ns: ROS time in nanoseconds.

        Raises:
            ImageError: the encoding is unknown or cannot have this size.
        """
        rows, step = raw_from_bgr(image_hw3, self._encoding)
        self._message.encoding, self._message.is_bigendian = self._encoding, 0
        self._message.height, self._message.width = image_hw3.shape[:2]
        self._message.step = step
        return self._with_data(rows, stamp_ns)

    def room(self, height: int, width: int) -> Uint8Array | None:
        """
        Give the memory of the message's picture, to draw into it what is then filled in.

        It saves copying a picture that has to be made anyway.

        Returns:
            uint8[height, width, 3] BGR, valid until a picture of another size is filled in; None
            where the encoding stores pictures in another way.
        """
        return self._data_of(height * width * 3).reshape(height, width, 3) \
            if self._encoding == 'bgr8' else None

    def fill_recorded(self, picture: RawPicture, stamp_ns: int) -> Image:
        """
        Give the message of a recorded picture as it was recorded, in its own encoding.

        Args:
            picture: its data are copied, and not checked.
            stamp_ns: ROS time in nanoseconds.
        """
        message = self._message
        message.encoding, message.is_bigendian = picture.encoding, int(picture.is_bigendian)
        message.height, message.width, message.step = picture.height, picture.width, picture.step
        return self._with_data(picture.data, stamp_ns)

    def _with_data(self, data: Uint8Array, stamp_ns: int) -> Image:
        message = self._message
        message.header = header_from_stamp(stamp_ns, self._frame_id)
        kept = self._data_of(data.size).reshape(data.shape)
        # Drawn into room(): it is there already.
        if not np.may_share_memory(kept, data):
            np.copyto(kept, data)
        return message

    def _data_of(self, size: int) -> Uint8Array:
        if len(self._message.data) != size:
            self._message.data = array.array('B', bytes(size))
        return np.frombuffer(self._message.data, np.uint8)


@functools.cache
def _bridge() -> Any:
    # Loaded when the first annotated picture is wanted: most nodes never publish one.
    return import_extra('cv_bridge', 'ros').CvBridge()


def image_from_bgr(image_hw3: Uint8Array, stamp_ns: int, frame_id: str) -> Image:
    """
    Build a raw image message of its own with cv_bridge; at a camera's rate use ``ImageFiller``.

    Raises:
        MissingExtraError: cv_bridge is not installed.
    """
    message: Image = _bridge().cv2_to_imgmsg(image_hw3, 'bgr8')
    message.header = header_from_stamp(stamp_ns, frame_id)
    return message


def compressed_image_from_bgr(image_hw3: Uint8Array, stamp_ns: int, frame_id: str,
                              quality: int = 80) -> CompressedImage:
    """
    Build a JPEG image message as image_transport would.

    Args:
        image_hw3: uint8[H, W, 3] BGR.
        stamp_ns: ROS time in nanoseconds.
        frame_id: of the header.
        quality: of the JPEG, 1..100.
    """
    # A picture of 65536 pixels and more across is all that this can fail with.
    _, payload = cv2.imencode('.jpg', image_hw3, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(header=header_from_stamp(stamp_ns, frame_id),
                           format='bgr8; jpeg compressed bgr8',
                           data=array.array('B', payload.tobytes()))


def compressed_image_from_picture(picture: CompressedPicture, stamp_ns: int, frame_id: str,
                                  ) -> CompressedImage:
    """Build the message of a recorded JPEG or PNG without decoding it."""
    return CompressedImage(header=header_from_stamp(stamp_ns, frame_id), format=picture.ros_format,
                           data=array.array('B', picture.data.tobytes()))


def camera_info_from_calibration(calibration: Calibration, stamp_ns: int, frame_id: str,
                                 ) -> CameraInfo:
    """Build the calibration message with every field as it was recorded."""
    x, y, height, width = calibration.roi_xyhw
    return CameraInfo(
        header=header_from_stamp(stamp_ns, frame_id), height=calibration.size_hw[0],
        width=calibration.size_hw[1], distortion_model=calibration.distortion_model,
        d=list(calibration.d), k=np.array(calibration.k), r=np.array(calibration.r),
        p=np.array(calibration.p), binning_x=calibration.binning_xy[0],
        binning_y=calibration.binning_xy[1],
        roi=RegionOfInterest(x_offset=x, y_offset=y, height=height, width=width,
                             do_rectify=calibration.roi_rectify))


def camera_info_from_intrinsics(source_hw: tuple[int, int], stamp_ns: int, frame_id: str,
                                matrix_33: Float64Array | None = None,
                                distortion: Sequence[float] = (),
                                model: str = 'plumb_bob') -> CameraInfo:
    """
    Build the calibration message of a camera without rectification.

    Args:
        source_hw: height and width of the picture in pixels.
        stamp_ns: of the picture, ROS time in nanoseconds.
        frame_id: of the picture.
        matrix_33: intrinsic matrix in pixels; None for a camera that is not calibrated, which
            ROS marks by zeros.
        distortion: coefficients of the model.
        model: of the distortion, a name of ``sensor_msgs/distortion_models``.
    """
    message = CameraInfo(header=header_from_stamp(stamp_ns, frame_id), height=source_hw[0],
                         width=source_hw[1])
    if matrix_33 is not None:
        message.distortion_model = model
        message.d = [float(value) for value in distortion]
        message.k = np.asarray(matrix_33, np.float64).ravel()
        message.r = np.eye(3).ravel()
        message.p = np.column_stack([matrix_33, np.zeros(3)]).ravel()
    return message
