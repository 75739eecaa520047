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

"""The motion of the vehicle: used where it belongs to the picture, and the reason where not."""

from __future__ import annotations

import types

from nav_msgs.msg import Odometry
from ped_perception.core.errors import ConfigError
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.ros.config import NodeConfig
from ped_perception.ros.convert import time_from_stamp_ns
from ped_perception.ros.surroundings import Surroundings
import pytest
from ros_peer import ros_peer

SECOND = 1_000_000_000


def told(surroundings, *, frame='base_link', time_s=10.0, speed_m_s=5.0):
    message = Odometry(child_frame_id=frame)
    message.header.stamp = time_from_stamp_ns(round(time_s * SECOND))
    message.twist.twist.linear.x, message.twist.twist.linear.y = speed_m_s, -0.5
    message.twist.twist.angular.z = 0.2
    surroundings._on_odometry(message)


def new_surroundings(topic='/odom'):
    return Surroundings(types.SimpleNamespace(), NodeConfig(odometry_topic=topic))


@pytest.mark.parametrize('frame', ['base_link', '/base_link', ''])
def test_odometry_of_the_time_of_the_picture_is_used(frame):
    surroundings = new_surroundings()
    told(surroundings, frame=frame)
    ego = surroundings.ego(round(10.4 * SECOND))
    assert ego == EgoMotion(5.0, 0.2, -0.5)
    assert surroundings.odometry_problem == ''


@pytest.mark.parametrize(('topic', 'odometry', 'fragments', 'why'), [
    ('', None, ['odometry_topic is not set'], 'nobody asked for it'),
    ('/odom', None, ['no odometry', '/odom'], 'nobody publishes it'),
    ('/odom', {'frame': 'odom'}, ['of odom', 'base_link', 'base_frame'], 'of another frame'),
    ('/odom', {'time_s': 8.0}, ['2.00 s', 'odometry_timeout_s'], 'it fell silent'),
    ('/odom', {'time_s': 5000.0}, ['4990.00 s'], 'from another clock'),
])
def test_where_the_motion_is_not_known_the_reason_is(topic, odometry, fragments, why):
    surroundings = new_surroundings(topic)
    if odometry is not None:
        told(surroundings, **odometry)
    assert surroundings.ego(10 * SECOND) is None, why
    for fragment in fragments:
        assert fragment in surroundings.odometry_problem, why


def test_a_topic_that_cannot_be_is_told_with_its_parameter(ros_domain):
    with ros_peer(ros_domain) as peer:
        surroundings = Surroundings(peer.node, NodeConfig(odometry_topic='my odom!'))
        before = len(list(peer.node.subscriptions))
        with pytest.raises(ConfigError, match=r"^Parameter odometry_topic gives the topic 'my "
                           r"odom!', which is no name of a topic: "):
            surroundings.listen(to_transforms=True)
        assert len(list(peer.node.subscriptions)) == before, 'for another try'


def test_a_late_picture_gets_the_motion_of_its_own_time():
    surroundings = new_surroundings()
    for step in range(200):
        told(surroundings, time_s=10 + step / 100, speed_m_s=float(step))
    assert surroundings.ego(round(11.7 * SECOND)).speed_m_s == 170.0
    assert surroundings.ego(round(12.2 * SECOND)).speed_m_s == 199.0
    assert len(surroundings._odometry) == 64


def test_the_reason_goes_with_the_first_picture_that_has_odometry_and_comes_again():
    surroundings = new_surroundings()
    assert surroundings.odometry_problem
    told(surroundings)
    surroundings.ego(10 * SECOND)
    assert not surroundings.odometry_problem
    surroundings.ego(12 * SECOND)
    assert 'odometry_timeout_s' in surroundings.odometry_problem
