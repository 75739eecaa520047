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

"""Signals that ask a node to end, and what happens when it does not."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

# Time to finish an inference or to hand over the last picture, and to give up on what hangs; ros2
# launch kills after ten.
_END_S = 8.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def set_on_signals(ended: threading.Event) -> None:
    """
    Set an event when SIGINT or SIGTERM comes, as often as they come.

    To be called in the main thread. ROS' own handlers would let a second signal interrupt the
    work of ending.
    """
    # A handler in Python runs between any two steps of the main thread: not at all while that is
    # inside a library, reading from a device say; and while it waits for the event or sets it,
    # whose lock is not reentrant, so that setting it in a handler would wait for itself. The
    # number of a signal is written here at once, by the interpreter; a thread does the rest.
    numbers, written = socket.socketpair()
    written.setblocking(False)
    signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)

    def forward() -> None:
        """Set the event for each of the signals; others may have handlers, too."""
        with written:
            while True:
                if numbers.recv(1)[0] in _SIGNALS:
                    ended.set()

    threading.Thread(target=forward, name='signals', daemon=True).start()
    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: None)


def end_by_force(ended: threading.Event, gone: threading.Event, causes: str) -> None:
    """
    End the process with exit code 1 if it does not end soon after it was told to.

    Args:
        ended: set when it is told to.
        gone: set when nothing is left to do.
        causes: what may hang; for the message.
    """
    def watch() -> None:
        """Wait for both."""
        ended.wait()
        if not gone.wait(_END_S):
            print(f'Error: ended by force, because nothing answered for {_END_S:g} s: {causes}.',
                  file=sys.stderr, flush=True)
            os._exit(1)

    threading.Thread(target=watch, name='end by force', daemon=True).start()
