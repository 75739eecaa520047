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

"""The YOLO families against an independent decode in numpy, and what is refused."""

from dataclasses import replace

import importing
from importing import IMAGES, raw_outputs, SPEC, typed
import numpy as np
from onnx import TensorProto
from ped_perception.core.errors import ModelError
from ped_perception.engine.importers import detect_family, import_model
from ped_perception.engine.trunk import Trunk
import pytest
import tiny_families

NO_NORMALISATION = {'mean': (0.0, 0.0, 0.0), 'std': (1.0, 1.0, 1.0)}


def logistic(values):
    return 1 / (1 + np.exp(-values))


def yolox_by_hand(outputs, class_index, decoded=False, sigmoid=True):
    rows = []
    for output in outputs.values():
        table = output.astype(np.float64)
        if table.ndim == 4:
            table = table.reshape(*table.shape[:2], -1).transpose(0, 2, 1)
        rows.append(table)
    table, cells = np.concatenate(rows, axis=1)[0], []
    for stride in (8, 16, 32):
        cells += [(x, y, stride) for y in range(64 // stride) for x in range(96 // stride)]
    candidates = []
    for (x, y, stride), row in zip(cells, table, strict=True):
        cx, cy, w, h = row[:4]
        if not decoded:
            cx, cy = (cx + x) * stride, (cy + y) * stride
            w, h = np.exp(w) * stride, np.exp(h) * stride
        pair = row[[4, 5 + class_index]]
        score = np.prod(pair if sigmoid else logistic(pair))
        candidates.append((score, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)))
    return importing.best_first(candidates, SPEC.top_k)


COMPUTED = {'make': tiny_families.yolox_with_computed_grids}


@pytest.mark.parametrize(('family', 'options', 'class_index', 'order', 'why'), [
    ('yolox', {}, 3, 'bgr', 'the table of export_onnx.py, batch 1 frozen in'),
    ('yolox', {'batch': 'N'}, 79, 'rgb', 'the last class; dynamic batch; channel order'),
    ('yolox', {'kind': 'heads'}, 0, 'bgr', 'one output per stride, the first class'),
    ('yolox', {'kind': 'heads', 'sigmoid': False}, 3, 'bgr', 'logits, cut behind the convs'),
    ('yolox', {'classes': 1}, 0, 'bgr', 'only pedestrians: nothing to cut'),
    ('yolox-decoded', {'kind': 'decoded'}, 3, 'bgr', '--decode_in_inference'),
    ('yolox-decoded', COMPUTED, 3, 'bgr', 'grids from Shape and Range, every axis dynamic'),
])
def test_yolox_decodes_as_by_hand(tmp_path, family, options, class_index, order, why):
    options = {'make': tiny_families.yolox, 'sigmoid': True, **options}
    make, sigmoid = options.pop('make'), options['sigmoid']
    path = make(tmp_path / 'y.onnx', **({} if 'computed' in make.__name__ else options))
    spec = replace(SPEC, class_index=class_index, channel_order=order,
                   class_count=options.get('classes', 80))
    assert detect_family(Trunk.load(path))[0] == family
    boxes, scores = typed(path, family, spec)
    for image, outputs in enumerate(raw_outputs(path, spec)):
        wanted, chances = yolox_by_hand(outputs, class_index, family == 'yolox-decoded',
                                        sigmoid)
        np.testing.assert_allclose(scores[image], chances, atol=1e-6, err_msg=why)
        np.testing.assert_allclose(boxes[image], wanted, atol=2e-3, err_msg=why)


def ultralytics_by_hand(outputs, class_index):
    candidates = []
    for column in outputs['output0'][0].astype(np.float64).T:
        cx, cy, w, h = column[:4]
        candidates.append((column[4 + class_index],
                           (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)))
    return importing.best_first(candidates, SPEC.top_k)


@pytest.mark.parametrize(('class_index', 'classes', 'chunks', 'why'), [
    (0, 80, False, 'the first class'), (3, 80, False, 'one in between'),
    (79, 80, False, 'the last class'), (0, 1, False, 'only pedestrians: nothing to cut'),
    (3, 80, True, 'channels halved by Shape and Div; no shape of the output in the file')])
def test_ultralytics_decodes_as_by_hand(tmp_path, class_index, classes, chunks, why):
    path = tiny_families.ultralytics(tmp_path / 'u.onnx', classes, chunks=chunks)
    spec = replace(SPEC, class_index=class_index, class_count=classes, channel_order='rgb')
    assert detect_family(Trunk.load(path))[0] == 'ultralytics'
    boxes, scores = typed(path, 'ultralytics', spec)
    for image, outputs in enumerate(raw_outputs(path, spec)):
        wanted, chances = ultralytics_by_hand(outputs, class_index)
        np.testing.assert_allclose(scores[image], chances, atol=1e-6, err_msg=why)
        np.testing.assert_allclose(boxes[image], wanted, atol=1e-3, err_msg=why)


def test_end_to_end_keeps_the_rows_of_the_wanted_class_and_silences_the_others(tmp_path):
    path = tiny_families.end_to_end(tmp_path / 'e.onnx', classes=3)
    spec = replace(SPEC, class_index=2, class_count=3, channel_order='rgb')
    assert detect_family(Trunk.load(path))[0] == 'yolo-end2end'
    boxes, scores = typed(path, 'yolo-end2end', spec)
    for image, outputs in enumerate(raw_outputs(path, spec)):
        rows = outputs['output0'][0]
        rows = rows[rows[:, 5] == 2]
        assert 3 < len(rows) < 40, 'some rows are of the class, not all'
        np.testing.assert_allclose(scores[image, :len(rows)], rows[:, 4], atol=1e-6)
        np.testing.assert_allclose(boxes[image, :len(rows)], rows[:, :4], atol=1e-3)
        assert not scores[image, len(rows):].any()


@pytest.mark.parametrize(('family', 'make', 'removed', 'inputs'), [
    ('yolox', tiny_families.yolox, 79, 3),
    ('yolox-decoded', lambda path: tiny_families.yolox(path, kind='decoded'), 79, 3),
    ('yolox-decoded', tiny_families.yolox_with_computed_grids, 79, 3),
    ('ultralytics', tiny_families.ultralytics, 79, 3),
])
def test_the_classes_are_cut_out_of_the_convolutions(tmp_path, family, make, removed, inputs):
    imported = import_model(Trunk.load(make(tmp_path / 'm.onnx')), family, SPEC)
    cells = {8: 8 * 12, 16: 4 * 6, 32: 2 * 3}
    assert imported.saving.uncut == ()
    assert not {'Shape', 'Range', 'Expand'} & {
        node.op_type for node in imported.model.graph.node if node.name.startswith('trunk/')}
    assert imported.saving.parameters == sum(removed * (inputs * s * s + 1) for s in cells)
    assert imported.saving.macs == sum(removed * inputs * s * s * n for s, n in cells.items())
    sizes = {array.dims[0] for array in imported.model.graph.initializer
             if len(array.dims) == 4 and array.dims[2] > 1}
    assert sizes <= {1, 2, 4, 64}, 'no convolution is left with 80 classes'


def test_where_a_class_cannot_be_cut_the_import_says_so(tmp_path):
    path = tiny_families.end_to_end(tmp_path / 'e.onnx', classes=3)
    saving = import_model(Trunk.load(path), 'yolo-end2end',
                          replace(SPEC, class_index=2, class_count=3)).saving
    assert saving.parameters == 0
    assert 'TopK' in saving.uncut[0]


@pytest.mark.parametrize(('family', 'make'), [
    ('yolox', tiny_families.yolox),
    ('yolox', lambda path: tiny_families.yolox(path, kind='heads')),
    ('yolox-decoded', lambda path: tiny_families.yolox(path, kind='decoded')),
    ('yolox-decoded', tiny_families.yolox_with_computed_grids),
    ('ultralytics', tiny_families.ultralytics),
    ('yolo-end2end', tiny_families.end_to_end),
])
def test_float16_trunks_decode_in_float32_and_build_for_tensorrt(tmp_path, family, make):
    path = make(tmp_path / 'm.onnx')
    half = import_model(Trunk.load(path), family, replace(SPEC, precision='fp16')).model
    types = importing.types_of(half)
    convolutions = [node for node in half.graph.node if node.op_type == 'Conv'
                    and len(node.input) == 3]
    assert len(convolutions) >= 6
    assert {types[node.output[0]] for node in convolutions} == {TensorProto.FLOAT16}
    late = {'Exp', 'Mul', 'Softmax', 'TopK'} & {node.op_type for node in half.graph.node}
    assert late
    for node in half.graph.node:
        if node.op_type in late and 'front' not in node.name:
            assert types[node.output[0]] == TensorProto.FLOAT, node.name
    single = typed(path, family, SPEC)
    boxes, scores = importing.run(half)
    assert np.abs(scores - single[1]).max() < 5e-3
    assert np.median(np.abs(boxes[:, 0] - single[0][:, 0])) < 0.2
    importing.check_tensorrt_rtx_builds(half, SPEC.top_k)


@pytest.mark.parametrize(('size_hw', 'make', 'family', 'message'), [
    ((96, 64), tiny_families.ultralytics, 'ultralytics', 'exported for 96x64.*for 64x96'),
    ((96, 64), lambda path: tiny_families.yolox(path, kind='decoded'), 'yolox-decoded',
     'exported for 96x64'),
])
def test_a_file_with_grids_is_bound_to_its_size_even_where_the_cells_are_as_many(
        tmp_path, size_hw, make, family, message):
    with pytest.raises(ModelError, match=message):
        import_model(Trunk.load(make(tmp_path / 'm.onnx')), family,
                     replace(SPEC, size_hw=size_hw))


def test_a_free_input_in_front_of_frozen_grids_is_refused(tmp_path):
    path = tiny_families.yolox(tmp_path / 'm.onnx', kind='decoded', shape=('N', 3, 'H', 'W'))
    with pytest.raises(ModelError, match=r'free, but the decoding inside .* export it for 96x64'):
        import_model(Trunk.load(path), 'yolox-decoded', SPEC)


@pytest.mark.parametrize('kind', ['table', 'heads'])
def test_a_raw_yolox_runs_at_another_size(tmp_path, kind):
    path = tiny_families.yolox(tmp_path / 'm.onnx', kind=kind, size_hw=(160, 128))
    boxes, scores = typed(path, 'yolox', SPEC)
    expected = typed(tiny_families.yolox(tmp_path / 'n.onnx', kind=kind), 'yolox', SPEC)
    np.testing.assert_array_equal(scores, expected[1])
    np.testing.assert_array_equal(boxes, expected[0])


@pytest.mark.parametrize(('make', 'family', 'change', 'message'), [
    (lambda path: tiny_families.yolox(path, classes=7), 'yolox', {}, '7 classes, not 80.*--class'),
    (lambda path: tiny_families.ultralytics(path, classes=7), 'ultralytics', {},
     '7 classes, not 80'),
    (lambda path: tiny_families.yolox(path, kind='decoded'), 'yolox', {}, 'yolox-decoded'),
    (tiny_families.ultralytics, 'yolox', {}, 'needs one output.*output0'),
    (tiny_families.yolox, 'ultralytics', {}, 'not 80'),
    (tiny_families.yolox, 'yolo-end2end', {}, r'needs one output \[N,K,6\]'),
])
def test_a_wrong_family_or_class_count_is_refused(tmp_path, make, family, change, message):
    with pytest.raises(ModelError, match=message):
        import_model(Trunk.load(make(tmp_path / 'm.onnx')), family, replace(SPEC, **change))


def test_images_are_normalised_for_the_file(tmp_path):
    path = tiny_families.yolox(tmp_path / 'm.onnx')
    spec = replace(SPEC, **NO_NORMALISATION)
    model = import_model(Trunk.load(path), 'yolox', spec).model
    assert not [node for node in model.graph.node if node.name.startswith('front/')
                and node.op_type in ('Sub', 'Mul')]
    assert IMAGES.max() > 250, 'the images are worth the test'
