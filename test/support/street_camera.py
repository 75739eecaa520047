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

"""A camera in the test process that can be made to misbehave in every way that cameras do."""

from __future__ import annotations

import threading
import time

import cv2
from demo_clip import clip_frame
import numpy as np
from ped_perception.ros.convert import (
    camera_info_from_intrinsics,
    compressed_image_from_bgr,
    image_from_bgr,
)
from ped_perception.ros.qos import camera_publisher_qos
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

BOX = (200, 100, 260, 260)


def street_pictures(root, size_hw=(360, 640), count=8):
    """
    Give real pictures of a street, darkened, with a white box as the double's pedestrian.

    Each differs from the others by noise, as the pictures of a camera that stands still do.
    """
    street_hw3 = cv2.resize(clip_frame(root, 1), (640, 360), interpolation=cv2.INTER_AREA) // 2
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        noisy = street_hw3 + rng.integers(0, 4, street_hw3.shape, np.uint8)
        x1, y1, x2, y2 = BOX
        noisy[y1:y2, x1:x2] = 255
        pictures.append(cv2.resize(noisy, size_hw[::-1], interpolation=cv2.INTER_AREA))
    return pictures


class StreetCamera:
    """
    Publishes pictures from a thread of its own until it is closed.

    Attributes:
        rate_hz: of the pictures.
        stamp_ns: function of the time now that gives the stamp.
        message: function of picture, stamp and number that gives the message, None for none.
        loses_pictures: they get lost on their way, CameraInfo does not.
        sent: pictures published so far.
        last_sent_s: steady clock, of the newest picture.
    """

    def __init__(self, node, root, name='camera', transport='raw', rate_hz=20.0, qos=None):
        self.node, self.name, self.transport, self.rate_hz = node, name, transport, rate_hz
        self.pictures = street_pictures(root)
        self.stamp_ns = lambda now_ns: now_ns
        self.message = self.picture
        self.info = lambda stamp_ns: camera_info_from_intrinsics(
            (360, 640), stamp_ns, name, np.array([[500.0, 0, 320], [0, 500, 180], [0, 0, 1]]))
        self.loses_pictures = False
        self.sent = 0
        self.last_sent_s = 0.0
        self._info_publisher = node.create_publisher(
            CameraInfo, f'/{name}/camera_info', camera_publisher_qos())
        self._publisher = None
        self._lock = threading.Lock()
        self.plug_in(qos)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def picture(self, image_hw3, stamp_ns, number):
        """Give the message of a picture as it should be."""
        build = image_from_bgr if self.transport == 'raw' else compressed_image_from_bgr
        return build(image_hw3, stamp_ns, self.name)

    def plug_in(self, qos=None, transport=None):
        """Begin to publish, perhaps otherwise than before."""
        with self._lock:
            self.transport = transport or self.transport
            kind, ending = ((Image, '') if self.transport == 'raw' else
                            (CompressedImage, '/compressed'))
            self._publisher = self.node.create_publisher(
                kind, f'/{self.name}/image_raw{ending}', qos or camera_publisher_qos())

    def unplug(self):
        """Stop to publish, as a driver that was killed."""
        with self._lock:
            if self._publisher is not None:
                self.node.destroy_publisher(self._publisher)
            self._publisher = None

    def behave(self):
        """Be a good camera again."""
        self.rate_hz, self.stamp_ns, self.message = 20.0, lambda now_ns: now_ns, self.picture
        self.loses_pictures = False

    def close(self):
        """End the thread."""
        self._ended.set()
        self._thread.join()
        self.unplug()

    def _run(self):
        number, due_s = 0, time.monotonic()
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + 1 / self.rate_hz, time.monotonic() - 0.1)
            number += 1
            stamp_ns = self.stamp_ns(time.time_ns())
            with self._lock:
                # Inside: a message of one transport must not meet the publisher of another.
                message = self.message(
                    self.pictures[number % len(self.pictures)], stamp_ns, number)
                if self._publisher is None or message is None:
                    continue
                self._info_publisher.publish(self.info(stamp_ns))
                if self.loses_pictures:
                    continue
                self._publisher.publish(message)
                self.last_sent_s = time.monotonic()
                self.sent += 1
