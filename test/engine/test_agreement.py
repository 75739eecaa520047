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

"""The gate between arithmetics: exact on made-up boxes, and shut before real collapses."""

from dataclasses import replace
import itertools
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import numpy_helper
from ped_perception.backends import BackendConfig, open_graph
from ped_perception.core.errors import ModelError
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.types import Candidates
from ped_perception.engine.agreement import (
    Agreement,
    LabelledPicture,
    measure,
    refuse,
    Tolerance,
    TOLERANCES,
)
from ped_perception.engine.matching import average_precision
from ped_perception.engine.models import typed_graph
from ped_perception.engine.quantize import quantize
import pytest

CLIP = Path(__file__).parents[2] / 'demo' / 'pets_street.mp4'
HW = (100, 200)


class Saying:
    """A backend that says what it is told, picture after picture; see ``Backend``."""

    def __init__(self, *answers, precision='fp32', network_hw=HW):
        self.info = BackendInfo('double', 'told', precision, network_hw, 1, 4, 'none')
        self.batch_nhw3 = np.zeros((1, *network_hw, 3), np.uint8)
        self._answers = itertools.cycle(answers)

    def infer(self, count):
        assert count == 1
        boxes, scores = np.zeros((1, 4, 4), np.float32), np.zeros((1, 4), np.float32)
        for index, (box, score) in enumerate(next(self._answers)):
            boxes[0, index], scores[0, index] = box, score
        return Candidates(boxes, scores)


LEFT, RIGHT = (10, 10, 30, 60), (110, 10, 130, 60)
PICTURE = LabelledPicture(np.zeros((*HW, 3), np.uint8))


def compared(ours, theirs, pictures=(PICTURE,)):
    return measure(Saying(ours), Saying(theirs, precision='int8'), pictures, views=('whole',))


@pytest.mark.parametrize(('ours', 'theirs', 'expected', 'why'), [
    ([(LEFT, .9)], [(LEFT, .9)], (1, 1, 0, 0), 'the same'),
    ([(LEFT, .9), (RIGHT, .8)], [(LEFT, .9)], (.5, 1, 0, 0), 'one is missed'),
    ([(LEFT, .9)], [(LEFT, .9), (RIGHT, .8)], (1, .5, 0, 0), 'one is invented'),
    ([(LEFT, .9)], [((12, 9, 33, 60), .7)], (1, 1, 3, .2), 'the side that moves most'),
    ([(LEFT, .41)], [(LEFT, .39)], (1, 1, 0, .02), 'a threshold crossed is not a pedestrian lost'),
    ([(LEFT, .9)], [(LEFT, .19)], (0, 1, np.inf, np.inf), 'as good as lost'),
    ([(LEFT, .9)], [(RIGHT, .9)], (0, 0, np.inf, np.inf), 'elsewhere'),
    ([(LEFT, .9)], [(LEFT, np.nan)], (0, 1, np.inf, np.inf), 'no number'),
])
def test_figures(ours, theirs, expected, why):
    found = compared(ours, theirs)
    assert (found.found, found.confirmed, found.shift_px_max, found.score_shift_max) == (
        pytest.approx(expected, abs=1e-6)), why
    assert found.boxes == len(ours)
    assert (found.reference, found.candidate) == ('told fp32 in double', 'told int8 in double')


def test_percentiles_are_over_all_boxes_of_all_pictures():
    shifts = range(1, 101)
    ours = Saying([(LEFT, .9)])
    theirs = Saying(*([((10, 10, 30, 60 + shift / 10), .9)] for shift in shifts))
    found = measure(ours, theirs, [PICTURE] * 100, views=('whole',))
    assert found.pictures == found.boxes == 100
    # The 95th of these boxes is 50 px high where the reference has 59.5.
    assert found.iou_p05 == pytest.approx(50 / 59.505, abs=1e-3)
    assert found.shift_px_p50 == pytest.approx(5.05, abs=0.01)
    assert found.shift_px_p95 == pytest.approx(9.505, abs=0.01)
    assert found.shift_px_p99 == pytest.approx(9.901, abs=0.01)


def test_labels_are_seen_through_the_views():
    # Twice as large as the network and seen at half of that: a quarter, centred.
    label = np.array([[40, 40, 120, 240]], np.float32)
    picture = LabelledPicture(np.zeros((2 * HW[0], 2 * HW[1], 3), np.uint8), label)
    box = (50 + 10, 25 + 10, 50 + 30, 25 + 60)
    found = measure(Saying([(box, .9)]), Saying([(LEFT, .9)]), [picture], views=('whole@0.5',))
    assert (found.reference_ap, found.candidate_ap) == (pytest.approx(100), 0.0)
    assert compared([(LEFT, .9)], [(LEFT, .9)]).reference_ap is None, 'nobody marked them'


def test_average_precision_by_hand():
    box = np.array([LEFT], np.float32)
    both = np.array([LEFT, RIGHT], np.float32)
    nothing = np.zeros((0, 4), np.float32)
    found = [(box, np.array([.9], np.float32)),         # right
             (both, np.array([.8, .7], np.float32)),    # one wrong, then one right
             (nothing, np.zeros(0, np.float32))]        # one missed
    labels = [box, both[1:], box]
    # Precision 1 up to recall 1/3, 2/3 up to 2/3, 0 beyond: 34, 33 and 34 of 101 points.
    assert average_precision(found, labels, 0.5) == pytest.approx(100 * (34 + 33 * 2 / 3) / 101)


def test_networks_of_different_sizes_are_not_compared():
    with pytest.raises(ModelError, match='different input sizes'):
        measure(Saying([]), Saying([], network_hw=(64, 96)), [PICTURE])


GOOD = Agreement('fp32', 'int8', pictures=30, boxes=200, found=1.0, confirmed=1.0,
                 iou_p05=1.0, shift_px_p50=0.0, shift_px_p95=0.0, shift_px_p99=0.0,
                 shift_px_max=0.0, score_shift_p95=0.0, score_shift_max=0.0,
                 reference_ap=40.0, candidate_ap=40.0)
TOLERANCE = Tolerance(found=0.9, confirmed=0.9, iou_p05=0.8, shift_px_p50=2.0,
                      shift_px_p99=4.0, score_shift_p95=0.1, ap_loss=1.0)


@pytest.mark.parametrize(('change', 'message'), [
    ({'found': 0.89}, 'found 0.89 is below 0.9'),
    ({'confirmed': 0.5}, 'confirmed 0.5 is below 0.9'),
    ({'iou_p05': 0.7}, 'iou_p05 0.7 is below 0.8'),
    ({'shift_px_p50': 2.1}, 'shift_px_p50 2.1 is above 2'),
    ({'shift_px_p99': np.inf}, 'shift_px_p99 inf is above 4'),
    ({'score_shift_p95': 0.2}, 'score_shift_p95 0.2 is above 0.1'),
    ({'score_shift_p95': np.nan}, 'score_shift_p95 nan is above 0.1'),
    ({'candidate_ap': 38.9}, 'AP falls by 1.1, more than 1.0'),
    ({'boxes': 19}, '19 pedestrians in 30 pictures; at least 20'),
])
def test_each_figure_beyond_its_tolerance_is_named(change, message):
    refuse(GOOD, TOLERANCE, 'Try again.')
    with pytest.raises(ModelError) as caught:
        refuse(replace(GOOD, **change), TOLERANCE, 'Try again.')
    assert message in str(caught.value)
    assert 'boxes' in change or str(caught.value).endswith('Try again.')


# -- real graphs on real pictures ---------------------------------------------------------------


@pytest.fixture(scope='module')
def people():
    """Return twelve pictures of the demo's clip."""
    video = cv2.VideoCapture(str(CLIP))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    pictures = []
    for index in range(count):
        _, picture = video.read()
        if index % (count // 12) == 0:
            pictures.append(LabelledPicture(picture))
    return pictures[:12]


@pytest.fixture(scope='module')
def single(tmp_path_factory):
    """Return the shipped model in float32, at a size that sees the people of the clip."""
    return typed_graph('nanodet_g', (384, 640), cache_dir=tmp_path_factory.mktemp('cache'))


def agreement_of(reference, candidate, backend, pictures):
    config = BackendConfig(backend=backend, precision='fp32')
    with open_graph(reference, config, 1) as exact, open_graph(candidate, config, 1) as rounded:
        return measure(exact, rounded, pictures, views=('whole',))


def test_the_shipped_int8_graph_passes_as_stated(single, people):
    pytest.importorskip('openvino')
    shipped = typed_graph('nanodet_g', (384, 640), precision='int8')
    found = agreement_of(single, shipped, 'openvino', people)
    assert found.candidate == 'nanodet_g int8 in openvino', 'read back from the runtime'
    refuse(found, TOLERANCES['int8'], '')


def test_a_file_for_tensorrt_is_right_by_definition_and_garbage_in_openvino(
        single, people, tmp_path):
    pytest.importorskip('openvino')
    calibration = [picture.image_hw3 for picture in people[:4]]
    signed = quantize(single, calibration, tmp_path / 's8.onnx', runtime='tensorrt').path
    refuse(agreement_of(single, signed, 'onnxruntime', people[4:]), TOLERANCES['int8'], '')
    with pytest.raises(ModelError, match='found'):
        refuse(agreement_of(single, signed, 'openvino', people[4:]), TOLERANCES['int8'], '')


def with_channels_of_all_sizes(path, folder):
    """
    Make half the channels between two convolutions a thousand times larger than the others.

    The second convolution takes that back, so float32 computes the same. One scale for all
    channels cannot hold them any more, which is how the quantised CenterNet collapses.
    """
    model = onnx.load(path)
    arrays = {array.name: array for array in model.graph.initializer}
    readers = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    pairs = 0
    for first in model.graph.node:
        activation = readers.get(first.output[0], [first])[0]
        second = readers.get(activation.output[0], [first])[0]
        if [first.op_type, activation.op_type, second.op_type] != ['Conv', 'LeakyRelu', 'Conv'] \
                or len(readers[first.output[0]]) != 1 or len(readers[activation.output[0]]) != 1:
            continue
        factors_o = np.where(np.arange(arrays[first.input[1]].dims[0]) % 2, 1000, 1)
        for name, shape, change in ((first.input[1], (-1, 1, 1, 1), factors_o),
                                    (first.input[2], (-1,), factors_o),
                                    (second.input[1], (1, -1, 1, 1), 1 / factors_o)):
            changed = numpy_helper.to_array(arrays[name]) * change.reshape(shape)
            arrays[name].CopyFrom(numpy_helper.from_array(changed.astype(np.float32), name))
        pairs += 1
    assert pairs >= 3
    onnx.save(model, folder / 'uneven.onnx')
    return folder / 'uneven.onnx'


@pytest.mark.parametrize('runtime', ['cpu', 'tensorrt'])
def test_a_network_that_collapses_when_it_is_quantised_is_refused(
        people, single, tmp_path, runtime):
    uneven = with_channels_of_all_sizes(single, tmp_path)
    refuse(agreement_of(single, uneven, 'onnxruntime', people[4:8]), TOLERANCES['fp32'], '')
    made = quantize(uneven, [picture.image_hw3 for picture in people[:4]],
                    tmp_path / 'collapsed.onnx', runtime=runtime)
    found = agreement_of(uneven, made.path, 'onnxruntime', people[4:8])
    with pytest.raises(ModelError, match=r'Refused: .* is below 0\.97'):
        refuse(found, TOLERANCES['int8'], '')


def test_a_quantisation_with_a_ruined_scale_is_refused(people, single, tmp_path):
    model = onnx.load(typed_graph('nanodet_g', (384, 640), precision='int8'))
    # What is quantised last feeds the three heads: a tenth of its range is left.
    last = [node for node in model.graph.node if node.op_type == 'QuantizeLinear'][-3:]
    ruined = {node.input[1] for node in last}
    for scale in model.graph.initializer:
        if scale.name in ruined:
            scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) / 10, scale.name))
    onnx.save(model, tmp_path / 'ruined.onnx')
    found = agreement_of(single, tmp_path / 'ruined.onnx', 'onnxruntime', people)
    with pytest.raises(ModelError, match=r'Refused.*Calibrate anew\.'):
        refuse(found, TOLERANCES['int8'], 'Calibrate anew.')
