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

"""Costs, memory, receptive fields and estimates against hand, other counters and the builder."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import onnxruntime
from ped_perception.core.errors import MissingExtraError, ModelError
from ped_perception.engine.build import build_plan
from ped_perception.engine.catalogue import ImportOptions
from ped_perception.engine.costs import layers_of, macs_of, size_graph
from ped_perception.engine.flavors import load_library
from ped_perception.engine.inspect import inspect_graph, record_of
from ped_perception.engine.kernels import Kernel, schedule
from ped_perception.engine.manifest import Batches, Recipe
from ped_perception.engine.models import typed_graph
from ped_perception.engine.receptive_field import receptive_fields
from ped_perception.engine.roofline import (
    Device,
    estimate,
    Figure,
    find_device,
    load_devices,
)
import pytest
import tiny_families

SIZE_HW = (384, 640)
COUNTED = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')


@pytest.fixture(scope='module')
def graphs(tmp_path_factory):
    """Give the typed graphs of the default model by precision."""
    folder = tmp_path_factory.mktemp('graphs')
    return {precision: typed_graph('nanodet_g', SIZE_HW, precision=precision, cache_dir=folder)
            for precision in ('fp32', 'fp16')}


def typed(layers, weights=None, size_hw=(32, 48)):
    """
    Make a graph of layers behind a front that only casts and turns the picture.

    Args:
        layers: (operator, inputs, output, attributes); 'x' is the picture [N,3,h,w] and the
            output called 'head' is decoded, by a Sigmoid.
        weights: arrays by name.
    """
    nodes = [helper.make_node('Cast', ['images'], ['cast'], name='front/cast',
                              to=TensorProto.FLOAT),
             helper.make_node('Transpose', ['cast'], ['x'], name='front/x', perm=[0, 3, 1, 2])]
    nodes += [helper.make_node(op, inputs, [output], name=output, **attributes)
              for op, inputs, output, attributes in layers]
    nodes.append(helper.make_node('Sigmoid', ['head'], ['scores'], name='scores'))
    graph = helper.make_graph(
        nodes, 'typed',
        [helper.make_tensor_value_info('images', TensorProto.UINT8, ['N', *size_hw, 3])],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, ['N', None, None, None])],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()])
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid('', 17)])


def weight(*shape):
    """Make weights that are all positive: every input pixel counts."""
    return np.full(shape, 0.01, np.float32)


# -- costs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(('shape', 'attributes', 'out_chw', 'macs', 'why'), [
    ((8, 3, 3, 3), {'pads': [1, 1, 1, 1]}, (8, 32, 48), 8 * 32 * 48 * 27, 'plain'),
    ((8, 3, 3, 3), {}, (8, 30, 46), 8 * 30 * 46 * 27, 'no padding: the border is lost'),
    ((8, 3, 3, 3), {'pads': [1, 1, 1, 1], 'strides': [2, 4]}, (8, 16, 12), 8 * 16 * 12 * 27,
     'a stride of its own along each axis'),
    ((6, 1, 5, 3), {'pads': [2, 1, 2, 1], 'group': 3}, (6, 32, 48), 6 * 32 * 48 * 15,
     'groups: each output reads one channel'),
    ((8, 3, 3, 3), {'dilations': [2, 3]}, (8, 28, 42), 8 * 28 * 42 * 27,
     'holes cost nothing but border'),
])
def test_a_convolution_costs_what_it_costs_by_hand(shape, attributes, out_chw, macs, why):
    model = typed([('Conv', ['x', 'w', 'b'], 'head', attributes)],
                  {'w': weight(*shape), 'b': weight(shape[0])})
    conv = layers_of(size_graph(model, 2))[2]
    assert conv.shape == (2, *out_chw), why
    assert conv.macs == 2 * macs, why
    assert conv.parameters == math.prod(shape) + shape[0], why
    assert conv.weight_bytes == 4 * conv.parameters, why
    assert conv.activation_bytes == 2 * 4 * math.prod(out_chw), why


@pytest.mark.parametrize(('op', 'attributes', 'first', 'second', 'output', 'macs', 'why'), [
    ('ConvTranspose', {}, (1, 4, 5, 7), (4, 6, 2, 2), (1, 6, 10, 14), 4 * 5 * 7 * 6 * 4,
     'every input is spread over the kernel'),
    ('MatMul', {}, (2, 3, 5), (5, 7), (2, 3, 7), 2 * 3 * 7 * 5, 'inner size is the last of a'),
    ('Gemm', {'transA': 1}, (5, 3), (5, 7), (3, 7), 3 * 7 * 5, 'a is turned'),
    ('Einsum', {'equation': 'bij,bkj->bik'}, (2, 3, 5), (2, 4, 5), (2, 3, 4), 2 * 3 * 4 * 5,
     'product of all letters'),
    ('Add', {}, (2, 3), (2, 3), (2, 3), 0, 'no MAC'),
])
def test_other_operators_cost_what_they_cost_by_hand(op, attributes, first, second, output, macs,
                                                     why):
    node = helper.make_node(op, ['a', 'b'], ['c'], **attributes)
    assert macs_of(node, {'a': first, 'b': second, 'c': output}) == macs, why


def counted_by_onnx_tool(graph, size_hw):
    """Give parameters and MACs of the layers that have weights, as others count them."""
    onnx_tool = pytest.importorskip('onnx_tool')
    model = onnx_tool.Model(str(graph), {'constant_folding': True, 'verbose': False})
    model.graph.shape_infer({'images': np.zeros((1, *size_hw, 3), np.uint8)})
    model.graph.profile()
    layers = [node for node in model.graph.nodemap.values() if node.op_type in COUNTED]
    return sum(node.params for node in layers), sum(node.macs[0] for node in layers)


def test_totals_agree_with_onnx_tool(graphs):
    parameters, macs = counted_by_onnx_tool(graphs['fp32'], SIZE_HW)
    assert macs > 2e9
    for precision in graphs:
        inspection = inspect_graph(graphs[precision], 4)
        assert inspection.parameters == pytest.approx(parameters, rel=0.01)
        # It counts adding a bias as a MAC.
        assert inspection.macs == pytest.approx(4 * macs, rel=0.02)


@pytest.mark.parametrize(('make', 'family'), [
    (tiny_families.yolox, 'yolox'), (tiny_families.nanodet_plus, 'nanodet-plus')])
def test_totals_of_other_families_agree_with_onnx_tool(tmp_path, make, family):
    graph = typed_graph(make(tmp_path / 'tiny.onnx'), (64, 96), cache_dir=tmp_path,
                        options=ImportOptions(family=family))
    parameters, macs = counted_by_onnx_tool(graph, (64, 96))
    inspection = inspect_graph(graph, 1)
    assert inspection.parameters == pytest.approx(parameters, rel=0.01)
    assert inspection.macs == pytest.approx(macs, rel=0.02)


def test_shapes_are_those_that_onnxruntime_really_makes(graphs):
    model = onnx.load(graphs['fp32'])
    layers = layers_of(size_graph(model, 2))
    convolutions = {node.name: node.output[0] for node in model.graph.node
                    if node.op_type == 'Conv'}
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                              for name in convolutions.values())
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    made = session.run(list(convolutions.values()),
                       {'images': np.zeros((2, *SIZE_HW, 3), np.uint8)})
    counted = {layer.name: layer.shape for layer in layers if layer.operator == 'Conv'}
    assert len(counted) == 34
    assert counted == {name: array.shape for name, array in zip(convolutions, made, strict=True)}


def test_stages_follow_position(graphs):
    layers = {layer.name: layer for layer in inspect_graph(graphs['fp16'], 1).layers}
    for name, stage in (('front/scaled', 'front'),
                        ('trunk/PartitionedCall/convolution', 'trunk'),
                        ('trunk/PartitionedCall/convolution_29', 'head'),
                        ('best/scores', 'decode')):
        assert layers[name].stage == stage
    assert layers['best/scores'].dtype == 'float32'
    assert layers['trunk/PartitionedCall/convolution'].dtype == 'float16'
    assert layers['decode/centre'].parameters == 0, 'a table of centres was not learned'


def test_half_precision_halves_the_weights_of_the_trunk(graphs):
    full, half = (inspect_graph(graphs[precision], 1) for precision in ('fp32', 'fp16'))
    assert full.parameters == half.parameters
    assert full.stages[1].weight_bytes == pytest.approx(2 * half.stages[1].weight_bytes, rel=0.001)
    assert full.activation_bytes == 2 * half.activation_bytes


def test_a_graph_that_is_not_typed_is_refused(tmp_path):
    model = typed([('Relu', ['x'], 'head', {})])
    path = tmp_path / 'plain.onnx'
    onnx.save(model, path)
    with pytest.raises(ModelError, match='not a typed graph'):
        inspect_graph(path, 1)


# -- memory -------------------------------------------------------------------------------------

PICTURE = 4 * 4 * 32 * 48       # bytes of 'x': three channels take the place of four


@pytest.mark.parametrize(('layers', 'peak', 'kernels', 'why'), [
    ([('Conv', ['x', 'w'], 'a', {}), ('Relu', ['a'], 'b', {}), ('MaxPool', ['b'], 'head', {})],
     5 * PICTURE, 4,
     'sixteen channels and the picture; activations work in place, outputs do not count'),
    ([('Conv', ['x', 'w'], 'a', {}), ('MaxPool', ['a'], 'b', {}), ('MaxPool', ['b'], 'c', {}),
      ('MaxPool', ['c'], 'd', {}), ('Add', ['a', 'd'], 'head', {})], 12 * PICTURE, 6,
     'a is read again: it stays while c is made of b'),
    ([('Conv', ['x', 'w'], 'a', {}), ('MaxPool', ['x'], 'b', {}),
      ('Concat', ['a', 'b'], 'c', {'axis': 1}), ('MaxPool', ['c'], 'head', {})], 6 * PICTURE, 6,
     'a and b are written into c: they never exist beside it'),
    ([('Conv', ['x', 'w'], 'a', {}), ('Reshape', ['a', 'turned'], 'b', {}),
      ('MaxPool', ['b'], 'head', {})], 5 * PICTURE, 5, 'a new name is no new memory'),
])
def test_memory_of_small_graphs_by_hand(layers, peak, kernels, why):
    window = {'pads': [0, 0, 0, 0], 'kernel_shape': [1, 1]}
    made = [(op, inputs, output, {**attributes, **(window if op in ('Conv', 'MaxPool') else {})})
            for op, inputs, output, attributes in layers]
    weights = {'w': weight(16, 3, 1, 1), 'turned': np.array([0, 16, 48, 32], np.int64)}
    sized = size_graph(typed(made, weights), 1)
    found = schedule(sized, layers_of(sized))
    assert len(found.kernels) == kernels, why
    assert found.peak_bytes == peak, why


@pytest.mark.parametrize(('minimum', 'batch'), [(1, 1), (4, 4), (1, 8)])
def test_memory_is_near_what_tensorrt_rtx_asks_for(graphs, minimum, batch):
    try:
        library = load_library('tensorrt_rtx')
    except MissingExtraError as error:
        pytest.skip(str(error))
    graph = graphs['fp16']
    recipe = Recipe('nanodet_g', hashlib.sha256(graph.read_bytes()).hexdigest(), 'fp16', SIZE_HW,
                    Batches(minimum, (minimum + batch) // 2, batch), 'tensorrt_rtx',
                    library.version, None, ('sm_86',))
    memory = build_plan(library, graph, recipe).memory
    inspection = inspect_graph(graph, batch)
    assert inspection.activation_bytes + inspection.scratch_bytes == pytest.approx(
        memory.activation_bytes, rel=0.25)
    assert inspection.weight_bytes == pytest.approx(memory.weight_bytes, rel=0.25)


# -- receptive fields ---------------------------------------------------------------------------


def conv(source, output, kernel=3, **attributes):
    """Add a convolution from three channels to three."""
    return ('Conv', [source, f'w{kernel}'], output, attributes)


SAME = {'pads': [1, 1, 1, 1]}
HALF = {'pads': [1, 1, 1, 1], 'strides': [2, 2]}
TWICE = {'coordinate_transformation_mode': 'half_pixel'}
FIELDS = [
    ([conv('x', 'a', **SAME), conv('a', 'seen', **SAME)], 5, 1, 'two kernels of three'),
    ([conv('x', 'a', **HALF), conv('a', 'seen', **HALF)], 7, 4, '3 + 2 x 2, by strides'),
    ([conv('x', 'seen', dilations=[3, 3])], 7, 1, 'holes are inside'),
    ([conv('x', 'a', **HALF), ('MaxPool', ['a'], 'seen',
                               {'kernel_shape': [2, 2], 'strides': [2, 2]})], 5, 4,
     'a pool is a kernel'),
    ([conv('x', 'a', 5, pads=[2, 2, 2, 2]), conv('x', 'b', **SAME),
      ('Add', ['a', 'b'], 'seen', {})], 5, 1, 'the larger branch'),
    ([conv('x', 'a', pads=[2, 2, 0, 0]), conv('x', 'b', pads=[0, 0, 2, 2]),
      ('Concat', ['a', 'b'], 'c', {'axis': 1}),
      ('Conv', ['c', 'w6'], 'seen', {})], 5, 1, 'two branches that look apart'),
    ([conv('x', 'a', **HALF), ('Resize', ['a', '', 'twice'], 'seen', {'mode': 'nearest'})], 3, 1,
     'a copy sees what the original saw'),
    ([conv('x', 'a', **HALF), ('Resize', ['a', '', 'twice'], 'seen', {'mode': 'linear', **TWICE})],
     5, 1, 'between two neighbours'),
    ([conv('x', 'a', **HALF), ('ConvTranspose', ['a', 'w4'], 'seen',
                               {'strides': [2, 2], 'pads': [1, 1, 1, 1]})], 5, 1,
     'four wide, every second: two neighbours'),
    ([('Slice', ['x', 'from', 'to', 'axes', 'steps'], 'a', {}), conv('a', 'seen', **SAME)], 5, 2,
     'every second pixel, as in Focus of YOLOX'),
]


@pytest.mark.parametrize(('layers', 'side', 'stride', 'why'), FIELDS)
def test_receptive_field_by_hand_and_by_changing_pixels(layers, side, stride, why):
    used = {name for _, inputs, _, _ in layers for name in inputs}
    weights = {'w1': weight(3, 3, 1, 1), 'w3': weight(3, 3, 3, 3),
               'w5': weight(3, 3, 5, 5), 'w4': weight(3, 3, 4, 4),
               'w6': weight(3, 6, 1, 1), 'twice': np.array([1, 1, 2, 2], np.float32),
               'from': np.array([0, 0], np.int64),
               'to': np.array([32, 48], np.int64), 'axes': np.array([2, 3], np.int64),
               'steps': np.array([2, 2], np.int64)}
    # A last convolution of one pixel: what is behind the last one belongs to the decoding.
    layers = [*layers, ('Conv', ['seen', 'w1'], 'head', {})]
    model = typed(layers, {name: array for name, array in weights.items()
                           if name in used | {'w1'}})
    (field,) = receptive_fields(size_graph(model, 1))
    assert field.size_hw == (side, side), why
    assert field.stride_yx == pytest.approx((stride, stride)), why
    assert seen_rows(model) == side, why


def seen_rows(model):
    """Brighten each row of a picture in turn; say how far those that reach a cell are apart."""
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info('head', TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    images = np.zeros((32, 32, 48, 3), np.uint8)
    images[np.arange(32), np.arange(32)] = 255
    (heads,) = session.run(['head'], {'images': images})
    reached_rc = np.abs(heads).max(axis=(1, 3)) > 0         # changed row x row of cells
    return max(int(np.ptp(np.flatnonzero(column))) + 1 for column in reached_rc.T)


@pytest.mark.parametrize(('layers', 'why'), [
    ([('GlobalAveragePool', ['x'], 'g', {}), ('Mul', ['x', 'g'], 'a', {}),
      conv('a', 'head', **SAME)], 'squeeze and excite: a mean over all of it'),
    ([('Reshape', ['x', 'flat'], 'a', {}), ('MatMul', ['a', 'mix'], 'head', {})],
     'rows and columns are gone'),
])
def test_what_sees_everything_says_so(layers, why):
    weights = {'w3': weight(3, 3, 3, 3), 'flat': np.array([0, 3, 1, -1], np.int64),
               'mix': weight(32 * 48, 4)}
    (field,) = receptive_fields(size_graph(typed(layers, weights), 1))
    assert field.whole_image, why
    assert field.size_hw == (32, 48), why


def test_heads_of_the_default_model(graphs):
    heads = inspect_graph(graphs['fp16'], 1).heads
    assert [head.field.stride_yx for head in heads] == [(8, 8), (16, 16), (32, 32)]
    # Eleven bins: ten strides to each side at most.
    assert [head.heights for head in heads] == [(8, 160), (16, 320), (32, 640)]
    assert all(head.field.size_hw[0] > head.heights[1] for head in heads)


# -- estimates ----------------------------------------------------------------------------------

DEVICE = Device('d', 'D', {'fp32': Figure(1, ''), 'fp16': Figure(4, ''), 'int8': Figure(8, ''),
                           'bandwidth': Figure(100, ''), 'memory': Figure(8, '')})


@pytest.mark.parametrize(('dtype', 'macs', 'moved', 'efficiency', 'seconds', 'why'), [
    ('float32', 10**9, 0, 1.0, 2e-3, 'a MAC is two operations'),
    ('float16', 10**9, 0, 1.0, 0.5e-3, 'at the peak of its type'),
    ('int8', 10**9, 0, 1.0, 0.25e-3, 'at the peak of its type'),
    ('int64', 10**9, 0, 1.0, 2e-3, 'what has no peak of its own counts as float32'),
    ('float16', 10**6, 10**8, 1.0, 1e-3, 'waits for memory'),
    ('float16', 10**9, 10**6, 0.5, 1e-3, 'half of the peaks takes twice as long'),
])
def test_roofline_by_hand(dtype, macs, moved, efficiency, seconds, why):
    kernels = (Kernel('k', ('k',), dtype, macs, 0, moved),) * 2
    found = estimate(kernels, DEVICE, efficiency)
    assert found.latency_s == pytest.approx(2 * seconds), why


def test_every_figure_of_every_device_has_a_source_and_sense():
    devices = load_devices()
    assert {'orin-nano', 'orin-nx', 'orin-agx', 'thor', 'rtx-4090'} <= set(devices)
    for device in devices.values():
        assert set(device.figures) == {'fp32', 'fp16', 'int8', 'bandwidth', 'memory'}
        assert all(len(figure.source) > 10 for figure in device.figures.values())
        assert device.peak('float32') < device.peak('float16') < device.peak('int8')
    with pytest.raises(ModelError, match='orin-agx'):
        find_device('orin')


def test_a_record_names_estimates_as_such(graphs):
    record = record_of(inspect_graph(graphs['fp16'], 1, [find_device('orin-agx')]))
    (found,) = record['estimates']
    assert 'not measured' in found['estimate']
    assert found['latency_s'] == pytest.approx(sum(row['seconds'] for row in found['kernels']))
    assert sum(layer['share'] for layer in record['layers']) == pytest.approx(1.0)
