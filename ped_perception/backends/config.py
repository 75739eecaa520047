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

"""Parameters of the backends."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.core.config import param


@dataclass(frozen=True)
class BackendConfig:
    """What runs the network, and how."""

    backend: str = param(
        'auto', 'Runtime of the network; auto takes the fastest one installed.',
        choices=('auto', 'openvino', 'onnxruntime'))
    cpu_precision: str = param(
        'auto', 'Arithmetic on the CPU: fp32, or bf16 where the processor computes in it; auto '
        'takes bf16 there (OpenVINO only).', choices=('auto', 'fp32', 'bf16'))
    threads: int = param(
        0, 'CPU threads of the inference; 0 uses all cores.', minimum=0, maximum=256)
