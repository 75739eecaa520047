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

"""Start, spin and end a managed node so that it always says why it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import signal
import sys
import threading

from ped_perception.core.errors import PedPerceptionError
from ped_perception.ros.memory import keep_large_blocks
import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
import rclpy.utilities

# How long a signal may wait until the spinning thread looks.
_POLL_S = 0.1


class ManagedNode(LifecycleNode):
    """
    A lifecycle node that may start itself.

    Attributes:
        autostart: configure and activate without waiting for a lifecycle manager.
        failed: set when the node cannot go on; it is then ended.
    """

    autostart = True
    failed = False


def run_node(make_node: Callable[[], ManagedNode], args: Sequence[str] | None) -> int:
    """
    Run a managed node until SIGINT or SIGTERM.

    Args:
        make_node: called once ROS is initialised.
        args: of the command line, None for ``sys.argv``.

    Returns:
        The exit code: 0 after a signal; 1 when the node could not be made or started, or failed.
    """
    keep_large_blocks()
    # Our own handlers: a second signal, as terminal and launcher both send one, must not
    # interrupt the shutdown that the first began.
    ended = threading.Event()
    rclpy.init(args=None if args is None else list(args),
               signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        node = make_node()
    except PedPerceptionError as error:
        print(f'Error: {error}', file=sys.stderr)
        rclpy.utilities.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        return _run(node, executor, ended)
    finally:
        node.trigger_shutdown()
        executor.shutdown()
        node.destroy_node()
        rclpy.utilities.try_shutdown()


def _run(node: ManagedNode, executor: SingleThreadedExecutor, ended: threading.Event) -> int:
    if node.autostart and not (
            node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and node.trigger_activate() == TransitionCallbackReturn.SUCCESS):
        return 1
    while not (ended.is_set() or node.failed):
        try:
            executor.spin_once(timeout_sec=_POLL_S)
        except ExternalShutdownException:
            return 0
        except RCLError as error:
            # rclpy 7 raises an invalid transition request out of spin, and what RCL refuses in a
            # callback; neither must end the node.
            node.get_logger().error(f'Refused: {error}')
    return int(node.failed)
