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

"""Signals end a node wherever its main thread is."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# The event's lock is what the main thread holds while it waits for the event or sets it.
INTERRUPTED = """
import signal, sys, threading
from ped_perception.ros.signals import set_on_signals

class Event(threading.Event):
    lock = threading.Lock()

    def set(self):
        with self.lock:
            super().set()

event = Event()
set_on_signals(event)
with Event.lock:
    for _ in range(3):
        signal.raise_signal(int(sys.argv[1]))
sys.exit(0 if event.wait(60) else 'never set')
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_may_interrupt_the_setting_of_what_it_sets(number):
    subprocess.run([sys.executable, '-c', INTERRUPTED, str(int(number))], check=True, timeout=60)


# As a driver that never answers: no handler of Python runs meanwhile.
HANGING = """
import ctypes, os, signal, sys, threading, time
from ped_perception.ros.signals import set_on_signals

event = threading.Event()
set_on_signals(event)

def interrupt():
    time.sleep(0.5)  # until the main thread hangs
    os.kill(os.getpid(), int(sys.argv[1]))
    os._exit(0 if event.wait(60) else 1)

threading.Thread(target=interrupt).start()
mutex = ctypes.create_string_buffer(64)
while True:
    ctypes.CDLL(None).pthread_mutex_lock(mutex)
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_comes_also_while_the_main_thread_is_inside_a_library(number):
    subprocess.run([sys.executable, '-c', HANGING, str(int(number))], check=True, timeout=100)
