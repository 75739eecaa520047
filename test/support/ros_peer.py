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

"""A ROS 2 node in the test process that talks to the processes under test."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor

# Discovery alone takes three seconds here, and a loaded machine starts a process in ten.
PATIENCE_S = 60.0


class Peer:
    """Publishes, subscribes and waits; everything received is kept by topic."""

    def __init__(self, node, executor):
        self.node = node
        self.received = defaultdict(list)
        self._executor = executor

    def listen(self, kind, topic, qos=10):
        """Keep what comes on a topic."""
        return self.node.create_subscription(
            kind, topic, self.received[topic].append, qos)

    def until(self, condition, what, patience_s=PATIENCE_S):
        """Spin until something is so; fail with what was waited for."""
        deadline_s = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline_s, f'waited {patience_s} s for {what}'
            self._executor.spin_once(timeout_sec=0.05)

    def matched(self, publisher):
        """Wait until somebody listens to a publisher."""
        self.until(lambda: publisher.get_subscription_count() > 0,
                   f'a subscriber of {publisher.topic_name}')

    def call(self, kind, service, request):
        """Call a service and give its answer."""
        client = self.node.create_client(kind, service)
        self.until(client.service_is_ready, f'the service {service}')
        future = client.call_async(request)
        self.until(future.done, f'an answer of {service}')
        return future.result()


@contextmanager
def ros_peer(domain):
    """Give a peer in a ROS domain; everything is gone afterwards."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('test_peer', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield Peer(node, executor)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
