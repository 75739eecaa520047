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

"""Float16 on a CPU: rounded where a GPU rounds, judged before a plan is built."""

from __future__ import annotations

import json

import cv2
from doubles import RememberingBackend
import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import onnxruntime as ort
from ped_perception.backends import BackendConfig, open_graph
from ped_perception.core.errors import ModelError
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.types import Frame
from ped_perception.engine.agreement import LabelledPicture, measure, TOLERANCES
from ped_perception.engine.catalogue import ImportOptions
from ped_perception.engine.gate import Gate
from ped_perception.engine.golden import golden_pictures
from ped_perception.engine.graph import GraphBuilder
from ped_perception.engine.half import (
    activation_ranges,
    half_emulation,
    half_layers,
    rounding_damage,
)
from ped_perception.engine.models import typed_graph
from ped_perception.engine.trunk import Trunk
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
import pytest

SIZE_HW = (384, 640)


def run(model, **inputs):
    """Compute a graph with ONNX Runtime; gives its outputs by name."""
    session = ort.InferenceSession(model.SerializeToString(),
                                   providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def small_half_graph(weight=3.14159):
    """Compute (images as float16 * weight)², then add 1: in float16, out as float32."""
    builder = GraphBuilder()
    x = builder.node('Cast', ['images'], 'front/cast', to=TensorProto.FLOAT16)
    x = builder.node('Mul', [x, builder.constant(np.float16([weight]), 'w')], 'trunk/scaled')
    x = builder.node('Mul', [x, x], 'trunk/squared')
    x = builder.node('Add', [x, builder.constant(np.float16([1.0]), 'one')], 'trunk/sum')
    x = builder.node('Cast', [x], 'out', to=TensorProto.FLOAT)
    graph = helper.make_graph(
        builder._nodes, 'small', [helper.make_tensor_value_info('images', TensorProto.UINT8, [4])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [4])], builder._constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)


def test_every_result_is_rounded_as_numpy_rounds_it():
    images = np.array([0, 3, 100, 255], np.uint8)
    x = np.float16(images) * np.float16(3.14159)
    with np.errstate(over='ignore'):
        expected = np.float32(x * x + np.float16(1.0))      # numpy rounds each step to float16
    assert expected[3] == np.inf, 'the last one overflows'
    model = small_half_graph()
    before = model.SerializeToString()
    emulated = half_emulation(model)
    assert model.SerializeToString() == before
    np.testing.assert_array_equal(run(emulated, images=images)['out'], expected)
    assert not any(tensor.data_type == TensorProto.FLOAT16
                   for tensor in emulated.graph.initializer)


def test_ranges_are_those_of_all_pictures_and_no_less_than_an_overflow():
    full = small_half_graph()
    for node in full.graph.node:
        for attribute in node.attribute:
            attribute.i = TensorProto.FLOAT
    for tensor in full.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(
            np.float32(numpy_helper.to_array(tensor)), tensor.name))
    ranges = activation_ranges(
        full, half_layers(small_half_graph()),
        [np.array([0, 1, 2, 3], np.uint8), np.array([0, 0, 0, 255], np.uint8)])
    scaled = 255 * float(np.float16(3.14159))
    assert ranges['trunk/scaled'] == pytest.approx(scaled)
    assert ranges['trunk/squared'] == pytest.approx(scaled ** 2)
    assert ranges['trunk/squared'] > 65504


# -- layers that stay float32 -------------------------------------------------------------------


@pytest.fixture(scope='module')
def graphs(tmp_path_factory):
    """Give the graphs of the default model; some layers of one stay float32."""
    folder = tmp_path_factory.mktemp('graphs')
    full = typed_graph('nanodet_g', SIZE_HW, cache_dir=folder)
    half = typed_graph('nanodet_g', SIZE_HW, precision='fp16', cache_dir=folder)
    return folder, full, half


def conv_names(path):
    """Name the convolutions of a graph in order."""
    return [node.name for node in onnx.load(path).graph.node if node.op_type == 'Conv']


@pytest.mark.parametrize('pick', [
    lambda names: names[:1], lambda names: names[-3:], lambda names: [names[5], names[6]]])
def test_a_layer_that_is_kept_computes_in_float32(graphs, tmp_path, pick):
    _, full, half = graphs
    kept = pick(conv_names(half))
    options = ImportOptions(keep_fp32=tuple(name.removeprefix('trunk/') for name in kept))
    mixed = onnx.load(typed_graph('nanodet_g', SIZE_HW, precision='fp16', options=options,
                                  cache_dir=tmp_path))
    constants = {tensor.name: tensor.data_type for tensor in mixed.graph.initializer}
    for node in mixed.graph.node:
        if node.op_type == 'Conv':
            wanted = TensorProto.FLOAT if node.name in kept else TensorProto.FLOAT16
            assert {constants[name] for name in node.input[1:]} == {wanted}, node.name
    rounded = set(half_layers(mixed).values())
    assert rounded.isdisjoint(kept)
    images = np.random.default_rng(0).integers(0, 256, (1, *SIZE_HW, 3), np.uint8)
    found = run(half_emulation(mixed), images=images)
    exact = run(onnx.load(full), images=images)
    np.testing.assert_allclose(found['scores'], exact['scores'], atol=0.02)


def test_a_layer_that_does_not_exist_is_answered_with_near_names():
    trunk = Trunk(helper.make_model(helper.make_graph(
        [helper.make_node('Relu', ['x'], ['y'], 'head_8')], 'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['N', 3, 8, 8])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)])))
    with pytest.raises(ModelError, match=r"no layer 'head_9'.*nearest names: .*head_8"):
        trunk.to_precision('fp16', ['head_9'])


# -- the gate -----------------------------------------------------------------------------------


def open_cpu(path):
    """Open a graph as the gate does."""
    return open_graph(path, BackendConfig(model='nanodet_g', backend='onnxruntime'), 1)


@pytest.fixture(scope='module')
def gate():
    """Give the gate as ped_engine has it by default."""
    return Gate(open_cpu, list(map(LabelledPicture, golden_pictures().values())))


def spoil(path, output, change, layer=None):
    """Write a graph with the weights of one convolution changed."""
    model = onnx.load(path)
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    node = convolutions[4] if layer is None else next(
        node for node in convolutions if node.name == layer)
    for tensor in model.graph.initializer:
        if tensor.name in node.input[1:]:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(
                change(values).astype(values.dtype), tensor.name))
    output.write_bytes(model.SerializeToString())
    return node.name


def test_the_default_model_passes_with_room(graphs, gate):
    _, full, half = graphs
    figures = gate(full, half, 'fp16')
    assert figures['found'] == figures['confirmed'] == 1.0
    assert figures['shift_px_p99'] < 0.25 * TOLERANCES['fp16'].shift_px_p99
    assert 1 < figures['largest_activation'] < 6550
    assert 'every result rounded' in figures['candidate']
    assert figures['largest_activation_layer'].startswith('trunk/')
    json.dumps(figures, allow_nan=False)
    assert gate(full, full, 'fp32') == {}


def test_a_layer_that_overflows_is_named(graphs, gate, tmp_path):
    _, full, half = graphs
    for source, name in ((full, 'full'), (half, 'half')):
        layer = spoil(source, tmp_path / name, lambda values: values * 3e4)
    with pytest.raises(ModelError, match=r'float16 holds 65504.*--keep-fp32') as caught:
        gate(tmp_path / 'full', tmp_path / 'half', 'fp16')
    assert f'--keep-fp32 {layer.removeprefix("trunk/")}' in str(caught.value)


def test_a_graph_that_disagrees_is_refused_with_the_layers_to_keep(gate, tmp_path):
    full, half = (typed_graph('nanodet_g', (256, 416), precision=precision, cache_dir=tmp_path)
                  for precision in ('fp32', 'fp16'))
    spoil(half, tmp_path / 'half', lambda values: values * 0.5)
    with pytest.raises(ModelError, match=r'Refused: .*Rounding harms .*--keep-fp32 \S+'):
        gate(full, tmp_path / 'half', 'fp16')


def test_too_few_people_prove_nothing(graphs, gate):
    _, full, half = graphs
    with pytest.raises(ModelError, match='Give more pictures with people') as caught:
        Gate(open_cpu, gate.pictures[1:2])(full, half, 'fp16')
    assert 'keep-fp32' not in str(caught.value)


def test_the_damage_of_each_layer_is_measured_alone(tmp_path):
    model = onnx.load(typed_graph('nanodet_g', (64, 96), precision='fp16', cache_dir=tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    damage = rounding_damage(model, images)
    assert set(damage) == set(half_layers(model).values())
    values = list(damage.values())
    assert values == sorted(values, reverse=True)
    assert damage['front/cast'] == 0, 'grey levels are whole numbers'
    assert 0 < values[0] < 0.01


# -- on labelled pictures -----------------------------------------------------------------------

@pytest.mark.slow
def test_float16_keeps_average_precision_on_coco(graphs, shared_data, tmp_path):
    _, full, half = graphs
    folder = shared_data / 'coco200'
    coco = COCO(str(folder / 'instances.json'))
    people = {row['image_id'] for row in coco.anns.values()}
    chosen = [row for row in coco.imgs.values()
              if row['split'] == 'val2017' and row['id'] in people]
    emulated = tmp_path / 'emulated.onnx'
    emulated.write_bytes(half_emulation(onnx.load(half)).SerializeToString())
    # The two comparisons show the networks the same pictures.
    memories = {}, {}
    found = []
    for path, memory in zip((full, emulated), memories, strict=True):
        with RememberingBackend(open_cpu(path), memory) as backend:
            found.append(coco_results(chosen, folder / 'images', backend))
    # A few pictures depend more on each detection: they must agree, too.
    for images in (chosen, chosen[:20]):
        precisions = [coco_ap(coco, images, results) for results in found]
        assert precisions[0] > 25, 'the reference itself is right'
        assert abs(precisions[0] - precisions[1]) < 0.3
    pictures = (LabelledPicture(cv2.imread(str(folder / 'images' / row['file_name'])))
                for row in chosen)
    with RememberingBackend(open_cpu(full), memories[0]) as exact, \
            RememberingBackend(open_cpu(emulated), memories[1]) as rounded:
        agreement = measure(exact, rounded, pictures, views=('whole',))
    assert agreement.boxes > 30
    assert agreement.shift_px_p99 < 0.5
    assert agreement.found == 1.0


def coco_results(images, folder, backend):
    """Detect; gives the results as pycocotools takes them."""
    pipeline = Pipeline(backend, DetectorConfig(
        views=('whole',), score_threshold=0.02, max_detections=100))
    results = []
    for row in images:
        frame = Frame('coco', 0, '', cv2.imread(str(folder / row['file_name'])))
        (found,), _ = pipeline.step([frame])
        for (left, top, right, bottom), score in zip(
                found.boxes_n4.tolist(), found.scores_n.tolist(), strict=True):
            results.append({'image_id': row['id'], 'category_id': 1, 'score': score,
                            'bbox': [left, top, right - left, bottom - top]})
    return results


def coco_ap(coco, images, results):
    """Measure AP on some of the pictures with pycocotools, in percent."""
    evaluation = COCOeval(coco, coco.loadRes(results), 'bbox')
    evaluation.params.imgIds = [row['id'] for row in images]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return 100 * float(evaluation.stats[0])
