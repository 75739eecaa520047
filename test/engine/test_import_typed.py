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

"""What is a typed graph already passes; what no family is says how to get one."""

from dataclasses import replace

from importing import SPEC
import numpy as np
import onnx
from ped_perception.core.errors import ModelError
from ped_perception.engine.catalogue import ImportOptions
from ped_perception.engine.importers import detect_family
from ped_perception.engine.models import compile_graph, TypedGraphInfo
from ped_perception.engine.names import resolve
from ped_perception.engine.trunk import Trunk
import pytest
import tiny_families
from tiny_families import Net
import tiny_models

OPTIONS = ImportOptions(class_index=3, top_k=40)


@pytest.fixture
def graph(tmp_path):
    source = resolve(tiny_models.nanodet(tmp_path / 'mine.onnx'))
    return compile_graph(source, SPEC.size_hw, 'fp16', OPTIONS, tmp_path / 'typed.onnx')


def test_a_typed_graph_passes_unchanged(tmp_path, graph):
    report = compile_graph(resolve(graph.path), SPEC.size_hw, 'fp16', ImportOptions(),
                           tmp_path / 'again.onnx')
    assert report.path.read_bytes() == graph.path.read_bytes()
    assert (report.family, report.top_k, report.nodes) == ('nanodet', 40, graph.nodes)
    assert report.reason.startswith('typed')
    assert report.spec == replace(graph.spec, keep_fp32=())
    assert TypedGraphInfo.from_file(report.path).class_index == 3


@pytest.mark.parametrize(('size_hw', 'precision', 'options', 'message'), [
    ((64, 128), 'fp16', {}, r'size_hw is \(64, 96\), not \(64, 128\)'),
    ((64, 96), 'fp32', {}, 'precision is fp16, not fp32'),
    ((64, 96), 'fp16', {'class_index': 0}, 'class_index is 3, not 0'),
    ((64, 96), 'fp16', {'mean': (1.0, 2.0, 3.0)}, 'mean is'),
    ((64, 96), 'fp16', {'keep_fp32': ('out8',)}, 'keep_fp32 is'),
])
def test_a_typed_graph_is_never_taken_for_another(tmp_path, graph, size_hw, precision, options,
                                                  message):
    with pytest.raises(ModelError, match=message):
        compile_graph(resolve(graph.path), size_hw, precision, ImportOptions(**options),
                      tmp_path / 'again.onnx')
    assert not (tmp_path / 'again.onnx').exists()


def test_a_graph_whose_shapes_deny_its_metadata_is_refused(tmp_path, graph):
    model = onnx.load(graph.path)
    for entry in model.metadata_props:
        entry.value = '41' if entry.key == 'top_k' else entry.value
    onnx.save(model, graph.path)
    with pytest.raises(ModelError, match='says it is a typed graph'):
        compile_graph(resolve(graph.path), SPEC.size_hw, 'fp16', ImportOptions(),
                      tmp_path / 'again.onnx')


def test_told_to_be_typed_a_raw_model_is_refused(tmp_path):
    source = resolve(tiny_families.yolox(tmp_path / 'raw.onnx'))
    with pytest.raises(ModelError, match='is not a typed graph'):
        compile_graph(source, SPEC.size_hw, 'fp32', ImportOptions(family='typed'),
                      tmp_path / 'again.onnx')


def postprocessed(net, names):
    return {name: (net.node('ReduceMax', net.conv(4, 16), axes=[3], keepdims=0), None)
            for name in names}


def suppressed(net):
    boxes = net.turn(net.reshape(net.conv(4, 16), 1, 4, -1))
    scores = net.reshape(net.conv(1, 16), 1, 1, -1)
    chosen = net.node('NonMaxSuppression', boxes, scores, net.constant([9], np.int64))
    index = net.node('Squeeze', net.cut(chosen, 2, 3, 1), net.constant([1], np.int64))
    return {'output0': (net.node('Gather', boxes, index, axis=1), None)}


@pytest.mark.parametrize(('outputs', 'message'), [
    (lambda net: postprocessed(net, ('labels', 'boxes', 'scores')), 'postprocessing of RT-DETR'),
    (lambda net: postprocessed(net, ('num_dets', 'det_boxes', 'det_scores', 'det_classes')),
     'non-maximum suppression'),
    (suppressed, 'non-maximum suppression.*nms=False'),
])
def test_known_postprocessing_is_named_with_what_to_export_instead(tmp_path, outputs, message):
    net = Net()
    path = net.save(tmp_path / 'm.onnx', outputs(net))
    with pytest.raises(ModelError, match=message):
        detect_family(Trunk.load(path))


def test_a_second_input_is_refused_with_what_to_export_instead(tmp_path):
    path = tiny_families.detr(tmp_path / 'm.onnx')
    model = onnx.load(path)
    model.graph.input.append(onnx.helper.make_tensor_value_info(
        'orig_target_sizes', onnx.TensorProto.INT64, [1, 2]))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r'orig_target_sizes int64.*pred_logits and pred_boxes'):
        Trunk.load(path)
