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

"""NanoDet's tables, PicoDet, the DETR family and SSD against an independent decode in numpy."""

from dataclasses import replace
import re

import importing
from importing import raw_outputs, SPEC, typed
import numpy as np
from onnx import TensorProto
from ped_perception.core.errors import ModelError
from ped_perception.engine.importers import detect_family, import_model, importer_of
from ped_perception.engine.trunk import Trunk
import pytest
import tiny_families

LEVELS = {8: (8, 12), 16: (4, 6), 32: (2, 3), 64: (1, 2)}     # 96 px are two cells of 64, begun
TF_SPEC = replace(SPEC, class_index=1, class_count=91, channel_order='rgb',
                  mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def logistic(values):
    return 1 / (1 + np.exp(-values))


def bins_by_hand(scores, bins, offset, levels=4):
    """Boxes of rows of scores [A] and bins [A,4·bins], level by level."""
    cells = [(x, y, stride) for stride, (rows, columns) in [*LEVELS.items()][:levels]
             for y in range(rows) for x in range(columns)]
    candidates = []
    for (x, y, stride), score, row in zip(cells, scores, bins, strict=True):
        chances = np.exp(row.reshape(4, -1).astype(np.float64))
        chances /= chances.sum(1, keepdims=True)
        sides = stride * chances @ np.arange(chances.shape[1])
        cx, cy = (x + offset) * stride, (y + offset) * stride
        candidates.append((score, (cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3])))
    return importing.best_first(candidates, SPEC.top_k)


def flat(output):
    return output[0] if output.ndim == 3 else output[0].reshape(len(output[0]), -1).T


@pytest.mark.parametrize(('bins', 'class_index', 'order'), [(8, 3, 'bgr'), (11, 79, 'rgb')])
def test_the_table_of_nanodets_own_export_decodes_as_by_hand(tmp_path, bins, class_index, order):
    path = tiny_families.nanodet(tmp_path / 'n.onnx', bins)
    spec = replace(SPEC, class_index=class_index, channel_order=order)
    assert detect_family(Trunk.load(path))[0] == 'nanodet', 'YOLOX of 107 classes is no more'
    boxes, scores = typed(path, 'nanodet', spec)
    for image, outputs in enumerate(raw_outputs(path, spec)):
        table = outputs['output'][0]
        wanted, best = bins_by_hand(table[:, class_index], table[:, 80:], 0.5, levels=3)
        np.testing.assert_allclose(scores[image], best, atol=1e-6)
        np.testing.assert_allclose(boxes[image], wanted, atol=1e-3)


@pytest.mark.parametrize(('heads', 'class_index', 'order'), [
    (False, 3, 'bgr'), (False, 79, 'rgb'), (True, 0, 'bgr')])
def test_nanodet_plus_decodes_as_by_hand(tmp_path, heads, class_index, order):
    path = tiny_families.nanodet_plus(tmp_path / 'n.onnx', heads=heads)
    spec = replace(SPEC, class_index=class_index, channel_order=order)
    assert detect_family(Trunk.load(path))[0] == 'nanodet-plus'
    boxes, scores = typed(path, 'nanodet-plus', spec)
    for image, outputs in enumerate(raw_outputs(path, spec)):
        table = np.concatenate([flat(output) for output in outputs.values()])
        chances = table[:, class_index]
        wanted, best = bins_by_hand(logistic(chances) if heads else chances, table[:, 80:], 0.0)
        np.testing.assert_allclose(scores[image], best, atol=1e-6)
        np.testing.assert_allclose(boxes[image], wanted, atol=1e-3)


@pytest.mark.parametrize(('is_flat', 'class_index'), [(True, 3), (True, 79), (False, 0)])
def test_picodet_decodes_as_by_hand(tmp_path, is_flat, class_index):
    path = tiny_families.picodet(tmp_path / 'p.onnx', flat=is_flat)
    spec = replace(SPEC, class_index=class_index, channel_order='rgb')
    assert detect_family(Trunk.load(path))[0] == 'picodet'
    boxes, scores = typed(path, 'picodet', spec)
    for image, outputs in enumerate(raw_outputs(path, spec)):
        chances, bins = (np.concatenate([flat(outputs[f'{name}{stride}']) for stride in LEVELS])
                         for name in ('cls', 'reg'))
        wanted, best = bins_by_hand(chances[:, class_index], bins, 0.5)
        np.testing.assert_allclose(scores[image], best, atol=1e-6)
        np.testing.assert_allclose(boxes[image], wanted, atol=1e-3)


@pytest.mark.parametrize(('family', 'options', 'class_index', 'why'), [
    ('detr', {}, 3, 'RT-DETR, batch 1 frozen in'),
    ('detr', {'batch': 2}, 0, 'D-FINE exports a batch of many'),
    ('rfdetr', {'classes': 91, 'names': ('labels', 'dets')}, 1, "RF-DETR's names"),
    ('rfdetr', {'classes': 4, 'names': ('labels', 'dets')}, 2, 'as many classes as sides'),
])
def test_detr_decodes_as_by_hand(tmp_path, family, options, class_index, why):
    path = tiny_families.detr(tmp_path / 'd.onnx', **options)
    classes = options.get('classes', 80)
    spec = replace(SPEC, class_index=class_index, class_count=classes, channel_order='rgb')
    assert detect_family(Trunk.load(path))[0] == family
    boxes, scores = typed(path, family, spec)
    one = tiny_families.detr(tmp_path / 'one.onnx', **{**options, 'batch': 1})
    logits_name, boxes_name = options.get('names', ('pred_logits', 'pred_boxes'))
    for image, outputs in enumerate(raw_outputs(one, spec)):
        candidates = []
        for logits, (cx, cy, w, h) in zip(outputs[logits_name][0].astype(np.float64),
                                          outputs[boxes_name][0] * [96, 64, 96, 64],
                                          strict=True):
            candidates.append((logistic(logits[class_index]),
                               (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)))
        wanted, best = importing.best_first(candidates, SPEC.top_k)
        np.testing.assert_allclose(scores[image], best, atol=1e-6, err_msg=why)
        np.testing.assert_allclose(boxes[image], wanted, atol=1e-3, err_msg=why)


@pytest.mark.parametrize('tensorflow', [False, True])
def test_ssd_decodes_as_by_hand(tmp_path, tensorflow):
    path = tiny_families.ssd(tmp_path / 's.onnx', tensorflow=tensorflow)
    family = 'ssd-tf' if tensorflow else 'ssd'
    spec = TF_SPEC if tensorflow else replace(SPEC, class_index=90, class_count=91)
    assert detect_family(Trunk.load(path))[0] == family
    boxes, scores = typed(path, family, spec)
    prefix = 'raw_detection_' if tensorflow else ''
    dtype = np.uint8 if tensorflow else np.float32
    for image, outputs in enumerate(raw_outputs(path, spec, tensorflow, dtype)):
        candidates = []
        for chances, (a, b, c, d) in zip(outputs[f'{prefix}scores'][0],
                                         outputs[f'{prefix}boxes'][0], strict=True):
            x1, y1, x2, y2 = (b, a, d, c) if tensorflow else (a, b, c, d)
            candidates.append((chances[spec.class_index], (96 * x1, 64 * y1, 96 * x2, 64 * y2)))
        wanted, best = importing.best_first(candidates, SPEC.top_k)
        np.testing.assert_allclose(scores[image], best, atol=1e-6)
        np.testing.assert_allclose(boxes[image], wanted, atol=1e-3)


CASES = [
    ('nanodet-plus', tiny_families.nanodet_plus, SPEC),
    ('nanodet-plus', lambda path: tiny_families.nanodet_plus(path, heads=True), SPEC),
    ('picodet', tiny_families.picodet, SPEC),
    ('detr', tiny_families.detr, SPEC),
    ('ssd', tiny_families.ssd, replace(SPEC, class_count=91)),
    ('ssd-tf', lambda path: tiny_families.ssd(path, tensorflow=True), TF_SPEC),
]


@pytest.mark.parametrize(('family', 'make', 'spec'), CASES)
def test_float16_trunks_give_nearly_the_same_and_build_for_tensorrt(tmp_path, family, make, spec):
    path = make(tmp_path / 'm.onnx')
    half = import_model(Trunk.load(path), family, replace(spec, precision='fp16')).model
    types = importing.types_of(half)
    heavy = [node for node in half.graph.node if node.op_type in ('Conv', 'MatMul')]
    assert heavy
    assert {types[node.output[0]] for node in heavy} == {TensorProto.FLOAT16}
    boxes, scores = importing.run(half)
    single = typed(path, family, spec)
    assert np.abs(scores - single[1]).max() < 1e-2
    assert np.median(np.abs(boxes[:, 0] - single[0][:, 0])) < 0.2
    importing.check_tensorrt_rtx_builds(half, spec.top_k)


@pytest.mark.parametrize(('family', 'make', 'spec', 'parameters'), [
    ('nanodet-plus', tiny_families.nanodet_plus, SPEC,
     sum(79 * (3 * stride * stride + 1) for stride in LEVELS)),
    ('picodet', tiny_families.picodet, SPEC,
     sum(79 * (3 * stride * stride + 1) for stride in LEVELS)),
    ('nanodet', tiny_families.nanodet, SPEC, 79 * sum(3 * s * s + 1 for s in (8, 16, 32))),
    ('detr', tiny_families.detr, SPEC, 79 * 16),
    ('ssd-tf', lambda path: tiny_families.ssd(path, tensorflow=True), TF_SPEC,
     sum(3 * 90 * (3 * stride * stride + 1) for stride in (16, 32))),
])
def test_the_classes_are_cut_out_of_the_last_layers(tmp_path, family, make, spec, parameters):
    saving = import_model(Trunk.load(make(tmp_path / 'm.onnx')), family, spec).saving
    assert saving.uncut == ()
    assert saving.parameters == parameters


def test_a_softmax_needs_all_classes_and_is_named(tmp_path):
    saving = import_model(Trunk.load(tiny_families.ssd(tmp_path / 's.onnx')), 'ssd',
                          replace(SPEC, class_count=91)).saving
    assert saving.parameters == 0
    assert saving.uncut[0].startswith('Softmax ')
    assert 'trunk/' not in saving.uncut[0]


@pytest.mark.parametrize(('family', 'make'), [
    ('nanodet', tiny_families.nanodet), ('nanodet-plus', tiny_families.nanodet_plus),
    ('picodet', tiny_families.picodet)])
def test_raw_heads_run_at_another_size(tmp_path, family, make):
    boxes, scores = typed(make(tmp_path / 'a.onnx', size_hw=(160, 128)), family, SPEC)
    expected = typed(make(tmp_path / 'b.onnx'), family, SPEC)
    np.testing.assert_array_equal(scores, expected[1])
    np.testing.assert_array_equal(boxes, expected[0])


@pytest.mark.parametrize(('make', 'families', 'why'), [
    (lambda path: tiny_families.detr(path, names=('a', 'b'), classes=7),
     {'detr', 'rfdetr', 'ssd'}, 'nothing but shapes'),
    (lambda path: tiny_families.detr(path, classes=7), {'detr', 'rfdetr'},
     'logits, but of a custom number of classes'),
])
def test_ambiguous_outputs_list_the_candidates(tmp_path, make, families, why):
    with pytest.raises(ModelError, match=r'several families.*--family') as caught:
        detect_family(Trunk.load(make(tmp_path / 'm.onnx')))
    listed = str(caught.value).split('Families: ')[1]
    assert set(re.findall(r'([a-z-]+) \(\d', listed)) == families, why


@pytest.mark.parametrize(('make', 'family', 'message'), [
    (tiny_families.detr, 'ssd', 'not 91|does not come from'),
    (lambda path: tiny_families.ssd(path, classes=21), 'ssd', '21 classes, not 91.*person 1'),
    (tiny_families.nanodet_plus, 'picodet', 'needs outputs'),
    (tiny_families.picodet, 'nanodet-plus', 'needs one output'),
    (lambda path: tiny_families.detr(path, size_hw=(96, 64)), 'detr', 'exported for 64x96'),
])
def test_what_does_not_fit_is_refused(tmp_path, make, family, message):
    usual = importer_of(family).defaults
    spec = replace(SPEC, class_index=usual.class_index, class_count=usual.class_count)
    with pytest.raises(ModelError, match=message):
        import_model(Trunk.load(make(tmp_path / 'm.onnx')), family, spec)
