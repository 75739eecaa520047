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

"""The configurations of the viewers show topics that the node has."""

from __future__ import annotations

import json
import re

import pytest
import yaml

# Of the node, with a camera named front.
TOPICS = {'/diagnostics'} | {f'/ped_detector/{name}' for name in (
    'health', 'pedestrians', 'obstacles', 'markers', 'unplaced', 'front/detections',
    'front/annotated', 'front/annotated/compressed')}


def test_the_topics_are_those_of_the_node(root):
    """Hold the list of this test against the sources of the publishers."""
    text = ''.join(path.read_text() for path in (root / 'ped_perception' / 'ros').glob('*.py'))
    for topic in TOPICS - {'/diagnostics'}:
        name = topic.removeprefix('/ped_detector/').replace('front/', '{camera}/')
        assert f"'{name}'" in text or f"'~/{name}'" in text, topic


def test_rviz_shows_what_is_published(root):
    config = yaml.safe_load((root / 'config' / 'pedestrians.rviz').read_text())
    displays = {display['Name']: display
                for display in config['Visualization Manager']['Displays']}
    shown = {display['Topic']['Value'] for display in displays.values() if 'Topic' in display}
    assert shown <= TOPICS
    assert {'/ped_detector/markers', '/ped_detector/front/annotated'} <= shown
    source = (root / 'ped_perception' / 'ros' / 'pedestrian_messages.py').read_text()
    for namespace in displays['Pedestrians']['Namespaces']:
        assert f"'{namespace}'" in source


def test_the_foxglove_layout_shows_what_is_published(root):
    layout = json.loads((root / 'config' / 'foxglove_layout.json').read_text())
    text = json.dumps(layout)
    shown = set(re.findall(r'"(/(?:ped_detector|diagnostics)[\w/]*)', text))
    assert shown <= TOPICS
    assert {'/ped_detector/markers', '/ped_detector/health', '/diagnostics',
            '/ped_detector/front/annotated/compressed'} <= shown
    placed = set(re.findall(r'"(?:first|second)": "([^"]+)"', text))
    assert placed == set(layout['configById'])


@pytest.mark.parametrize('key', ['latency_ms_p50', 'latency_ms_p95', 'latency_ms_p99'])
def test_the_plotted_values_are_told(root, key):
    layout = (root / 'config' / 'foxglove_layout.json').read_text()
    assert key in layout
    assert f"'{key}'" in (root / 'ped_perception' / 'ros' / 'diagnostics.py').read_text()
