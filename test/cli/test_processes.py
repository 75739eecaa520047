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

"""Child processes end with the program that started them, whatever they or it do."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys
import time

from ped_perception.cli import processes
from ped_perception.cli.processes import Child, ProcessError
import psutil
import pytest

# Starts a child of its own that ignores everything, says its id, and ignores everything too.
STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']).pid, flush=True)
time.sleep(300)
"""


def child(tmp_path: Path, code: str) -> Child:
    return Child('worker', [sys.executable, '-c', code], tmp_path / 'worker.log', {'EXTRA': 'yes'})


def until(condition, patience_s=20.0):
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(('handler', 'mask'), [
    (signal.default_int_handler, signal.SIG_UNBLOCK),
    (signal.SIG_IGN, signal.SIG_UNBLOCK),     # a script started this program in the background
    (signal.default_int_handler, signal.SIG_BLOCK),     # Ray started it
])
def test_a_child_can_be_asked_to_end(tmp_path, handler, mask):
    before = signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(mask, {signal.SIGINT})
    try:
        with child(tmp_path, """
import time
try:
    print('here', flush=True)
    time.sleep(300)
except KeyboardInterrupt:
    print('asked')
""") as asked:
            until(lambda: asked.log_text())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
    assert asked.exit_code == 0
    assert 'asked' in asked.log_text()


def test_a_stubborn_child_and_its_own_child_are_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, '_PATIENCE_S', {
        signal.SIGINT: 0.2, signal.SIGTERM: 0.2, signal.SIGKILL: 5.0})
    with child(tmp_path, STUBBORN) as stubborn:
        until(lambda: stubborn.log_text().strip())
        grandchild = int(stubborn.log_text())
        assert is_running(grandchild)
    assert stubborn.exit_code == -signal.SIGKILL
    until(lambda: not is_running(grandchild))


def test_a_failure_is_told_with_the_end_of_the_log(tmp_path):
    code = 'import sys\nfor i in range(50): print("line", i)\nsys.exit(7)'
    with child(tmp_path, code) as failing:
        until(lambda: failing.exit_code is not None)
        with pytest.raises(ProcessError, match='worker ended with exit code 7') as caught:
            failing.check()
    assert 'line 49' in str(caught.value)
    assert 'line 10\n' not in str(caught.value)
    assert str(tmp_path / 'worker.log') in str(caught.value)


def test_an_end_without_error_is_one_only_where_it_may_not_end(tmp_path):
    with child(tmp_path, 'import os; assert os.environ["EXTRA"] == "yes"') as ended:
        until(lambda: ended.exit_code is not None)
        ended.check()
        with pytest.raises(ProcessError, match='exit code 0'):
            ended.check(may_end=False)


def test_a_child_does_not_outlive_a_killed_parent(tmp_path):
    parent = subprocess.Popen([sys.executable, '-c', f"""
from pathlib import Path
import time
from ped_perception.cli.processes import Child
Child('worker', [{sys.executable!r}, '-c', 'import os, time; print(os.getpid()); time.sleep(300)'],
      Path({str(tmp_path / 'worker.log')!r}), {{}})
time.sleep(300)
"""])
    try:
        log = tmp_path / 'worker.log'
        until(lambda: log.exists() and log.read_text().strip())
        pid = int(log.read_text())
        assert is_running(pid)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not is_running(pid))
