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

"""``ped_engine`` as its users see it: output, files and exit codes."""

import json
import subprocess
import sys

import onnx
from ped_perception.cli import engine
from ped_perception.cli.engine import main
from ped_perception.engine.files import user_folder
from ped_perception.engine.models import typed_graph, TypedGraphInfo
from ped_perception.engine.names import resolve, usual_size
import pytest
import tiny_families
import tiny_models


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def test_list_shows_every_model_and_how_to_get_what_is_missing(capsys):
    assert main(['list']) == 0
    output = capsys.readouterr().out
    assert 'nanodet_g' in output
    assert 'convert_tfjs.py centernet' in output


def test_list_for_programs(capsys):
    assert main(['list', '--json']) == 0
    rows = {row['name']: row for row in json.loads(capsys.readouterr().out)}
    assert rows['nanodet_g']['path'].endswith('nanodet_g.onnx')
    assert rows['nanodet_g']['size'] == '640x384'
    assert rows['centernet_mobilenetv3']['shipped'] is False


def test_import_writes_the_graph_and_says_what_it_did(tmp_path, capsys):
    output = tmp_path / 'graph.onnx'
    assert main(['import', 'nanodet_g', '--size', '96x64', '-o', str(output), '--top-k', '50',
                 '--precision', 'fp16']) == 0
    said = capsys.readouterr().out
    for part in ('nanodet (by models.toml)', 'uint8[N,64,96,3]', 'boxes float32[N,50,4]',
                 '30,573 parameters', 'fp16', str(output)):
        assert part in said
    info = TypedGraphInfo.from_file(output)
    assert (info.size_hw, info.top_k, info.precision) == ((64, 96), 50, 'fp16')


def test_import_takes_everything_about_a_foreign_file_from_the_command_line(tmp_path, capsys):
    path = tiny_models.nanodet(tmp_path / 'mine.onnx', classes=10, bins=11)
    arguments = ['import', str(path), '--size', '96x64', '--mean', '1', '2', '3',
                 '--std', '4', '5', '6', '--channel-order', 'rgb', '--class-index', '7']
    assert main(arguments) == 1, 'ten classes are not told from other families'
    assert 'out8' in capsys.readouterr().err
    assert main([*arguments, '--family', 'nanodet', '--class-count', '10']) == 0
    said = capsys.readouterr().out
    assert 'nanodet (as told)' in said
    assert 'RGB, mean [1.0, 2.0, 3.0], std [4.0, 5.0, 6.0]' in said
    assert 'class      7 of 10' in said
    assert len(list((tmp_path / 'cache' / 'ped_perception' / 'graphs').glob('mine-*'))) == 1


OPTIONS = {'mean': (1.0, 2.0, 3.0), 'std': (4.0, 5.0, 6.0), 'channel_order': 'rgb',
           'class_index': 7, 'class_count': 10, 'family': 'nanodet'}


def import_mine(path, *more):
    """Import a file that needs to be told much."""
    return main(['import', str(path), '--size', '96x64', '--family', 'nanodet', '--class-count',
                 '10', '--class-index', '7', '--mean', '1', '2', '3', '--std', '4', '5', '6',
                 '--channel-order', 'rgb', *more])


def test_an_imported_model_has_a_name_and_what_was_said_is_not_forgotten(tmp_path, capsys):
    path = tiny_models.nanodet(tmp_path / 'mine.onnx', classes=10)
    assert import_mine(path) == 0
    assert 'name       mine\n' in capsys.readouterr().out
    for known_as in ('mine', path):
        options = resolve(known_as).options
        assert {key: getattr(options, key) for key in OPTIONS} == OPTIONS
    # The graph that build and the node will take is the one that was made.
    (graph,) = (tmp_path / 'cache' / 'ped_perception' / 'graphs').iterdir()
    assert typed_graph('mine', (64, 96)) == typed_graph(path, (64, 96)) == graph
    for command in ('inspect mine', f'inspect {path}', 'verify mine --precision fp32'):
        assert main(command.split()) == 0, 'the size is known, too'
    capsys.readouterr()
    assert main(['list', '--json']) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row['name'] == 'mine')
    assert (row['family'], row['size'], row['path']) == ('nanodet', '96x64', str(path))
    assert main(['import', 'mine', '--size', '64x96']) == 0
    assert resolve('mine').options.class_index == 7
    assert usual_size('mine') == (96, 64)
    # The file said anew begins anew.
    assert main(['import', str(path), '--size', '96x64', '--family', 'nanodet', '--class-count',
                 '10']) == 0
    assert resolve('mine').options.class_index is None


def test_a_name_stands_for_the_last_file_imported_and_says_so(tmp_path, capsys):
    (tmp_path / 'other').mkdir()
    first = tiny_models.nanodet(tmp_path / 'mine.onnx')
    second = tiny_models.nanodet(tmp_path / 'other' / 'mine.onnx', bins=8)
    for path in (first, first, second):
        capsys.readouterr()
        assert main(['import', str(path), '--size', '96x64']) == 0
    assert 'name       mine, no longer that of another' in capsys.readouterr().out
    assert resolve('mine').path == second
    assert main(['import', str(first), '--size', '96x64', '--name', 'first']) == 0
    assert resolve('first').path == first


@pytest.mark.parametrize(('change', 'message'), [
    (lambda path: path.unlink(), 'is not there. Import it again: ped_engine import FILE'),
    (lambda path: path.write_bytes(path.read_bytes() + b'?'), 'Import it again'),
    (lambda path: (user_folder('models') / 'mine.json').write_text('{}'), 'Remove it')])
def test_a_file_that_changed_behind_its_name_is_not_used(tmp_path, capsys, change, message):
    path = tiny_models.nanodet(tmp_path / 'mine.onnx')
    assert main(['import', str(path), '--size', '96x64']) == 0
    change(path)
    assert main(['inspect', 'mine', '--size', '96x64']) == 1
    assert message in capsys.readouterr().err
    assert resolve('nanodet_g').name == 'nanodet_g', 'others are not harmed'


@pytest.mark.parametrize(('file', 'more', 'message'), [
    ('nanodet_g.onnx', [], 'nanodet_g is a model of this package, and this file is another'),
    ('my model.onnx', [], "'my model' cannot be the name"),
    ('mine.onnx', ['--name', '../mine'], "'../mine' cannot be the name")])
def test_a_name_that_would_mislead_is_refused(tmp_path, capsys, file, more, message):
    path = tiny_models.nanodet(tmp_path / file)
    assert main(['import', str(path), '--size', '96x64', *more]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'cache').exists()
    assert main(['import', str(path), '--size', '96x64', '--name', 'good']) == 0


def test_import_says_what_could_not_be_cut(tmp_path, capsys):
    path = tiny_families.ssd(tmp_path / 'mine.onnx')
    assert main(['import', str(path), '--size', '96x64']) == 0
    said = capsys.readouterr().out
    assert 'ssd (91 scores' in said
    assert 'saved      nothing; all classes are needed by Softmax ' in said
    assert 'class      1 of 91' in said, "0 is the background: the family's default is 1"


@pytest.mark.parametrize(('arguments', 'message'), [
    (['nanodet_g', '--size', '640x360'], '640x352 or 640x384'),
    (['missing.onnx', '--size', '640x384'], 'neither a file nor a known model'),
    (['nanodet_g', '--size', '640x384', '--family', 'yolo99'], 'known are: centernet, detr'),
    (['nanodet_g', '--size', '640x384', '--class-index', '80'], 'Class index 80'),
])
def test_a_failure_is_one_clear_line(capsys, arguments, message):
    assert main(['import', *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.startswith('ped_engine: ')
    assert captured.err.count('\n') == 1
    assert message in captured.err


def test_messages_of_libraries_become_one_line_too(tmp_path, capsys):
    path = tiny_models.nanodet(tmp_path / 'mine.onnx')
    model = onnx.load(path)
    model.graph.node[-1].op_type = 'NoSuchOperator'
    path.write_bytes(model.SerializeToString())
    assert main(['import', str(path), '--size', '96x64']) == 1
    error = capsys.readouterr().err
    assert 'NoSuchOperator' in error
    assert error.count('\n') == 1


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, 'known_models', interrupt)
    assert main(['list']) == 130
    assert capsys.readouterr().err == 'ped_engine: interrupted\n'


def test_a_reader_that_goes_away_is_no_traceback():
    program = subprocess.Popen(
        [sys.executable, '-m', 'ped_perception.cli.engine', 'list', '--json'], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.close()
    assert program.wait(60) == 141
    assert program.stderr.read() == ''


@pytest.mark.parametrize('arguments', [
    [], ['import', 'nanodet_g'], ['import', 'nanodet_g', '--size', '640'], ['build-a-car']])
def test_wrong_usage_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert 'usage: ped_engine' in capsys.readouterr().err
