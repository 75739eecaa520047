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

"""The peak is that of the process itself; what is free goes back when it is asked to."""

from pathlib import Path
import subprocess
import sys

import numpy as np
from ped_perception.backends import process_memory
from ped_perception.backends.process_memory import peak_memory_mb
import pytest

_SIZE_MB = 300
# In a process of its own, whose blocks are kept for the next picture as the node's are.
_FREE = """
from pathlib import Path
import re
from ped_perception.backends.process_memory import give_back_memory
from ped_perception.ros.memory import keep_large_blocks
def resident_mb():
    return int(re.search(r'VmRSS:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024
keep_large_blocks()
blocks, last = [bytearray(b'x') * 2**20 for _ in range(100)], bytearray(b'x')
del blocks
before_mb = resident_mb()
print(int(give_back_memory()), before_mb - resident_mb())
"""


def test_a_child_does_not_inherit_the_peak_of_its_parent():
    before_mb = peak_memory_mb()
    large = np.ones(_SIZE_MB * 2**20, np.uint8)
    parent_mb = peak_memory_mb()
    program = ('from ped_perception.backends.process_memory import peak_memory_mb\n'
               'print(peak_memory_mb())')
    child = subprocess.run([sys.executable, '-c', program], check=True, capture_output=True,
                           text=True)
    assert parent_mb >= large.nbytes / 2**20
    assert parent_mb >= before_mb
    assert 0 < float(child.stdout) < _SIZE_MB


def test_it_is_the_peak_that_counts_not_what_is_left():
    large = np.ones(_SIZE_MB * 2**20, np.uint8)
    peak_mb = peak_memory_mb()
    del large
    # The kernel counts in batches.
    assert peak_memory_mb() >= peak_mb - 2 >= _SIZE_MB


def test_where_the_kernel_does_not_say_the_usage_is_asked(tmp_path: Path):
    status = tmp_path / 'status'
    status.write_text('VmRSS:\t   1024 kB\n')
    assert peak_memory_mb(status) > 10
    assert peak_memory_mb(tmp_path / 'missing') > 10


def test_the_unit_is_mebibytes(tmp_path: Path):
    status = tmp_path / 'status'
    status.write_text('Name:\tpython\nVmPeak:\t 9999999 kB\nVmHWM:\t  204800 kB\nVmRSS:\t 1 kB\n')
    assert peak_memory_mb(status) == 200


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc')
def test_what_a_process_keeps_for_later_goes_back_when_asked():
    done = subprocess.run([sys.executable, '-c', _FREE], check=True, capture_output=True,
                          text=True)
    worked, given_back_mb = done.stdout.split()
    if worked == '0':
        pytest.skip('this C library is not glibc')
    assert float(given_back_mb) > 50


MAPS = """\
55d0c0000000-55d0c0200000 r-xp 00000000 fd:00 1234                       /usr/bin/python3.11
7f0000000000-7f0000400000 r--p 00000000 fd:00 42                         /lib/libbig.so
7f0000400000-7f0000a00000 r-xp 00400000 fd:00 42                         /lib/libbig.so (deleted)
7f0000a00000-7f0000b00000 rw-p 00a00000 fd:00 42                         /lib/libbig.so
7f0000c00000-7f0000d00000 rwxp 00000000 fd:00 43                         /lib/libwritten.so
7f0001000000-7f0001200000 r-xp 00000000 00:00 0
7f0001400000-7f0001401000 r-xp 00000000 fd:00 44                         /lib/libsmall.so
7ffe12300000-7ffe12302000 r-xp 00000000 00:00 0                          [vdso]
"""


def test_only_code_that_is_in_a_file_as_it_is_here_is_forgotten(tmp_path):
    maps = tmp_path / 'maps'
    maps.write_text(MAPS)
    assert process_memory.code_of_libraries(maps) == [
        (0x55d0c0000000, 0x55d0c0200000), (0x7f0000400000, 0x7f0000a00000)]
    assert process_memory.code_of_libraries(tmp_path / 'missing') == []


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='as the kernel shows it')
def test_forgotten_code_is_still_run():
    assert process_memory.code_of_libraries(), 'NumPy and its BLAS are large'
    process_memory.give_back_memory()
    matrix = np.arange(250_000.0).reshape(500, 500)
    assert np.linalg.matrix_rank(matrix) == 2


def test_without_such_a_library_nothing_happens(monkeypatch):
    monkeypatch.setattr(process_memory.ctypes, 'CDLL', lambda _: object())
    assert not process_memory.give_back_memory()
