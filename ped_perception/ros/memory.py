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
"""

from __future__ import annotations

import ctypes

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
    return {name: value for name, (number, value) in _SETTINGS.items()
            if library.mallopt(number, value) == 1}
