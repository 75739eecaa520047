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

"""What OpenVINO has compiled is loaded the next time, unless anything speaks against it."""

from __future__ import annotations

import hashlib
import importlib.util

import numpy as np
from ped_perception.backends import BackendConfig, open_graph
from ped_perception.backends import openvino as backend_module
from ped_perception.engine.files import user_folder
import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec('openvino') is None,
                                reason='openvino is not installed')

CONFIG = BackendConfig(backend='openvino', threads=1)


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Use an empty cache; give the list of what was compiled instead of loaded."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    names, keep = [], backend_module.keep_compiled
    monkeypatch.setattr(backend_module, 'keep_compiled', lambda network, path: (
        names.append(path.name), keep(network, path)))
    return names


@pytest.fixture
def graph(root):
    return root / 'engines' / 'nanodet_g-640x384-int8.onnx'


def looked(graph, config=CONFIG):
    """Open a graph, look at a picture of noise, and give what it is and what it found."""
    with open_graph(graph, config, 1) as backend:
        backend.batch_nhw3[0] = np.random.default_rng(2).integers(0, 256, backend.batch_nhw3[0]
                                                                  .shape, np.uint8)
        found = backend.infer(1)
        return backend.info, found.boxes_nk4.copy(), found.scores_nk.copy()


def kept_file():
    (path,) = user_folder('openvino').glob('*.blob')
    return path


def test_what_was_compiled_once_is_loaded_and_computes_the_same(compiled, graph):
    (info, boxes_nk4, scores_nk), (again, *found) = looked(graph), looked(graph)
    assert len(compiled) == 1
    assert again == info
    assert info.precision == 'int8'
    assert np.array_equal(found[0], boxes_nk4)
    assert np.array_equal(found[1], scores_nk)


def with_digest(blob):
    return hashlib.sha256(blob).digest() + blob


@pytest.mark.parametrize(('damage', 'why'), [
    (lambda data: b'', 'a disk that was full'),
    (lambda data: data[:-1000], 'cut off'),
    (lambda data: data[:9999] + bytes([data[9999] ^ 1]) + data[10000:], 'a bit has changed'),
    (lambda data: with_digest(b'something else'), 'whole, but the runtime refuses it'),
])
def test_what_is_damaged_is_compiled_anew(compiled, graph, damage, why):
    _, boxes_nk4, _ = looked(graph)
    path = kept_file()
    path.write_bytes(damage(path.read_bytes()))
    assert np.array_equal(looked(graph)[1], boxes_nk4), why
    assert len(compiled) == 2, why
    looked(graph)
    assert len(compiled) == 2, 'and kept again'


def test_another_graph_or_other_properties_are_compiled_for_themselves(compiled, graph, tmp_path):
    looked(graph)
    looked(graph, BackendConfig(backend='openvino', threads=2))
    other = tmp_path / graph.name
    # A field that nobody reads: the same network in another file.
    other.write_bytes(graph.read_bytes() + b'\x12\x01x')
    looked(other)
    assert len(set(compiled)) == 3


def test_a_cache_that_cannot_be_written_costs_time_only(compiled, graph, tmp_path):
    (tmp_path / 'cache').write_text('no folder')
    assert looked(graph)[0].precision == 'int8'
    assert looked(graph)[0].precision == 'int8'
    assert len(compiled) == 2


def test_what_was_compiled_long_ago_goes(compiled, graph):
    folder = user_folder('openvino')
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f'old-{number}.blob').write_bytes(b'old')
    looked(graph)
    assert len(list(folder.glob('*.blob'))) == 16
    looked(graph)
    assert len(compiled) == 1
