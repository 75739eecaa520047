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

"""
Let the C library keep the memory of large messages instead of giving it back for each one.

By default glibc asks the kernel for fresh pages for each block over 128 KB and returns them
when it is freed. A picture of 6 MB is then 1500 page faults on its way through the middleware,
which costs several times what copying it does.

Copying in pages of 2 MiB instead of 4 KiB saves a further tenth of what receiving a large picture
costs: the processor remembers where a few pages are, and 1500 are too many.

Python's collector looks through all objects from time to time, and everything waits meanwhile:
100 ms for those of the libraries, which stay for ever.
"""

from __future__ import annotations

import ctypes
import gc
import mmap

_MIB = 1 << 20
# Numbers from glibc's malloc.h. 32 MiB is the largest threshold that glibc takes on 64 bits.
_SETTINGS = {
    'M_MMAP_THRESHOLD': (-3, 32 * _MIB),
    'M_TRIM_THRESHOLD': (-1, 32 * _MIB),
    'M_TOP_PAD': (-2, 64 * _MIB),
}


def keep_large_blocks() -> dict[str, int]:
    """
    Make malloc keep blocks of up to 32 MiB for the next message. Call once, before the first.

    It costs up to 64 MiB of address space that may stay resident, and is for the whole process.

    Returns:
        The settings that were applied, by their names in ``malloc.h``; empty without glibc.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, 'gnu_get_libc_version'):
        return {}
    applied = {name: value for name, (number, value) in _SETTINGS.items()
               if library.mallopt(number, value) == 1}
    prefer_huge_pages()
    return applied


def prefer_huge_pages() -> bool:
    """
    Ask the kernel for huge pages where the next large blocks will be: at the end of the heap.

    For the main thread, whose blocks are there; again when memory was given back to the kernel.

    Returns:
        whether the kernel agreed; False without glibc or huge pages, and in other threads.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, 'gnu_get_libc_version'):
        return False
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    # Where the heap has no room for it, it grows by M_TOP_PAD, too.
    block = library.malloc(ctypes.c_size_t(16 * _MIB)) or 0
    library.free(ctypes.c_void_p(block))
    first = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
    end = library.sbrk(ctypes.c_ssize_t(0))
    return first < end and library.madvise(
        ctypes.c_void_p(first), ctypes.c_size_t(end - first), mmap.MADV_HUGEPAGE) == 0


def keep_objects() -> None:
    """
    Have the collector look only through objects that are made from now on. For after loading.

    Those that are there stay until nobody refers to them. Called again, it first finds those
    that only refer to each other.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
