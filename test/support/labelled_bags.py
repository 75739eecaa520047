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

"""Small recordings with labels on a topic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ped_perception.sources.bag_detections import DETECTIONS, typestore_with_detections
from recordings import header, image_message, PERIOD_NS, START_NS
from rosbags.rosbag2 import StoragePlugin, Writer

STORE = typestore_with_detections()
TOPIC = '/labels'
# Class, id, box, position.
PERSON = ('person', '7', (10.0, 20.0, 30.0, 40.0), (0.0, 0.0, 0.0))


def detection(class_id, track_id, box, place):
    """Build a vision_msgs/Detection2D, its box as x1 y1 x2 y2."""
    types, (x1, y1, x2, y2) = STORE.types, box
    pose = types['geometry_msgs/msg/PoseWithCovariance'](
        pose=types['geometry_msgs/msg/Pose'](
            position=types['geometry_msgs/msg/Point'](*place),
            orientation=types['geometry_msgs/msg/Quaternion'](0, 0, 0, 1)),
        covariance=np.zeros(36))
    return types['vision_msgs/msg/Detection2D'](
        header=header(0), results=[types['vision_msgs/msg/ObjectHypothesisWithPose'](
            hypothesis=types['vision_msgs/msg/ObjectHypothesis'](class_id=class_id, score=1.0),
            pose=pose)] if class_id else [],
        bbox=types['vision_msgs/msg/BoundingBox2D'](
            center=types['vision_msgs/msg/Pose2D'](
                position=types['vision_msgs/msg/Point2D']((x1 + x2) / 2, (y1 + y2) / 2),
                theta=0.0),
            size_x=x2 - x1, size_y=y2 - y1), id=track_id)


def labelled_bag(path: Path, *pictures, shift_ns=0, plugin=StoragePlugin.MCAP) -> Path:
    """Write a recording of pictures, and labels for those that are not None."""
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        images = writer.add_connection('/front/image_raw', 'sensor_msgs/msg/Image',
                                       typestore=STORE)
        labels = writer.add_connection(TOPIC, DETECTIONS, typestore=STORE)
        for index, people in enumerate(pictures):
            stamp_ns = START_NS + index * PERIOD_NS
            writer.write(images, stamp_ns, STORE.serialize_cdr(
                image_message(index, stamp_ns), 'sensor_msgs/msg/Image'))
            if people is not None:
                message = STORE.types[DETECTIONS](
                    header=header(stamp_ns + shift_ns),
                    detections=[detection(*person) for person in people])
                writer.write(labels, stamp_ns + 1, STORE.serialize_cdr(message, DETECTIONS))
    return path
