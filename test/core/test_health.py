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

"""What is told of a node and its cameras."""

from __future__ import annotations

from dataclasses import replace
import math

from ped_perception.core.health import (
    camera_health,
    CameraFacts,
    Health,
    HealthConfig,
    node_health,
    NodeFacts,
)
import pytest

CONFIG = HealthConfig(blind_margin_s=0.06, stale_result_s=0.5, bad_share=0.1, latency_warn_s=0.2)
GOOD = CameraFacts(period_s=0.04, since_received_s=0.01, since_looked_at_s=0.05, latency_s=0.06)
NEVER = CameraFacts(math.nan, math.inf, math.inf)


@pytest.mark.parametrize(('facts', 'health', 'fragment', 'why'), [
    (GOOD, Health.OK, '', 'a camera as it should be'),
    (replace(GOOD, since_received_s=0.139), Health.OK, '', 'one picture may get lost'),
    (replace(GOOD, since_received_s=0.141), Health.BLIND, 'no picture for 0.14 s',
     'silent for twice its period and the margin'),
    (replace(GOOD, since_received_s=0.3, period_s=1.0), Health.OK, '', 'a slow camera'),
    (NEVER, Health.BLIND, 'yet', 'nothing came ever'),
    (replace(NEVER, silence='no publisher on /x'), Health.BLIND, 'no publisher on /x',
     'the reason once it is found'),
    (replace(GOOD, since_received_s=9.0, silence='silent'), Health.BLIND, 's: silent',
     'the reason of a camera that stopped'),
    (replace(GOOD, since_looked_at_s=0.51, problem='too old'), Health.BLIND, 'too old',
     'pictures come, but all are dropped'),
    (replace(GOOD, since_looked_at_s=0.51, last_problem='cut'), Health.BLIND, 'is busy',
     'what was wrong with an earlier picture is not why this one is not looked at'),
    (replace(GOOD, since_looked_at_s=math.inf, problem='bad'), Health.BLIND, 'yet: bad',
     'none could be used from the start'),
    (replace(GOOD, since_looked_at_s=1.9, look_period_s=1.0), Health.OK, '',
     'looked at once a second by choice'),
    (replace(GOOD, since_looked_at_s=2.1, look_period_s=1.0), Health.BLIND, 'no result of any',
     'once a second by choice, and not even that'),
    (replace(GOOD, since_looked_at_s=math.inf, active=False), Health.OK, '',
     'nobody wants its results'),
    (replace(GOOD, active=False, image_problems=('black',), bad_share=1.0, latency_s=9.0),
     Health.OK, '', 'what was wrong when somebody last asked is not known to be wrong now'),
    (replace(GOOD, since_received_s=9.0, active=False), Health.BLIND, 'no picture',
     'a dead camera is told before somebody wants it'),
    (replace(GOOD, period_s=0.4, since_received_s=0.1, since_looked_at_s=0.8), Health.OK, '',
     'a slow camera may have an old result'),
    (replace(GOOD, image_problems=('black',)), Health.DEGRADED, 'the picture is black',
     'the image monitor'),
    (replace(GOOD, bad_share=0.33, last_problem='cut'), Health.DEGRADED, '33% ', 'bad pictures'),
    (replace(GOOD, bad_share=0.05, last_problem='cut'), Health.OK, '', 'few bad pictures'),
    (replace(GOOD, rivals='2 publishers'), Health.DEGRADED, 'mixed: 2 publishers',
     'two cameras on one topic, whose stamps may well be in order'),
    (replace(GOOD, latency_s=0.25), Health.DEGRADED, '250 ms', 'late answers'),
    (replace(GOOD, since_received_s=0.3, period_s=math.nan), Health.OK, '',
     'one picture says nothing about the period'),
])
def test_one_camera(facts, health, fragment, why):
    state, reason = camera_health(facts, CONFIG)
    assert state == health, why
    assert fragment in reason, why
    assert bool(reason) == (health != Health.OK)


def test_no_problem_of_a_camera_hides_another():
    state, reason = camera_health(replace(
        GOOD, image_problems=('frozen', 'black'), bad_share=0.2, last_problem='cut',
        rivals='2 publishers', latency_s=0.25), CONFIG)
    assert state == Health.DEGRADED
    for fragment in ('frozen and black', '20% ', 'last: cut', '2 publishers', '250 ms'):
        assert fragment in reason


@pytest.mark.parametrize(('node', 'cameras', 'health', 'fragment', 'why'), [
    (NodeFacts(), {'a': GOOD, 'b': GOOD}, Health.OK, 'OK: looking at 2 of 2', 'all is well'),
    (NodeFacts(), {'a': GOOD, 'b': NEVER}, Health.BLIND, 'BLIND: b: no', 'one camera is enough'),
    (NodeFacts(), {'a': replace(GOOD, image_problems=('black',)), 'b': NEVER}, Health.BLIND,
     'b: no picture has come yet; a is DEGRADED: the picture is black', 'none hides another'),
    (NodeFacts(), {'a': replace(GOOD, active=False)}, Health.OK, 'nobody subscribes to', 'idle'),
    (NodeFacts(weakened='out of memory'), {'a': GOOD}, Health.DEGRADED,
     'DEGRADED: under overload pictures are dropped, as the small network fails: out of memory',
     'it sees all the same'),
    (NodeFacts(failing='out of memory'), {'a': GOOD}, Health.DEGRADED,
     'DEGRADED: the inference fails and is tried again: out of memory', 'the last result holds'),
    (NodeFacts(failing='out of memory'), {'a': replace(GOOD, since_looked_at_s=1.0)},
     Health.BLIND, 'out of memory', 'it failed for so long that nothing is known any more'),
    (NodeFacts(lost='no answer for 5 s'), {'a': GOOD}, Health.FAILED, 'FAILED: no answer', 'hung'),
    (NodeFacts(dead='gone'), {'a': NEVER}, Health.FAILED, 'FAILED: gone', 'worse than blind'),
    (NodeFacts(state='loading the network'), {}, Health.BLIND, 'is loading the network',
     'it takes a while'),
    (NodeFacts(state='unconfigured', refused='cannot configure: no model'), {}, Health.BLIND,
     'unconfigured: cannot configure: no model', 'asked to start, it could not'),
    (NodeFacts(state='inactive'), {'a': NEVER}, Health.BLIND, 'the node is inactive',
     'the first reason, not the last'),
    (NodeFacts(enabled=False), {'a': GOOD}, Health.BLIND, '~/enable', 'switched off'),
])
def test_the_node(node, cameras, health, fragment, why):
    report = node_health(node, cameras, CONFIG)
    assert report.health == health, why
    assert fragment in report.message, why
    assert report.message.startswith(f'{health.name}: ')
    assert set(report.cameras) == set(cameras)


def test_cameras_of_a_node_that_does_not_look_are_blind_too():
    report = node_health(NodeFacts(enabled=False), {'a': GOOD}, CONFIG)
    assert report.cameras['a'][0] == Health.BLIND
