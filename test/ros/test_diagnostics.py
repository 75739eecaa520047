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

import sys
import types

from ped_perception.ros import diagnostics
import pytest

pytestmark = pytest.mark.ros


class NvmlError(Exception):
    """As pynvml raises."""


def library(**changes):
    """Give a double of NVIDIA's management library."""
    functions = {
        'nvmlInit': lambda: None, 'nvmlDeviceGetHandleByIndex': lambda index: index,
        'nvmlDeviceGetMemoryInfo': lambda handle: types.SimpleNamespace(
            used=3 * 2**20, total=8 * 2**20),
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


@pytest.fixture(autouse=True)
def forgotten():
    """Let every test look for the library anew."""
    diagnostics._nvml.cache_clear()
    yield
    diagnostics._nvml.cache_clear()


def test_memory_load_and_temperature_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pynvml', library())
    assert diagnostics.gpu_values() == {
        'gpu_memory_used_mb': 3.0, 'gpu_memory_total_mb': 8.0, 'gpu_load_percent': 42,
        'gpu_temperature_c': 61}


@pytest.mark.parametrize(('changes', 'why'), [
    ({'nvmlInit': refuse}, 'the library without a driver'),
    ({'nvmlDeviceGetMemoryInfo': refuse}, 'a Jetson'),
])
def test_what_does_not_answer_is_left_out(monkeypatch, changes, why):
    monkeypatch.setitem(sys.modules, 'pynvml', library(**changes))
    assert diagnostics.gpu_values() == {}, why
