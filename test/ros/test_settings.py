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

"""All parameters of the detector, changed as a whole or not at all."""

from __future__ import annotations

from dataclasses import fields
import re

from ped_perception.core.errors import ConfigError
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.settings import PREFIXES, Settings
import pytest
from rclpy.parameter import Parameter

pytestmark = pytest.mark.ros


def settings(**cameras):
    """Give default settings for some cameras."""
    return Settings(**{name: kind() for name, (kind, _) in PREFIXES.items()},
                    cameras=cameras or {'front': CameraConfig()})


def test_every_configuration_has_its_parameters():
    assert {field.name for field in fields(Settings)} == {*PREFIXES, 'cameras'}
    names = [prefix + field.name for kind, prefix in PREFIXES.values() for field in fields(kind)]
    assert len(names) == len(set(names)), 'two parameters of one name'


def test_changes_go_where_they_belong():
    changed = settings().changed([
        Parameter('score_threshold', value=0.6),
        Parameter('front.roi', value=[0.0, 0.2, 1.0, 1.0]),
        Parameter('image_monitor.black_grey', value=8.0), Parameter('use_sim_time', value=True)])
    assert changed.detector.score_threshold == 0.6
    assert changed.cameras['front'].roi == (0.0, 0.2, 1.0, 1.0)
    assert changed.image_monitor.black_grey == 8.0


@pytest.mark.parametrize(('name', 'value', 'fragment', 'why'), [
    ('front.roi', [0.5, 0.0, 0.2, 1.0], 'front.roi', 'a region turned inside out'),
    ('front.roi', [0.5, 0.0, 1.0], 'front.roi', 'three numbers'),
    ('front.views', ['sideways'], 'sideways', 'an unknown view'),
    ('front.priority', 0.0, 'front.priority', 'nobody may starve'),
    ('max_frame_age_s', -1.0, 'max_frame_age_s', 'a negative age'),
    ('image_monitor.black_grey', 'dark', 'image_monitor.black_grey', 'of the wrong type'),
])
def test_one_impossible_change_refuses_all_and_says_which(name, value, fragment, why):
    before = settings()
    with pytest.raises(ConfigError, match=fragment):
        before.changed([Parameter('score_threshold', value=0.9), Parameter(name, value=value)])
    assert before.detector.score_threshold != 0.9


@pytest.mark.parametrize(('age_s', 'lag_s', 'cameras', 'fits', 'why'), [
    (0.5, 0.7, 'ab', True, 'the defaults'),
    (0.6, 0.7, 'ab', False, 'a late picture would look like a clock that was set'),
    (0.5, 0.5, 'ab', False, 'and so it would beside one whose clock is 0.2 s ahead'),
    (3.0, 3.2, 'ab', True, 'both larger'),
    (3.0, 0.5, 'a', True, 'one camera is never behind another'),
    (0.0, 10.0, 'ab', False, '0 is no limit: pictures may be as late as they like'),
    (0.0, 0.5, 'a', True, 'a recording of one camera without its clock'),
])
def test_a_late_picture_may_not_reset_everybody(age_s, lag_s, cameras, fits, why):
    started = settings(**{name: CameraConfig() for name in cameras})
    changes = [Parameter('max_frame_age_s', value=age_s),
               Parameter('ground_filter.max_lag_s', value=lag_s)]
    if fits:
        assert started.changed(changes).age.max_frame_age_s == age_s, why
    else:
        limit = f'{age_s:g} s' if age_s else '0, no limit'
        with pytest.raises(ConfigError, match=re.escape(
                f'max_frame_age_s is {limit}, but ground_filter.max_lag_s only {lag_s:g} s')
                + '.*Set max_frame_age_s to more than 0, and'):
            started.changed(changes)


@pytest.mark.parametrize(('cameras', 'expected', 'why'), [
    ({'a': CameraConfig()}, 2, 'both default views of one camera'),
    ({name: CameraConfig() for name in 'abc'}, 6, 'three cameras in one batch'),
    ({name: CameraConfig() for name in 'abcdef'}, 8, 'no larger than what plans are built for'),
    ({'a': CameraConfig(views=('whole',) * 10)}, 10, 'all views of one picture go together'),
    ({'a': CameraConfig(views=('whole', 'horizon', 'whole@0.5'))}, 3, 'its own views'),
    ({'a': CameraConfig(views=('whole',))}, 2, 'fewer than the default, which it may go back to'),
])
def test_slots(cameras, expected, why):
    assert settings(**cameras).slots() == expected, why
