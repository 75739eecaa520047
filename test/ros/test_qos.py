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

"""Every publisher of this package must be heard by the subscribers it is meant for."""

from __future__ import annotations

from ped_perception.ros import qos
import pytest
from rclpy.qos import (
    qos_check_compatible,
    qos_profile_sensor_data,
    qos_profile_system_default,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
)

RVIZ = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)

PAIRS = [
    (qos_profile_sensor_data, qos.image_subscription_qos(), 'a camera driver, our node'),
    (RVIZ, qos.image_subscription_qos(), 'a reliable driver, our node'),
    (qos.camera_publisher_qos(), qos.image_subscription_qos(), 'our camera, our node'),
    (qos.camera_publisher_qos(), qos_profile_sensor_data, 'our camera, any perception node'),
    (qos.image_publisher_qos(), RVIZ, 'annotated pictures, RViz asks for reliable ones'),
    (qos.image_publisher_qos(), qos_profile_sensor_data, 'annotated pictures, rqt_image_view'),
    (qos.results_qos(), qos_profile_system_default, 'detections, a default subscriber'),
    (qos.results_qos(), qos_profile_sensor_data, 'detections, a best-effort planner'),
    (qos.clock_qos(), QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
     '/clock, what rclcpp and rclpy subscribe with'),
]


@pytest.mark.parametrize(('publisher', 'subscriber', 'who'), PAIRS, ids=[p[2] for p in PAIRS])
def test_publisher_and_subscriber_match(publisher, subscriber, who):
    compatibility, reason = qos_check_compatible(publisher, subscriber)
    # A warning is no mismatch: it says that one side left a policy to the middleware.
    assert compatibility != QoSCompatibility.ERROR, f'{who}: {reason}'


def test_old_pictures_do_not_queue():
    for profile in (qos.image_subscription_qos(), qos.image_publisher_qos(),
                    qos.camera_publisher_qos()):
        assert profile.depth == 1
