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

"""The configurations of the viewers show what a node publishes, with its types."""

from __future__ import annotations

import json
import re
import sys

import pytest
from rclpy.qos import ReliabilityPolicy
from ros_peer import ros_peer
import yaml

pytestmark = pytest.mark.ros

# Message type of each kind of display.
OF_RVIZ = {'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
           'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
           'rviz_default_plugins/PointCloud2': 'sensor_msgs/msg/PointCloud2'}
# What a viewer of Foxglove makes of a topic, by its path in the layout.
OF_FOXGLOVE = {'/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
               '/ped_detector/health': 'diagnostic_msgs/msg/DiagnosticStatus',
               '/ped_detector/markers': 'visualization_msgs/msg/MarkerArray',
               '/ped_detector/obstacles': 'sensor_msgs/msg/PointCloud2',
               '/ped_detector/front/annotated/compressed': 'sensor_msgs/msg/CompressedImage'}


@pytest.fixture(scope='module')
def published(module_domain, module_processes):
    """Return type and reliability of each topic of a real node with a camera named front."""
    module_processes.start([sys.executable, '-m', 'ped_perception.ros.detector_node', '--ros-args',
                            '-p', "cameras:=['front']"], name='detector')
    with ros_peer(module_domain) as peer:
        def found():
            return {name: (kinds[0], info[0].qos_profile.reliability)
                    for name, kinds in peer.node.get_topic_names_and_types()
                    if (info := peer.node.get_publishers_info_by_topic(name))}

        peer.until(lambda: OF_FOXGLOVE.keys() <= found().keys(), 'the topics of the node', 150.0)
        return found()


def test_rviz_shows_what_is_published(root, published):
    config = yaml.safe_load((root / 'config' / 'pedestrians.rviz').read_text())
    displays = [display for display in config['Visualization Manager']['Displays']
                if 'Topic' in display]
    assert {display['Class'] for display in displays} == set(OF_RVIZ)
    for display in displays:
        kind, reliability = published[display['Topic']['Value']]
        assert kind == OF_RVIZ[display['Class']]
        # RViz gets nothing from a publisher that offers less.
        assert display['Topic']['Reliability Policy'] == 'Reliable'
        assert reliability == ReliabilityPolicy.RELIABLE
    [markers] = [display for display in displays if display['Name'] == 'Pedestrians']
    source = (root / 'ped_perception' / 'ros' / 'pedestrian_messages.py').read_text()
    for namespace in markers['Namespaces']:
        assert f"'{namespace}'" in source


def test_the_foxglove_layout_shows_what_is_published(root, published):
    layout = json.loads((root / 'config' / 'foxglove_layout.json').read_text())
    text = json.dumps(layout)
    shown = set(re.findall(r'"(/(?:ped_detector|diagnostics)[\w/]*)', text))
    assert shown == set(OF_FOXGLOVE)
    for topic, kind in OF_FOXGLOVE.items():
        assert published[topic][0] == kind
    placed = set(re.findall(r'"(?:first|second)": "([^"]+)"', text))
    assert placed == set(layout['configById'])


@pytest.mark.parametrize('key', ['latency_ms_p50', 'latency_ms_p95', 'latency_ms_p99'])
def test_the_plotted_values_are_told(root, key):
    layout = (root / 'config' / 'foxglove_layout.json').read_text()
    assert key in layout
    assert f"'{key}'" in (root / 'ped_perception' / 'ros' / 'diagnostics.py').read_text()
