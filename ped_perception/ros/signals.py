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

"""Signals that ask a node to end."""

from __future__ import annotations

import queue
import signal
import threading


def set_on_signals(ended: threading.Event) -> None:
    """
    Set an event when SIGINT or SIGTERM comes, as often as they come.

    To be called in the main thread. ROS' own handlers would let a second signal interrupt the
    work of ending.
    """
    # A handler runs between any two steps of the main thread, also while that waits for the
    # event or sets it, and an event's lock is not reentrant: setting it in a handler would wait
    # for itself. Putting into this queue is reentrant; a thread does the rest.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def forward() -> None:
        """Set the event for the first signal."""
        signals.get()
        ended.set()

    threading.Thread(target=forward, name='signals', daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: signals.put(received))
