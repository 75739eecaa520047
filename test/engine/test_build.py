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

"""Plans: built for real with TensorRT-RTX, and on doubles of TensorRT 10 and 11."""

from __future__ import annotations

from dataclasses import replace
import hashlib
import sys
from types import SimpleNamespace

from fake_tensorrt import FakeTensorRt, PLAN
import numpy as np
import onnx
from ped_perception.core.errors import (
    BackendError,
    EngineMismatchError,
    MissingExtraError,
    ModelError,
)
from ped_perception.engine import flavors
from ped_perception.engine.build import build_plan, memory_from_log
from ped_perception.engine.flavors import (
    buildable,
    capabilities_for,
    FLAVORS,
    Library,
    load_library,
)
from ped_perception.engine.gpu import Gpu
from ped_perception.engine.manifest import Batches, Memory, Recipe, Tensor
from ped_perception.engine.models import typed_graph
from ped_perception.engine.quantize import quantize
import pytest
import tiny_models

SIZE_HW = (64, 96)
ORIN = Gpu('Orin', 'sm_87')
VERSIONS = ('10.3.0', '11.4.0')


@pytest.fixture(scope='module')
def graphs(tmp_path_factory):
    """Give the typed graphs of a tiny model by precision."""
    folder = tmp_path_factory.mktemp('graphs')
    model = tiny_models.nanodet(folder / 'tiny.onnx')
    return {precision: typed_graph(model, SIZE_HW, precision=precision, cache_dir=folder)
            for precision in ('fp32', 'fp16')}


def recipe_for(library, graph, precision='fp16', **changes):
    """Ask for a plan of a tiny model."""
    recipe = Recipe('tiny', hashlib.sha256(graph.read_bytes()).hexdigest(), precision, SIZE_HW,
                    Batches(1, 4, 8), library.flavor.name, library.version, 'Orin', ('sm_87',))
    return replace(recipe, **changes)


@pytest.fixture(params=VERSIONS)
def fake(request):
    """Give a double of each major version."""
    return FakeTensorRt(request.param, dla_cores=2 if request.param == VERSIONS[0] else 0)


@pytest.fixture
def library(fake):
    """Give the double as an installed library."""
    return Library(FLAVORS['tensorrt'], fake)


@pytest.fixture(scope='module')
def rtx():
    """Give the real TensorRT-RTX; skip where it is not installed."""
    try:
        return load_library('tensorrt_rtx')
    except MissingExtraError as error:
        pytest.skip(str(error))


# -- the real builder ---------------------------------------------------------------------------


def test_the_default_model_becomes_a_real_plan(rtx, tmp_path):
    graph = typed_graph('nanodet_g', (384, 640), precision='fp16', cache_dir=tmp_path)
    seen = []
    built = build_plan(rtx, graph, recipe_for(
        rtx, graph, network_hw=(384, 640), gpu=None, capabilities=('sm_86', 'sm_89')),
        progress=lambda share, phase: seen.append(share))
    assert built.tensors == (Tensor('images', True, 'uint8', (-1, 384, 640, 3)),
                             Tensor('boxes', False, 'float32', (-1, 256, 4)),
                             Tensor('scores', False, 'float32', (-1, 256)))
    convolutions = sum(node.op_type == 'Conv' for node in onnx.load(graph).graph.node)
    # Everything but the decoding, which is some 25 layers, is float16.
    assert built.layers['float16'] > 2 * convolutions
    assert built.layers['float32'] < 40
    assert built.layers_from == 'network'
    weights = sum(len(tensor.raw_data) for tensor in onnx.load(graph).graph.initializer)
    assert built.memory.weight_bytes == pytest.approx(weights, rel=0.1)
    # Eight float16 pictures of 3 channels are the least that must be there at once.
    assert built.memory.activation_bytes > 8 * 3 * 384 * 640 * 2
    assert built.memory.scratch_bytes <= built.memory.activation_bytes
    assert len(built.data) > weights
    assert len(seen) > 20
    assert min(seen) < 0.2
    assert all(0 <= share <= 1 for share in seen)


def test_real_float32_takes_twice_the_weights(rtx, tmp_path):
    built = {}
    for precision in ('fp16', 'fp32'):
        graph = typed_graph('nanodet_g', SIZE_HW, precision=precision, cache_dir=tmp_path)
        built[precision] = build_plan(rtx, graph, recipe_for(
            rtx, graph, precision, gpu=None, capabilities=('sm_75',), workspace_mib=64))
    assert 'float16' not in built['fp32'].layers
    # The real library has the flag, and sets it unasked.
    assert 'TF32' in rtx.trt.BuilderFlag.__members__
    assert 'TF32' not in built['fp32'].builder_flags
    half, full = (built[precision].memory.weight_bytes for precision in ('fp16', 'fp32'))
    assert full == pytest.approx(2 * half, rel=0.1)


def test_a_real_int8_plan_multiplies_integers(rtx, tmp_path):
    graph = typed_graph('nanodet_g', SIZE_HW, cache_dir=tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), np.uint8)
    made = quantize(graph, pictures, tmp_path / 'int8.onnx', runtime='tensorrt')
    built = build_plan(rtx, made.path, recipe_for(
        rtx, made.path, 'int8', gpu=None, capabilities=('sm_86',)))
    # Weights are quantised in the file; of the inputs some are read by two convolutions.
    assert built.layers['int8'] > 0.8 * len(made.quantized)


def test_the_real_builder_says_why_it_refuses(rtx, tmp_path, graphs):
    model = onnx.load(graphs['fp16'])
    node = next(node for node in model.graph.node if node.op_type == 'Conv')
    node.op_type, node.name = 'NoSuchOperator', 'the/culprit'
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r'(?s)cannot read.*NoSuchOperator the/culprit'):
        build_plan(rtx, broken, recipe_for(rtx, broken, gpu=None, capabilities=('sm_86',)))


def test_ctrl_c_ends_the_real_builder(rtx, graphs):
    def interrupt(share, phase):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(rtx, graphs['fp16'], recipe_for(
            rtx, graphs['fp16'], gpu=None, capabilities=('sm_86',)), progress=interrupt)


# -- TensorRT 10 and 11 -------------------------------------------------------------------------


def test_one_way_builds_on_both_majors(fake, library, graphs):
    built = build_plan(library, graphs['fp16'], recipe_for(
        library, graphs['fp16'], workspace_mib=512))
    assert built.data == PLAN + graphs['fp16'].read_bytes()
    assert fake.creation_flags == 1 << fake.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    assert fake.config.flags == set(), 'the precision is that of the graph; no TF32 either'
    assert built.builder_flags == ()
    assert fake.config.profile.name == 'images'
    assert fake.config.profile.shape == ((1, 64, 96, 3), (4, 64, 96, 3), (8, 64, 96, 3))
    assert fake.config.limits == {fake.MemoryPoolType.WORKSPACE: 512 << 20}
    assert built.memory == Memory(3000, 2000, None)


@pytest.mark.parametrize(('graph', 'precision'), [
    ('fp32', 'fp16'), ('fp16', 'fp32'), ('fp32', 'int8'), ('fp16', 'int8')])
def test_a_graph_of_another_precision_is_not_built(fake, library, graphs, graph, precision):
    with pytest.raises(ModelError, match=f'not a graph of precision {precision}'):
        build_plan(library, graphs[graph], recipe_for(library, graphs[graph], precision))
    assert not fake.builds


@pytest.mark.parametrize(('kinds', 'source', 'layers'), [
    (['Channel major FP16 format where channel % 8 == 0', 'Half', 'Row major linear FP32'],
     'engine', {'float16': 2, 'float32': 1}),
    (['Int8', 'Half'], 'engine', {'float16': 1, 'int8': 1}),
    # One layer for everything shows the type of the boxes, which says nothing.
    (['Float'], 'network', None)])
def test_the_precision_is_read_back_from_the_plan_where_it_can_be(
        fake, library, graphs, kinds, source, layers):
    fake.engine_layers = kinds
    built = build_plan(library, graphs['fp16'], recipe_for(library, graphs['fp16']))
    assert built.layers_from == source
    assert layers in (None, built.layers)
    assert built.layers['float16']


def test_measurements_of_kernels_are_kept_for_the_next_build(fake, library, graphs, tmp_path):
    cache, recipe = tmp_path / 'timing', recipe_for(library, graphs['fp16'])
    build_plan(library, graphs['fp16'], recipe, timing_cache=cache)
    assert cache.read_bytes() == b'+measured'
    build_plan(library, graphs['fp16'], recipe, timing_cache=cache)
    assert fake.config.cache.data == b'+measured'
    cache.write_bytes(b'damaged')
    build_plan(library, graphs['fp16'], recipe, timing_cache=cache)
    assert cache.read_bytes() == b'+measured'


def test_what_parser_and_builder_say_is_in_the_error(fake, library, graphs):
    recipe = recipe_for(library, graphs['fp16'])
    fake.build_error = 'no tactic for {trunk/head_8}'
    with pytest.raises(ModelError, match=r'cannot build .* no tactic for \{trunk/head_8\}'):
        build_plan(library, graphs['fp16'], recipe)
    fake.parser_errors = [SimpleNamespace(
        node=lambda: 7, desc=lambda: 'unsupported', node_name=lambda: 'trunk/odd',
        node_operator=lambda: 'Odd'), SimpleNamespace(node=lambda: 9, desc=lambda: 'wrong type')]
    with pytest.raises(ModelError, match='Odd trunk/odd: unsupported; node 9: wrong type'):
        build_plan(library, graphs['fp16'], recipe)


def test_a_driver_that_is_too_old_is_said(fake, library, graphs, monkeypatch):
    def builder(log):
        log.log(fake.ILogger.Severity.WARNING, 'CUDA initialization failure with error: 35')
        raise TypeError('pybind11::init(): factory function returned nullptr')

    monkeypatch.setattr(fake, 'Builder', builder)
    with pytest.raises(BackendError, match=r'does not start: CUDA init.* 35\. Most .* driver'):
        build_plan(library, graphs['fp16'], recipe_for(library, graphs['fp16']))


@pytest.mark.parametrize(('changes', 'words'), [
    ({'dla_core': 2}, '0 to 1'),
    ({'dla_core': 0, 'batches': Batches(1, 4, 8)}, 'one batch size only'),
    ({'dla_core': 0, 'precision': 'fp32'}, 'float16 and int8 only')])
def test_a_dla_that_cannot_do_it_is_refused(graphs, changes, words):
    library = Library(FLAVORS['tensorrt'], FakeTensorRt('10.3.0', dla_cores=2))
    recipe = recipe_for(library, graphs['fp16'], batches=Batches(4, 4, 4))
    recipe = replace(recipe, **changes)
    with pytest.raises(ModelError, match=words):
        build_plan(library, graphs[recipe.precision], recipe)


def test_a_dla_runs_what_it_can_and_the_gpu_the_rest(fake, library, graphs):
    recipe = recipe_for(library, graphs['fp16'], dla_core=1, batches=Batches(4, 4, 4))
    if fake.__version__.startswith('11'):
        with pytest.raises(ModelError, match='sees no DLA'):
            build_plan(library, graphs['fp16'], recipe)
        return
    built = build_plan(library, graphs['fp16'], recipe)
    assert fake.config.default_device_type is fake.DeviceType.DLA
    assert fake.config.DLA_core == 1
    assert fake.config.flags == {fake.BuilderFlag.GPU_FALLBACK}
    assert built.builder_flags == ('GPU_FALLBACK',)


def test_the_last_word_about_memory_counts():
    assert memory_from_log(['Total Activation Memory: 5 bytes', 'Total Weights Memory: 6 bytes',
                            'Max Scratch Memory: 7 bytes', 'Total Activation Memory: 9 bytes',
                            'Peak memory usage: 10']) == Memory(9, 6, 7)
    assert memory_from_log([]) == Memory(None, None, None)


# -- flavours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(('targets', 'gpu', 'words'), [
    ((), None, 'Build on the vehicle'),
    (('sm_86',), ORIN, 'only for the GPU of this machine'),
    ((), ORIN, None), (('sm_87',), ORIN, None)])
def test_tensorrt_builds_for_the_gpu_it_runs_on(library, targets, gpu, words):
    if words is None:
        assert capabilities_for(library, targets, gpu) == ('Orin', ('sm_87',))
        return
    with pytest.raises(EngineMismatchError, match=words):
        capabilities_for(library, targets, gpu)


@pytest.mark.parametrize(('targets', 'gpu', 'expected'), [
    (('sm_89', 'sm_86', 'sm_86'), None, ('sm_86', 'sm_89')),
    ((), Gpu('RTX 4070', 'sm_89'), ('sm_89',)),
    (('sm_86',), Gpu('RTX 4070', 'sm_89'), ('sm_86',)),
    ((), None, 'when told for which: --target sm_75'),
    (('sm_86', 'sm_87'), None, 'cannot build for sm_87.*--flavor tensorrt on that machine'),
    ((), ORIN, 'cannot build for sm_87')])
def test_rtx_builds_for_the_targets_it_knows(rtx, targets, gpu, expected):
    assert {'sm_75', 'sm_86', 'sm_89', 'sm_120'} <= set(buildable(rtx))
    if isinstance(expected, tuple):
        assert capabilities_for(rtx, targets, gpu) == (None, expected)
        return
    with pytest.raises(EngineMismatchError, match=expected):
        capabilities_for(rtx, targets, gpu)


def test_the_flavour_installed_is_found(monkeypatch):
    def installed(*names):
        monkeypatch.setattr(flavors.importlib.util, 'find_spec', lambda name: name in names)
        monkeypatch.setattr(flavors, 'import_extra', lambda name, extra: SimpleNamespace(
            __version__=f'{name} of {extra}'))

    installed('tensorrt', 'tensorrt_rtx_bindings')
    assert str(load_library()) == 'tensorrt tensorrt of tensorrt'
    installed('tensorrt_rtx_bindings')
    assert str(load_library()) == 'tensorrt_rtx tensorrt_rtx_bindings of rtx'
    installed('tensorrt_rtx_bindings', 'tensorrt_rtx')
    assert str(load_library('tensorrt_rtx')) == 'tensorrt_rtx tensorrt_rtx of rtx'
    with pytest.raises(ModelError, match='choose one of: auto, tensorrt, tensorrt_rtx'):
        load_library('tensorrt_11')


@pytest.mark.parametrize(('module', 'version', 'is_new_enough'), [
    ('tensorrt', '8.6.2', False),       # JetPack 6.0
    ('tensorrt', '10.0.1', False),      # without device_memory_size_v2
    ('tensorrt', '10.1.0', True), ('tensorrt', '11.4.1', True),
    ('tensorrt_rtx', '1.7.1.116', True)])
def test_an_old_version_is_refused_before_something_is_missing(
        monkeypatch, module, version, is_new_enough):
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(__version__=version))
    monkeypatch.setattr(flavors, '_installed', lambda flavor: module)
    if is_new_enough:
        assert load_library(module).version == version
        return
    with pytest.raises(ModelError, match=f'tensorrt {version} is too old: 10.1 or newer'):
        load_library(module)


def test_no_flavour_at_all_names_the_extra(monkeypatch):
    monkeypatch.setattr(flavors, '_installed', lambda flavor: None)
    with pytest.raises(MissingExtraError,
                       match=r'ped_perception\[tensorrt\].* On a Jetson it comes with JetPack'):
        load_library()
