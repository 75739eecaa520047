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

"""The peak of memory is that of the process itself, not of the one that started it."""

from pathlib import Path
import subprocess
import sys

import numpy as np
from ped_perception.backends.peak_memory import peak_memory_mb

_SIZE_MB = 300


def test_a_child_does_not_inherit_the_peak_of_its_parent():
    before_mb = peak_memory_mb()
    large = np.ones(_SIZE_MB * 2**20, np.uint8)
    parent_mb = peak_memory_mb()
    program = ('from ped_perception.backends.peak_memory import peak_memory_mb\n'
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
