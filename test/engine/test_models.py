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

"""The catalogue of models, and the cache of typed graphs."""

from dataclasses import replace
import hashlib
import os
from pathlib import Path
import shutil
import subprocess
import sys

from ped_perception.core.errors import ModelError
from ped_perception.engine import models
from ped_perception.engine.catalogue import ENGINES_VARIABLE, ImportOptions, load_entries
from ped_perception.engine.models import compile_graph, typed_graph, TypedGraphInfo
from ped_perception.engine.names import resolve
import pytest
import tiny_models

ENGINES = Path(__file__).parents[2] / 'engines'
SIZE = (64, 96)


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """Make a folder of models of our own, which counts before all others."""
    folder = tmp_path / 'engines'
    folder.mkdir()
    shutil.copy(ENGINES / 'models.toml', folder)
    monkeypatch.setenv(ENGINES_VARIABLE, str(folder))
    return folder


def test_the_shipped_model_is_found_by_name_by_path_and_under_another_name(tmp_path):
    by_name = resolve('nanodet_g')
    assert by_name.path.name == 'nanodet_g.onnx'
    assert resolve(ENGINES / 'nanodet_g.onnx') == replace(
        by_name, path=ENGINES / 'nanodet_g.onnx')
    copy = tmp_path / 'copy.onnx'
    shutil.copy(by_name.path, copy)
    assert resolve(copy).options == by_name.options, 'known by its content'


def test_every_shipped_model_is_there_intact_and_with_a_licence():
    shipped = [entry for entry in load_entries().values() if entry.shipped]
    assert shipped
    for entry in shipped:
        data = (ENGINES / entry.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        assert entry.licence == 'Apache-2.0'
    assert 'Apache License' in (ENGINES / 'LICENSE.nanodet').read_text()


def test_a_damaged_file_is_refused(engines):
    data = bytearray((ENGINES / 'nanodet_g.onnx').read_bytes())
    data[len(data) // 2] ^= 1
    (engines / 'nanodet_g.onnx').write_bytes(data)
    with pytest.raises(ModelError, match=r'nanodet_g\.onnx is damaged: sha256'):
        typed_graph('nanodet_g', SIZE)


def test_a_model_that_is_not_shipped_says_how_to_get_it(engines):
    with pytest.raises(ModelError, match=r'convert_tfjs\.py centernet'):
        resolve('centernet_mobilenetv3')


def test_what_is_neither_model_nor_file_lists_the_models():
    with pytest.raises(ModelError, match='known are: centernet_mobilenetv3, nanodet_g'):
        resolve('nanodet_x.onnx')


def test_a_graph_is_compiled_once(tmp_path, monkeypatch):
    first = typed_graph('nanodet_g', SIZE, cache_dir=tmp_path)
    monkeypatch.setattr(models, 'compile_graph', lambda *_: pytest.fail('compiled again'))
    assert typed_graph('nanodet_g', SIZE, cache_dir=tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_a_cached_graph_needs_no_onnx(tmp_path):
    typed_graph('nanodet_g', SIZE, cache_dir=tmp_path)
    script = (
        'import sys; from pathlib import Path\n'
        'from ped_perception.engine.models import typed_graph\n'
        f'typed_graph("nanodet_g", {SIZE}, cache_dir=Path({str(tmp_path)!r}))\n'
        'sys.exit("onnx" in sys.modules)')
    subprocess.run([sys.executable, '-c', script], cwd=ENGINES.parent, check=True)


@pytest.mark.parametrize(('change', 'why'), [
    ({'size_hw': (96, 64)}, 'another size, of the same area'),
    ({'precision': 'fp16'}, 'another precision'),
    ({'options': ImportOptions(class_index=1)}, 'another class'),
    ({'options': ImportOptions(mean=(0.0, 0.0, 0.0))}, 'another normalisation'),
    ({'options': ImportOptions(top_k=7)}, 'another K'),
])
def test_whatever_changes_the_graph_changes_its_name(tmp_path, change, why):
    source = resolve('nanodet_g')
    usual = {'size_hw': SIZE, 'precision': 'fp32', 'options': ImportOptions()}
    names = {models.cached_path(source, cache_dir=tmp_path, **{**usual, **extra})
             for extra in ({}, change)}
    assert len(names) == 2, why


def test_code_that_compiles_differently_is_another_graph(tmp_path, monkeypatch):
    source = resolve('nanodet_g')
    before = models.cached_path(source, SIZE, 'fp32', ImportOptions(), tmp_path)
    monkeypatch.setattr(models, '_compiler_digest', lambda: 'other')
    assert models.cached_path(source, SIZE, 'fp32', ImportOptions(), tmp_path) != before


def test_the_file_describes_itself(tmp_path):
    path = typed_graph('nanodet_g', SIZE, precision='fp16', cache_dir=tmp_path)
    info = TypedGraphInfo.from_file(path)
    assert info == TypedGraphInfo(
        name='nanodet_g', family='nanodet', source_sha256=load_entries()['nanodet_g'].sha256,
        size_hw=SIZE, top_k=126, class_index=0, precision='fp16')  # 96 + 24 + 6 anchors


def test_a_raw_model_is_no_typed_graph():
    with pytest.raises(ModelError, match=r'nanodet_g\.onnx is not a typed graph'):
        TypedGraphInfo.from_file(ENGINES / 'nanodet_g.onnx')


def test_a_file_of_nobody_gets_the_defaults_of_its_family(tmp_path):
    path = tiny_models.centernet(tmp_path / 'mine.onnx')
    report = compile_graph(resolve(path), SIZE, 'fp32', ImportOptions(class_index=5),
                           tmp_path / 'out.onnx')
    assert report.family == 'centernet'
    assert (report.spec.channel_order, report.spec.top_k) == ('rgb', 100)
    assert TypedGraphInfo.from_file(report.path).class_index == 5


def test_nothing_is_left_when_the_disk_refuses(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', refuse)
    with pytest.raises(ModelError, match='No space left'):
        typed_graph('nanodet_g', SIZE, cache_dir=tmp_path / 'cache')
    assert list((tmp_path / 'cache').iterdir()) == []


def test_a_cache_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(ModelError, match='XDG_CACHE_HOME'):
        typed_graph('nanodet_g', SIZE, cache_dir=tmp_path / 'file' / 'cache')


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('class_index = 0', 'class_idx = 0', 'nanodet_g.*class_index'),
    ('class_index = 0', 'class_index = 0\ncolour = 1', 'nanodet_g.*colour'),
    ('size = "640x384"', 'size = "640"', 'nanodet_g.*640'),
    ('sha256 = "', 'sha256 = "x', 'nanodet_g.*sha256'),
    ('[nanodet_g]', '[nanodet_g', 'cannot be read'),
])
def test_a_wrong_entry_is_named(engines, old, new, message):
    path = engines / 'models.toml'
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ModelError, match=message):
        load_entries()
