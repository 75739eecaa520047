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
How fast and how large a network could be on a device, by the roofline model: an estimate.

A kernel takes at least as long as its arithmetic at the peak rate, and as moving its bytes at the
peak bandwidth (Williams, Waterman and Patterson, Roofline, 2009). The sum over the kernels is a
lower bound in practice: real kernels reach a part of the peaks, starting each costs
microseconds, and reading the camera's picture is not in it. It is no bound where results stay in
a large cache between two kernels, or where TensorRT computes float32 in TF32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from ped_perception.core.errors import ModelError

if TYPE_CHECKING:
    from ped_perception.engine.kernels import Kernel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEVICES_FILE = Path(__file__).with_name('devices.toml')
ARITHMETIC = {'float16': 'fp16', 'int8': 'int8'}        # everything else counts as float32


@dataclass(frozen=True)
class Figure:
    """A number of a data sheet and where it is from."""

    value: float
    source: str


@dataclass(frozen=True)
class Device:
    """
    What a device can do at most.

    Attributes:
        name: as on the command line.
        title: for people.
        figures: by 'fp32', 'fp16', 'int8' (10^12 operations a second, dense),
            'bandwidth' (10^9 bytes a second) and 'memory' (10^9 bytes).
    """

    name: str
    title: str
    figures: dict[str, Figure]

    def peak(self, dtype: str) -> float:
        """Operations a second with an element type; a MAC is two."""
        return self.figures[ARITHMETIC.get(dtype, 'fp32')].value * 1e12

    @property
    def bandwidth(self) -> float:
        """Bytes a second."""
        return self.figures['bandwidth'].value * 1e9

    @property
    def memory(self) -> float:
        """Bytes."""
        return self.figures['memory'].value * 1e9


@dataclass(frozen=True)
class Estimate:
    """
    Estimated time of a batch on a device.

    Attributes:
        device: see there.
        efficiency: part of the peaks that was assumed.
        kernel_s: seconds of each kernel.
        compute_bound: share of the time in kernels that wait for arithmetic.
    """

    device: Device
    efficiency: float
    kernel_s: tuple[float, ...]
    compute_bound: float

    @property
    def latency_s(self) -> float:
        """Seconds of the whole batch."""
        return sum(self.kernel_s)


def load_devices() -> dict[str, Device]:
    """Read the devices this package knows, by name."""
    tables = tomllib.loads(DEVICES_FILE.read_text(encoding='utf-8'))
    return {name: Device(name, table.pop('title'),
                         {key: Figure(float(row['value']), row['source'])
                          for key, row in table.items()})
            for name, table in tables.items()}


def find_device(name: str) -> Device:
    """
    Look a device up.

    Raises:
        ModelError: it is not known; lists those that are.
    """
    devices = load_devices()
    if name not in devices:
        raise ModelError(f'There is no device {name!r}; known are: {", ".join(devices)}.')
    return devices[name]


def estimate(kernels: tuple[Kernel, ...], device: Device, efficiency: float = 1.0) -> Estimate:
    """
    Estimate the time of a batch.

    Args:
        kernels: see ``kernels.schedule``.
        device: see ``load_devices``.
        efficiency: part of the peaks that is reached, 0..1; 1 gives the lower bound.
    """
    compute_s = [2 * kernel.macs / (device.peak(kernel.dtype) * efficiency) for kernel in kernels]
    move_s = [kernel.moved_bytes / (device.bandwidth * efficiency) for kernel in kernels]
    total_s = [max(pair) for pair in zip(compute_s, move_s, strict=True)]
    waiting_s = sum(compute for compute, move in zip(compute_s, move_s, strict=True)
                    if compute > move)
    return Estimate(device, efficiency, tuple(total_s), waiting_s / (sum(total_s) or 1.0))
