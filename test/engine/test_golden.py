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

"""The golden self-test passes what is right, and finds what is wrong and why."""

from __future__ import annotations

from dataclasses import replace
import json

from letterbox_on_cpu import compiler_problem, cpu_kernels
import numpy as np
import onnx
from ped_perception.backends import BackendConfig, open_graph
from ped_perception.backends.gpu_letterbox import KERNELS
from ped_perception.core.errors import EngineMismatchError, ModelError
from ped_perception.core.types import Candidates
from ped_perception.engine import golden
from ped_perception.engine.catalogue import find_prebuilt, ImportOptions
from ped_perception.engine.golden import (
    CLOSENESS,
    expectation_from,
    golden_pictures,
    run_golden,
    shipped_expectation,
)
from ped_perception.engine.half import half_emulation
from ped_perception.engine.models import typed_graph
import pytest
from recorded_gpu import recorded_gpu, write_double_plan
import tiny_models

MODEL, SIZE_HW = 'nanodet_g', (384, 640)


def open_cpu(path, precision='auto'):
    """Open a graph on ONNX Runtime."""
    config = BackendConfig(model=MODEL, backend='onnxruntime', precision=precision)
    return open_graph(path, config, 1)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Keep the graphs of this module together: some are used twice."""
    return tmp_path_factory.mktemp('graphs')


class Claiming:
    """A backend that claims to compute in another precision, or answers something else."""

    def __init__(self, backend, precision=None, change=lambda candidates: candidates):
        self._backend, self._change = backend, change
        self.info = replace(backend.info, precision=precision or backend.info.precision)

    def fill(self, slot, image_hw3, view):
        self._backend.fill(slot, image_hw3, view)

    def infer(self, count):
        return self._change(self._backend.infer(count))


def test_the_pictures_are_small_and_full_of_people(root):
    files = list((root / 'engines' / 'golden').iterdir())
    assert sum(path.stat().st_size for path in files) < 400_000
    for size_hw in ((384, 640), (256, 416), (416, 416), (640, 640)):
        expected = shipped_expectation(MODEL, size_hw)
        assert set(expected) == set(golden_pictures())
        assert sum((boxes_m5[:, 4] >= 0.5).sum() for boxes_m5 in expected.values()) >= 10
    assert shipped_expectation(MODEL, (384, 672)) is None
    assert shipped_expectation('unheard_of', SIZE_HW) is None


def right_graph(folder, precision):
    """Give a graph of the default model that computes as its precision does."""
    if precision == 'int8':
        return find_prebuilt(MODEL, SIZE_HW, 'int8', 'cpu')
    graph = typed_graph(MODEL, SIZE_HW, precision=precision, cache_dir=folder)
    if precision == 'fp32':
        return graph
    emulated = folder / 'emulated.onnx'
    emulated.write_bytes(half_emulation(onnx.load(graph)).SerializeToString())
    return emulated


def test_the_small_network_of_the_node_passes(folder):
    with open_cpu(find_prebuilt(MODEL, (256, 416), 'int8', 'cpu')) as backend:
        report = run_golden(Claiming(backend, 'int8'), MODEL)
    report.refuse()
    assert report.found == report.expected >= 10
    assert report.worst_score_shift < 0.8 * CLOSENESS['int8'].score


@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'int8'])
def test_what_is_right_passes_with_room(folder, precision):
    with open_cpu(right_graph(folder, precision)) as backend:
        report = run_golden(Claiming(backend, precision), MODEL)
    report.refuse()
    assert report.problems == ()
    assert report.found == report.expected >= 15
    assert report.worst_score_shift < 0.6 * CLOSENESS[precision].score


WRONG_IMPORTS = {
    'red and blue exchanged': (
        {'channel_order': 'rgb'}, 'With red and blue exchanged it is right'),
    'mean and std of another family': (
        {'mean': (0.0, 0.0, 0.0), 'std': (255.0, 255.0, 255.0)}, 'normalisation'),
    'mean in the other order': (
        {'mean': (123.675, 116.28, 103.53), 'std': (58.395, 57.12, 57.375)}, 'normalisation'),
    'another class': ({'class_index': 2}, 'another model|nothing at all'),
}


@pytest.mark.parametrize(('options', 'cause'), WRONG_IMPORTS.values(), ids=WRONG_IMPORTS)
def test_a_network_that_was_imported_wrongly_is_refused(folder, options, cause):
    graph = typed_graph(MODEL, SIZE_HW, options=ImportOptions(**options), cache_dir=folder)
    with open_cpu(graph) as backend:
        report = run_golden(Claiming(backend, 'fp16'), MODEL)
    with pytest.raises(EngineMismatchError, match=f'The self-test failed: .*({cause})'):
        report.refuse()


def test_colours_exchanged_are_found_in_int8_too(folder):
    graph = typed_graph(MODEL, SIZE_HW, options=ImportOptions(channel_order='rgb'),
                        cache_dir=folder)
    with open_cpu(graph) as backend:
        assert run_golden(Claiming(backend, 'int8'), MODEL).problems


def test_another_models_graph_is_refused(folder, tmp_path):
    graph = typed_graph(tiny_models.nanodet(tmp_path / 'tiny.onnx'), SIZE_HW, cache_dir=folder)
    with open_cpu(graph) as backend, pytest.raises(EngineMismatchError, match='another model'):
        run_golden(backend, MODEL).refuse()


def squeezed(kernel):
    """Make a kernel that sees the right nine tenths of a picture."""
    def run(grid, block, arguments):
        x1, x2 = arguments[3], arguments[5]
        kernel(grid, block, (*arguments[:3], x1 + (x2 - x1) // 10, *arguments[4:]))
    return run


def test_the_letterbox_of_the_gpu_is_tested_too(folder, tmp_path):
    if compiler_problem():
        pytest.skip(compiler_problem())
    kernels = cpu_kernels()
    graph = typed_graph(MODEL, (256, 416), cache_dir=folder)
    config = BackendConfig(model=MODEL, backend='tensorrt', preprocess='gpu')
    wrong = {**kernels, KERNELS['bgr8']: squeezed(kernels[KERNELS['bgr8']])}
    for its_kernels, is_right in ((kernels, True), (wrong, False)):
        with recorded_gpu(its_kernels), open_graph(
                write_double_plan(tmp_path, graph, network_hw=(256, 416)), config, 1) as backend:
            report = run_golden(backend, MODEL)
            assert (report.problems == ()) is is_right
            assert (report.worst_score_shift < 0.6 * CLOSENESS['fp16'].score) is is_right


def test_slots_that_are_mixed_up_are_found(folder):
    graph = typed_graph(MODEL, (256, 416), cache_dir=folder)
    config = BackendConfig(model=MODEL, backend='onnxruntime')
    with open_graph(graph, config, 4) as backend:
        assert run_golden(backend, MODEL).problems == ()
        turned = Claiming(backend, change=lambda candidates: Candidates(
            candidates.boxes_nk4[::-1], candidates.scores_nk[::-1]))
        assert run_golden(turned, MODEL).problems


def with_scores(value):
    """Answer with the same boxes and one score."""
    return lambda candidates: Candidates(
        candidates.boxes_nk4, np.full_like(candidates.scores_nk, value))


@pytest.mark.parametrize(('change', 'cause'), [
    (with_scores(np.nan), 'not numbers'), (with_scores(0.0), 'nothing at all'),
    # Boxes of another input size.
    (lambda candidates: Candidates(candidates.boxes_nk4 * 0.5, candidates.scores_nk),
     'another input size')])
def test_outputs_that_mean_nothing_are_refused(folder, change, cause):
    graph = typed_graph(MODEL, SIZE_HW, cache_dir=folder)
    with open_cpu(graph) as backend:
        report = run_golden(Claiming(backend, 'fp16', change), MODEL)
    with pytest.raises(EngineMismatchError, match=f'{cause}.*ped_engine build'):
        report.refuse()


def test_other_models_are_held_against_their_own_float32(folder, tmp_path):
    size_hw = (96, 160)
    graph = typed_graph(MODEL, size_hw, cache_dir=folder)
    with open_cpu(graph) as backend:
        with pytest.raises(ModelError, match='ped_engine verify mine'):
            run_golden(backend, 'mine')
        expected = expectation_from(backend)
        assert run_golden(backend, 'mine', expected).problems == ()


def test_what_is_shipped_is_what_the_tool_makes(folder, root):
    shipped = json.loads((root / 'engines' / 'golden' / golden.EXPECTED_FILE).read_text())
    with open_cpu(typed_graph(MODEL, (256, 416), cache_dir=folder)) as backend:
        made = expectation_from(backend)
    for name, rows in shipped[MODEL]['416x256'].items():
        np.testing.assert_allclose(made[name], rows, atol=0.06)
