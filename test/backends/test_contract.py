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

"""
What every backend must do, on the shipped model; one suite for all of them.

A backend that is added here is held to the same sentences.
"""

from __future__ import annotations

import importlib.util
import threading

import cv2
import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.errors import BackendError
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.types import Frame
import pytest

SIZE = '416x256'
BACKENDS = ('onnxruntime', 'openvino')


@pytest.fixture(scope='module')
def street_hw3(root):
    """Give a frame of the shipped clip: a street with several people."""
    video = cv2.VideoCapture(str(root / 'demo' / 'pets_street.mp4'))
    for _ in range(60):
        found, image_hw3 = video.read()
    assert found
    return image_hw3


@pytest.fixture(scope='module', params=BACKENDS)
def backend(request, tmp_path_factory):
    """Open each backend once, in float32, with three slots."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f'{request.param} is not installed')
    config = BackendConfig(backend=request.param, precision='fp32', network_size=SIZE, threads=1)
    with open_backend(config, max_batch=3) as opened:
        yield opened


def fill(backend, image_hw3, slots):
    """Write a picture into some slots, stretched: the contract is about numbers, not people."""
    height, width = backend.info.network_hw
    small_hw3 = cv2.resize(image_hw3, (width, height))
    for slot in slots:
        backend.batch_nhw3[slot] = small_hw3


def test_it_says_what_it_runs(backend):
    info = backend.info
    assert (info.network_hw, info.max_batch, info.precision) == ((256, 416), 3, 'fp32')
    assert info.model == 'nanodet_g'
    assert '1 threads' in info.device
    assert backend.batch_nhw3.shape == (3, 256, 416, 3)
    assert backend.batch_nhw3.flags.writeable


def test_candidates_come_best_first_inside_the_contract(backend, street_hw3):
    fill(backend, street_hw3, [0])
    candidates = backend.infer(1)
    assert candidates.boxes_nk4.shape == (1, backend.info.top_k, 4)
    scores = candidates.scores_nk[0]
    assert np.all(np.diff(scores) <= 0)
    assert 0.5 < scores[0] <= 1
    assert np.all(scores >= 0)
    assert np.all(np.isfinite(candidates.boxes_nk4))


def test_a_slot_does_not_depend_on_its_neighbours(backend, street_hw3):
    fill(backend, street_hw3, [0])
    alone = backend.infer(1)
    boxes, scores = alone.boxes_nk4[0].copy(), alone.scores_nk[0].copy()
    fill(backend, street_hw3[:, ::-1], [0, 1])
    fill(backend, street_hw3, [2])
    together = backend.infer(3)
    strong = scores > 0.2
    assert np.allclose(together.scores_nk[2][strong], scores[strong], atol=1e-4)
    assert np.allclose(together.boxes_nk4[2][strong], boxes[strong], atol=0.05)
    assert not np.allclose(together.scores_nk[0][strong], scores[strong], atol=1e-4)


def test_what_is_written_after_inferring_counts_for_the_next(backend, street_hw3):
    fill(backend, street_hw3, [0])
    seen = backend.infer(1).scores_nk[0, 0]
    backend.batch_nhw3[0] = 114
    assert backend.infer(1).scores_nk[0, 0] < 0.1 < seen


@pytest.mark.parametrize('count', [0, -1, 4])
def test_a_count_outside_the_batch_is_refused_and_harmless(backend, street_hw3, count):
    with pytest.raises(BackendError, match='1 to 3'):
        backend.infer(count)
    fill(backend, street_hw3, [0])
    assert backend.infer(1).scores_nk[0, 0] > 0.5


def test_backends_agree_with_the_reference(backend, street_hw3):
    config = BackendConfig(backend='onnxruntime', precision='fp32', network_size=SIZE, threads=1)
    frame = Frame('c', 1, 'f', street_hw3)
    detector = DetectorConfig(views=('whole',), score_threshold=0.3)
    with open_backend(config, max_batch=1) as reference:
        (expected,), _ = Pipeline(reference, detector).step([frame])
    (found,), _ = Pipeline(backend, detector).step([frame])
    assert len(found) == len(expected) >= 3
    assert np.allclose(found.boxes_n4, expected.boxes_n4, atol=0.1)
    assert np.allclose(found.scores_n, expected.scores_n, atol=1e-3)


@pytest.mark.parametrize('name', BACKENDS)
def test_closing_is_final_and_twice_is_harmless(name):
    opened = open_backend(BackendConfig(backend=name, network_size=SIZE, precision='fp32'), 1)
    opened.close()
    opened.close()
    with pytest.raises(BackendError, match='closed'):
        opened.infer(1)


@pytest.mark.parametrize('name', BACKENDS)
def test_it_opens_and_runs_in_a_thread_of_its_own(name, street_hw3):
    results = []

    def run():
        config = BackendConfig(backend=name, network_size=SIZE, precision='fp32', threads=1)
        with open_backend(config, 1) as opened:
            fill(opened, street_hw3, [0])
            results.append(opened.infer(1).scores_nk[0, 0])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert results
    assert results[0] > 0.5
