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

"""INT8 graphs: what is rounded and what is not, from which pictures, and which file is used."""

import hashlib
import json
from pathlib import Path
import shutil

import numpy as np
import onnx
from onnx import numpy_helper, TensorProto
from ped_perception.core.errors import ConfigError, ModelError
from ped_perception.core.views import specs_from_texts
from ped_perception.engine import models
from ped_perception.engine.catalogue import ENGINES_VARIABLE, ImportOptions, load_entries
from ped_perception.engine.models import (
    cached_path,
    has_int8,
    typed_graph,
    TypedGraphInfo,
)
from ped_perception.engine.names import resolve
from ped_perception.engine.quantize import calibration_inputs, last_convolutions, quantize
import pytest
import tiny_models

ENGINES = Path(__file__).parents[2] / 'engines'
SIZE = (64, 96)
TYPES = {'cpu': TensorProto.UINT8, 'tensorrt': TensorProto.INT8}


def pictures(count=3, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (90, 120 + 10 * index, 3), np.uint8) for index in range(count)]


@pytest.fixture(scope='module')
def single(tmp_path_factory):
    """Return the shipped model, compiled in float32."""
    return typed_graph('nanodet_g', SIZE, cache_dir=tmp_path_factory.mktemp('cache'))


@pytest.fixture(scope='module')
def made(single, tmp_path_factory):
    """Return the shipped model, quantised for each runtime."""
    folder = tmp_path_factory.mktemp('int8')
    return {runtime: quantize(single, pictures(), folder / f'{runtime}.onnx', runtime=runtime)
            for runtime in TYPES}


@pytest.mark.parametrize('runtime', TYPES)
def test_what_convolutions_read_is_rounded_and_nothing_else(made, runtime):
    graph = onnx.load(made[runtime].path).graph
    maker = {name: node for node in graph.node for name in node.output}
    arrays = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == 'Conv']
    heads = [node for node in convolutions if node.name in made[runtime].left_float]
    assert (len(convolutions), len(heads)) == (34, 3)
    for node in convolutions:
        if node in heads:
            assert arrays[node.input[1]].dtype == np.float32
            assert maker[node.input[0]].op_type != 'DequantizeLinear'
            continue
        assert arrays[node.input[2]].dtype == np.float32, 'the bias'
        data, weight = (maker[name] for name in node.input[:2])
        assert data.op_type == weight.op_type == 'DequantizeLinear'
        values, scales, zeros = (arrays[name] for name in weight.input)
        assert values.dtype == np.int8
        assert scales.shape == (len(values),), 'one scale per channel'
        assert not zeros.any()
        source = maker[data.input[0]]
        assert source.op_type == 'QuantizeLinear'
        zero = arrays[source.input[2]]
        assert zero.dtype == (np.uint8 if runtime == 'cpu' else np.int8)
        assert runtime == 'cpu' or zero == 0
    rounded = {node.input[0] for node in graph.node if node.op_type == 'QuantizeLinear'}
    assert not rounded & {node.output[0] for node in convolutions}, 'before the activation'


def test_no_sum_of_two_products_is_clamped_on_processors_without_vnni(made):
    for path in (made['cpu'].path, ENGINES / 'nanodet_g-640x384-int8.onnx'):
        weights = [numpy_helper.to_array(array) for array in onnx.load(path).graph.initializer
                   if array.data_type == TensorProto.INT8 and array.dims]
        kernels = [values for values in weights if values.ndim == 4]
        assert len(kernels) == 31
        largest = max(int(np.abs(values.astype(int)).max()) for values in kernels)
        assert largest == 64, '7 bits are used, all of them'
        assert 2 * 255 * largest <= np.iinfo(np.int16).max


@pytest.mark.parametrize('runtime', TYPES)
def test_the_file_says_what_it_is_and_how_it_was_calibrated(made, single, runtime):
    model, original = onnx.load(made[runtime].path), onnx.load(single)
    metadata, before = ({entry.key: entry.value for entry in item.metadata_props}
                        for item in (model, original))
    assert model.graph.input == original.graph.input, 'a free batch, too'
    assert model.graph.output == original.graph.output
    assert {**metadata, **before} == {**metadata, 'precision': 'fp32'}
    assert TypedGraphInfo.from_file(made[runtime].path).precision == 'int8'
    assert metadata['runtime'] == runtime
    facts = json.loads(metadata['calibration'])
    digest = hashlib.sha256()
    for picture in pictures():
        digest.update(str(picture.shape).encode() + picture.tobytes())
    assert facts == {'pictures': 3, 'inputs': 9, 'method': 'minmax',
                     'sha256': digest.hexdigest()}


def test_the_same_pictures_give_the_same_file(made, single, tmp_path):
    seen = []
    again = quantize(single, iter(pictures()), tmp_path / 'again.onnx',
                     progress=lambda: seen.append(1))
    assert again.path.read_bytes() == made['cpu'].path.read_bytes()
    assert len(seen) == 3
    other = quantize(single, pictures(seed=2), tmp_path / 'other.onnx')
    assert other.calibration.sha256 != again.calibration.sha256


def test_a_picture_is_calibrated_with_as_the_network_will_see_it():
    picture = np.full((90, 120, 3), 200, np.uint8)
    whole, small, crop = calibration_inputs(
        picture, SIZE, specs_from_texts(('whole', 'whole@0.5')), np.random.default_rng(3))
    assert whole.shape == small.shape == crop.shape == (1, *SIZE, 3)
    assert np.mean(whole == 200) == pytest.approx(64 / 72, abs=0.01)
    assert np.mean(small == 200) == pytest.approx(64 / 72 / 4, abs=0.01)
    brightness = np.median(crop)
    assert 120 <= brightness <= 240
    assert brightness != 200, 'another brightness'


def test_the_last_convolutions_are_the_heads_whatever_their_names(single):
    model = onnx.load(single)
    sizes = {array.name: array.dims[0] for array in model.graph.initializer}
    heads = [node for node in model.graph.node if node.name in last_convolutions(model)]
    assert [sizes[node.input[1]] for node in heads] == [45, 45, 45]


def test_tensorrt_rtx_builds_the_signed_file(made):
    trt = pytest.importorskip('tensorrt_rtx_bindings')
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(made['tensorrt'].path.read_bytes()), parser.get_error(0)
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile.set_shape('images', (1, *SIZE, 3), (1, *SIZE, 3), (2, *SIZE, 3))
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None


@pytest.mark.parametrize(('change', 'error', 'message'), [
    ({'pictures': []}, ModelError, 'no pictures'),
    ({'runtime': 'npu'}, ModelError, "'npu'.*cpu, tensorrt"),
    ({'views': ('left half',)}, ConfigError, 'left half'),
    ({'graph': ENGINES / 'nanodet_g.onnx'}, ModelError, 'not a float32 typed graph'),
])
def test_what_cannot_be_quantised_leaves_no_file(single, tmp_path, change, error, message):
    arguments = {'graph': single, 'pictures': pictures(1), **change}
    with pytest.raises(error, match=message):
        quantize(output=tmp_path / 'out.onnx', **arguments)
    assert not (tmp_path / 'out.onnx').exists()


def test_a_network_of_heads_only_has_nothing_to_quantise(tmp_path):
    raw = tiny_models.nanodet(tmp_path / 'tiny.onnx')
    options = ImportOptions(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    graph = typed_graph(raw, SIZE, options=options, cache_dir=tmp_path)
    with pytest.raises(ModelError, match='nothing to quantise'):
        quantize(graph, pictures(1), tmp_path / 'out.onnx')


# -- which file is used -------------------------------------------------------------------------


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """Make a folder of engines of our own, which counts before all others, and a cache."""
    folder = tmp_path / 'engines'
    folder.mkdir()
    for name in ('models.toml', 'nanodet_g.onnx', 'nanodet_g-640x384-int8.onnx',
                 'nanodet_g-416x256-int8.onnx'):
        shutil.copy(ENGINES / name, folder)
    monkeypatch.setenv(ENGINES_VARIABLE, str(folder))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return folder


@pytest.mark.parametrize('size_hw', [(384, 640), (256, 416)])
def test_a_shipped_graph_is_used_at_its_size(engines, size_hw):
    path = typed_graph('nanodet_g', size_hw, precision='int8')
    assert path == engines / f'nanodet_g-{size_hw[1]}x{size_hw[0]}-int8.onnx'
    assert has_int8('nanodet_g', size_hw, 'cpu')
    info = TypedGraphInfo.from_file(path)
    assert (info.precision, info.size_hw) == ('int8', size_hw)
    assert info.source_sha256 == load_entries()['nanodet_g'].sha256


@pytest.mark.parametrize(('size_hw', 'arguments', 'message'), [
    ((256, 448), {}, '--size 448x256 --precision int8 --runtime cpu --calibrate'),
    ((384, 640), {'runtime': 'tensorrt'}, '--runtime tensorrt'),
    ((384, 640), {'options': ImportOptions(top_k=9)}, 'ped_engine import'),
], ids=['another size', 'another runtime', 'another graph'])
def test_where_none_is_shipped_the_message_says_how_to_make_one(
        engines, size_hw, arguments, message):
    with pytest.raises(ModelError, match=message):
        typed_graph('nanodet_g', size_hw, precision='int8', **arguments)


def test_the_graph_of_the_user_counts_before_the_shipped_one(engines):
    own = cached_path(resolve('nanodet_g'), (384, 640), 'int8', ImportOptions())
    own.parent.mkdir(parents=True)
    own.write_bytes(b'made by the user')
    assert typed_graph('nanodet_g', (384, 640), precision='int8') == own
    signed = cached_path(resolve('nanodet_g'), (384, 640), 'int8', ImportOptions(),
                         runtime='tensorrt')
    assert signed != own, 'a file for one runtime is never taken for another'


def test_a_graph_of_the_user_that_another_version_made_is_neither_used_nor_forgotten(
        engines, monkeypatch):
    own = cached_path(resolve('nanodet_g'), (384, 640), 'int8', ImportOptions())
    own.parent.mkdir(parents=True)
    own.write_bytes(b'made by the user')
    monkeypatch.setattr(models, '_compiler_digest', lambda: 'of the next version')
    assert has_int8('nanodet_g', (384, 640), 'cpu')
    # The shipped one would be there, but is not the one this user chose.
    with pytest.raises(ModelError, match=f'{own.name} was made by another version.*ped_engine '
                       'import nanodet_g --size 640x384 --precision int8 --runtime cpu'):
        typed_graph('nanodet_g', (384, 640), precision='int8')
    # It stands in the way of nothing else.
    assert not has_int8('nanodet_g', (256, 448), 'cpu')
    for arguments in ({'runtime': 'tensorrt'}, {'options': ImportOptions(top_k=9)}):
        with pytest.raises(ModelError, match='There is no INT8 graph'):
            typed_graph('nanodet_g', (384, 640), precision='int8', **arguments)
    own.unlink()
    assert typed_graph('nanodet_g', (384, 640), precision='int8').parent == engines


def test_a_damaged_shipped_graph_is_refused(engines):
    path = engines / 'nanodet_g-640x384-int8.onnx'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r'int8\.onnx is damaged: sha256'):
        typed_graph('nanodet_g', (384, 640), precision='int8')
