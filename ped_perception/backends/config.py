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

"""Parameters of the network and of what runs it."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.core.config import param


@dataclass(frozen=True)
class BackendConfig:
    """Which network, and what runs it how."""

    model: str = param(
        'nanodet_g', 'Name of a model (ped_engine list) or path of an ONNX file.')
    network_size: str = param(
        '640x384', 'Input of the network, WIDTHxHEIGHT, multiples of 32; of the shape of the '
        'camera picture.', unit='px')
    overload_size: str = param(
        'auto', 'Input of a second, smaller network, WIDTHxHEIGHT, which looks at those pictures '
        'that there is no time for otherwise; none: they are dropped. auto takes about 65 % of '
        'network_size on a CPU, if that is at least 320 wide, and none on a GPU.', unit='px')
    backend: str = param(
        'auto', 'Runtime of the network; auto takes tensorrt where there is a GPU and a plan that '
        'fits, else the fastest one installed.',
        choices=('auto', 'tensorrt', 'openvino', 'onnxruntime'))
    precision: str = param(
        'auto', 'Arithmetic of the network: fp32, fp16 (TensorRT), bf16 (OpenVINO on processors '
        'that have it) or int8 (a quantised file of the model); auto takes fp16 on a GPU, on a '
        'CPU the fastest that the processor and the model allow.',
        choices=('auto', 'fp32', 'fp16', 'bf16', 'int8'))
    threads: int = param(
        0, 'CPU threads of the inference; 0 uses all cores.', minimum=0, maximum=256)
    device: int = param(
        0, 'Index of the GPU among those that CUDA_VISIBLE_DEVICES shows.', minimum=0, maximum=63)
    plan: str = param(
        '', 'Path of a TensorRT plan; empty takes the one that ped_engine build made for this '
        'model, size and GPU, whatever its other options.')
    allow_build: bool = param(
        True, 'With backend tensorrt, a missing plan or GPU letterbox is built when the network '
        'is opened, which takes minutes; false on a vehicle, which then fails at once with the '
        'command to run.')
    preprocess: str = param(
        'cpu', 'What crops and scales the pictures; gpu needs backend tensorrt and, once, nvcc.',
        choices=('cpu', 'gpu'))
