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

"""What the fixtures promise to the tests."""

from __future__ import annotations

import signal
import sys
import time

import pytest


@pytest.mark.parametrize(('handler', 'why'), [
    (signal.default_int_handler, 'somebody runs the tests in a terminal'),
    (signal.SIG_IGN, 'a script runs the tests in the background')])
def test_a_started_process_can_be_interrupted(processes, handler, why):
    before = signal.signal(signal.SIGINT, handler)
    try:
        process = processes.start([sys.executable, '-uc', """
import time
print('here')
time.sleep(300)
"""], name='sleeper')
        while 'here' not in processes.output('sleeper'):
            assert process.poll() is None
            time.sleep(0.02)
        assert processes.interrupt(process, 60) == -signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, before)
