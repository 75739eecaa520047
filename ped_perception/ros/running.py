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
import contextlib
import sys
import threading
import traceback

from ped_perception.core.errors import PedPerceptionError
from ped_perception.ros.memory import keep_large_blocks
from ped_perception.ros.params import warn_of_foreign_files
from ped_perception.ros.signals import end_by_force, set_on_signals
import rclpy
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
import rclpy.utilities

# How long a signal may wait until the spinning thread looks.
_POLL_S = 0.1

# A callback that fails with every message is logged once in this time.
_LOG_S = 5.0


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
    arguments = sys.argv if args is None else list(args)
    ended, gone = threading.Event(), threading.Event()
    set_on_signals(ended)
    end_by_force(ended, gone, 'the network is still being loaded or built, or a driver hangs')
    keep_large_blocks()
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
    except (PedPerceptionError, RCLError, UnknownROSArgsError) as error:
        print(f'Error: {error}', file=sys.stderr)
        rclpy.utilities.try_shutdown()
        return 1
    warn_of_foreign_files(node, arguments)
    executor = new_executor()
    executor.add_node(node)
    try:
        return _run(node, executor, ended)
    finally:
        ended.set()
        # A lifecycle manager may have shut the node down already, which cannot be done twice.
        with contextlib.suppress(RCLError):
            node.trigger_shutdown()
        executor.shutdown()
        node.destroy_node()
        rclpy.utilities.try_shutdown()
        gone.set()


def new_executor() -> Executor:
    """
    Make the executor that costs least.

    The usual one puts every topic, timer and event of the node into a wait set anew for each
    message: a fifth of a processor core with six cameras, where the one that is told what came
    takes a twentieth. The Jazzy of 2024 and older distributions do not have it.
    """
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _run(node: ManagedNode, executor: Executor, ended: threading.Event) -> int:
    if node.autostart and not _started(node, ended):
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
        except Exception:  # noqa: BLE001 - whoever sends nonsense must not end the node
            # rclpy 7 raises what a request with a type of parameter that there is none of does.
            # Whether pictures are still looked at is told on ~/health.
            node.get_logger().error(f'A request or message was given up:\n'
                                    f'{traceback.format_exc()}', throttle_duration_sec=_LOG_S)
    return int(node.failed)


def _started(node: ManagedNode, ended: threading.Event) -> bool:
    """Configure and activate, unless the node is to end meanwhile; tell whether that went well."""
    return all(ended.is_set() or trigger() == TransitionCallbackReturn.SUCCESS
               for trigger in (node.trigger_configure, node.trigger_activate))
