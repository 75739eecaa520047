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

"""Plans on demand: built once by many, never half, never while driving."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
import signal
import subprocess
import sys

from fake_tensorrt import FakeTensorRt
from ped_perception.core.errors import EngineMismatchError, MissingExtraError, ModelError
from ped_perception.engine import ensure, locate
from ped_perception.engine.ensure import ensure_plan
from ped_perception.engine.flavors import FLAVORS, Library, load_library
from ped_perception.engine.gpu import Gpu
from ped_perception.engine.locate import find_plan, locate_plan, PlanRequest
from ped_perception.engine.manifest import Batches, inspect_plan, LoadedPlan, manifest_path
from ped_perception.engine.plans import plan_lock, plan_problem
import pytest
import tiny_models

ORIN = Gpu('Orin', 'sm_87')

# A builder in a process of its own, which says on stdout what it is at.
BUILDER = """
import os, sys
from pathlib import Path
from ped_perception.engine.ensure import ensure_plan, Watch
from ped_perception.engine.locate import PlanRequest

def judge(reference, candidate, precision):
    print('judged', flush=True)
    return {}

def say(what, call):
    def wrapped(*arguments):
        print(what, flush=True)
        return call(*arguments)
    return wrapped

os.fsync = say('written', os.fsync)
Path.replace = say('renamed', Path.replace)
request = PlanRequest(sys.argv[1], (64, 96), targets=('sm_86',), folder=Path(sys.argv[2]))
steps = iter(range(1000))
path = ensure_plan(request, judge, watch=Watch(
    lambda share, phase: next(steps) % 20 or print('built', flush=True),
    lambda: print('waiting', flush=True)))
print('done', path, flush=True)
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Give a tiny model, and a cache of its own to the test and its processes."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return str(tiny_models.nanodet(tmp_path / 'tiny.onnx'))


@pytest.fixture
def vehicle(monkeypatch):
    """Give a TensorRT 10 on an Orin; its version and GPU may be changed."""
    fake = FakeTensorRt('10.3.0')
    monkeypatch.setattr(locate, 'load_library', lambda name: Library(FLAVORS['tensorrt'], fake))
    for module in (locate, ensure):
        monkeypatch.setattr(module, 'find_gpu', lambda index=0: ORIN)
    return fake


@pytest.fixture
def judged(monkeypatch):
    """Give a judge that accepts everything, and what it was asked."""
    asked = []

    def judge(reference, candidate, precision):
        asked.append((reference.name, candidate.name, precision))
        return {'found': 1.0}

    return judge, asked


def request_for(model, tmp_path, **changes):
    """Ask for a plan of the tiny model."""
    return replace(PlanRequest(model, (64, 96), folder=tmp_path / 'plans'), **changes)


def test_a_plan_is_built_once_and_then_found(model, tmp_path, vehicle, judged):
    judge, asked = judged
    request = request_for(model, tmp_path)
    path = ensure_plan(request, judge)
    assert ensure_plan(request, judge) == find_plan(request) == path
    assert vehicle.builds == 1
    (names,) = asked
    assert ('-fp32-' in names[0], '-fp16-' in names[1], names[2]) == (True, True, 'fp16')
    manifest = inspect_plan(path).manifest
    assert manifest.recipe == locate_plan(request).recipe
    assert manifest.recipe.gpu == 'Orin'
    assert manifest.agreement == {'found': 1.0}
    assert ensure_plan(request, judge, force=True) == path
    assert vehicle.builds == 2


def test_nothing_is_built_while_driving(model, tmp_path, vehicle, judged):
    judge, _ = judged
    request = request_for(model, tmp_path, batches=Batches(2, 2, 4), workspace_mib=64)
    with pytest.raises(EngineMismatchError, match=r'does not exist\. None is built') as caught:
        ensure_plan(request, judge, allow_build=False)
    # The command, taken as it stands, asks for this very plan.
    command = str(caught.value).split('build it before: ')[1]
    assert command == (f'ped_engine build {model} --size 96x64 --precision fp16 --batch 2,2,4 '
                       f'--flavor tensorrt --workspace 64 -o {tmp_path / "plans"}')
    assert vehicle.builds == 0
    path = ensure_plan(request, judge)
    assert ensure_plan(request, judge, allow_build=False) == path


@pytest.mark.parametrize('change', [
    {'precision': 'fp32'}, {'batches': Batches(1, 1, 4)}, {'workspace_mib': 64},
    {'size_hw': (96, 64)}, {'keep_fp32': ('out8',)}])
def test_another_request_is_never_answered_with_this_plan(
        model, tmp_path, vehicle, judged, change):
    judge, _ = judged
    request = request_for(model, tmp_path)
    path = ensure_plan(request, judge)
    other = replace(request, **change)
    with pytest.raises(EngineMismatchError):
        find_plan(other)
    assert ensure_plan(other, judge) != path
    assert find_plan(request) == path


def test_another_version_or_gpu_builds_anew(model, tmp_path, vehicle, judged, monkeypatch):
    judge, _ = judged
    request = request_for(model, tmp_path)
    paths = [ensure_plan(request, judge)]
    vehicle.__version__ = '10.7.0'
    paths.append(ensure_plan(request, judge))
    monkeypatch.setattr(locate, 'find_gpu', lambda index: Gpu('Orin Nano', 'sm_87'))
    paths.append(ensure_plan(request, judge))
    assert len(set(paths)) == vehicle.builds == 3


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: manifest_path(path).write_text('{}'),
    lambda path: manifest_path(path).unlink(), lambda path: path.unlink()])
def test_a_damaged_plan_is_refused_while_driving_and_rebuilt_before(
        model, tmp_path, vehicle, judged, damage):
    judge, _ = judged
    request = request_for(model, tmp_path)
    damage(ensure_plan(request, judge))
    with pytest.raises(EngineMismatchError, match='ped_engine build'):
        find_plan(request)
    assert isinstance(inspect_plan(ensure_plan(request, judge)), LoadedPlan)
    assert vehicle.builds == 2


def test_a_refused_graph_becomes_no_plan(model, tmp_path, vehicle):
    def judge(reference, candidate, precision):
        raise ModelError('it lies')

    with pytest.raises(ModelError, match='it lies'):
        ensure_plan(request_for(model, tmp_path), judge)
    assert vehicle.builds == 0
    assert not list((tmp_path / 'plans').glob('*.plan'))
    # float32 is the reference: nobody to ask.
    assert ensure_plan(request_for(model, tmp_path, precision='fp32'), judge).is_file()


def test_who_waited_for_the_lock_does_not_build_again(
        model, tmp_path, vehicle, judged, monkeypatch):
    judge, _ = judged
    request = request_for(model, tmp_path)
    path, real_lock = locate_plan(request).path, ensure.plan_lock

    @contextmanager
    def lock(plan, waiting):
        monkeypatch.setattr(ensure, 'plan_lock', real_lock)
        ensure_plan(request, judge)     # the process that had the lock before
        with real_lock(plan):
            yield

    monkeypatch.setattr(ensure, 'plan_lock', lock)
    assert ensure_plan(request, judge) == path
    assert vehicle.builds == 1


@pytest.fixture
def rtx():
    """Skip where the real builder is not installed."""
    try:
        load_library('tensorrt_rtx')
    except MissingExtraError as error:
        pytest.skip(str(error))


def start(model, folder):
    """Start a builder of the tiny model."""
    return subprocess.Popen([sys.executable, '-c', BUILDER, model, str(folder)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_two_builders_at_once_build_once(rtx, model, tmp_path):
    folder = tmp_path / 'plans'
    request = request_for(model, tmp_path, targets=('sm_86',))
    path = locate_plan(request).path
    with plan_lock(path):           # until both are at the door
        builders = [start(model, folder) for _ in range(2)]
        for builder in builders:
            assert builder.stdout.readline() == 'waiting\n'
    said = [builder.communicate(timeout=60)[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], said
    assert ''.join(said).count('judged') == 1
    assert all(text.endswith(f'done {path}\n') for text in said)
    assert plan_problem(path, locate_plan(request).recipe) is None


def test_a_build_killed_at_any_moment_leaves_nothing_that_loads_by_half(rtx, model, tmp_path):
    request = request_for(model, tmp_path, targets=('sm_86',))
    plan = locate_plan(request)     # the graphs are made here, so that only the plan is written
    ensure.typed_graph(model, (64, 96))
    moments = ['judged', 'built', 'written', 'renamed', 'written', 'renamed']
    for count in range(1, len(moments) + 1):
        builder = start(model, tmp_path / 'plans')
        left = moments[:count]
        for line in builder.stdout:
            if left and line.strip() == left[0]:
                left.pop(0)
            if not left:
                break
        builder.send_signal(signal.SIGKILL)
        builder.communicate(timeout=60)
        assert not left, f'the builder ended before it had {moments[:count]}'
        assert builder.returncode == -signal.SIGKILL or count == len(moments)
        problem = plan_problem(plan.path, plan.recipe)
        # Only the last rename makes it a plan.
        assert problem is not None or count == len(moments)
    builder = start(model, tmp_path / 'plans')
    assert builder.communicate(timeout=60)[0].endswith(f'done {plan.path}\n')
    assert plan_problem(plan.path, plan.recipe) is None
    names = {path.name for path in plan.path.parent.iterdir()}
    assert names == {plan.path.name, manifest_path(plan.path).name, f'.{plan.path.name}.lock'}
