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

"""The CUDA kernels of the letterbox, compiled as C++ for the CPU and called as on a GPU."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
import shutil
import subprocess
import tempfile
from types import MappingProxyType

from ped_perception.backends.gpu_letterbox import ARGUMENTS, KERNELS, SOURCE

SHIM = Path(__file__).with_name('letterbox_on_cpu.cpp')
TYPES = {'P': ctypes.c_void_p, 'i': ctypes.c_int}


def compiler_problem():
    """Say why the kernels cannot be compiled here; empty when they can."""
    return '' if shutil.which('g++') else 'there is no g++ on this machine'


@functools.cache
def cpu_kernels():
    """
    Compile the kernels, once for all tests.

    Returns:
        Name of the kernel → callable(grid, block, arguments).
    """
    with tempfile.TemporaryDirectory() as folder:
        library_path = Path(folder) / 'letterbox.so'
        # Integers that overflow end the process instead of wrapping around unseen.
        subprocess.run(
            ['g++', '-std=c++14', '-O2', '-Wall', '-Wextra', '-Werror', '-ftrapv', '-shared',
             '-fPIC', f'-DLETTERBOX="{SOURCE}"', '-o', library_path, SHIM], check=True,
            timeout=120)
        # Loaded, it needs no file.
        library = ctypes.CDLL(str(library_path))
    return MappingProxyType({
        name: _kernel(getattr(library, f'cpu_{name}')) for name in KERNELS.values()})


def _kernel(function):
    function.restype = None
    function.argtypes = [ctypes.c_int] * 4 + [TYPES[kind] for kind in ARGUMENTS]
    return lambda grid, block, arguments: function(*grid[:2], *block[:2], *arguments)
