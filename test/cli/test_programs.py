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

"""The programs that are installed, and how they begin."""

from __future__ import annotations

from importlib.metadata import distribution
import signal
import subprocess
import sys

from ped_perception.cli import programs
import pytest

INTERRUPTED_WHILE_LOADING = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == 'numpy':
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from ped_perception.cli.programs import {program}
{program}()
"""


def test_every_program_is_installed_under_its_name():
    installed = {point.name: point.load() for point in distribution('ped_perception').entry_points}
    assert installed == {name: getattr(programs, name) for name in programs.MODULES}


@pytest.mark.parametrize('program', programs.MODULES)
def test_ctrl_c_while_a_program_loads_ends_it_without_a_traceback(program):
    script = INTERRUPTED_WHILE_LOADING.format(program=program)
    ended = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                           timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, '')


@pytest.mark.usefixtures('own_signals')
@pytest.mark.parametrize('handler', [signal.default_int_handler, signal.SIG_IGN])
def test_a_loaded_program_has_ctrl_c_as_it_was(handler):
    signal.signal(signal.SIGINT, handler)
    assert programs.loaded('ped_launch_check')
    assert signal.getsignal(signal.SIGINT) is handler
