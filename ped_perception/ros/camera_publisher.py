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

"""The topics of one played camera: its images in the wanted form, and its calibration."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from ped_perception.core.config import size_hw_from_text
from ped_perception.core.encodings import size_hw_from_compressed
from ped_perception.core.errors import CalibrationError
from ped_perception.core.types import Uint8Array
from ped_perception.ros.camera_config import CameraPlayerConfig
from ped_perception.ros.convert import (
    camera_info_from_calibration,
    compressed_image_from_bgr,
    compressed_image_from_picture,
    header_from_stamp,
    ImageFiller,
)
from ped_perception.ros.qos import camera_publisher_qos
from ped_perception.sources import (
    Calibration,
    CompressedPicture,
    Picture,
    RawPicture,
    SourceFrame,
)
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

DEFAULT_ENCODING = 'bgr8'
_SHAPE_TOLERANCE = 0.01
_ACKNOWLEDGEMENT = Duration(seconds=5.0)


class CameraPublisher:
    """
    Publishes frames of one camera.

    A frame is prepared first, which takes time, and then published at once with its stamp. For
    one thread.

    Args:
        node: owner of the publishers.
        name: of the camera, first part of its topics.
        compressed: publish CompressedImage instead of Image.
        config: the form of the images.
        calibration: of the camera; None takes what comes with the frames.
    """

    def __init__(self, node: Node, name: str, compressed: bool, config: CameraPlayerConfig,
                 calibration: Calibration | None) -> None:
        self._name = name
        self._config = config
        self._compressed = compressed
        self._calibration = calibration
        self._size_hw = size_hw_from_text(config.size) if config.size else None
        self._scaled: Uint8Array | None = None
        self._filler = ImageFiller(config.encoding or DEFAULT_ENCODING)
        qos = _qos(config.reliability)
        kind, ending = (CompressedImage, '/compressed') if compressed else (Image, '')
        self._images = node.create_publisher(kind, f'{name}/image_raw{ending}', qos)
        self._infos = node.create_publisher(CameraInfo, f'{name}/camera_info', qos)
        self._message: Any = None
        self._info: Any = None
        self._info_of: tuple[Calibration, tuple[int, int]] | None = None
        self._frame_id = ''
        self.published = 0

    @property
    def topic(self) -> str:
        """Full name of the image topic."""
        return str(self._images.topic_name)

    @property
    def subscribers(self) -> int:
        """Count the subscribers of the image topic that this publisher has matched."""
        return int(self._images.get_subscription_count())

    def prepare(self, frame: SourceFrame) -> None:
        """
        Bring a frame into the form in which it is published.

        Raises:
            ImageError: the picture cannot be decoded, or not be written in this encoding.
            CalibrationError: the calibration file is for a picture of another shape.
        """
        self._frame_id = (self._config.frame_id or frame.frame_id
                          or f'{self._name.replace("/", "_")}_optical_frame')
        self._message, source_hw = self._message_of(frame)
        self._prepare_info(frame.calibration, source_hw)

    def publish(self, stamp_ns: int) -> None:
        """Publish the prepared frame and its calibration with this stamp."""
        header = header_from_stamp(stamp_ns, self._frame_id)
        self._message.header = header
        self._info.header = header
        # The calibration goes first: whoever waits for both has it when the picture comes.
        self._infos.publish(self._info)
        self._images.publish(self._message)
        self.published += 1

    def wait_until_received(self) -> None:
        """Wait until reliable subscribers have the last frame; best effort is not waited for."""
        self._images.wait_for_all_acked(_ACKNOWLEDGEMENT)

    def _message_of(self, frame: SourceFrame) -> tuple[Any, tuple[int, int]]:
        """Build the image message, and give the height and width of the source's picture."""
        picture = frame.picture
        recorded_hw = recorded_size_hw(picture, self._compressed, self._config)
        if recorded_hw is not None and isinstance(picture, CompressedPicture):
            return compressed_image_from_picture(picture, 0, ''), recorded_hw
        if recorded_hw is not None and isinstance(picture, RawPicture):
            return self._filler.fill_recorded(picture, 0), recorded_hw
        source_hw3 = picture.bgr()
        image_hw3 = self._in_size(source_hw3)
        if self._compressed:
            message = compressed_image_from_bgr(image_hw3, 0, '', self._config.jpeg_quality)
        else:
            message = self._filler.fill(image_hw3, 0)
        return message, _hw_of(source_hw3)

    def _in_size(self, image_hw3: Uint8Array) -> Uint8Array:
        if self._size_hw is None or image_hw3.shape[:2] == self._size_hw:
            return image_hw3
        if self._scaled is None:
            room = None if self._compressed else self._filler.room(*self._size_hw)
            self._scaled = np.empty((*self._size_hw, 3), np.uint8) if room is None else room
        # Areas average when pictures shrink; anything else would alias thin people away.
        shrinks = self._size_hw[0] < image_hw3.shape[0]
        cv2.resize(image_hw3, self._size_hw[::-1], dst=self._scaled,
                   interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return self._scaled

    def _prepare_info(self, recorded: Calibration | None, source_hw: tuple[int, int]) -> None:
        published_hw = self._size_hw or source_hw
        if self._calibration is not None:
            calibration = self._calibration
        elif recorded is not None:
            calibration = recorded
            # What was recorded together is published together, also where it contradicts itself.
            published_hw = self._size_hw or recorded.size_hw
        else:
            # The zeros of K in CameraInfo say that the camera is not calibrated.
            calibration = Calibration(source_hw)
        if (calibration, published_hw) == self._info_of:
            return
        if calibration is self._calibration:
            _check_shape(calibration, source_hw, self._config.camera_info_url)
        self._info = camera_info_from_calibration(calibration.resized(published_hw), 0, '')
        self._info_of = calibration, published_hw


def recorded_size_hw(picture: Picture, compressed: bool, config: CameraPlayerConfig,
                     ) -> tuple[int, int] | None:
    """
    Give height and width of a picture that is published with the bytes it was recorded with.

    Such a picture is not decoded here, so that the receiver gets what the camera had recorded,
    damaged or not. None for one that is decoded and written anew.

    Args:
        picture: of the source.
        compressed: it is published as CompressedImage, not as Image.
        config: the form of the images.

    Raises:
        ImageError: it is left out, because its header cannot be read or its end is missing.
    """
    if config.size:
        return None
    if compressed and isinstance(picture, CompressedPicture):
        return size_hw_from_compressed(picture.data, image_format=picture.ros_format)
    if (not compressed and isinstance(picture, RawPicture)
            and config.encoding in ('', picture.encoding)):
        return picture.height, picture.width
    return None


def _hw_of(image_hw3: Uint8Array) -> tuple[int, int]:
    return image_hw3.shape[0], image_hw3.shape[1]


def _check_shape(calibration: Calibration, source_hw: tuple[int, int], url: str) -> None:
    height, width = calibration.size_hw
    if abs(width * source_hw[0] - height * source_hw[1]) > _SHAPE_TOLERANCE * width * source_hw[0]:
        raise CalibrationError(
            f'The calibration {url} is for pictures of {width}x{height}, the source has '
            f'{source_hw[1]}x{source_hw[0]}: another shape, so another part of the sensor. '
            f'Calibrate the camera in the mode it was recorded in.')


def _qos(reliability: str) -> QoSProfile:
    qos = camera_publisher_qos()
    if reliability == 'reliable':
        qos.reliability = ReliabilityPolicy.RELIABLE
        # Repeating is only possible for what is kept.
        qos.depth = 10
    return qos
