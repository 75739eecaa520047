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

"""What nodes answer before ROS begins."""

from __future__ import annotations

from ped_perception.ros import camera_node, detector_node
import pytest

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('main', 'parameters'), [
    (camera_node.main, ['source (string', "reliability (string, default 'best_effort')",
                        'rate_hz (double, default 0.0 Hz)', 'One of: raw, compressed, recorded.']),
    (detector_node.main, ['score_threshold (double', 'NAME.image_topic (string',
                          'tracker.', "views (string array, default ['whole', 'whole@0.65'])"]),
])
@pytest.mark.parametrize('word', ['--help', '-h'])
def test_help_lists_every_parameter(capsys, main, parameters, word):
    with pytest.raises(SystemExit) as ended:
        main(['ped_node', word])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(text in ' '.join(printed.split()) for text in parameters)
    assert max(map(len, printed.splitlines())) < 130


@pytest.mark.parametrize('main', [camera_node.main, detector_node.main])
def test_an_argument_that_ros_would_ignore_is_refused(capsys, main):
    with pytest.raises(SystemExit) as ended:
        main(['ped_node', 'clip.mp4', '--ros-args', '-p', 'speed:=2.0'])
    assert ended.value.code == 2
    assert 'unrecognized arguments: clip.mp4' in capsys.readouterr().err
