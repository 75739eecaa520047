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
What runs the typed graph: one file per runtime, all behind ``core.pipeline.Backend``.

The same graph runs everywhere (``engine`` makes it): ``images`` uint8[N, h, w, 3] BGR in,
``boxes`` float32[N, K, 4] and ``scores`` float32[N, K] out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from ped_perception.backends.config import BackendConfig
from ped_perception.core.errors import BackendError
from ped_perception.core.pipeline import Backend

__all__ = ['BackendConfig', 'choose_backend', 'open_backend']


def _open_onnxruntime(graph: Path, model: str, config: BackendConfig, max_batch: int) -> Backend:
    from ped_perception.backends.onnxruntime import OnnxRuntimeBackend
    return OnnxRuntimeBackend(graph, model, config, max_batch)


def _open_openvino(graph: Path, model: str, config: BackendConfig, max_batch: int) -> Backend:
    from ped_perception.backends.openvino import OpenVinoBackend
    return OpenVinoBackend(graph, model, config, max_batch)


# Opened lazily: a car without OpenVINO must not need it to import this package.
_OPENERS: dict[str, Callable[[Path, str, BackendConfig, int], Backend]] = {
    'onnxruntime': _open_onnxruntime,
    'openvino': _open_openvino,
}


def choose_backend(name: str) -> str:
    """
    Resolve ``'auto'`` to the best backend installed; other names are given back.

    Raises:
        BackendError: no backend of that name, or none installed at all.
    """
    if name in _OPENERS:
        return name
    if name != 'auto':
        raise BackendError(f'There is no backend {name!r}; choose one of: auto, '
                           f'{", ".join(_OPENERS)}.')
    for candidate in ('openvino', 'onnxruntime'):
        if importlib.util.find_spec(candidate) is not None:
            return candidate
    raise BackendError('No inference runtime is installed. Install one with: '
                       'pip install "ped_perception[openvino]"')


def open_backend(graph: Path, model: str, config: BackendConfig, max_batch: int) -> Backend:
    """
    Load a typed graph in the runtime the configuration asks for.

    The backend belongs to the calling thread: use and close it there.

    Args:
        graph: file made by ``ped_engine import``.
        model: its name, for diagnostics.
        config: runtime, precision, threads.
        max_batch: most slots of one inference; the batch buffer is allocated for it.

    Raises:
        BackendError: the runtime refuses the graph or cannot do what is asked.
        MissingExtraError: the runtime is not installed.
    """
    if not graph.is_file():
        raise BackendError(f'There is no model file {graph}. '
                           f'Make it with: ped_engine import NAME --size WIDTHxHEIGHT')
    return _OPENERS[choose_backend(config.backend)](graph, model, config, max_batch)
