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

"""Opening a backend: what is chosen, and what is said when it cannot be had."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, TensorProto
from ped_perception import backends
from ped_perception.backends import BackendConfig, choose_backend, open_backend, open_graph
from ped_perception.core.errors import BackendError, ConfigError, MissingExtraError, ModelError
import pytest

BACKENDS = ('onnxruntime', 'openvino')


@pytest.mark.parametrize(('installed', 'chosen', 'why'), [
    (('openvino', 'onnxruntime'), 'openvino', 'the faster one'),
    (('onnxruntime',), 'onnxruntime', 'the only one'),
])
def test_auto_takes_the_best_installed(monkeypatch, installed, chosen, why):
    monkeypatch.setattr(backends.importlib.util, 'find_spec',
                        lambda name: object() if name in installed else None)
    assert choose_backend('auto') == chosen, why


def test_auto_with_nothing_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr(backends.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(BackendError, match='pip install'):
        choose_backend('auto')


def test_an_unknown_backend_lists_the_known():
    with pytest.raises(BackendError, match='openvino'):
        choose_backend('tensorflow')


def test_a_runtime_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'openvino', None)
    with pytest.raises(MissingExtraError, match=r'ped_perception\[openvino\]'):
        open_backend(BackendConfig(backend='openvino', precision='fp32'), 1)


@pytest.mark.parametrize(('config', 'error', 'fragment', 'why'), [
    (BackendConfig(model='nanodet_x'), ModelError, 'nanodet_g', 'a misspelt model lists models'),
    (BackendConfig(model='/nowhere/model.onnx'), ModelError, '/nowhere/model.onnx',
     'a file that is not there'),
    (BackendConfig(network_size='641x384', precision='fp32'), ModelError, '32',
     'a size the network cannot have'),
    (BackendConfig(network_size='big'), ConfigError, 'WIDTHxHEIGHT', 'no size at all'),
    (BackendConfig(backend='onnxruntime', precision='bf16'), BackendError, 'bf16',
     'ONNX Runtime has no bf16 on the CPU'),
])
def test_what_cannot_be_opened_says_why(config, error, fragment, why):
    with pytest.raises(error) as caught:
        open_backend(config, 1)
    assert fragment in str(caught.value), why


@pytest.mark.parametrize('name', BACKENDS)
def test_no_slots_are_refused(name):
    with pytest.raises(BackendError, match='at least one slot'):
        open_backend(BackendConfig(backend=name, precision='fp32', network_size='64x64'), 0)


def save_graph(path, inputs, outputs):
    """Write a graph of Identity-like nodes with the given inputs and outputs."""
    nodes = [helper.make_node('ConstantOfShape', ['shape_' + name], [name])
             for name, _, _ in outputs]
    constants = [onnx.numpy_helper.from_array(np.array(shape, np.int64), 'shape_' + name)
                 for name, _, shape in outputs]
    onnx.save(helper.make_model(helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs], constants),
        opset_imports=[helper.make_opsetid('', 17)], ir_version=9), path)


IMAGES = ('images', TensorProto.UINT8, [1, 64, 96, 3])
BOXES = ('boxes', TensorProto.FLOAT, [1, 5, 4])
SCORES = ('scores', TensorProto.FLOAT, [1, 5])


@pytest.mark.parametrize('name', BACKENDS)
@pytest.mark.parametrize(('inputs', 'outputs', 'why'), [
    ([('images', TensorProto.FLOAT, [1, 3, 64, 96])], [BOXES, SCORES], 'a float NCHW network'),
    ([('data', TensorProto.UINT8, [1, 64, 96, 3])], [BOXES, SCORES], 'another input name'),
    ([IMAGES], [SCORES], 'no boxes'),
    ([IMAGES], [('boxes', TensorProto.FLOAT, [1, 5, 6]), SCORES], 'six numbers a box'),
])
def test_a_graph_that_is_not_typed_is_refused(tmp_path, name, inputs, outputs, why):
    save_graph(tmp_path / 'other.onnx', inputs, outputs)
    with pytest.raises(BackendError, match='not a typed graph'):
        open_graph(tmp_path / 'other.onnx', BackendConfig(backend=name, precision='fp32'), 1)


@pytest.mark.parametrize('name', BACKENDS)
@pytest.mark.parametrize('content', [b'', b'this is no model', bytes(range(256)) * 40])
def test_a_file_that_is_no_model_is_refused(tmp_path, name, content):
    (tmp_path / 'broken.onnx').write_bytes(content)
    with pytest.raises(BackendError, match=r'broken\.onnx'):
        open_graph(tmp_path / 'broken.onnx', BackendConfig(backend=name, precision='fp32'), 1)


def test_a_missing_graph_is_refused(tmp_path):
    with pytest.raises(BackendError, match='ped_engine import'):
        open_graph(tmp_path / 'missing.onnx', BackendConfig(precision='fp32'), 1)
