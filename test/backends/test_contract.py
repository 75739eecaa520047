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

A backend that is added here is held to the same sentences. TensorRT is held to them twice: on the
recording doubles of CUDA and TensorRT everywhere, and on a real GPU where there is one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import threading

import cv2
from demo_clip import clip_frame
from letterbox_on_cpu import compiler_problem, cpu_kernels
import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.errors import BackendError
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.types import Frame
from ped_perception.engine.models import typed_graph
import pytest
from recorded_gpu import recorded_gpu, write_double_plan

SIZE, SIZE_HW = '416x256', (256, 416)
ON_CPU = ('onnxruntime', 'openvino')
BACKENDS = (*ON_CPU, 'openvino, two streams', 'tensorrt double', 'tensorrt double, gpu letterbox',
            pytest.param('tensorrt', marks=pytest.mark.gpu),
            pytest.param('tensorrt, gpu letterbox', marks=pytest.mark.gpu))


@pytest.fixture(scope='module')
def street_hw3(root):
    """Give a frame of the shipped clip: a street with several people."""
    return clip_frame(root)


@pytest.fixture(scope='module', params=BACKENDS)
def config(request, tmp_path_factory):
    """Say how each backend is opened; float32, because the numbers are compared."""
    name, _, variant = request.param.partition(', ')
    letterbox = variant == 'gpu letterbox'
    runtime, _, double = name.partition(' ')
    settings = {'backend': runtime, 'precision': 'fp32', 'network_size': SIZE, 'threads': 1,
                'preprocess': 'gpu' if letterbox else 'cpu'}
    if variant == 'two streams':
        settings['threads'] = 2
    with contextlib.ExitStack() as stack:
        if double:
            if letterbox and compiler_problem():
                pytest.skip(compiler_problem())
            folder = tmp_path_factory.mktemp('double')
            cuda, _ = stack.enter_context(recorded_gpu(cpu_kernels() if letterbox else {}))
            stack.callback(cuda.ledger.check_empty)
            settings['plan'] = str(write_double_plan(
                folder, typed_graph('nanodet_g', SIZE_HW), network_hw=SIZE_HW,
                name='nanodet_g'))
        elif importlib.util.find_spec(runtime) is None:
            pytest.skip(f'{runtime} is not installed')
        yield BackendConfig(**settings)


@pytest.fixture(scope='module')
def backend(config):
    """Open each backend once, with three slots."""
    with open_backend(config, 3) as loaded:
        yield loaded


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
    assert (' threads' if info.backend in ON_CPU else 'MiB of GPU memory') in info.device
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


def test_backends_agree_with_the_reference(backend, street_hw3, request):
    config = BackendConfig(backend='onnxruntime', precision='fp32', network_size=SIZE, threads=1)
    # The letterbox of a GPU may differ by a grey level.
    exact = 'letterbox' not in request.node.callspec.id
    frame = Frame('c', 1, 'f', street_hw3)
    detector = DetectorConfig(views=('whole', 'whole@0.65'), score_threshold=0.3)
    with open_backend(config, max_batch=2) as reference:
        (expected,), _ = Pipeline(reference, detector).step([frame])
    (found,), _ = Pipeline(backend, detector).step([frame])
    assert len(found) == len(expected) >= 3
    assert np.allclose(found.boxes_n4, expected.boxes_n4, atol=0.1 if exact else 1.0)
    assert np.allclose(found.scores_n, expected.scores_n, atol=1e-3 if exact else 0.02)


def test_closing_is_final_and_twice_is_harmless(config):
    loaded = open_backend(config, 1)
    loaded.close()
    loaded.close()
    with pytest.raises(BackendError, match='closed'):
        loaded.infer(1)


def test_it_opens_and_runs_in_a_thread_of_its_own(config, street_hw3):
    results = []

    def run():
        with open_backend(config, 1) as loaded:
            fill(loaded, street_hw3, [0])
            results.append(loaded.infer(1).scores_nk[0, 0])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert results
    assert results[0] > 0.5
