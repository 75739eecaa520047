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

"""What diagnostics say of a GPU, and that they go on without one."""

from __future__ import annotations

import dataclasses
import sys
import types

from doubles import BrightSpotBackend
from ped_perception.core.corridor import Danger
from ped_perception.core.health import Health, HealthReport
from ped_perception.core.overload import LookChooser
from ped_perception.core.recovery import Recovery, RecoveryConfig
from ped_perception.core.schedule import Schedule
from ped_perception.engine import gpu
from ped_perception.ros import diagnostics
import pytest

pytestmark = pytest.mark.ros


# The GPUs of a machine as NVML counts them: by their places, whatever CUDA_VISIBLE_DEVICES says.
PLACES = ('0000:01:00.0', '0000:41:00.0', '0000:C1:00.0')
USED_MB = dict(zip(PLACES, (1.0, 2.0, 3.0), strict=True))


class NvmlError(Exception):
    """As pynvml raises."""


def library(**changes):
    """Give a double of NVIDIA's management library."""
    functions = {
        'nvmlInit': lambda: None, 'nvmlDeviceGetHandleByPciBusId': lambda place: place.decode(),
        'nvmlDeviceGetMemoryInfo': lambda handle: types.SimpleNamespace(
            used=USED_MB[handle] * 2**20, total=8 * 2**20),
        'nvmlDeviceGetUtilizationRates': lambda handle: types.SimpleNamespace(gpu=42),
        'nvmlDeviceGetTemperature': lambda handle, kind: 61,
        'NVML_TEMPERATURE_GPU': 0, 'NVMLError': NvmlError, **changes}
    module = types.ModuleType('pynvml')
    module.__dict__.update(functions)
    module.__spec__ = types.SimpleNamespace()
    return module


def refuse(*arguments):
    """Fail as on a machine without a driver."""
    raise NvmlError('not supported')


class Driver:
    """A double of the driver, which shows the GPUs that CUDA_VISIBLE_DEVICES names."""

    def __init__(self, visible):
        self._visible = visible

    def cuInit(self, flags):
        return 0

    def cuDeviceGet(self, device, index):
        if index >= len(self._visible):
            return 101
        device._obj.value = self._visible[index]
        return 0

    def cuDeviceGetPCIBusId(self, place, length, device):
        place.value = PLACES[device.value].encode()
        return 0


@pytest.fixture(autouse=True)
def forgotten():
    """Let every test look for library and GPU anew."""
    for found in (diagnostics._nvml, diagnostics._pci_bus_id):
        found.cache_clear()
    yield
    for found in (diagnostics._nvml, diagnostics._pci_bus_id):
        found.cache_clear()


@pytest.mark.parametrize(('visible', 'index', 'used_mb', 'why'), [
    ((0, 1, 2), 0, 1.0, 'the only one, or the first'),
    ((0, 1, 2), 2, 3.0, 'device: 2'),
    ((2, 0), 0, 3.0, 'CUDA_VISIBLE_DEVICES=2,0: the first of CUDA is the third of NVML'),
    ((2, 0), 1, 1.0, 'and the second the first'),
])
def test_memory_load_and_temperature_are_those_of_the_gpu_that_cuda_means(
        monkeypatch, visible, index, used_mb, why):
    monkeypatch.setitem(sys.modules, 'pynvml', library())
    monkeypatch.setattr(gpu.ctypes, 'CDLL', lambda name: Driver(visible))
    assert diagnostics.gpu_values(index) == {
        'gpu_memory_used_mb': used_mb, 'gpu_memory_total_mb': 8.0, 'gpu_load_percent': 42,
        'gpu_temperature_c': 61}, why


def status_values(backend_name):
    """Give the key-values of the inference on a backend of some name, device 0."""
    info = dataclasses.replace(BrightSpotBackend().info, backend=backend_name)
    lookout = types.SimpleNamespace(
        info=info, schedule=Schedule({}), looks=LookChooser(), recovery=Recovery(RecoveryConfig()),
        odometry_problem='', danger=Danger())
    status = diagnostics.engine_status('node', lookout, HealthReport(Health.OK, 'OK', {}), 0)
    return {pair.key: pair.value for pair in status.values}


def test_of_a_network_on_the_processor_no_gpu_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pynvml', library())
    monkeypatch.setattr(gpu.ctypes, 'CDLL', lambda name: Driver((1,)))
    assert status_values('tensorrt')['gpu_memory_used_mb'] == '2.000'
    assert not [key for key in status_values('openvino') if key.startswith('gpu_')]


@pytest.mark.parametrize(('changes', 'why'), [
    ({'nvmlInit': refuse}, 'the library without a driver'),
    ({'nvmlDeviceGetMemoryInfo': refuse}, 'a Jetson'),
])
def test_what_does_not_answer_is_left_out(monkeypatch, changes, why):
    monkeypatch.setitem(sys.modules, 'pynvml', library(**changes))
    monkeypatch.setattr(gpu.ctypes, 'CDLL', lambda name: Driver((0,)))
    assert diagnostics.gpu_values(0) == {}, why


def test_of_a_gpu_that_cuda_does_not_show_nothing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pynvml', library())
    monkeypatch.setattr(gpu.ctypes, 'CDLL', lambda name: Driver((0,)))
    assert diagnostics.gpu_values(1) == {}
