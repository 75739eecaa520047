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

"""How much memory this process has needed, and giving back what it does not need any more."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path
import re
import resource

STATUS = Path('/proc/self/status')
MAPS = Path('/proc/self/maps')

# Private mappings of files that may be run and not written: first and last address.
_CODE = re.compile(r'^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]\d* +/', re.MULTILINE)
_LARGE = 1 << 20


def peak_memory_mb(status: Path = STATUS) -> float:
    """
    Give the peak of the resident memory of this process, in MiB.

    ``getrusage`` is only asked where the kernel does not say: a process inherits its figure from
    the one that started it, so that a small child of a large parent would seem large.

    Args:
        status: the kernel's description of the process.
    """
    try:
        found = re.search(r'^VmHWM:\s*(\d+) kB$', status.read_text('ascii', 'replace'), re.M)
    except OSError:
        found = None
    peak_kib = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_kib / 1024


def give_back_memory(maps: Path = MAPS) -> bool:
    """
    Return to the kernel what loading a network has left behind, for after it was loaded.

    A runtime reads, rewrites and packs a network before it runs: tens of megabytes that are free
    afterwards, and that a process which keeps its blocks for the next picture would keep as well.
    As much again is code of libraries that only loading runs: where their files were just
    written, the kernel maps them in large pieces.

    Args:
        maps: the kernel's description of the memory of this process.

    Returns:
        whether anything was given back; False without glibc.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, 'malloc_trim'):
        return False
    forgotten = [library.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first),
                                 mmap.MADV_DONTNEED) == 0
                 for first, end in code_of_libraries(maps)]
    return library.malloc_trim(0) == 1 or any(forgotten)


def code_of_libraries(maps: Path = MAPS) -> list[tuple[int, int]]:
    """
    Find the code of large libraries, which is read again from their files when it is run.

    Args:
        maps: the kernel's description of the memory of this process.

    Returns:
        First address of each and the one behind its last; nothing that was written to.
    """
    try:
        found = _CODE.findall(maps.read_text('ascii', 'replace'))
    except OSError:
        return []
    ranges = [(int(first, 16), int(end, 16)) for first, end in found]
    return [(first, end) for first, end in ranges if end - first >= _LARGE]
