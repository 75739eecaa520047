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
The message packages built from ``interfaces/`` are those of upstream: same type hashes.

A type hash (REP-2016) covers every field name and type, down to the leaves. Two processes whose
hashes differ do not exchange messages.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

# vision_msgs 4.1 as ROS 2 Jazzy releases it.
VISION_MSGS = {
    'Point2D': 'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'Pose2D': 'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'BoundingBox2D': '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'BoundingBox3D': 'bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698',
    'ObjectHypothesis': '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'ObjectHypothesisWithPose':
        '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'Detection2D': '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'Detection3D': 'ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b',
    'Detection3DArray': '793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018',
    'VisionInfo': '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
}


@pytest.mark.ros
@pytest.mark.skipif(os.environ.get('ROS_DISTRO') == 'humble', reason='Humble has no type hashes')
def test_type_hashes(ros_domain: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Announce every type to the middleware and read the hash it announces to its peers."""
    rclpy = importlib.import_module('rclpy')
    messages = importlib.import_module('vision_msgs.msg')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    try:
        node = rclpy.create_node('type_hashes', context=context)
        announced = {}
        for name in VISION_MSGS:
            node.create_publisher(getattr(messages, name), f'/hash/{name}', 1)
            [info] = node.get_publishers_info_by_topic(f'/hash/{name}')
            announced[name] = str(info.topic_type_hash)
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    with capsys.disabled():
        print()
        for name, text in announced.items():
            print(f'  vision_msgs/msg/{name:<25} {text}')
    assert announced == {name: f'RIHS01_{digest}' for name, digest in VISION_MSGS.items()}


@pytest.mark.ros
def test_tf_message_is_a_list_of_transforms() -> None:
    """Keep to the one field of tf2_msgs/TFMessage, which needs no hash to be compared."""
    tf2 = importlib.import_module('tf2_msgs.msg')
    assert tf2.TFMessage.get_fields_and_field_types() == {
        'transforms': 'sequence<geometry_msgs/TransformStamped>'}


def test_definitions_are_all_built(root: Path) -> None:
    """Name every definition in the CMakeLists beside it: one left out would only miss later."""
    for package in (root / 'interfaces').iterdir():
        listed = (package / 'CMakeLists.txt').read_text().split()
        for path in package.rglob('*.msg'):
            assert path.relative_to(package).as_posix() in listed
