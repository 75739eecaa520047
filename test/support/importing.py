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

"""Running imported models in tests: the images, the spec, the raw file, TensorRT-RTX."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from ped_perception.engine.importers import import_model
from ped_perception.engine.importers.base import ImportSpec
from ped_perception.engine.trunk import Trunk
import pytest

# Unequal everywhere: swapped sizes, channels, means or classes cannot go unnoticed.
SPEC = ImportSpec(size_hw=(64, 96), class_index=3, class_count=80, top_k=40,
                  mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0), channel_order='bgr')
IMAGES = np.random.default_rng(4).integers(0, 256, (2, 64, 96, 3), np.uint8)


def run(model):
    """Boxes and scores of a typed graph on the images, as one batch."""
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=['CPUExecutionProvider'])
    return session.run(['boxes', 'scores'], {'images': IMAGES})


def typed(path, family, spec):
    """Import a file and run it."""
    return run(import_model(Trunk.load(path), family, spec).model)


def raw_outputs(path, spec, channels_last=False, dtype=np.float32):
    """Run the untouched file, image by image, normalised in numpy: outputs by name."""
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    for image in IMAGES:
        values = image[..., ::-1] if spec.channel_order == 'rgb' else image
        data = (values.astype(np.float64) - spec.mean) / spec.std
        data = data if channels_last else data.transpose(2, 0, 1)
        yield dict(zip(names, session.run(names, {'data': data[None].astype(dtype)}),
                       strict=True))


def best_first(candidates, count):
    """Boxes and scores of the best of [(score, box), …]."""
    candidates.sort(key=lambda item: -item[0])
    scores, boxes = zip(*candidates[:count], strict=True)
    return np.array(boxes), np.array(scores)


def types_of(model):
    """Element type by tensor."""
    return {value.name: value.type.tensor_type.elem_type
            for value in onnx.shape_inference.infer_shapes(model).graph.value_info}


def check_tensorrt_rtx_builds(model, top_k):
    """Build a plan for SM86, batch 1-8, strongly typed, and check its outputs."""
    trt = pytest.importorskip('tensorrt_rtx_bindings')
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(model.SerializeToString()), parser.get_error(0)
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile.set_shape('images', (1, 64, 96, 3), (4, 64, 96, 3), (8, 64, 96, 3))
    config.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, config) is not None
    outputs = {network.get_output(k).name: (tuple(network.get_output(k).shape),
                                            network.get_output(k).dtype) for k in range(2)}
    assert outputs == {'boxes': ((-1, top_k, 4), trt.DataType.FLOAT),
                       'scores': ((-1, top_k), trt.DataType.FLOAT)}
