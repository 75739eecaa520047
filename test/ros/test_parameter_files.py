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

"""Parameter files and settings without a node say what the node would."""

from __future__ import annotations

from dataclasses import replace

from ped_perception.core.errors import ConfigError
from ped_perception.ros.parameter_files import values_from_file
from ped_perception.ros.settings import of_other_cameras, read_settings, settings_from_values
import pytest
import rclpy
from rclpy.node import Node

pytestmark = pytest.mark.ros

OWN = """
ped_detector:
  ros__parameters: {score_threshold: 0.6, tracker: {low_score: 0.15}}
"""
FOR_ALL = """
/**:
  ros__parameters:
    score_threshold: 0.5
    cameras: [front]
    front: {priority: 2, views: [whole]}
    rear: {priority: 3.0}
"""
OTHER = """
ped_camera:
  ros__parameters: {source: x}
"""


def test_what_comes_later_wins_and_names_are_joined(tmp_path):
    (tmp_path / 'a.yaml').write_text(FOR_ALL + OTHER + OWN)
    values = values_from_file(tmp_path / 'a.yaml', 'ped_detector')
    assert values == {'score_threshold': 0.6, 'cameras': ['front'], 'front.priority': 2,
                      'front.views': ['whole'], 'rear.priority': 3.0, 'tracker.low_score': 0.15}


@pytest.mark.parametrize(('parts', 'threshold'), [
    ((FOR_ALL, OTHER, OWN), 0.6), ((OWN, FOR_ALL), 0.5)])
def test_settings_are_those_of_the_node(tmp_path, ros_domain, parts, threshold):
    """Give the file to a real node and to the function."""
    (tmp_path / 'a.yaml').write_text(''.join(parts))
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = Node('ped_detector', context=context, cli_args=[
        '--ros-args', '--params-file', str(tmp_path / 'a.yaml')], use_global_arguments=False)
    try:
        read = read_settings(node)
    finally:
        node.destroy_node()
        context.try_shutdown()
    settings = settings_from_values(values_from_file(tmp_path / 'a.yaml', 'ped_detector'))
    assert settings == replace(read, cameras=dict(read.cameras))
    assert settings.cameras['front'].priority == 2.0
    assert settings.detector.score_threshold == threshold


@pytest.mark.parametrize(('names', 'others'), [
    (['front.priority', 'score_threshold'], []),
    (['rear.priority', 'rear.views'], ['rear.priority', 'rear.views']),
    (['rear.colour'], []),                 # of no camera at all: a mistake
    (['tracker.views'], []),               # a group of parameters is no camera
    (['rig.rear.priority'], []),
])
def test_parameters_of_cameras_that_are_not_looked_at(names, others):
    assert of_other_cameras(names, ['front']) == others


@pytest.mark.parametrize(('values', 'told'), [
    ({'score_treshold': 0.5}, 'Did you mean score_threshold?'),
    ({'cameras': 'front'}, 'cameras must be of type string array'),
    ({'cameras': ['front'], 'front.colour': 1}, 'front.colour'),
    ({'network_size': 'large'}, 'WIDTHxHEIGHT'),
    ({'views': ['hole']}, 'hole'),
])
def test_what_the_node_refuses_is_refused(values, told):
    with pytest.raises(ConfigError, match=told):
        settings_from_values(values)
