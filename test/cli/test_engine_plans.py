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

"""``ped_engine build``, ``verify`` and ``list`` as their users see them."""

from __future__ import annotations

import json
import os
import re
import shlex

from letterbox_on_cpu import compiler_problem, cpu_kernels
from ped_perception.backends import gpu_letterbox
from ped_perception.backends.gpu_letterbox import ensure_kernels
from ped_perception.cli import verify
from ped_perception.cli.engine import main
from ped_perception.core.errors import MissingExtraError
from ped_perception.engine.catalogue import ImportOptions, sha256_from_file
from ped_perception.engine.flavors import load_library
from ped_perception.engine.manifest import inspect_plan
from ped_perception.engine.models import typed_graph
from ped_perception.engine.plans import user_plans
import pytest
from recorded_gpu import GPU, recorded_gpu, write_double_plan
import tiny_models


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def rtx():
    """Skip where the real builder is not installed."""
    try:
        load_library('tensorrt_rtx')
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_a_plan_is_built_listed_verified_and_found_out_when_damaged(rtx, capsys):
    command = ['build', 'nanodet_g', '--flavor', 'tensorrt_rtx', '--target', 'sm_86', 'sm_89']
    assert main(command) == 0
    said = capsys.readouterr().out
    for part in ('for        sm_86 sm_89, tensorrt_rtx 1.', 'precision  fp16; layers in the typed',
                 'batch      1,4,8', 'activations 6', 'agreement  100.0% of',
                 'float16 holds 65504'):
        assert part in said
    (plan,) = user_plans().glob('*.plan')
    assert str(plan) in said

    assert main(['list', '--json']) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all('name' in row for row in rows)
    (row,) = (row for row in rows if row['kind'] == 'plan')
    assert (row['name'], row['precision'], row['capabilities']) == (
        'nanodet_g', 'fp16', ['sm_86', 'sm_89'])
    assert main(['list']) == 0
    assert 'sm_86 sm_89, tensorrt_rtx' in capsys.readouterr().out

    assert main(['verify', 'nanodet_g', '--ranges']) == 0
    said = capsys.readouterr().out
    assert 'known pedestrians found' in said
    assert 'every result rounded' in said
    assert 'intact     yes' in said
    ranges = [line.split() for line in said.splitlines() if line.startswith('range  ')]
    assert sum('convolution' in row[-1] for row in ranges[1:]) >= 34
    values = [float(row[1]) for row in ranges if row[-1] != '65504']
    assert values == sorted(values, reverse=True)
    assert values[0] == 255, 'the picture itself'

    plan.write_bytes(plan.read_bytes()[:-1] + b'?')
    for name in ('nanodet_g', str(plan)):
        assert main(['verify', name]) == 1
        assert 'is damaged' in capsys.readouterr().err
    assert main(['list']) == 0
    assert 'is damaged' in capsys.readouterr().out


def test_an_imported_model_goes_all_the_way_by_its_name(rtx, tmp_path, capsys):
    path = tiny_models.nanodet(tmp_path / 'my_net.onnx')
    assert main(['import', str(path), '--size', '96x64', '--channel-order', 'rgb']) == 0
    assert main(['build', 'my_net', '--precision', 'fp16', '--batch', '1,2,4', '--flavor',
                 'tensorrt_rtx', '--target', 'sm_86']) == 0
    (plan,) = user_plans().glob('my_net-96x64-*.plan')
    graph = typed_graph(path, (64, 96), precision='fp16', options=ImportOptions(
        channel_order='rgb'))
    assert inspect_plan(plan).manifest.recipe.graph_sha256 == sha256_from_file(graph)
    capsys.readouterr()
    assert main(['inspect', 'my_net', '--device', 'orin-agx', '--budget-memory', '512MiB']) == 0
    assert main(['verify', 'my_net']) == 0
    assert str(plan) in capsys.readouterr().out


def test_the_int8_graph_of_the_cpu_is_verified_where_it_runs(capsys):
    pytest.importorskip('openvino')
    assert main(['verify', 'nanodet_g', '--precision', 'int8']) == 0
    said = capsys.readouterr().out
    assert re.search(r'agreement +nanodet_g int8 in openvino against nanodet_g fp32', said)
    assert re.search(r'golden +nanodet_g int8 in openvino: 18 of 18', said)


@pytest.mark.parametrize(('options', 'found', 'is_warned'), [
    ([], (18, 18), False), (['--class-index', '2'], (0, 2), True)])
def test_a_model_without_golden_boxes_must_find_known_people(
        root, capsys, options, found, is_warned):
    source = root / 'engines' / 'nanodet_g.onnx'
    assert main(['import', str(source), '--size', '640x384', '--name', 'mine', *options]) == 0
    capsys.readouterr()
    assert main(['verify', 'mine', '--precision', 'fp32']) == 0
    said = capsys.readouterr().out
    count, every = re.search(r'mine finds (\d+) of (\d+) known', said).groups()
    assert found[0] <= int(count) <= found[1]
    assert int(every) == 18
    assert ('--mean, --std' in said) is is_warned


@pytest.mark.parametrize(('options', 'kernels', 'code', 'said'), [
    ({}, None, 0, 'letterbox  of the GPU not run: it is not compiled'),
    ({}, 'right', 0, 'letterbox  of the GPU: nanodet_g fp32 in tensorrt: '),
    ({}, 'wrong', 1, 'The self-test failed'),
    ({'channel_order': 'rgb'}, None, 1, 'red and blue exchanged')])
def test_a_plan_is_verified_on_the_gpu_with_both_letterboxes(
        tmp_path, monkeypatch, capsys, options, kernels, code, said):
    if kernels and compiler_problem():
        pytest.skip(compiler_problem())
    functions = cpu_kernels() if kernels else {}
    if kernels == 'wrong':
        functions = dict.fromkeys(functions, lambda grid, block, arguments: None)
    if kernels:
        monkeypatch.setattr(verify, 'ensure_kernels', lambda capability, allow_build: tmp_path)
    graph = typed_graph('nanodet_g', (256, 416), options=ImportOptions(**options))
    monkeypatch.setattr(verify, 'find_gpu', lambda: GPU)
    with recorded_gpu(functions):
        plan = write_double_plan(tmp_path, graph, network_hw=(256, 416), name='nanodet_g')
        assert main(['verify', str(plan)]) == code
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert code or 'golden     nanodet_g fp32 in tensorrt: ' in captured.out


@pytest.mark.parametrize('has_nvcc', [True, False])
def test_build_compiles_the_letterbox_or_says_that_it_did_not(
        rtx, tmp_path, monkeypatch, capsys, has_nvcc):
    nvcc = tmp_path / 'nvcc'
    nvcc.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; echo binary > "$2"\n')
    nvcc.chmod(0o755 if has_nvcc else 0o644)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}' if has_nvcc else '')
    monkeypatch.setattr(gpu_letterbox, 'USUAL_NVCC', tmp_path / 'none')
    model = tiny_models.nanodet(tmp_path / 'tiny.onnx')
    assert main(['build', str(model), '--size', '96x64', '--precision', 'fp32', '--flavor',
                 'tensorrt_rtx', '--target', 'sm_89', 'sm_86']) == 0
    said = [line for line in capsys.readouterr().out.splitlines()
            if line.startswith('letterbox')]
    if has_nvcc:
        assert [line.split()[-1] for line in said] == [
            str(ensure_kernels(target, allow_build=False)) for target in ('sm_86', 'sm_89')]
    else:
        assert len(said) == 2
        assert 'not compiled for sm_86, so preprocess must be cpu' in said[0]


@pytest.mark.parametrize(('arguments', 'message'), [
    ('build nanodet_g --flavor tensorrt_rtx --target sm_87', 'cannot build for sm_87'),
    ('build nanodet_g --precision int8 --flavor tensorrt_rtx --target sm_86',
     'ped_engine import nanodet_g --size 640x384 --precision int8 --runtime tensorrt'),
    ('build nanodet_g --size 96x64 --flavor tensorrt_rtx --target sm_86 --keep-fp32 no/layer',
     "no layer 'no/layer'"),
    ('build missing.onnx --target sm_86', 'neither a file nor a known model'),
    (f'build {__file__} --target sm_86', 'cannot be read as an ONNX model'),
    ('inspect some.plan', 'is a plan, and this takes the model'),
    ('verify missing.plan', 'missing.plan.json does not exist'),
])
def test_a_failure_is_one_line_that_says_what_to_do(rtx, capsys, arguments, message):
    assert main(shlex.split(arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith('ped_engine: ')
    assert error.count('\n') == 1
    assert message in error


def test_a_size_that_nobody_said_is_asked_for(tmp_path, capsys):
    path = tiny_models.nanodet(tmp_path / 'own.onnx')
    assert main(['build', str(path), '--target', 'sm_86']) == 1
    assert 'own.onnx is not known; say it: --size' in capsys.readouterr().err


@pytest.mark.parametrize('batch', ['8,4,1', '0', '1,8', 'x', '1,,8'])
def test_batches_that_are_none_are_wrong_usage(capsys, batch):
    with pytest.raises(SystemExit) as stopped:
        main(['build', 'nanodet_g', '--batch', batch])
    assert stopped.value.code == 2
    assert 'argument --batch' in capsys.readouterr().err
