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
The letterbox on the GPU: its kernels compiled, its launches described. No CUDA package is needed.

``letterbox.cu`` is compiled to a binary for one GPU by nvcc, once, into the user's cache: where
the plan is built, or when a backend is opened that may build. A PTX in the package would have to
be compiled by every driver at load and refused by drivers older than its compiler (JetPack 6
against CUDA 13); compiling inside pycuda would do it again in every process, and in a callback
if nobody took care. nvcc is there wherever pycuda could be installed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
import shutil
import subprocess
import tempfile

from ped_perception.core.errors import BackendError
from ped_perception.core.types import View
from ped_perception.core.views import PAD_GREY
from ped_perception.engine.files import user_folder, write_whole

SOURCE = Path(__file__).with_name('letterbox.cu')

# Layout of the picture, bgr8 or one of core.native, → kernel.
KERNELS = {layout: f'letterbox_{layout}' for layout in ('bgr8', 'nv12', 'yuyv', 'uyvy')}
# Of every kernel, as the module struct has it; the order is that of launch_arguments().
ARGUMENTS = 'PiiiiiiPiiiiiii'
BLOCK = (32, 8, 1)

# Where CUDA toolkits and JetPack put it without adding it to PATH.
USUAL_NVCC = Path('/usr/local/cuda/bin/nvcc')
COMPILE_TIMEOUT_S = 120


def launch_grid(network_hw: tuple[int, int]) -> tuple[int, int]:
    """Give the number of blocks, x then y, that cover a slot."""
    height, width = network_hw
    return -(-width // BLOCK[0]), -(-height // BLOCK[1])


def launch_arguments(picture: int, pitch: int, height: int, crop_xyxy: tuple[int, int, int, int],
                     slot: int, network_hw: tuple[int, int], view: View) -> tuple[int, ...]:
    """
    Give the arguments of a kernel.

    Args:
        picture: address of the first row on the GPU.
        pitch: bytes from row to row.
        height: of the picture, rows; where the chroma of NV12 begins.
        crop_xyxy: what the slot sees of the picture at that address.
        slot: address of the slot on the GPU.
        network_hw: height and width of the slot.
        view: padding and size of the scaled crop in the slot.
    """
    return (picture, pitch, height, *crop_xyxy, slot, network_hw[1], network_hw[0],
            *view.pad_xy, *view.size_xy, PAD_GREY)


def ensure_kernels(capability: str, *, allow_build: bool) -> Path:
    """
    Give the compiled kernels for a GPU; compile them if they are not there and that is allowed.

    Args:
        capability: of the GPU, as 'sm_87'.
        allow_build: false on a vehicle, which must not find out while driving that it has no
            compiler.

    Raises:
        BackendError: they are not there and may not or cannot be compiled.
        ModelError: they cannot be written.
    """
    path = _kernels_path(capability)
    if not path.is_file():
        if not allow_build:
            raise BackendError(
                f'The GPU letterbox is not compiled for {capability} ({path} does not exist) and '
                'allow_build is false. Run ped_engine build on this computer, which compiles it '
                'with nvcc, or set preprocess to cpu.')
        compile_kernels(capability, path)
    return path


def compile_kernels(capability: str, path: Path) -> None:
    """
    Compile the kernels for a GPU; the file appears whole or not at all.

    Raises:
        BackendError: there is no nvcc, or it refuses, for example a GPU it is too old for.
        ModelError: the file cannot be written.
    """
    nvcc = _find_nvcc()
    if nvcc is None:
        raise BackendError(f'The GPU letterbox needs nvcc of the CUDA toolkit, which is neither '
                           f'in PATH nor {USUAL_NVCC}. Install it, or set preprocess to cpu.')
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / 'letterbox.cubin'
        try:
            result = subprocess.run(
                [nvcc, '-std=c++14', '-cubin', f'-arch={capability}', '-o', binary, SOURCE],
                capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(f'{nvcc} cannot be run: {error}. '
                               'Set preprocess to cpu.') from error
        if result.returncode:
            raise BackendError(f'{nvcc} cannot compile the GPU letterbox for {capability}: '
                               f'{(result.stderr or result.stdout).strip()}. '
                               'Set preprocess to cpu.')
        write_whole(path, binary.read_bytes())


def _kernels_path(capability: str) -> Path:
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    return user_folder('kernels') / f'letterbox-{capability}-{digest}.cubin'


def _find_nvcc() -> Path | None:
    found = shutil.which('nvcc')
    if found is not None:
        return Path(found)
    return USUAL_NVCC if USUAL_NVCC.is_file() else None
