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

"""Cutting channels and freeing frozen sizes never changes what a network computes."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import onnx
from onnx import helper
import onnxruntime
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import GraphBuilder
from ped_perception.engine.trunk import Trunk
import pytest
from tiny_families import Net

SIZE_HW = (8, 12)
PICTURES = np.random.default_rng(6).normal(0, 1, (2, 3, *SIZE_HW)).astype(np.float32)
CLASSES = 7


def run(model, pictures, name='data'):
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    return session.run(None, {name: pictures})


def kept(path, axis, channels):
    """Cut the file's only output; gives its results on two pictures, and what was saved."""
    trunk = Trunk.load(path)
    trunk.resize(SIZE_HW)
    saving = trunk.keep('out', axis, channels)
    builder = GraphBuilder(trunk.opset)
    info = trunk.attach(builder, 'trunk/data', 'fp32')['out']
    graph = helper.make_graph(
        builder._nodes, 'cut',
        [helper.make_tensor_value_info('trunk/data', 1, ['N', 3, *SIZE_HW])],
        [helper.make_tensor_value_info(info.name, 1, None)], builder._constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', trunk.opset)],
                              ir_version=9)
    return run(model, PICTURES, 'trunk/data')[0], saving


def expected(path, axis, channels):
    model = onnx.load(path)
    whole = np.concatenate([run(model, picture[None])[0] for picture in PICTURES])
    return np.take(whole, channels, axis)


def by_elements(net, x):
    x = net.node('Mul', net.node('Sigmoid', x), net.random(CLASSES, 1, 1))
    return net.node('Sqrt', net.node('Abs', net.node('Add', x, net.constant(0.1)))), 1


def by_gate(net, x):
    return net.node('Mul', x, net.node('Sigmoid', net.conv(1, 4))), 1


def by_layout(net, x):
    x = net.node('Transpose', net.reshape(x, 1, CLASSES, 6), perm=[0, 2, 1])
    x = net.node('Unsqueeze', x, net.constant([1], np.int64))
    x = net.node('Gather', x, net.constant(0, np.int64), axis=1)
    return net.node('Squeeze', net.node('Unsqueeze', x, net.constant([3], np.int64)),
                    net.constant([-1], np.int64)), 2


def by_anchors(net, _x):
    heads = net.node('Transpose', net.conv(2 * CLASSES, 4), perm=[0, 2, 3, 1])
    return net.reshape(heads, 1, 2 * 3 * 2, CLASSES), 2


def by_parts(net, x):
    both = net.concat(x, net.conv(3, 4), axis=1)
    part, rest = net.node('Split', both, net.constant([CLASSES + 1, 2], np.int64), outputs=2,
                          axis=1)
    return net.concat(net.node('Exp', net.cut(part, 1, 1 << 60, 1)), rest,
                      net.cut(part, 0, 1, 1), axis=1), 1


def by_product(net, x):
    rows = net.turn(net.reshape(x, 1, CLASSES, 6))
    return net.node('Add', net.node('MatMul', rows, net.random(CLASSES, CLASSES)),
                    net.random(CLASSES)), 2


def by_gemm(net, x):
    flat = net.reshape(x, 1, 6 * CLASSES)
    return net.node('Gemm', flat, net.random(CLASSES, 6 * CLASSES), net.random(CLASSES),
                    transB=1), 1


def by_softmax(net, x):
    return net.node('Sigmoid', net.node('Softmax', x, axis=1)), 1


def by_two_readers(net, x):
    most = net.node('ReduceMax', x, axes=[1], keepdims=1)
    return net.node('Sub', x, most), 1


WAYS = [by_elements, by_gate, by_layout, by_anchors, by_parts, by_product, by_gemm, by_softmax,
        by_two_readers]
UNCUT = {by_softmax: 'Softmax', by_two_readers: 'Conv'}


def written(path, way):
    net = Net(SIZE_HW)
    tensor, axis = way(net, net.conv(CLASSES, 4))
    return net.save(path, {'out': (tensor, None)}), axis


@pytest.mark.parametrize('way', WAYS)
def test_a_cut_network_gives_what_the_whole_one_gives(tmp_path, way):
    path, axis = written(tmp_path / 'm.onnx', way)
    for channels in ([0], [4], [1, 2, 6], list(range(CLASSES))):
        result, saving = kept(path, axis, channels)
        np.testing.assert_allclose(result, expected(path, axis, channels), atol=1e-6)
        if way in UNCUT:
            assert saving.parameters == 0
        if len(channels) < CLASSES:
            assert bool(saving.parameters) == (way not in UNCUT), 'it is cut where it can be'
            assert [text.split()[0] for text in saving.uncut] == (
                [UNCUT[way]] if way in UNCUT else [])


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(WAYS), st.sets(st.integers(0, CLASSES - 1), min_size=1))
def test_any_channels_survive_any_way(tmp_path_factory, way, channels):
    path, axis = written(Path(tmp_path_factory.mktemp('cut')) / 'm.onnx', way)
    result, _ = kept(path, axis, sorted(channels))
    np.testing.assert_allclose(result, expected(path, axis, sorted(channels)), atol=1e-6)


def frozen_batch(net, x):
    return net.node('Squeeze', x, net.constant([0], np.int64))


def token_of_one(net, x):
    return net.concat(net.random(1, 1, CLASSES), net.turn(net.reshape(x, 1, CLASSES, 6)), axis=1)


def merged_with_batch(net, x):
    return net.reshape(net.reshape(x, CLASSES, 6), 1, CLASSES, 6)


@pytest.mark.parametrize('spoil', [frozen_batch, token_of_one, merged_with_batch])
def test_a_batch_that_cannot_be_freed_is_refused(tmp_path, spoil):
    net = Net(SIZE_HW)
    path = net.save(tmp_path / 'm.onnx', {'out': (spoil(net, net.conv(CLASSES, 4)), None)})
    with pytest.raises(ModelError, match=r'bound to a batch of 1.*dynamic batch'):
        Trunk.load(path).resize(SIZE_HW)


def with_grid(net, x):
    return net.node('Add', net.reshape(x, 1, CLASSES, -1), net.random(1, CLASSES, 6))


def with_windows(net, x):
    return net.reshape(x, 1, CLASSES, 2, 1, 3, 1)


@pytest.mark.parametrize('spoil', [with_grid, with_windows])
def test_a_size_that_cannot_be_changed_is_refused(tmp_path, spoil):
    net = Net(SIZE_HW)
    path = net.save(tmp_path / 'm.onnx', {'out': (spoil(net, net.conv(CLASSES, 4)), None)})
    Trunk.load(path).resize(SIZE_HW)
    with pytest.raises(ModelError, match='exported for 12x8 and does not work at 24x16'):
        Trunk.load(path).resize((16, 24))


def test_shapes_that_a_network_computes_become_constants(tmp_path):
    net = Net(None, batch='N')
    x = net.conv(CLASSES, 4)
    shape = net.node('Shape', x)
    rows = [net.cut(shape, start, start + 1, 0) for start in (0, 1)]
    whole = net.concat(*rows, net.constant([-1], np.int64), axis=0)
    path = net.save(tmp_path / 'm.onnx', {'out': (net.node('Reshape', x, whole), None)})
    result, saving = kept(path, 1, [2])
    assert saving.parameters == 6 * (3 * 16 + 1), 'the class is cut through the Reshape'
    np.testing.assert_allclose(result, expected(path, 1, [2]), atol=1e-6)
