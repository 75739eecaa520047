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

"""Which plan answers a request: that of this GPU, and what does as well."""

from __future__ import annotations

from dataclasses import replace
import shlex

from fake_tensorrt import FakeTensorRt
from ped_perception.core.errors import EngineMismatchError
from ped_perception.engine import ensure, locate
from ped_perception.engine.ensure import ensure_plan
from ped_perception.engine.flavors import FLAVORS, Library
from ped_perception.engine.gpu import Gpu, visible_device
from ped_perception.engine.locate import find_plan, PlanRequest
from ped_perception.engine.manifest import Batches, inspect_plan
import pytest
import tiny_models

GPUS = (Gpu('RTX 4070', 'sm_89'), Gpu('RTX 3060', 'sm_86'), Gpu('RTX 3060', 'sm_86'))


@pytest.fixture
def request_for(tmp_path, monkeypatch):
    """Make requests for a tiny model, on a machine with GPUS."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    model = str(tiny_models.nanodet(tmp_path / 'tiny.onnx'))
    for module in (locate, ensure):
        monkeypatch.setattr(module, 'find_gpu', lambda index=0: GPUS[index])
    return lambda **changes: replace(
        PlanRequest(model, (64, 96), folder=tmp_path / 'plans'), **changes)


@pytest.fixture
def trt(monkeypatch):
    """Give TensorRT 10."""
    fake = FakeTensorRt('10.3.0')
    monkeypatch.setattr(locate, 'load_library', lambda name: Library(FLAVORS['tensorrt'], fake))
    return fake


@pytest.fixture
def rtx(monkeypatch):
    """Give a double of TensorRT-RTX."""
    fake = FakeTensorRt('1.7.1', targets=('SM86', 'SM89', 'SM120'))
    monkeypatch.setattr(
        locate, 'load_library', lambda name: Library(FLAVORS['tensorrt_rtx'], fake))
    return fake


def accept(reference, candidate, precision):
    """Judge nothing."""
    return {}


def test_the_plan_is_that_of_the_device(request_for, trt):
    ensure_plan(request_for(), accept)
    with pytest.raises(EngineMismatchError, match='CUDA_VISIBLE_DEVICES=1 ped_engine build'):
        find_plan(request_for(device=1))


def test_a_builder_that_times_kernels_on_another_gpu_is_not_started(
        request_for, trt, monkeypatch):
    with pytest.raises(EngineMismatchError, match=r'first GPU, RTX 4070 .*device 1, RTX 3060'):
        ensure_plan(request_for(device=1), accept)
    assert trt.builds == 0
    # Two cards of one kind are one.
    monkeypatch.setattr(ensure, 'find_gpu', lambda index=0: GPUS[index or 1])
    path = ensure_plan(request_for(device=2), accept)
    assert inspect_plan(path).manifest.recipe.gpu == 'RTX 3060'


@pytest.mark.parametrize(('visible', 'index', 'name'), [
    ('', 1, '1'), ('3,5', 1, '5'), ('GPU-ab, GPU-cd', 0, 'GPU-ab'), ('3', 1, '1')])
def test_a_device_is_named_as_cuda_does(monkeypatch, visible, index, name):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    assert visible_device(index) == name


def test_an_rtx_plan_for_more_gpus_than_this_is_used(request_for, rtx):
    path = ensure_plan(request_for(targets=('sm_86', 'sm_89')), accept)
    assert find_plan(request_for()) == find_plan(request_for(device=1)) == path
    assert ensure_plan(request_for(), accept) == path
    assert rtx.builds == 1
    # Who names targets gets a plan for these and no others.
    with pytest.raises(EngineMismatchError):
        find_plan(request_for(targets=('sm_86',)))
    rtx.__version__ = '1.7.2'
    with pytest.raises(EngineMismatchError):
        find_plan(request_for())


def test_an_rtx_plan_for_other_gpus_is_not(request_for, rtx):
    ensure_plan(request_for(targets=('sm_120', 'sm_86')), accept)
    with pytest.raises(EngineMismatchError):
        find_plan(request_for())


OPTIONS = {
    'what the gate advised': {'keep_fp32': ('out8',)},
    'less scratch memory': {'workspace_mib': 64},
    'the batch of one rig': {'batches': Batches(4, 4, 4)},
}


@pytest.mark.parametrize('options', OPTIONS.values(), ids=OPTIONS)
def test_who_runs_a_plan_takes_it_with_any_options_that_fit(request_for, trt, options):
    path = ensure_plan(request_for(**options), accept)
    assert find_plan(request_for(slots=4)) == path
    assert ensure_plan(request_for(slots=4), accept) == path
    with pytest.raises(EngineMismatchError):
        find_plan(request_for())        # who builds, asks for these options and no others
    too_many = inspect_plan(path).manifest.recipe.batches.maximum + 1
    with pytest.raises(EngineMismatchError):
        find_plan(request_for(slots=too_many))


@pytest.mark.parametrize('change', [{'precision': 'fp32'}, {'size_hw': (96, 64)}, {'device': 1}])
def test_other_options_are_no_excuse_for_another_plan(request_for, trt, change):
    ensure_plan(request_for(workspace_mib=64), accept)
    with pytest.raises(EngineMismatchError):
        find_plan(request_for(slots=4, **change))


@pytest.mark.parametrize('options', [{'keep_fp32': ('out8',)}, {'workspace_mib': 64}])
def test_a_plan_of_another_model_of_that_name_is_not_taken(request_for, trt, tmp_path, options):
    (tmp_path / 'other').mkdir()
    other = tiny_models.nanodet(tmp_path / 'other' / 'tiny.onnx', bins=8)
    ensure_plan(request_for(model=str(other), **options), accept)
    with pytest.raises(EngineMismatchError):
        find_plan(request_for(slots=4))


def test_the_last_plan_built_is_taken(request_for, trt, monkeypatch):
    class Clock(ensure.datetime):
        times = iter(('2026-01-01', '2026-01-03', '2026-01-02'))

        @classmethod
        def now(cls, zone):
            return cls.fromisoformat(next(cls.times))

    monkeypatch.setattr(ensure, 'datetime', Clock)
    paths = [ensure_plan(request_for(workspace_mib=size), accept) for size in (16, 32, 64)]
    assert find_plan(request_for(slots=1)) == paths[1]


def test_a_command_survives_the_shell(request_for, trt, tmp_path):
    folder = tmp_path / 'my plans'
    with pytest.raises(EngineMismatchError) as caught:
        find_plan(request_for(folder=folder))
    words = shlex.split(str(caught.value).split('build it before: ')[1])
    assert words[-2:] == ['-o', str(folder)]
