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
How far an answer can be trusted: OK, DEGRADED, BLIND or FAILED, and why.

An empty list of pedestrians means "nobody there" only while this says that somebody is looking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import enum
import math

from ped_perception.core.config import param

# States in which a node waits to be told what to do.
_RESTING = ('unconfigured', 'inactive')


class Health(enum.IntEnum):
    """States, from the best to the worst."""

    OK = 0
    """Every camera is looked at, in time."""
    DEGRADED = 1
    """Looked at, but something is wrong: with pictures, their age, or the inference."""
    BLIND = 2
    """At least one camera is not looked at: an empty list says nothing about it."""
    FAILED = 3
    """The inference is lost; nothing is looked at until it recovers."""


@dataclass(frozen=True)
class HealthConfig:
    """When which state is told."""

    health_rate_hz: float = param(
        10.0, 'Rate of ~/health; a change is published at once, at most 20 ms later.', unit='Hz',
        minimum=0.1, maximum=50.0)
    blind_margin_s: float = param(
        0.06, 'A camera is BLIND when no picture has come for twice its period and this.',
        unit='s', minimum=0.0, maximum=10.0)
    stale_result_s: float = param(
        0.5, 'A camera is BLIND when the newest picture that was looked at came longer ago, '
        'or more than twice its period, or that of target_rate_hz, where one is longer.',
        unit='s', minimum=0.01, maximum=60.0, dynamic=True)
    bad_share: float = param(
        0.1, 'A camera is DEGRADED when this share of its newest 32 pictures could not be used.',
        minimum=0.0, maximum=1.0, dynamic=True)
    latency_warn_s: float = param(
        0.2, 'A camera is DEGRADED when the 95th percentile of the time from the stamp of the '
        'picture to its published detections exceeds this.', unit='s', minimum=0.001,
        maximum=60.0, dynamic=True)
    latency_error_s: float = param(
        0.4, 'The same, reported as an error on /diagnostics.', unit='s', minimum=0.001,
        maximum=60.0, dynamic=True)
    silence_report_s: float = param(
        5.0, 'Without pictures of a camera for this long, the reason is looked for and logged.',
        unit='s', minimum=0.5, maximum=600.0)


@dataclass(frozen=True)
class CameraFacts:
    """
    What is known of one camera.

    Attributes:
        period_s: between its pictures, NaN while not known.
        since_received_s: since a picture came, whether usable or not; infinite for never.
        since_looked_at_s: since the arrival of the newest picture that was looked at, with its
            result published; infinite for never.
        look_period_s: between two pictures that are to be looked at, 0 for all that come.
        bad_share: share of the newest pictures that could not be used.
        last_problem: what was wrong with the last of these.
        problem: what is wrong with the newest picture, empty where nothing is.
        image_problems: what the image monitor says, in words.
        rivals: which publishers share its topic, empty where there is one.
        latency_s: 95th percentile of stamp to published detections, NaN where there is none.
        silence: why no pictures come, as far as it was found out.
        active: its pictures are asked for; False while nobody subscribes to its results.
    """

    period_s: float
    since_received_s: float
    since_looked_at_s: float
    look_period_s: float = 0.0
    bad_share: float = 0.0
    last_problem: str = ''
    problem: str = ''
    image_problems: tuple[str, ...] = ()
    rivals: str = ''
    latency_s: float = math.nan
    silence: str = ''
    active: bool = True


@dataclass(frozen=True)
class NodeFacts:
    """
    What is known of the node.

    Attributes:
        state: of the lifecycle, 'active' or another.
        refused: why it did not get into the next state, empty where it was not asked to.
        enabled: False when switched off by ``~/enable``.
        dead: which thread ended and why, empty while all run.
        lost: why the inference counts as lost, empty when it does not.
        failing: what the inference says while it fails, empty when it does not.
        weakened: what is wrong with the small network, so that under overload pictures are
            dropped, empty where nothing is.
    """

    state: str = 'active'
    refused: str = ''
    enabled: bool = True
    dead: str = ''
    lost: str = ''
    failing: str = ''
    weakened: str = ''


@dataclass(frozen=True)
class HealthReport:
    """
    The state of the node, of each camera, and the reasons.

    Attributes:
        health: of the node.
        message: of the node, beginning with the name of the state.
        cameras: state and reason of each camera; the reason is empty where it is OK.
    """

    health: Health
    message: str
    cameras: Mapping[str, tuple[Health, str]]


def camera_health(facts: CameraFacts, config: HealthConfig) -> tuple[Health, str]:
    """Judge one camera: its state, and the reason where it is not OK."""
    # Before the second picture the period is not known, and the longest wait counts.
    known_s = facts.period_s if math.isfinite(facts.period_s) else config.stale_result_s / 2
    silent_s = 2 * known_s + config.blind_margin_s
    if math.isinf(facts.since_received_s):
        return Health.BLIND, facts.silence or 'no picture has come yet'
    if facts.since_received_s > silent_s:
        reason = f'no picture for {facts.since_received_s:.2f} s'
        return Health.BLIND, f'{reason}: {facts.silence}' if facts.silence else reason
    if not facts.active:
        # What was wrong when somebody last asked is not known to be wrong now.
        return Health.OK, ''
    stale_s = max(config.stale_result_s, silent_s,
                  2 * facts.look_period_s + config.blind_margin_s)
    if facts.since_looked_at_s > stale_s:
        problem = facts.problem or 'the inference is busy with others or fails'
        when = ('yet' if math.isinf(facts.since_looked_at_s)
                else f'for {facts.since_looked_at_s:.2f} s')
        return Health.BLIND, f'pictures come, but there is no result of any {when}: {problem}'
    problems = _degradations(facts, config)
    return (Health.DEGRADED, '; '.join(problems)) if problems else (Health.OK, '')


def _degradations(facts: CameraFacts, config: HealthConfig) -> list[str]:
    """Say everything that is wrong with a camera that is looked at: none may hide another."""
    problems = []
    if facts.image_problems:
        problems.append('the picture is ' + ' and '.join(facts.image_problems))
    if facts.bad_share >= config.bad_share > 0:
        problems.append(f'{facts.bad_share:.0%} of the pictures could not be used; the last: '
                        f'{facts.last_problem}')
    if facts.rivals:
        problems.append(f'pictures of several cameras may be mixed: {facts.rivals}')
    # Written so that NaN is fine: before the first result there is no latency.
    if facts.latency_s > config.latency_warn_s:
        problems.append(f'detections come {facts.latency_s * 1e3:.0f} ms after their pictures, '
                        f'more than {config.latency_warn_s * 1e3:.0f} ms')
    return problems


def node_health(node: NodeFacts, cameras: Mapping[str, CameraFacts],
                config: HealthConfig) -> HealthReport:
    """
    Judge the node: it is as good as the worst of its cameras, and of the inference.

    Args:
        node: what is known of it.
        cameras: what is known of each camera, by name.
        config: limits.
    """
    judged = {name: camera_health(facts, config) for name, facts in cameras.items()}
    health, reason = _of_node(node)
    worst = max((state for state, _ in judged.values()), default=Health.OK)
    if health > worst or health == Health.FAILED or node.state != 'active' or not node.enabled:
        if health == Health.BLIND:
            # What is not looked at at all is blind, whatever its pictures are like.
            judged = dict.fromkeys(judged, (Health.BLIND, reason))
        return HealthReport(health, f'{health.name}: {reason}', judged)
    if worst == Health.OK:
        idle = [name for name, facts in cameras.items() if not facts.active]
        told = f'looking at {len(cameras) - len(idle)} of {len(cameras)} cameras'
        if idle:
            told += f'; nobody subscribes to the results of {", ".join(idle)}'
        return HealthReport(Health.OK, f'OK: {told}', judged)
    reasons = [f'{name}: {why}' for name, (state, why) in judged.items() if state == worst]
    if reason:
        reasons.append(reason)
    reasons += [f'{name} is {state.name}: {why}' for name, (state, why) in judged.items()
                if Health.OK < state < worst]
    return HealthReport(worst, f'{worst.name}: {"; ".join(reasons)}', judged)


def _of_node(node: NodeFacts) -> tuple[Health, str]:
    if node.dead:
        return Health.FAILED, node.dead
    if node.lost:
        return Health.FAILED, node.lost
    if node.state != 'active':
        told = f'the node is {node.state}'
        if node.refused:
            told += f': {node.refused}'
        elif node.state in _RESTING:
            told += '; activate it'
        return Health.BLIND, told
    if not node.enabled:
        return Health.BLIND, 'switched off by ~/enable'
    if node.failing:
        return Health.DEGRADED, f'the inference fails and is tried again: {node.failing}'
    if node.weakened:
        return Health.DEGRADED, ('under overload pictures are dropped, as the small network '
                                 f'fails: {node.weakened}')
    return Health.OK, ''
