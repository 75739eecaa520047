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

"""The NVIDIA GPU of this machine, asked through the driver alone: no CUDA package is needed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
import os

_MAJOR, _MINOR = 75, 76     # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name as the driver gives it, its compute capability as 'sm_87'."""

    name: str
    capability: str

    def __str__(self) -> str:
        return f'{self.name} ({self.capability})'


def find_gpu(index: int = 0) -> Gpu | None:
    """
    Describe a GPU; None where there is no driver or no such GPU.

    No CUDA context is made: that is for the thread that will run inference.

    Args:
        index: of the GPU among those that CUDA_VISIBLE_DEVICES shows.
    """
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    failed = (cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), index)
              or cuda.cuDeviceGetName(name, len(name), device)
              or cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
              or cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device))
    if failed:
        return None
    return Gpu(name.value.decode(errors='replace'), f'sm_{major.value}{minor.value}')


def pci_bus_id(index: int) -> str:
    """
    Give the place of a GPU, which is the same in every library, as ``0000:01:00.0``.

    CUDA numbers GPUs by CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER, other libraries do not.

    Args:
        index: of the GPU as CUDA counts.

    Returns:
        Empty where there is no driver or no such GPU.
    """
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return ''
    device, place = ctypes.c_int(), ctypes.create_string_buffer(32)
    failed = (cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), index)
              or cuda.cuDeviceGetPCIBusId(place, len(place), device))
    return '' if failed else place.value.decode()


def visible_device(index: int) -> str:
    """Name a GPU as CUDA_VISIBLE_DEVICES does, for a program that shall see no other."""
    visible = [name.strip() for name in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')]
    return visible[index] if index < len(visible) and visible[index] else str(index)
