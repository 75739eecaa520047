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

"""The converter on a small TensorFlow.js model with all quirks, against NHWC numpy."""

from base64 import b64encode
import importlib
import json
from pathlib import Path
import sys

import numpy as np
import onnxruntime
import pytest

ENGINES = Path(__file__).parents[2] / 'engines'
HEIGHT, WIDTH = 16, 24


@pytest.fixture(scope='module')
def converter():
    """Import the script's modules the way they see each other when it is run."""
    sys.path.insert(0, str(ENGINES))
    try:
        yield importlib.import_module('convert_tfjs')
    finally:
        sys.path.remove(str(ENGINES))


class Writer:
    """Writes a TensorFlow.js graph model."""

    def __init__(self):
        self.nodes, self.weights, self.data = [], [], b''

    def add(self, op, name, inputs=(), **attributes):
        kinds = {str: lambda v: {'s': b64encode(v.encode()).decode()}, bool: lambda v: {'b': v},
                 float: lambda v: {'f': v},
                 list: lambda v: {'list': {'i': [str(item) for item in v]}}}
        self.nodes.append({'op': op, 'name': name, 'input': list(inputs), 'attr': {
            key: kinds[type(value)](value) for key, value in attributes.items()}})
        return name

    def constant(self, name, values, dtype='float32'):
        stored = np.asarray(values, np.float16 if dtype == 'float32' else dtype)
        weight = {'name': name, 'shape': list(stored.shape), 'dtype': dtype}
        if dtype == 'float32':
            weight['quantization'] = {'dtype': 'float16', 'original_dtype': 'float32'}
        self.weights.append(weight)
        self.data += stored.tobytes()
        return self.add('Const', name)

    def save(self, folder):
        (folder / 'm.bin').write_bytes(self.data)
        (folder / 'm.json').write_text(json.dumps({
            'modelTopology': {'node': self.nodes},
            'weightsManifest': [{'paths': ['m.bin'], 'weights': self.weights}]}))
        return folder / 'm.json'


def window_sum(x, kernel, stride, pads):
    """Convolve NHWC with [kh,kw,in,out]; pads are (top, bottom, left, right)."""
    top, bottom, left, right = pads
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    high = (x.shape[1] - kernel.shape[0]) // stride + 1
    wide = (x.shape[2] - kernel.shape[1]) // stride + 1
    out = np.zeros((len(x), high, wide, kernel.shape[3]))
    for row in range(high):
        for column in range(wide):
            patch = x[:, row * stride:row * stride + kernel.shape[0],
                      column * stride:column * stride + kernel.shape[1]]
            out[:, row, column] = np.tensordot(patch, kernel, 3)
    return out


def doubled(x, half_pixel):
    """Bilinear x2, one output sample after the other."""
    def along(values, axis):
        size = values.shape[axis]
        at = np.arange(2 * size)
        place = np.clip((at + 0.5) / 2 - 0.5 if half_pixel else at / 2, 0, size - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if k == axis else 1 for k in range(4)])
        high = np.minimum(low + 1, size - 1)
        return values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return along(along(x, 1), 2)


def halved(values):
    return (values[:, ::2, ::2] + values[:, 1::2, ::2] + values[:, ::2, 1::2]
            + values[:, 1::2, 1::2]) / 4


def build(half_pixel=True):
    """Chain the quirks; returns the writer and the same function in numpy."""
    w, random = Writer(), np.random.default_rng(5)
    c = {name: random.normal(0, 0.4, shape).astype(np.float16).astype(np.float64)
         for name, shape in (('k1', (3, 3, 3, 4)), ('b1', (4,)), ('k2', (3, 3, 4, 6)),
                             ('beta', (6,)), ('mean', (6,)), ('kd', (3, 3, 6, 1)),
                             ('k3', (1, 1, 6, 6)), ('k4', (1, 1, 12, 5)), ('b4', (5,)))}
    c['gamma'], c['variance'] = np.full(6, 1.5), np.full(6, 0.25)
    for name, values in c.items():
        w.constant(name, values)
    for name, values in (('three', 3.0), ('sixth', 1 / 6), ('sixteen', 16.0)):
        w.constant(name, np.array(values))
    w.constant('pads', [[0, 0], [0, 1], [1, 0], [0, 0]], 'int32')
    w.constant('to_nchw', [0, 3, 1, 2], 'int32')
    w.constant('to_nhwc', [0, 2, 3, 1], 'int32')
    w.constant('axis', -1, 'int32')
    w.constant('over', [1, 2], 'int32')
    w.constant('large', [8, 12], 'int32')
    w.constant('small', [4, 6], 'int32')
    w.add('Placeholder', 'x')
    w.add('Pad', 'padded', ['x', 'pads'])
    w.add('Conv2D', 'c1', ['padded', 'k1'], strides=[1, 2, 2, 1], padding='VALID')
    w.add('BiasAdd', 'c1b', ['c1:0', 'b1'])
    w.add('Transpose', 'nchw', ['c1b', 'to_nchw'])
    w.add('LeakyRelu', 'leaky', ['nchw', '^x'], alpha=0.1)
    w.add('Transpose', 'nhwc', ['leaky', 'to_nhwc'])
    w.add('Conv2D', 'c2', ['nhwc', 'k2'], strides=[1, 2, 2, 1], padding='SAME')
    w.add('FusedBatchNormV3', 'bn', ['c2', 'gamma', 'beta', 'mean', 'variance'], epsilon=0.001)
    w.add('AddV2', 'plus3', ['bn', 'three'])
    w.add('Relu6', 'gate', ['plus3'])
    w.add('Mul', 'bn6', ['sixth', 'bn'])
    w.add('Mul', 'swish', ['bn6', 'gate'])
    w.add('DepthwiseConv2dNative', 'dw', ['swish', 'kd'], strides=[1, 1, 1, 1], padding='SAME')
    w.add('Mean', 'squeeze', ['dw', 'over'], keep_dims=True)
    w.add('Conv2D', 'c3', ['squeeze', 'k3'], strides=[1, 1, 1, 1], padding='SAME')
    w.add('Add', 'se3', ['c3', 'three'])
    w.add('Relu6', 'se6', ['se3'])
    w.add('Mul', 'se', ['sixth', 'se6'])
    w.add('Mul', 'scaled', ['se', 'dw'])
    w.add('ResizeBilinear', 'up', ['scaled', 'large'], half_pixel_centers=half_pixel)
    w.add('ResizeBilinear', 'down', ['up', 'small'], half_pixel_centers=True)
    w.add('ConcatV2', 'both', ['scaled', 'down', 'axis'])
    w.add('Conv2D', 'c4', ['both', 'k4'], strides=[1, 1, 1, 1], padding='SAME')
    w.add('BiasAdd', 'c4b', ['c4', 'b4'])
    w.add('Mul', 'out', ['c4b', 'sixteen'])

    def function(x):
        def gate(v):
            return np.clip(v + 3, 0, 6) / 6
        y = window_sum(x, c['k1'], 2, (0, 1, 1, 0)) + c['b1']
        y = np.where(y > 0, y, 0.1 * y)
        same = [max((-(-size // 2) - 1) * 2 + 3 - size, 0) for size in y.shape[1:3]]
        y = window_sum(y, c['k2'], 2, (same[0] // 2, same[0] - same[0] // 2,
                                       same[1] // 2, same[1] - same[1] // 2))
        y = (y - c['mean']) * c['gamma'] / np.sqrt(c['variance'] + 0.001) + c['beta']
        y = y * gate(y)
        y = np.concatenate([window_sum(y[..., k:k + 1], c['kd'][:, :, k:k + 1], 1, (1, 1, 1, 1))
                            for k in range(6)], axis=3)
        y = y * gate(window_sum(y.mean((1, 2), keepdims=True), c['k3'], 1, (0, 0, 0, 0)))
        y = np.concatenate([y, halved(doubled(y, half_pixel))], axis=3)
        return 16 * (window_sum(y, c['k4'], 1, (0, 0, 0, 0)) + c['b4'])
    return w, function


def recipe(converter, sha256=None):
    return converter.Recipe('x', converter.NHWC, (HEIGHT, WIDTH), {'out': 'head'},
                            sha256 or {}, {'licence': 'none', 'package': 'a test'})


@pytest.mark.parametrize('half_pixel', [True, False])
def test_the_converted_model_computes_the_same(converter, tmp_path, half_pixel):
    writer, function = build(half_pixel)
    model = converter.convert(recipe(converter), writer.save(tmp_path))
    x = np.random.default_rng(6).normal(0, 1, (2, HEIGHT, WIDTH, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    (out,) = session.run(['head'], {'images': x.transpose(0, 3, 1, 2)})
    expected = function(x.astype(np.float64)).transpose(0, 3, 1, 2)
    assert out.shape == expected.shape == (2, 5, 4, 6)
    np.testing.assert_allclose(out, expected, atol=2e-4, rtol=1e-4)


def test_padding_bias_and_layout_are_folded_and_swish_is_one_node(converter, tmp_path):
    model = converter.convert(recipe(converter), build()[0].save(tmp_path))
    kinds = sorted(node.op_type for node in model.graph.node if node.op_type != 'Cast')
    assert kinds == sorted(['Conv'] * 5 + ['LeakyRelu', 'HardSwish', 'GlobalAveragePool',
                                           'HardSigmoid', 'Mul', 'Resize', 'AveragePool',
                                           'Concat'])
    halves = {array.name for array in model.graph.initializer if array.data_type == 10}
    assert 'c1/weight.half' in halves
    assert 'c2/weight.half' not in halves, 'folding batch normalisation left float16'


def test_provenance_is_in_the_file(converter, tmp_path):
    source = build()[0].save(tmp_path)
    digests = {suffix: converter.sha256_from_file(source.with_suffix(suffix))
               for suffix in ('.json', '.bin')}
    model = converter.convert(recipe(converter, digests), source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata['source_sha256.bin'] == digests['.bin']
    assert metadata['licence'] == 'none'


def test_another_source_is_refused_unless_told(converter, tmp_path, monkeypatch, capsys):
    source, output = build()[0].save(tmp_path), tmp_path / 'out.onnx'
    monkeypatch.setitem(converter.RECIPES, 'tiny', recipe(converter, {'.bin': '0' * 64}))
    monkeypatch.setattr(converter, 'check_runs', lambda model: [])
    arguments = ['tiny', str(source), '-o', str(output)]
    assert converter.main(arguments) == 1
    assert 'expected ' + '0' * 64 in capsys.readouterr().err
    assert not output.exists()
    assert converter.main([*arguments, '--any-source']) == 0
    assert output.exists()


def padded_relu(writer):
    writer.add('Relu', 'out2', ['padded'])


def unknown_operator(writer):
    writer.add('Einsum', 'out2', ['x'])


def shared_bias(writer):
    writer.add('BiasAdd', 'again', ['c1', 'b1'])
    writer.add('Add', 'out2', ['again', 'c1b'])


@pytest.mark.parametrize(('spoil', 'message'), [
    (padded_relu, 'Relu of a padded tensor'),
    (unknown_operator, 'Einsum is not supported'),
    (shared_bias, 'does not follow a convolution'),
])
def test_what_cannot_be_folded_is_refused(converter, tmp_path, spoil, message):
    writer, _ = build()
    spoil(writer)
    other = converter.Recipe('x', converter.NHWC, (HEIGHT, WIDTH), {'out2': 'head'}, {}, {})
    with pytest.raises(converter.ConversionError, match=message):
        converter.convert(other, writer.save(tmp_path))


@pytest.mark.parametrize(('change', 'message'), [
    (lambda data: data[:-10], 'end inside'), (lambda data: data + b'12', '2 bytes')])
def test_weight_files_of_another_length_are_refused(converter, tmp_path, change, message):
    source = build()[0].save(tmp_path)
    weights = source.with_suffix('.bin')
    weights.write_bytes(change(weights.read_bytes()))
    with pytest.raises(converter.ConversionError, match=message):
        converter.convert(recipe(converter), source)
