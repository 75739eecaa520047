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

"""Every family against an independent decode in numpy, and the refusals."""

from dataclasses import replace
import math
from pathlib import Path

from importing import check_tensorrt_rtx_builds
import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import onnxruntime
from ped_perception.core.errors import ModelError
from ped_perception.engine.importers import detect_family, import_model, IMPORTERS
from ped_perception.engine.importers.base import ImportSpec
from ped_perception.engine.trunk import Trunk
import pytest
import tiny_models

SHIPPED = Path(__file__).parents[2] / 'engines' / 'nanodet_g.onnx'
# Unequal everywhere: swapped sizes, channels, means or classes cannot go unnoticed.
SPEC = ImportSpec(size_hw=(64, 96), class_index=3, class_count=80, top_k=40,
                  mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0), channel_order='bgr')
IMAGES = np.random.default_rng(4).integers(0, 256, (2, 64, 96, 3), np.uint8)


def session_of(model):
    source = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, providers=['CPUExecutionProvider'])


def typed(path, family, spec):
    return session_of(import_model(Trunk.load(path), family, spec).model).run(
        ['boxes', 'scores'], {'images': IMAGES})


def raw_outputs(path, spec):
    """Run the untouched file on images normalised in numpy."""
    values = IMAGES[..., ::-1] if spec.channel_order == 'rgb' else IMAGES
    data = (values.astype(np.float64) - spec.mean) / spec.std
    session = session_of(str(path))
    names = [output.name for output in session.get_outputs()]
    results = session.run(names, {'data': data.transpose(0, 3, 1, 2).astype(np.float32)})
    return dict(zip(names, results, strict=True))


def best_first(candidates, count):
    candidates.sort(key=lambda item: -item[0])
    scores, boxes = zip(*candidates[:count], strict=True)
    return np.array(boxes), np.array(scores)


def nanodet_by_hand(outputs, image, class_index, classes, bins, count):
    candidates = []
    for head in outputs.values():
        values = head[image].astype(np.float64)
        stride = 64 // values.shape[1]
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                cell = values[:, y, x]
                sides = []
                for side in range(4):
                    logits = cell[classes + side * bins:classes + (side + 1) * bins]
                    chances = np.exp(logits) / np.exp(logits).sum()
                    sides.append(stride * sum(k * chance for k, chance in enumerate(chances)))
                cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                box = (cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3])
                candidates.append((1 / (1 + math.exp(-cell[class_index])), box))
    return best_first(candidates, count)


@pytest.mark.parametrize(('bins', 'order', 'class_index', 'why'), [
    (11, 'bgr', 3, 'NanoDet-g, some class'),
    (11, 'rgb', 3, 'channel order is part of the graph'),
    (8, 'bgr', 79, 'NanoDet-m has 8 bins; the last class'),
    (11, 'bgr', 0, 'the first class'),
])
def test_nanodet_decodes_as_by_hand(tmp_path, bins, order, class_index, why):
    path = tiny_models.nanodet(tmp_path / 'n.onnx', bins=bins)
    spec = replace(SPEC, channel_order=order, class_index=class_index)
    boxes, scores = typed(path, 'nanodet', spec)
    outputs = raw_outputs(path, spec)
    for image in range(2):
        expected_boxes, expected_scores = nanodet_by_hand(
            outputs, image, class_index, 80, bins, spec.top_k)
        np.testing.assert_allclose(scores[image], expected_scores, atol=1e-6, err_msg=why)
        np.testing.assert_allclose(boxes[image], expected_boxes, atol=1e-3, err_msg=why)


def centernet_by_hand(outputs, image, class_index, count):
    heat = outputs['heat'][image, class_index].astype(np.float64)
    sizes = outputs['sizes'][image]
    candidates = []
    for y in range(heat.shape[0]):
        for x in range(heat.shape[1]):
            around = heat[max(y - 1, 0):y + 2, max(x - 1, 0):x + 2]
            score = 1 / (1 + math.exp(-heat[y, x])) if heat[y, x] == around.max() else 0.0
            left, top, right, bottom = sizes[:, y, x]
            candidates.append((score, (4 * x - left, 4 * y - top, 4 * x + right,
                                       4 * y + bottom)))
    return best_first(candidates, count)


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
def test_centernet_decodes_as_by_hand(tmp_path, order):
    path = tiny_models.centernet(tmp_path / 'c.onnx')
    spec = replace(SPEC, channel_order=order, top_k=20)
    boxes, scores = typed(path, 'centernet', spec)
    outputs = raw_outputs(path, spec)
    for image in range(2):
        expected_boxes, expected_scores = centernet_by_hand(outputs, image, 3, 20)
        np.testing.assert_allclose(scores[image], expected_scores, atol=1e-6)
        np.testing.assert_allclose(boxes[image], expected_boxes, atol=1e-4)


def test_the_saving_is_what_the_removed_channels_cost(tmp_path):
    path = tiny_models.nanodet(tmp_path / 'n.onnx')
    saving = import_model(Trunk.load(path), 'nanodet', SPEC).saving
    cells = {8: 8 * 12, 16: 4 * 6, 32: 2 * 3}
    assert saving.parameters == sum(79 * (3 * s * s + 1) for s in cells)
    assert saving.macs == sum(79 * 3 * s * s * count for s, count in cells.items())
    assert saving.weight_bytes == 4 * saving.parameters


def test_fp16_types_the_trunk_and_leaves_the_decoding_in_fp32():
    spec = replace(SPEC, class_index=0, mean=(103.53, 116.28, 123.675),
                   std=(57.375, 57.12, 58.395))
    single = import_model(Trunk.load(SHIPPED), 'nanodet', spec).model
    half = import_model(Trunk.load(SHIPPED), 'nanodet', replace(spec, precision='fp16')).model
    weights = [array for array in half.graph.initializer if array.name.startswith('trunk/')
               and array.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16)]
    kept = [array.name for array in weights if array.data_type == TensorProto.FLOAT]
    assert len(weights) > 60
    assert kept
    assert all(name.endswith('/scales') for name in kept), 'Resize insists on float32 scales'
    softmax = next(node for node in half.graph.node if node.op_type == 'Softmax')
    types = {value.name: value.type.tensor_type.elem_type
             for value in onnx.shape_inference.infer_shapes(half).graph.value_info}
    assert types[softmax.output[0]] == TensorProto.FLOAT
    assert {types[node.output[0]] for node in half.graph.node if node.op_type == 'Conv'} == {
        TensorProto.FLOAT16}
    (boxes, scores), (half_boxes, half_scores) = (
        session_of(model).run(['boxes', 'scores'], {'images': IMAGES})
        for model in (single, half))
    assert np.abs(scores - half_scores).max() < 5e-3
    assert np.abs(boxes[:, 0] - half_boxes[:, 0]).max() < 1.0


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_tensorrt_rtx_builds_the_shipped_model(precision):
    spec = replace(SPEC, class_index=0, precision=precision)
    check_tensorrt_rtx_builds(import_model(Trunk.load(SHIPPED), 'nanodet', spec).model, 40)


@pytest.mark.parametrize(('make', 'family'), [
    (tiny_models.nanodet, 'nanodet'), (tiny_models.centernet, 'centernet')])
def test_families_are_told_apart_by_their_outputs(tmp_path, make, family):
    trunk = Trunk.load(make(tmp_path / 'm.onnx'))
    assert detect_family(trunk)[0] == family
    assert [name for name, importer in IMPORTERS.items()
            if importer.match(trunk)] == [family]


def test_an_unknown_family_lists_what_was_seen_and_what_is_known(tmp_path):
    path = tiny_models.nanodet(tmp_path / 'm.onnx', classes=5, bins=3)
    with pytest.raises(ModelError) as caught:
        detect_family(Trunk.load(path))
    message = str(caught.value)
    for part in ('out8 float32[N,17,', 'out32', *IMPORTERS, '--family'):
        assert part in message


def test_a_size_off_the_grid_names_the_nearest(tmp_path):
    trunk = Trunk.load(tiny_models.nanodet(tmp_path / 'm.onnx'))
    with pytest.raises(ModelError, match='640x352 or 640x384'):
        import_model(trunk, 'nanodet', replace(SPEC, size_hw=(360, 640)))


def with_fixed_reshape(path):
    """Add a Reshape to the size of the export, as many exporters do."""
    model = onnx.load(tiny_models.nanodet(path))
    model.graph.node[-1].output[0] = 'before'
    model.graph.initializer.append(
        numpy_helper.from_array(np.array([0, 124, 13, 13], np.int64), 'size'))
    model.graph.node.append(helper.make_node('Reshape', ['before', 'size'], ['out32']))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(('change', 'make', 'message', 'why'), [
    ({}, with_fixed_reshape, 'needs three heads|does not work at', 'bound to 416x416'),
    ({'class_count': 79}, tiny_models.nanodet, 'do not hold 79 classes', '45 is not 4 x bins'),
    ({}, lambda path: tiny_models.nanodet(path, strides=(8, 16, 16 * 3)), 'needs three heads',
     'a level with another stride'),
    ({}, lambda path: tiny_models.nanodet(path, shape=(1, 64, 96, 3)), 'float32',
     'NHWC input'),
])
def test_what_does_not_fit_is_refused_with_the_reason(tmp_path, change, make, message, why):
    path = make(tmp_path / 'm.onnx')

    def attempt():
        import_model(Trunk.load(path), 'nanodet', replace(SPEC, **change))
        pytest.fail(why)

    with pytest.raises(ModelError, match=message):
        attempt()


def sigmoid_head(graph, heat):
    heat.output[0] = 'logits'
    graph.node.append(helper.make_node('Sigmoid', ['logits'], ['heat']))


def head_read_again(graph, heat):
    sizes = next(node for node in graph.node if node.output[0] == 'sizes')
    sizes.output[0] = 'before'
    graph.node.append(helper.make_node('ReduceMax', ['heat'], ['most'], axes=[1]))
    graph.node.append(helper.make_node('Add', ['before', 'most'], ['sizes']))


def grouped_head(graph, heat):
    heat.input[0] = 'six'
    graph.node.insert(0, helper.make_node('Concat', ['data', 'data'], ['six'], axis=1))
    heat.attribute.append(helper.make_attribute('group', 2))


@pytest.mark.parametrize(('spoil', 'message'), [
    (sigmoid_head, 'comes from Sigmoid'),
    (head_read_again, 'used inside the model'),
    (grouped_head, '80 channels in 2 group'),
])
def test_a_head_whose_classes_cannot_be_cut_is_refused(tmp_path, spoil, message):
    path = tiny_models.centernet(tmp_path / 'm.onnx')
    model = onnx.load(path)
    spoil(model.graph, next(node for node in model.graph.node if node.output[0] == 'heat'))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=message):
        import_model(Trunk.load(path), 'centernet', SPEC)


def test_fp16_follows_casts_and_constants_inside_the_model(tmp_path):
    path = tiny_models.centernet(tmp_path / 'm.onnx')
    expected = typed(path, 'centernet', SPEC)
    model = onnx.load(path)
    for node in model.graph.node:
        node.input[:] = ['seen' if name == 'data' else name for name in node.input]
    one = numpy_helper.from_array(np.array([1.0], np.float32))
    for node in (helper.make_node('Add', ['cast', 'zeros'], ['seen']),
                 helper.make_node('Sub', ['ones', 'ones'], ['zeros']),
                 helper.make_node('ConstantOfShape', ['shape'], ['ones'], value=one),
                 helper.make_node('Shape', ['cast'], ['shape']),
                 helper.make_node('Cast', ['data'], ['cast'], to=TensorProto.FLOAT)):
        model.graph.node.insert(0, node)
    onnx.save(model, path)
    boxes, scores = typed(path, 'centernet', replace(SPEC, precision='fp16'))
    np.testing.assert_allclose(scores[:, 0], expected[1][:, 0], atol=5e-3)
    np.testing.assert_allclose(boxes[:, 0], expected[0][:, 0], atol=0.1)


def test_a_weight_too_large_for_float16_is_refused(tmp_path):
    path = tiny_models.nanodet(tmp_path / 'm.onnx')
    model = onnx.load(path)
    model.graph.node[-1].input[2] = 'large'
    model.graph.initializer.append(
        numpy_helper.from_array(np.full(124, 1e5, np.float32), 'large'))
    onnx.save(model, path)
    with pytest.raises(ModelError, match='float16'):
        import_model(Trunk.load(path), 'nanodet', replace(SPEC, precision='fp16'))


@pytest.mark.parametrize(('change', 'message'), [
    ({'class_index': 80}, 'Class index 80'),
    ({'class_index': -1}, 'Class index -1'),
    ({'top_k': 0}, 'top_k'),
    ({'std': (1.0, 0.0, 1.0)}, 'std'),
    ({'size_hw': (0, 64)}, '64x0'),
    ({'channel_order': 'gbr'}, 'gbr'),
    ({'precision': 'int4'}, 'int4'),
])
def test_a_spec_is_checked_at_birth(change, message):
    with pytest.raises(ModelError, match=message):
        replace(SPEC, **change)


@pytest.mark.parametrize('content', [
    pytest.param(b'', id='empty'), pytest.param(b'not a model at all', id='text'),
    pytest.param(b'\x08\x09', id='a header only'), pytest.param(None, id='truncated')])
def test_files_that_are_no_models_are_refused(tmp_path, content):
    path = tmp_path / 'broken.onnx'
    path.write_bytes(SHIPPED.read_bytes()[:100_000] if content is None else content)
    with pytest.raises(ModelError, match=r'broken\.onnx'):
        Trunk.load(path)
