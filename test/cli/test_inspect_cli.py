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

"""``ped_engine inspect`` as its users see it: text, JSON, the page, budgets and exit codes."""

from __future__ import annotations

import json

from ped_perception.cli.engine import main
import pytest
import tiny_models

# As a whole the default model is inspected in test/engine/test_inspect.py.
SMALL = ['nanodet_g', '--size', '96x64']


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def inspect(*arguments):
    return main(['inspect', *SMALL, *arguments])


def test_text_shows_layers_stages_heads_memory_and_estimates(capsys):
    assert inspect('--device', 'orin-agx', 'rtx-4090') == 0
    said = capsys.readouterr().out
    for part in ('96x64, fp16, batch 1', 'trunk/PartitionedCall/convolution_28', '3,755,495',
                 'smaller ones; all with --all', 'trunk/head_32', '32 to 640',
                 'peak activations', 'Jetson AGX Orin', 'GeForce RTX 4090',
                 'Estimates, not measurements'):
        assert part in said
    assert 'decode/centre' not in said
    assert inspect('--all') == 0
    said = capsys.readouterr().out
    assert 'decode/centre' in said
    assert 'smaller ones' not in said
    assert 'Estimates' not in said


def test_json_says_all_of_it_for_a_batch(capsys):
    assert inspect('--json', '--batch', '4', '--precision', 'fp32', '--device', 'thor') == 0
    four = json.loads(capsys.readouterr().out)
    assert inspect('--json', '--precision', 'fp32') == 0
    one = json.loads(capsys.readouterr().out)
    assert (four['batch'], four['precision'], four['size']) == (4, 'fp32', '96x64')
    assert four['totals']['macs'] == 4 * one['totals']['macs']
    assert four['totals']['parameters'] == one['totals']['parameters'] == 3_755_495
    assert [row['device'] for row in four['estimates']] == ['thor']
    assert four['broken_budgets'] == []


def test_the_page_needs_nothing_else(tmp_path, capsys):
    path = tmp_path / 'page.html'
    assert inspect('--html', str(path), '--device', 'orin-nano', '--budget-memory', '1MB') == 1
    page = path.read_text()
    for part in ('<svg', 'over the memory budget', 'trunk/head_8', 'decode/centre',
                 'Estimates, not measurements', 'Super data sheet'):
        assert part in page
    assert 'http://' not in page.replace('http://www.w3.org', '')
    assert '<script' not in page
    capsys.readouterr()


@pytest.mark.parametrize(('budgets', 'code', 'said', 'why'), [
    (['--budget-memory', '512MiB', '--budget-latency', '20ms'], 0, '', 'both are kept'),
    (['--budget-memory', '20MB'], 1, 'over the memory budget', 'scratch and weights alone'),
    (['--budget-latency', '1us'], 1, 'over the latency budget on orin-agx', 'not even there'),
    (['--budget-memory', '1kB', '--budget-latency', '0.001ms'], 1, 'over the latency budget',
     'both are named'),
])
def test_budgets_decide_the_exit_code_and_name_three_layers(capsys, budgets, code, said, why):
    assert inspect('--device', 'orin-agx', *budgets) == code, why
    lines = capsys.readouterr().err.splitlines()
    assert any(said in line for line in lines) == bool(said), why
    for line in lines:
        layers = line.split('most of it: ')[1].split(', ')
        assert len(layers) == 3, why
        assert all('trunk/' in layer or 'decode/' in layer or 'front/' in layer
                   for layer in layers), why


def test_bytes_and_time_have_different_culprits(capsys):
    assert inspect('--device', 'orin-agx', '--budget-memory', '1MB',
                   '--budget-latency', '1us') == 1
    memory, latency = capsys.readouterr().err.splitlines()
    # 256 channels in and out hold most weights.
    assert 'convolution_17 (1.' in memory
    assert ' ms)' in latency
    assert ' MB)' in memory


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--budget-latency', '20ms'], 'needs --device; known are: orin-nano'),
    (['--budget-memory', 'much'], 'write it as 512MiB'),
    (['--budget-latency', '20 parsecs'], 'write it as 20ms'),
    (['--batch', '0'], 'not a positive number'),
    (['--efficiency', '1.5'], 'not in (0, 1]'),
])
def test_wrong_usage_ends_with_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        inspect(*arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_device_is_one_clear_line(capsys):
    assert inspect('--device', 'orin') == 1
    assert 'known are: orin-nano, orin-nx, orin-agx, thor' in capsys.readouterr().err


def test_half_the_efficiency_takes_twice_the_time(capsys):
    seconds = []
    for efficiency in ('1', '0.5'):
        assert inspect('--json', '--device', 'orin-nx', '--efficiency', efficiency) == 0
        seconds.append(json.loads(capsys.readouterr().out)['estimates'][0]['latency_s'])
    assert seconds[1] == pytest.approx(2 * seconds[0])


def test_a_file_may_be_a_model_or_a_typed_graph(tmp_path, capsys):
    model = tiny_models.nanodet(tmp_path / 'mine.onnx')
    graph = tmp_path / 'typed.onnx'
    assert main(['inspect', str(model)]) == 1
    assert '--size WxH' in capsys.readouterr().err
    assert main(['import', str(model), '--size', '96x64', '-o', str(graph)]) == 0
    capsys.readouterr()
    assert main(['inspect', str(model), '--size', '96x64', '--precision', 'fp32', '--json']) == 0
    from_model = json.loads(capsys.readouterr().out)
    assert main(['inspect', str(graph), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['totals'] == from_model['totals']
    assert main(['inspect', str(graph), '--size', '64x64']) == 1
    assert 'typed graph already, 96x64 in fp32' in capsys.readouterr().err
