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

"""The parts of a typed graph that all families share, run in ONNX Runtime."""

import numpy as np
import onnxruntime
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import GraphBuilder
import pytest

HEIGHT, WIDTH = 5, 7
ANCHORS = HEIGHT * WIDTH
TABLE = np.arange(ANCHORS * 4, dtype=np.float32).reshape(ANCHORS, 4)
WEIGHTS = np.array([1.0, 10.0, 100.0], np.float32)      # tell the channels apart


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    return session.run(['boxes', 'scores'], {'images': images})


def pixels_as_anchors(mean, std, order, top_k, batch_of_one=False):
    """Every pixel is an anchor, its weighted sum of channels the score, its row the box."""
    builder = GraphBuilder()
    x = builder.front(mean, std, order, 'fp32')
    batch = 1 if batch_of_one else 0
    weights = builder.constant(WEIGHTS.reshape(1, 3, 1, 1), 'weights')
    summed = builder.node('ReduceSum', [builder.node('Mul', [x, weights], 'weighted'),
                                        builder.shape(1)], 'summed', keepdims=0)
    scores = builder.reshape(summed, (batch, ANCHORS), 'flat')
    best = builder.best(scores, ANCHORS, top_k)
    values = builder.reshape(x, (0, 3, ANCHORS), 'values')
    taken = builder.take(values, 3, best, 'taken')
    restored = builder.node('ReduceSum', [
        builder.node('Mul', [taken, builder.constant(WEIGHTS.reshape(1, 3, 1), 'weights')],
                     'again'), builder.shape(1)], 'restored', keepdims=0)
    boxes = builder.take_constant(TABLE, best, 'rows')
    return builder.finish(boxes, restored, (HEIGHT, WIDTH))


@pytest.mark.parametrize(('order', 'mean', 'std', 'why'), [
    ('bgr', (0, 0, 0), (1, 1, 1), 'nothing to do at all'),
    ('rgb', (0, 0, 0), (1, 1, 1), 'channels reversed, values untouched'),
    ('bgr', (103.5, 116.3, 123.7), (57.4, 57.1, 58.4), 'one mean and std per channel'),
    ('rgb', (123.7, 116.3, 103.5), (58.4, 57.1, 57.4), 'mean and std follow the order asked'),
    ('bgr', (0, 0, 0), (255, 255, 255), 'std alone'),
])
def test_images_are_normalised_and_the_best_anchors_selected(order, mean, std, why):
    images = np.random.default_rng(3).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    boxes, scores = run(pixels_as_anchors(mean, std, order, 9), images)

    values = images[..., ::-1] if order == 'rgb' else images
    expected = ((values.astype(np.float64) - mean) / std) @ WEIGHTS.astype(np.float64)
    expected = expected.reshape(2, ANCHORS)
    best = np.argsort(-expected, axis=1)[:, :9]
    np.testing.assert_allclose(scores, np.take_along_axis(expected, best, 1), rtol=1e-5,
                               err_msg=why)
    np.testing.assert_array_equal(boxes, TABLE[best])


def test_k_is_never_more_than_there_are_anchors():
    images = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    boxes, scores = run(pixels_as_anchors((0, 0, 0), (1, 1, 1), 'bgr', 1000), images)
    assert boxes.shape == (1, ANCHORS, 4)
    assert scores.shape == (1, ANCHORS)


def test_the_interface_is_declared_with_a_free_batch_and_a_fixed_size():
    model = pixels_as_anchors((0, 0, 0), (1, 1, 1), 'bgr', 9)
    described = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)}
    assert described == {'images': ['N', HEIGHT, WIDTH, 3], 'boxes': ['N', 9, 4],
                         'scores': ['N', 9]}


def test_a_batch_size_fixed_inside_is_refused():
    with pytest.raises(ModelError, match='dynamic batch'):
        pixels_as_anchors((0, 0, 0), (1, 1, 1), 'bgr', 9, batch_of_one=True)
