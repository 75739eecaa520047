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

"""Recordings to be replayed, and what is read of the results."""

from __future__ import annotations

import cv2
import numpy as np
from ped_perception.replay.runner import replay, settings_for_bag
from ped_perception.sources import open_source
import recordings
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

DETECTIONS = '/ped_detector/camera/detections'
STORE = recordings.STORE
IMAGE, INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
JPEG = 'sensor_msgs/msg/CompressedImage'


def messages(folder, topic):
    """Read a topic of a recording with nothing but what is written in it."""
    with AnyReader([folder]) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        return [(log_ns, reader.deserialize(data, connection.msgtype))
                for connection, log_ns, data in reader.messages(connections)]


def messages_as_written(folder):
    """Read topic, type, time of writing and bytes of all messages of a recording."""
    with AnyReader([folder]) as reader:
        return [(connection.topic, connection.msgtype, log_ns, bytes(data))
                for connection, log_ns, data in reader.messages()]


def stamp_ns(message):
    """Give the stamp of a header."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def rows(message):
    """Give what a message says of each person, exactly."""
    return [(d.id, d.results[0].hypothesis.class_id, d.results[0].hypothesis.score,
             d.bbox.center.position.x, d.bbox.center.position.y, d.bbox.size_x, d.bbox.size_y)
            for d in message.detections]


def by_stamp(folder, topic=DETECTIONS):
    """Give the rows of each picture by its stamp."""
    return {stamp_ns(message): rows(message) for _, message in messages(folder, topic)}


def write_pictures(folder, pictures, *, plugin=StoragePlugin.MCAP, kind=IMAGE, infos=True,
                   topic='/camera/image_raw'):
    """Write a recording of (stamp, picture) with a CameraInfo each."""
    with Writer(folder, version=9, storage_plugin=plugin) as writer:
        images = writer.add_connection(topic, kind, typestore=STORE)
        info = writer.add_connection('/camera/camera_info', INFO, typestore=STORE)
        for index, (at_ns, image_hw3) in enumerate(pictures):
            log_ns = recordings.START_NS + index * 10**8
            header, (height, width) = recordings.header(at_ns), image_hw3.shape[:2]
            if kind == IMAGE:
                message = STORE.types[IMAGE](
                    header=header, height=height, width=width, encoding='bgr8', is_bigendian=0,
                    step=width * 3, data=np.ascontiguousarray(image_hw3).ravel())
            else:
                message = STORE.types[JPEG](
                    header=header, format='bgr8; png compressed bgr8',
                    data=cv2.imencode('.png', image_hw3)[1].ravel())
            if infos:
                writer.write(info, log_ns, STORE.serialize_cdr(
                    recordings.info_message(500.0, at_ns), INFO))
            writer.write(images, log_ns, STORE.serialize_cdr(message, kind))
    return folder


def demo_pictures(demo_bag, count=8):
    """Decode the first pictures of the recording that ships: stamp and picture."""
    with open_source(demo_bag) as source:
        return [(frame.stamp_ns, frame.picture.bgr()) for frame, _ in zip(source, range(count),
                                                                          strict=False)]


def replayed(bag, output, backend, values=None, **options):
    """Replay with every image topic a camera, unless the values name cameras."""
    values = values or {}
    settings = settings_for_bag(bag, values, all_cameras='cameras' not in values)
    return replay(bag, output, settings, backend=backend, **options)
