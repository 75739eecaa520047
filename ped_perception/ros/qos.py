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
Quality of service of everything this package publishes and subscribes.

The newest picture is the only one worth looking at, so every queue of pictures has one place.
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def image_subscription_qos() -> QoSProfile:
    """Give sensor data with one place: matches every publisher, waits for nothing lost."""
    return _keep_last(1, ReliabilityPolicy.BEST_EFFORT)


def matching_qos(offered: Sequence[QoSProfile], wanted: QoSProfile) -> QoSProfile:
    """
    Adapt a subscription to what is offered, so that it can never fail to match.

    Args:
        offered: by the publishers of the topic.
        wanted: depth and, where nobody offers anything, the rest.

    Returns:
        Reliable if all publishers are, so that lost parts of large pictures are sent again;
        transient local if all are, so that what was published once is received.
    """
    reliable = bool(offered) and all(
        qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    latched = bool(offered) and all(
        qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return QoSProfile(
        history=wanted.history, depth=wanted.depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE))


def transforms_qos(*, is_static: bool) -> QoSProfile:
    """Give the QoS that tf2 uses for ``/tf`` and ``/tf_static``."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE,
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if is_static
                    else DurabilityPolicy.VOLATILE))


def image_publisher_qos() -> QoSProfile:
    """
    Give the QoS of published pictures: reliable, one place.

    Viewers such as RViz ask for reliable pictures and get nothing from a best-effort publisher;
    subscribers that ask for best effort are served as such by a reliable one.
    """
    return _keep_last(1, ReliabilityPolicy.RELIABLE)


def camera_publisher_qos() -> QoSProfile:
    """Give the QoS of a camera driver: sensor data with one place."""
    return _keep_last(1, ReliabilityPolicy.BEST_EFFORT)


def results_qos() -> QoSProfile:
    """Give the QoS of results and diagnostics: reliable, some places for recorders."""
    return _keep_last(10, ReliabilityPolicy.RELIABLE)


def clock_qos() -> QoSProfile:
    """Give the QoS that subscribers of ``/clock`` expect."""
    return _keep_last(1, ReliabilityPolicy.BEST_EFFORT)


def _keep_last(depth: int, reliability: ReliabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability,
                      durability=DurabilityPolicy.VOLATILE)
