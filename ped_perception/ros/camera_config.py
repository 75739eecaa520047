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

"""Parameters of the camera node."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.core.config import param


@dataclass(frozen=True)
class CameraPlayerConfig:
    """What is played, how fast, and in which form; see the description of each parameter."""

    source: str = param(
        '', 'Video file, folder of pictures, rosbag2 recording (folder, .db3 or .mcap), '
        'V4L2 device (/dev/video0) or network stream (rtsp://…).')
    camera: str = param(
        'camera', 'Name of the camera; it publishes NAME/image_raw and NAME/camera_info. Several '
        'cameras of one recording are named after their topics instead.')
    topics: tuple[str, ...] = param(
        (), 'Image topics of the recording to play; empty plays all.')
    frame_id: str = param(
        '', 'Frame of all images; empty keeps the recorded one, or NAME_optical_frame.')
    rate_hz: float = param(
        0.0, 'Frames per second of each camera; 0 plays as recorded.', unit='Hz', minimum=0.0,
        maximum=1000.0)
    speed: float = param(
        1.0, 'Recorded time for one second of playing, where rate_hz is 0.', minimum=0.01,
        maximum=100.0)
    start_s: float = param(
        0.0, 'Leave out what comes before this time after the beginning.', unit='s', minimum=0.0,
        maximum=1e6)
    loop: bool = param(
        False, 'Begin again at the end. With clock, time then jumps back.')
    transport: str = param(
        'raw', 'Publish Image, CompressedImage, or each camera as it was recorded.',
        choices=('raw', 'compressed', 'recorded'))
    encoding: str = param(
        '', 'Encoding of raw images, a name of sensor_msgs/image_encodings; empty keeps the '
        'recorded one, or bgr8.')
    jpeg_quality: int = param(
        90, 'Quality of the JPEG that are made here.', minimum=1, maximum=100)
    size: str = param(
        '', 'Scale every picture to WIDTHxHEIGHT, without keeping its shape; empty keeps the '
        "source's size. CameraInfo is scaled too.", unit='px')
    camera_info_url: str = param(
        '', 'Calibration file as camera_calibration writes it, for all cameras; empty takes the '
        'recorded CameraInfo, or publishes one that says not calibrated.')
    clock: bool = param(
        False, 'Publish /clock and stamp images with the recorded times; otherwise images are '
        'stamped when they are published.')
    reliability: str = param(
        'best_effort', 'QoS of images and CameraInfo: sensor data, or repeated until received.',
        choices=('best_effort', 'reliable'))
    wait_for_subscribers: int = param(
        1, 'Subscribers each image topic must have before the first frame; 0 does not wait.',
        minimum=0, maximum=100)
    wait_timeout_s: float = param(
        60.0, 'How long to wait for subscribers before giving up.', unit='s', minimum=0.1)
