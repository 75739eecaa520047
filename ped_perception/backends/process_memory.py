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
from pathlib import Path
import re
import resource

STATUS = Path('/proc/self/status')


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


def give_back_memory() -> bool:
    """
    Return the free memory of the C library to the kernel, for after a network was loaded.

    A runtime reads, rewrites and packs a network before it runs: tens of megabytes that are free
    afterwards, and that a process which keeps its blocks for the next picture would keep as well.

    Returns:
        whether anything was given back; False without glibc.
    """
    library = ctypes.CDLL(None)
    return hasattr(library, 'malloc_trim') and library.malloc_trim(0) == 1
