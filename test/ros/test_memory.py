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

"""Large blocks must stay with the process: seen in the page faults of using them again."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

# In a process of its own: the settings are for good, and another test may have made them.
FAULTS = """
import resource, sys
if sys.argv[1] == 'keep':
    from ped_perception.ros.memory import keep_large_blocks
    print(*keep_large_blocks())
else:
    print()
for count in range(12):
    if count == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # A received image: as it came, as a message, decoded.
    blocks = [bytearray(b'x') * 6_220_800 for _ in range(3)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    output = subprocess.run([sys.executable, '-c', FAULTS, how], text=True, check=True,
                            capture_output=True, timeout=60).stdout
    applied, count = output.splitlines()
    return applied.split(), int(count)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc settings')
def test_blocks_of_a_picture_are_used_again():
    applied, kept = faults('keep')
    if not applied:
        pytest.skip('this C library is not glibc')
    assert applied == ['M_MMAP_THRESHOLD', 'M_TRIM_THRESHOLD', 'M_TOP_PAD']
    _, given_back = faults('give back')
    assert kept < given_back / 10
    assert kept < 100  # of 10 times 3 blocks of 1519 pages


HUGE = """
import re
from ped_perception.backends.process_memory import give_back_memory
from ped_perception.ros.memory import keep_large_blocks, prefer_huge_pages


def huge_mib():
    found = re.findall(r'\\[heap\\]\\nSize: +(\\d+) kB.*?VmFlags: ([^\\n]*)',
                       open('/proc/self/smaps').read(), re.S)
    return sum(int(size) for size, flags in found if 'hg' in flags.split()) >> 10


keep_large_blocks()
print(huge_mib())
give_back_memory()
print(huge_mib())
assert prefer_huge_pages()
print(huge_mib())
"""


@pytest.mark.skipif(not Path('/sys/kernel/mm/transparent_hugepage').is_dir(),
                    reason='a kernel without huge pages')
def test_large_blocks_are_in_huge_pages_until_they_are_given_back():
    output = subprocess.run([sys.executable, '-c', HUGE], text=True, check=True,
                            capture_output=True, timeout=60).stdout
    kept, given_back, again = map(int, output.split())
    assert kept >= 32, 'room for the next pictures'
    assert given_back < 4
    assert again >= 32


def test_another_c_library_is_left_alone(monkeypatch):
    from ped_perception.ros import memory

    class Musl:
        pass

    monkeypatch.setattr(memory.ctypes, 'CDLL', lambda _: Musl())
    assert memory.keep_large_blocks() == {}
    assert not memory.prefer_huge_pages()


OBJECTS = """
import gc, weakref
from ped_perception.ros.memory import keep_objects


class Ring:
    def __init__(self):
        self.self = self


keep_objects()
print(len(gc.get_objects()) < 100 < gc.get_freeze_count())
ring = Ring()
gone = weakref.ref(ring)
keep_objects()
del ring
gc.collect()
print(gone() is not None)
keep_objects()
print(gone() is None)
"""


def test_the_collector_leaves_alone_what_was_loaded_until_it_is_asked_again():
    output = subprocess.run([sys.executable, '-c', OBJECTS], text=True, check=True,
                            capture_output=True, timeout=60).stdout
    assert output.split() == ['True'] * 3
