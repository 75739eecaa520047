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

"""The sidecar of a plan: what it remembers, and everything that makes a plan unusable."""

from __future__ import annotations

from dataclasses import asdict, replace
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from ped_perception.core.errors import EngineMismatchError
from ped_perception.engine.gpu import Gpu
from ped_perception.engine.manifest import (
    Batches,
    inspect_plan,
    load_plan,
    Machine,
    machine_problem,
    Manifest,
    manifest_path,
    Memory,
    Recipe,
    Tensor,
)
from ped_perception.engine.plans import built_plans, plan_problem, write_plan
import pytest

ORIN = Gpu('Orin', 'sm_87')
RECIPE = Recipe('nanodet_g', 'ab' * 32, 'fp16', (384, 640), Batches(1, 4, 8), 'tensorrt',
                '10.3.0', 'Orin', ('sm_87',), 512, 0, ('head_8',))
RTX_RECIPE = replace(RECIPE, flavor='tensorrt_rtx', flavor_version='1.7.1', gpu=None,
                     capabilities=('sm_86', 'sm_89'), dla_core=None)
DATA = bytes(range(256)) * 4


def manifest_of(recipe, data=DATA):
    """Describe some bytes as a plan."""
    return Manifest(
        recipe, hashlib.sha256(data).hexdigest(), len(data),
        (Tensor('images', True, 'uint8', (-1, 384, 640, 3)),
         Tensor('scores', False, 'float32', (-1, 256))),
        {'float16': 87, 'float32': 25}, 'network', Memory(3000, 2000, None), ('GPU_FALLBACK',),
        {'found': 0.998, 'candidate': 'nanodet_g fp16'}, '2026-01-02T03:04:05+00:00', 1.5, '0.1.0')


@pytest.fixture(scope='module')
def plan(tmp_path_factory):
    """Write a plan with its manifest, for tests that put back what they change."""
    path = tmp_path_factory.mktemp('plans') / RECIPE.file_name
    write_plan(path, DATA, manifest_of(RECIPE))
    return path


def test_a_plan_comes_back_with_everything_that_is_known_of_it(plan):
    loaded = load_plan(plan, Machine('tensorrt', '10.3.0', ORIN))
    assert loaded.data == DATA
    assert loaded.manifest == manifest_of(RECIPE)


@given(offset=st.integers(0, len(DATA) - 1), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_of_the_plan_is_noticed(plan, offset, flip):
    changed = bytearray(DATA)
    changed[offset] ^= flip
    plan.write_bytes(changed)
    try:
        assert 'damaged' in inspect_plan(plan)
    finally:
        plan.write_bytes(DATA)


TEXT = manifest_of(RECIPE).to_bytes()


@given(offset=st.integers(0, len(TEXT) - 1), flip=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_of_the_manifest_is_noticed(offset, flip):
    # White space and the checksum itself included.
    changed = bytearray(TEXT)
    changed[offset] ^= flip
    with pytest.raises(ValueError, match='is damaged'):
        Manifest.from_bytes(bytes(changed))


@given(size=st.integers(0, len(TEXT) - 1))
@settings(max_examples=60, deadline=None)
def test_half_a_manifest_is_none(size):
    with pytest.raises(ValueError, match='is damaged'):
        Manifest.from_bytes(TEXT[:size])


@pytest.mark.parametrize('data', [
    b'[]', b'null', b'{}', b'{"format": 2}', b'{"format": 1}', b'\xff\xfe',
    b'{"format": 2, "recipe": 5, "tensors": []}', TEXT.replace(b'"format": 2', b'"format": 1')])
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(ValueError, match='is damaged'):
        Manifest.from_bytes(data)


@pytest.mark.parametrize(('damage', 'words'), [
    (lambda plan: manifest_path(plan).unlink(), 'json does not exist'),
    (lambda plan: plan.unlink(), 'plan does not exist'),
    (lambda plan: plan.write_bytes(DATA[:-1]), 'is damaged'),
    (lambda plan: plan.write_bytes(DATA + b'x'), 'is damaged'),
    (lambda plan: manifest_path(plan).write_bytes(TEXT + b' '), 'json is damaged'),
    (lambda plan: (plan.unlink(), plan.mkdir()), 'cannot be read'),
])
def test_a_pair_that_is_not_whole_is_never_loaded(tmp_path, damage, words):
    plan = tmp_path / RECIPE.file_name
    write_plan(plan, DATA, manifest_of(RECIPE))
    damage(plan)
    with pytest.raises(EngineMismatchError, match=words) as caught:
        load_plan(plan, Machine('tensorrt', '10.3.0', ORIN))
    assert 'ped_engine build' in str(caught.value)
    assert words in plan_problem(plan, RECIPE)


@pytest.mark.parametrize(('recipe', 'machine', 'words'), [
    (RECIPE, Machine('tensorrt', '10.3.0', ORIN), None),
    (RECIPE, Machine('tensorrt', '10.7.0', ORIN), 'tensorrt 10.3.0, this machine has 10.7.0'),
    (RECIPE, Machine('tensorrt_rtx', '10.3.0', ORIN), 'this machine has tensorrt_rtx'),
    (RECIPE, Machine('tensorrt', '10.3.0', None), 'no NVIDIA GPU'),
    # One capability, another GPU: tactics were timed on the first.
    (RECIPE, Machine('tensorrt', '10.3.0', Gpu('Orin Nano', 'sm_87')), 'has Orin Nano'),
    (RECIPE, Machine('tensorrt', '10.3.0', Gpu('Orin', 'sm_110')), 'sm_110'),
    (RTX_RECIPE, Machine('tensorrt_rtx', '1.7.1', Gpu('RTX 4070', 'sm_89')), None),
    (RTX_RECIPE, Machine('tensorrt_rtx', '1.7.1', Gpu('RTX 5090', 'sm_120')), 'sm_86 or sm_89'),
])
def test_a_plan_of_another_machine_is_refused_with_the_reason(tmp_path, recipe, machine, words):
    plan = tmp_path / recipe.file_name
    write_plan(plan, DATA, manifest_of(recipe))
    if words is None:
        assert machine_problem(recipe, machine) is None
        assert load_plan(plan, machine).data == DATA
        return
    assert words in machine_problem(recipe, machine)
    with pytest.raises(EngineMismatchError, match='Build it here: ped_engine build nanodet_g'):
        load_plan(plan, machine)


CHANGES = {
    'name': 'other', 'graph_sha256': 'cd' * 32, 'precision': 'fp32', 'network_hw': (640, 640),
    'batches': Batches(1, 4, 4), 'flavor': 'tensorrt_rtx', 'flavor_version': '10.3.1',
    'gpu': 'Orin Nano', 'capabilities': ('sm_110',), 'workspace_mib': None, 'dla_core': 1,
    'keep_fp32': ()}


def test_every_ingredient_of_a_recipe_is_tried():
    assert set(CHANGES) == set(asdict(RECIPE))


@pytest.mark.parametrize(('key', 'value'), CHANGES.items(), ids=CHANGES)
def test_another_recipe_is_another_plan(plan, key, value):
    other = replace(RECIPE, **{key: value})
    assert other.key != RECIPE.key
    assert other.file_name != RECIPE.file_name
    # Even when somebody renames the file.
    assert f'{key} is ' in plan_problem(plan, other)
    assert plan_problem(plan, RECIPE) is None


def test_the_command_builds_the_same_plan_again():
    assert RECIPE.command() == (
        'ped_engine build nanodet_g --size 640x384 --precision fp16 --batch 1,4,8 '
        '--flavor tensorrt --workspace 512 --dla 0 --keep-fp32 head_8')
    assert '--target sm_86 sm_89' in RTX_RECIPE.command()
    assert RECIPE.command('models/my.onnx').startswith('ped_engine build models/my.onnx ')


def test_writing_takes_the_manifest_away_first_and_sweeps_what_killed_writers_left(tmp_path):
    plan = tmp_path / RECIPE.file_name
    write_plan(plan, DATA, manifest_of(RECIPE))
    (tmp_path / f'.{plan.name}.4711').write_bytes(b'half')
    plan.unlink()
    plan.mkdir()            # so that the plan cannot be put in its place
    with pytest.raises(Exception, match='cannot be written'):
        write_plan(plan, b'new', manifest_of(RECIPE, b'new'))
    assert [path.name for path in tmp_path.iterdir()] == [plan.name]


def test_all_plans_of_a_folder_are_read(tmp_path):
    good, bad = tmp_path / RECIPE.file_name, tmp_path / 'bad.plan'
    write_plan(good, DATA, manifest_of(RECIPE))
    bad.write_bytes(DATA)
    found = built_plans(tmp_path)
    assert found[good].manifest.recipe == RECIPE
    assert 'bad.plan.json does not exist' in found[bad]
    assert built_plans(tmp_path / 'missing') == {}
