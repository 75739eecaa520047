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

"""Small random networks with exactly the outputs of a model family, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto


def convolution(name, source, channels, stride, rng, inputs=3):
    """One strided convolution: a node, and its constants stored as float16 behind a Cast."""
    shapes = {'weight': (channels, inputs, stride, stride), 'bias': (channels,)}
    nodes, constants = [], []
    for part, shape in shapes.items():
        values = rng.normal(0.0, 0.5 / stride, shape).astype(np.float16)
        constants.append(numpy_helper.from_array(values, f'{name}_{part}_half'))
        nodes.append(helper.make_node('Cast', [f'{name}_{part}_half'], [f'{name}_{part}'],
                                      to=TensorProto.FLOAT))
    nodes.append(helper.make_node(
        'Conv', [source, f'{name}_weight', f'{name}_bias'], [name],
        kernel_shape=[stride, stride], strides=[stride, stride]))
    return nodes, constants


def save(path: Path, nodes, constants, outputs, shape=('N', 3, 'H', 'W')) -> Path:
    """Write a model with the input ``data`` and the given outputs {name: shape}."""
    graph = helper.make_graph(
        nodes, 'tiny', [helper.make_tensor_value_info('data', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
         for name, size in outputs.items()], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    onnx.save(model, path)
    return path


def nanodet(path: Path, classes=80, bins=11, strides=(8, 16, 32), shape=('N', 3, 'H', 'W')):
    """NanoDet: three heads of classes + 4 * bins channels."""
    rng, nodes, constants = np.random.default_rng(1), [], []
    channels = classes + 4 * bins
    for stride in strides:
        more, values = convolution(f'out{stride}', 'data', channels, stride, rng)
        nodes += more
        constants += values
    return save(path, nodes, constants,
                {f'out{stride}': ['N', channels, None, None] for stride in strides}, shape)


def centernet(path: Path, classes=80):
    """CenterNet: heat map and sizes at a quarter of the input."""
    rng = np.random.default_rng(2)
    heat, heat_constants = convolution('heat', 'data', classes, 4, rng)
    sizes, sizes_constants = convolution('sizes', 'data', 4, 4, rng)
    return save(path, heat + sizes, heat_constants + sizes_constants,
                {'heat': ['N', classes, None, None], 'sizes': ['N', 4, None, None]})
