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

"""Opening a backend: what is chosen, and what is said when it cannot be had."""

from __future__ import annotations

from dataclasses import replace
import sys
import types

from doubles import BrightSpotBackend
from fake_tensorrt import FakeTensorRt
import numpy as np
import onnx
from onnx import helper, TensorProto
from ped_perception import backends
from ped_perception.backends import (
    BackendConfig,
    choose_backend,
    open_backend,
    open_graph,
    open_small,
    small_size_hw,
    Watch,
)
from ped_perception.core.errors import (
    BackendError,
    ConfigError,
    EngineMismatchError,
    MissingExtraError,
    ModelError,
)
from ped_perception.core.pipeline import BackendInfo
from ped_perception.engine import ensure, gate, locate
from ped_perception.engine.flavors import FLAVORS, Library
from ped_perception.engine.golden import golden_pictures
from ped_perception.engine.gpu import Gpu
from ped_perception.engine.manifest import inspect_plan
from ped_perception.engine.plans import user_plans
import pytest
from recorded_gpu import Machine, recorded_gpu, write_double_plan

BACKENDS = ('onnxruntime', 'openvino')


@pytest.fixture
def auto(monkeypatch):
    """Make a machine: what is installed, whether there is a GPU and whether there is a plan."""
    def made(installed, has_gpu=False, has_plan=False):
        def find_plan(request):
            if not has_plan:
                raise EngineMismatchError('no plan')

        monkeypatch.setattr(backends.importlib.util, 'find_spec',
                            lambda name: object() if name in installed else None)
        monkeypatch.setattr(backends, 'find_gpu', lambda index: object() if has_gpu else None)
        monkeypatch.setattr(backends, 'find_plan', find_plan)
        return BackendConfig()

    return made


CPU, CUDA = ('openvino', 'onnxruntime'), ('pycuda', 'tensorrt')


@pytest.mark.parametrize(('installed', 'has_gpu', 'has_plan', 'chosen', 'why'), [
    (CPU, False, False, 'openvino', 'the faster one'),
    (('onnxruntime',), False, False, 'onnxruntime', 'the only one'),
    ((*CPU, *CUDA), True, True, 'tensorrt', 'all that it needs is there'),
    ((*CPU, 'pycuda', 'tensorrt_rtx'), True, True, 'tensorrt', 'the flavour of RTX cards'),
    ((*CPU, *CUDA), False, True, 'openvino', 'a plan copied from the car to a laptop'),
    ((*CPU, *CUDA), True, False, 'openvino', 'nobody has built a plan yet'),
    ((*CPU, 'tensorrt'), True, True, 'openvino', 'pycuda is missing'),
    ((*CPU, 'pycuda'), True, True, 'openvino', 'TensorRT is missing'),
])
def test_auto_takes_the_best_that_can_run(auto, installed, has_gpu, has_plan, chosen, why):
    assert choose_backend(auto(installed, has_gpu, has_plan)) == chosen, why


def test_auto_follows_the_precision_and_the_plan(auto):
    config = auto((*CPU, *CUDA), has_gpu=True, has_plan=True)
    assert choose_backend(replace(config, precision='bf16')) == 'openvino'
    config = auto((*CPU, *CUDA), has_gpu=True)
    assert choose_backend(replace(config, plan='some.plan')) == 'tensorrt'


@pytest.mark.parametrize(('installed', 'has_gpu', 'precision', 'reason'), [
    ((*CPU, *CUDA), False, 'auto', 'there is no GPU 0'),
    ((*CPU, 'tensorrt'), True, 'auto', 'pycuda is not installed'),
    ((*CPU, 'pycuda'), True, 'auto', 'TensorRT is not installed'),
    ((*CPU, *CUDA), True, 'bf16', 'TensorRT does not run models in bf16'),
])
def test_auto_leaves_no_plan_that_is_named_unused_silently(auto, installed, has_gpu, precision,
                                                           reason):
    config = replace(auto(installed, has_gpu), precision=precision, plan='nope.plan')
    with pytest.raises(BackendError) as told:
        open_backend(config, 1)
    assert str(told.value) == (
        f'Backend auto is openvino here, because {reason}, and would not use the plan nope.plan. '
        f'Set plan to empty, or backend to tensorrt and provide what is missing.')
    # Whoever names the CPU has decided.
    assert choose_backend(replace(config, backend='openvino')) == 'openvino'


def test_a_plan_that_is_not_there_is_told_how_to_build(tmp_path):
    with pytest.raises(BackendError, match=r'no model file .*nope.plan. .*ped_engine build NAME'):
        open_graph(tmp_path / 'nope.plan', BackendConfig(), 1)


def test_auto_asks_no_tensorrt_where_there_is_no_gpu(auto, monkeypatch):
    config = auto((*CPU, *CUDA), has_gpu=False)
    monkeypatch.setattr(backends, 'find_plan', lambda request: pytest.fail('asked for a plan'))
    assert choose_backend(config) == 'openvino'


def test_auto_with_nothing_installed_says_what_to_install(auto):
    with pytest.raises(BackendError, match='pip install'):
        choose_backend(auto(()))


def info(backend='openvino', network_hw=(384, 640)):
    """Say what the full network is."""
    return BackendInfo(backend, 'nanodet_g', 'fp32', network_hw, 2, 8, 'a double')


@pytest.mark.parametrize(('text', 'full', 'size_hw', 'why'), [
    ('auto', info(), (256, 416), 'about 65 % of the default'),
    ('auto', info('onnxruntime', (544, 960)), (352, 640), 'in whole strides'),
    ('auto', info('tensorrt'), None, 'a GPU needs none, and nobody built a plan of it'),
    ('auto', info(network_hw=(192, 320)), None, 'it would see too little'),
    ('none', info(), None, 'as it was said'),
    ('320x192', info(), (192, 320), 'as it was said'),
    ('320x192', info('tensorrt'), (192, 320), 'on a GPU, too, whose plan must then be there'),
])
def test_the_size_of_the_small_network(text, full, size_hw, why):
    assert small_size_hw(text, full) == size_hw, why


@pytest.mark.parametrize(('text', 'message'), [
    ('640x384', 'overload_size is 640x384, no smaller than network_size, 640x384'),
    ('small', 'WIDTHxHEIGHT'),
])
def test_a_small_network_that_is_none_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        small_size_hw(text, info())


def test_the_small_network_runs_as_the_full_one_does(monkeypatch):
    asked = []
    monkeypatch.setattr(backends, 'open_backend', lambda *arguments: asked.append(arguments))
    config = BackendConfig(threads=3, plan='full.plan', overload_size='320x192')
    open_small(config, info('tensorrt'), 6)
    open_small(replace(config, overload_size='none'), info('tensorrt'), 6)
    ((opened, max_batch, _),) = asked
    assert opened == replace(config, backend='tensorrt', network_size='320x192', plan='')
    assert max_batch == 6


@pytest.mark.parametrize(('overload_size', 'precision', 'small_precision', 'fits', 'why'), [
    ('auto', 'fp32', 'fp32', True, 'it takes as much less time as it has pixels'),
    ('auto', 'int8', 'fp32', False, 'float32 beside INT8 would take longer than the full one'),
    ('auto', 'fp32', 'int8', True, 'and the other way round still less'),
    ('416x256', 'int8', 'fp32', True, 'as it was said'),
])
def test_a_small_network_that_saves_no_time_is_not_used_unasked(
        monkeypatch, overload_size, precision, small_precision, fits, why):
    small = BrightSpotBackend((256, 416))
    small.info = replace(small.info, precision=small_precision)
    monkeypatch.setattr(backends, 'open_backend', lambda *_: small)
    full = replace(info(), precision=precision)
    config = BackendConfig(overload_size=overload_size)
    if fits:
        assert open_small(config, full, 6) is small, why
    else:
        with pytest.raises(ModelError, match='import nanodet_g --size 416x256 --precision int8'):
            open_small(config, full, 6)
    assert small.closed != fits


def test_an_unknown_backend_lists_the_known():
    with pytest.raises(BackendError, match='openvino'):
        choose_backend(BackendConfig(backend='tensorflow'))


@pytest.mark.parametrize(('settings', 'max_batch', 'precision', 'batches', 'why'), [
    ({}, 2, 'fp16', '1,4,8', 'the plan that ped_engine build makes unasked'),
    ({'precision': 'int8'}, 8, 'int8', '1,4,8', 'as told'),
    ({}, 12, 'fp16', '1,12,12', 'more slots than the usual plan has'),
])
def test_the_plan_looked_for_fits_what_is_asked(monkeypatch, settings, max_batch, precision,
                                                batches, why):
    asked = []

    def find_plan(request):
        asked.append(request)
        raise EngineMismatchError('run ped_engine build')

    monkeypatch.setattr(ensure, 'find_plan', find_plan)
    config = BackendConfig(backend='tensorrt', network_size='416x256', device=1,
                           allow_build=False, **settings)
    with pytest.raises(EngineMismatchError, match='ped_engine build'):
        open_backend(config, max_batch)
    (request,) = asked
    assert (request.model, request.size_hw, request.precision, str(request.batches)) == (
        'nanodet_g', (256, 416), precision, batches), why
    assert (request.device, request.slots) == (1, max_batch), 'any plan of that GPU that fits'


@pytest.fixture
def vehicle(monkeypatch, tmp_path):
    """Give a TensorRT that builds, on an Orin; what is built is not loaded."""
    def open_plan(plan, config, max_batch):
        if plan.suffix == '.plan':
            raise EngineMismatchError(f'to be loaded: {plan.name}')
        return opened(plan, config, max_batch)

    opened = backends.open_graph
    fake = FakeTensorRt('10.3.0')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setitem(sys.modules, 'pycuda', types.ModuleType('pycuda'))
    monkeypatch.setattr(locate, 'load_library', lambda name: Library(FLAVORS['tensorrt'], fake))
    monkeypatch.setattr(locate, 'find_gpu', lambda index: Gpu('Orin', 'sm_87'))
    monkeypatch.setattr(backends, 'open_graph', open_plan)
    return fake


VEHICLE = BackendConfig(backend='tensorrt', network_size='416x256')


def test_a_missing_plan_is_built_at_opening_judged_on_the_golden_pictures(vehicle, tmp_path):
    told = []
    watch = Watch(building=lambda path: told.append(path.name))
    for _ in range(2):
        with pytest.raises(EngineMismatchError, match='to be loaded: nanodet_g-416x256-fp16'):
            open_backend(VEHICLE, 2, watch)
    assert vehicle.builds == len(told) == 1
    (plan,) = user_plans().glob('*.plan')
    figures = inspect_plan(plan).manifest.agreement
    assert figures['pictures'] == len(golden_pictures())
    assert figures['found'] == 1.0
    with pytest.raises(EngineMismatchError, match='to be loaded'):
        open_backend(replace(VEHICLE, allow_build=False), 2)


def test_a_vehicle_fails_at_once_with_the_command(vehicle):
    with pytest.raises(EngineMismatchError, match=r'ped_engine build nanodet_g --size '
                       r'416x256 --precision fp16 --batch 1,4,8 --flavor tensorrt$'):
        open_backend(replace(VEHICLE, allow_build=False), 2)
    assert vehicle.builds == 0


def test_a_graph_that_lies_is_not_built_at_opening(vehicle, monkeypatch):
    strict = dict.fromkeys(gate.TOLERANCES, replace(gate.TOLERANCES['fp16'], shift_px_p99=0.0))
    monkeypatch.setattr(gate, 'TOLERANCES', strict)
    with pytest.raises(ModelError, match=r'shift_px_p99 .* is above 0.*--keep-fp32'):
        open_backend(VEHICLE, 1)
    assert vehicle.builds == 0


def test_nothing_is_built_for_a_machine_that_could_not_run_it(vehicle, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pycuda', None)
    with pytest.raises(MissingExtraError, match='pycuda'):
        open_backend(VEHICLE, 1)
    assert vehicle.builds == 0


@pytest.mark.parametrize(('changes', 'message'), [
    ({'network_size': '640x384'}, 'was built for 10x6, network_size is set to 640x384'),
    ({'model': 'nanodet_g'}, 'is a plan of tiny, model is set to nanodet_g')])
def test_a_plan_of_something_else_is_refused(tmp_path, changes, message):
    with recorded_gpu() as (cuda, trt):
        config = BackendConfig(backend='tensorrt', network_size='10x6', model='models/tiny.onnx',
                               plan=str(Machine(cuda, trt, tmp_path).plan))
        with open_backend(config, 1) as backend:
            assert (backend.info.model, backend.info.network_hw) == ('tiny', (6, 10))
        with pytest.raises(EngineMismatchError, match=message):
            open_backend(replace(config, **changes), 1)
        cuda.ledger.check_empty()


def test_a_plan_belongs_to_a_file_by_what_is_in_it(tmp_path, root):
    copy = tmp_path / 'renamed.onnx'
    copy.write_bytes((root / 'engines' / 'nanodet_g.onnx').read_bytes())
    with recorded_gpu() as (cuda, trt):
        machine = Machine(cuda, trt, tmp_path)
        plan = write_double_plan(tmp_path, machine.graph, name='nanodet_g')
        open_backend(BackendConfig(backend='tensorrt', network_size='10x6', model=str(copy),
                                   plan=str(plan)), 1).close()


def test_a_plan_is_opened_by_its_name(tmp_path):
    with recorded_gpu() as (cuda, trt), open_graph(
            Machine(cuda, trt, tmp_path).plan, BackendConfig(), 1) as backend:
        assert backend.info.backend == 'tensorrt'


def test_the_letterbox_of_the_gpu_needs_the_gpu(tmp_path):
    (tmp_path / 'any.onnx').touch()
    with pytest.raises(BackendError, match='preprocess'):
        open_graph(tmp_path / 'any.onnx', BackendConfig(preprocess='gpu'), 1)


def test_a_runtime_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(MissingExtraError, match=r'ped_perception\[openvino\]'):
        open_backend(BackendConfig(backend='openvino', precision='fp32'), 1)


@pytest.mark.parametrize(('config', 'error', 'fragment', 'why'), [
    (BackendConfig(model='nanodet_x'), ModelError, 'nanodet_g', 'a misspelt model lists models'),
    (BackendConfig(model='/nowhere/model.onnx'), ModelError, '/nowhere/model.onnx',
     'a file that is not there'),
    (BackendConfig(network_size='641x384', precision='fp32'), ModelError, '32',
     'a size the network cannot have'),
    (BackendConfig(network_size='big'), ConfigError, 'WIDTHxHEIGHT', 'no size at all'),
    (BackendConfig(backend='onnxruntime', precision='bf16'), BackendError, 'bf16',
     'ONNX Runtime has no bf16 on the CPU'),
    (BackendConfig(backend='onnxruntime', precision='fp16'), BackendError, 'fp16', 'nor fp16'),
    (BackendConfig(backend='openvino', precision='fp16'), BackendError, 'fp16',
     'OpenVINO would silently take float32'),
    (BackendConfig(backend='tensorrt', precision='bf16'), BackendError, 'bf16',
     'no graph is made in bf16'),
])
def test_what_cannot_be_opened_says_why(config, error, fragment, why):
    with pytest.raises(error) as caught:
        open_backend(config, 1)
    assert fragment in str(caught.value), why


@pytest.mark.parametrize('name', BACKENDS)
def test_no_slots_are_refused(name):
    with pytest.raises(BackendError, match='at least one slot'):
        open_backend(BackendConfig(backend=name, precision='fp32', network_size='64x64'), 0)


def save_graph(path, inputs, outputs):
    """Write a graph of Identity-like nodes with the given inputs and outputs."""
    nodes = [helper.make_node('ConstantOfShape', ['shape_' + name], [name])
             for name, _, _ in outputs]
    constants = [onnx.numpy_helper.from_array(np.array(shape, np.int64), 'shape_' + name)
                 for name, _, shape in outputs]
    onnx.save(helper.make_model(helper.make_graph(
        nodes, 'g', [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs], constants),
        opset_imports=[helper.make_opsetid('', 17)], ir_version=9), path)


IMAGES = ('images', TensorProto.UINT8, [1, 64, 96, 3])
BOXES = ('boxes', TensorProto.FLOAT, [1, 5, 4])
SCORES = ('scores', TensorProto.FLOAT, [1, 5])


@pytest.mark.parametrize('name', BACKENDS)
@pytest.mark.parametrize(('inputs', 'outputs', 'why'), [
    ([('images', TensorProto.FLOAT, [1, 3, 64, 96])], [BOXES, SCORES], 'a float NCHW network'),
    ([('data', TensorProto.UINT8, [1, 64, 96, 3])], [BOXES, SCORES], 'another input name'),
    ([IMAGES], [SCORES], 'no boxes'),
    ([IMAGES], [('boxes', TensorProto.FLOAT, [1, 5, 6]), SCORES], 'six numbers a box'),
])
def test_a_graph_that_is_not_typed_is_refused(tmp_path, name, inputs, outputs, why):
    save_graph(tmp_path / 'other.onnx', inputs, outputs)
    with pytest.raises(BackendError, match='not a typed graph'):
        open_graph(tmp_path / 'other.onnx', BackendConfig(backend=name, precision='fp32'), 1)


@pytest.mark.parametrize('name', BACKENDS)
@pytest.mark.parametrize('content', [b'', b'this is no model', bytes(range(256)) * 40])
def test_a_file_that_is_no_model_is_refused(tmp_path, name, content):
    (tmp_path / 'broken.onnx').write_bytes(content)
    with pytest.raises(BackendError, match=r'broken\.onnx'):
        open_graph(tmp_path / 'broken.onnx', BackendConfig(backend=name, precision='fp32'), 1)


def test_a_missing_graph_is_refused(tmp_path):
    with pytest.raises(BackendError, match='ped_engine import'):
        open_graph(tmp_path / 'missing.onnx', BackendConfig(precision='fp32'), 1)


@pytest.mark.parametrize(('name', 'precision', 'fast', 'size', 'ends', 'why'), [
    ('openvino', 'auto', True, '640x384', '-int8', 'shipped, and this processor gains'),
    ('openvino', 'auto', False, '640x384', '-fp32', 'no gain on this processor'),
    ('openvino', 'auto', True, '448x256', '-fp32', 'not shipped for this size'),
    ('openvino', 'fp32', True, '640x384', '-fp32', 'asked for'),
    ('onnxruntime', 'auto', True, '640x384', '-fp32', 'slower there than float32'),
    ('onnxruntime', 'int8', False, '640x384', '-int8', 'asked for'),
])
def test_which_graph_a_processor_runs(
        monkeypatch, tmp_path, name, precision, fast, size, ends, why):
    # A cache of its own: a graph that a developer quantised must not decide this.
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(backends, 'has_fast_int8', lambda: fast)
    opened = []
    monkeypatch.setattr(backends, 'open_graph',
                        lambda graph, config, max_batch: opened.append(graph.name))
    open_backend(BackendConfig(backend=name, precision=precision, network_size=size), 2)
    assert ends in opened[0], why
