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

from collections.abc import Callable
import importlib.util
from pathlib import Path

from ped_perception.backends.config import BackendConfig
from ped_perception.backends.cpu import has_fast_int8
from ped_perception.core.config import size_hw_from_text
from ped_perception.core.errors import BackendError
from ped_perception.core.pipeline import Backend
from ped_perception.engine.models import has_int8, typed_graph

__all__ = ['BackendConfig', 'choose_backend', 'open_backend', 'open_graph']


def _open_onnxruntime(graph: Path, config: BackendConfig, max_batch: int) -> Backend:
    from ped_perception.backends.onnxruntime import OnnxRuntimeBackend
    return OnnxRuntimeBackend(graph, config, max_batch)


def _open_openvino(graph: Path, config: BackendConfig, max_batch: int) -> Backend:
    from ped_perception.backends.openvino import OpenVinoBackend
    return OpenVinoBackend(graph, config, max_batch)


# Opened lazily: a car without OpenVINO must not need it to import this package.
_OPENERS: dict[str, Callable[[Path, BackendConfig, int], Backend]] = {
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


def open_backend(config: BackendConfig, max_batch: int) -> Backend:
    """
    Make or find the typed graph of the configured model and load it in its runtime.

    The backend belongs to the calling thread: use and close it there.

    Args:
        config: model, size, runtime, precision, threads.
        max_batch: most slots of one inference; the batch buffer is allocated for it.

    Raises:
        ConfigError: the network size cannot be read.
        ModelError: the model is unknown, damaged or cannot be imported.
        BackendError: the runtime refuses the graph or cannot do what is asked.
        MissingExtraError: the runtime is not installed.
    """
    return open_graph(_graph(config), config, max_batch)


def _graph(config: BackendConfig) -> Path:
    """Give the typed graph for a CPU in the precision asked for, making it where it is not."""
    size_hw = size_hw_from_text(config.network_size)
    gains = config.precision == 'auto' and has_fast_int8()
    if config.precision == 'int8' or (gains and has_int8(config.model, size_hw, 'cpu')):
        return typed_graph(config.model, size_hw, precision='int8', runtime='cpu')
    return typed_graph(config.model, size_hw)


def open_graph(graph: Path, config: BackendConfig, max_batch: int) -> Backend:
    """
    Load a typed graph; see :func:`open_backend`.

    Args:
        graph: file made by ``ped_engine import``.
        config: runtime, precision, threads; model and size are those of the graph.
        max_batch: most slots of one inference.
    """
    if not graph.is_file():
        raise BackendError(f'There is no model file {graph}. '
                           f'Make it with: ped_engine import NAME --size WIDTHxHEIGHT')
    return _OPENERS[choose_backend(config.backend)](graph, config, max_batch)
