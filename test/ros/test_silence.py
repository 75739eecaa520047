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

"""The reason why no picture comes."""

from __future__ import annotations

from dataclasses import replace

from ped_perception.ros.silence import silence_reason, SilenceFacts
import pytest

THERE = SilenceFacts('front', ('/front/image_raw', '/front/image_raw/compressed'), {},
                     ('/drivers/camera',), '', ('/front/image_raw',))


@pytest.mark.parametrize(('facts', 'fragments', 'why'), [
    (THERE, ['/drivers/camera publishes', 'sends nothing'], 'present but silent'),
    (replace(THERE, info_comes=True), ['CameraInfo comes', 'fastdds_large_images.xml'],
     'raw pictures that are too large for the shared memory of their sender'),
    (replace(THERE, publishers=(), image_topics=('/cam/rgb',)),
     ['nobody publishes on /front/image_raw or', '/cam/rgb'], 'a wrong topic name'),
    (replace(THERE, publishers=(), image_topics=()), ['no topic at all', 'ROS domain?'],
     'nothing runs'),
    (replace(THERE, incompatible='RELIABILITY'), ['does not match', 'RELIABILITY'], 'QoS'),
    (replace(THERE, wrong_types={'/front/image_raw': 'sensor_msgs/msg/CompressedImage'}),
     ['front.transport to compressed', 'without /compressed'], 'JPEG on the raw topic'),
    (replace(THERE, wrong_types={'/front/image_raw': 'sensor_msgs/msg/PointCloud2'}),
     ['PointCloud2', 'front.image_topic'], 'no pictures at all'),
])
def test_reason(facts, fragments, why):
    said = silence_reason(facts)
    assert all(fragment in said for fragment in fragments), (why, said)
