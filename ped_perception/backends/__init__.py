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

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ped_perception.backends.config import BackendConfig
from ped_perception.backends.cpu import has_fast_int8
from ped_perception.backends.process_memory import give_back_memory
from ped_perception.core.config import size_hw_from_text, text_from_size_hw
from ped_perception.core.errors import (
    BackendError,
    ConfigError,
    EngineMismatchError,
    import_extra,
    ModelError,
    PedPerceptionError,
)
from ped_perception.core.pipeline import Backend, BackendInfo
from ped_perception.engine.ensure import ensure_plan, NOBODY, Watch
from ped_perception.engine.flavors import FLAVORS
from ped_perception.engine.gpu import find_gpu
from ped_perception.engine.locate import find_plan, PlanRequest, USUAL_BATCHES
from ped_perception.engine.manifest import Batches, SUFFIX
from ped_perception.engine.models import GraphPrecision, has_int8, typed_graph
from ped_perception.engine.names import resolve

if TYPE_CHECKING:
    from ped_perception.engine.gate import Judge

__all__ = ['BackendConfig', 'choose_backend', 'open_backend', 'open_graph', 'open_on_cpu',
           'open_small', 'small_size_hw', 'Watch']


def _open_onnxruntime(graph: Path, config: BackendConfig, max_batch: int) -> Backend:
    from ped_perception.backends.onnxruntime import OnnxRuntimeBackend
    return OnnxRuntimeBackend(graph, config, max_batch)


def _open_openvino(graph: Path, config: BackendConfig, max_batch: int) -> Backend:
    from ped_perception.backends.openvino import OpenVinoBackend
    return OpenVinoBackend(graph, config, max_batch)


def _open_tensorrt(graph: Path, config: BackendConfig, max_batch: int) -> Backend:
    from ped_perception.backends.tensorrt import TensorRtBackend
    return TensorRtBackend(graph, config, max_batch)


# Opened lazily: a car without OpenVINO must not need it to import this package.
_OPENERS: dict[str, Callable[[Path, BackendConfig, int], Backend]] = {
    'tensorrt': _open_tensorrt,
    'openvino': _open_openvino,
    'onnxruntime': _open_onnxruntime,
}

# Of the full network's sides, in whole strides: 416x256 for 640x384. It takes less than half of
# the time, and what it misses are the farthest people (engines/README.md).
_SMALL_SHARE = 0.65
_STRIDE = 32
# Smaller ones see too little to be worth their memory.
_LEAST_WIDTH = 320

# What 'auto' builds and looks for on a GPU.
_GPU_PRECISIONS: dict[str, GraphPrecision] = {
    'auto': 'fp16', 'fp32': 'fp32', 'fp16': 'fp16', 'int8': 'int8'}


def choose_backend(config: BackendConfig, max_batch: int = 1) -> str:
    """
    Resolve ``'auto'`` to the best backend that can run here; other names are given back.

    TensorRT is taken where there is a GPU, what drives it is installed, and a plan that fits is
    built; a program that chooses for itself must not begin to build for minutes.

    Raises:
        BackendError: no backend of that name, none installed at all, or a plan is named that
            ``'auto'`` would leave unused.
    """
    if config.backend in _OPENERS:
        return config.backend
    if config.backend != 'auto':
        raise BackendError(f'There is no backend {config.backend!r}; choose one of: auto, '
                           f'{", ".join(_OPENERS)}.')
    missing = _missing_for_tensorrt(config)
    if config.plan and missing:
        # Whoever names a plan believes that it runs, and a CPU takes many times as long.
        raise BackendError(f'Backend auto is {_choose_cpu_backend()} here, because {missing}, and '
                           f'would not use the plan {config.plan}. Set plan to empty, or backend '
                           f'to tensorrt and provide what is missing.')
    return 'tensorrt' if not missing and _has_plan(config, max_batch) else _choose_cpu_backend()


def _choose_cpu_backend() -> str:
    for candidate in ('openvino', 'onnxruntime'):
        if importlib.util.find_spec(candidate) is not None:
            return candidate
    raise BackendError('No inference runtime is installed. Install one with: '
                       'pip install "ped_perception[openvino]"')


def _missing_for_tensorrt(config: BackendConfig) -> str:
    """Say why TensorRT cannot run here; empty if it can."""
    names = [name for flavor in FLAVORS.values() for name in flavor.modules]
    if config.precision not in _GPU_PRECISIONS:
        return f'TensorRT does not run models in {config.precision}'
    if find_gpu(config.device) is None:
        return f'there is no GPU {config.device}'
    if importlib.util.find_spec('pycuda') is None:
        return 'pycuda is not installed'
    if not any(importlib.util.find_spec(name) for name in names):
        return 'TensorRT is not installed'
    return ''


def _has_plan(config: BackendConfig, max_batch: int) -> bool:
    # Asked last: a laptop must not hash models to learn that it has no GPU.
    if config.plan:
        return True
    try:
        find_plan(_plan_request(config, max_batch))
    except PedPerceptionError:
        return False
    return True


def open_backend(config: BackendConfig, max_batch: int, watch: Watch = NOBODY) -> Backend:
    """
    Make or find the graph or plan of the configured model and load it in its runtime.

    The backend belongs to the calling thread: use and close it there. Never call this in a
    callback for pictures: it may compile a graph, and for backend tensorrt with ``allow_build``
    a plan, which takes minutes; what that plan computes is first compared with float32 on the
    golden pictures, see ``engine.gate``.

    Args:
        config: model, size, runtime, precision, threads.
        max_batch: most slots of one inference; the batch buffer is allocated for it.
        watch: is told when a plan is built, and how that goes.

    Raises:
        ConfigError: the network size cannot be read.
        ModelError: the model is unknown, damaged or cannot be imported, or there is no plan of
            it and none may be built.
        BackendError: the runtime refuses the graph or cannot do what is asked.
        MissingExtraError: the runtime is not installed.
    """
    name = choose_backend(config, max_batch)
    if name != 'tensorrt':
        return open_graph(_graph(config, name), config, max_batch)
    backend = open_graph(_plan(config, max_batch, watch), config, max_batch)
    problem = _plan_problem(backend.info, config) if config.plan else ''
    if problem:
        backend.close()
        raise EngineMismatchError(f'{config.plan} {problem}. Set it to the same.')
    return backend


def open_small(config: BackendConfig, full: BackendInfo, max_batch: int, watch: Watch = NOBODY,
               ) -> Backend | None:
    """
    Load the same model once more for the smaller input ``overload_size``, in the same runtime.

    Args:
        config: that the full network was opened with.
        full: what was opened.
        max_batch: most slots of one inference.
        watch: see :func:`open_backend`.

    Returns:
        None where there is to be none.

    Raises:
        ConfigError: the size cannot be read, or is not smaller.
        ModelError: nobody named a size, and the usual one is not there in INT8 as the full one.
        PedPerceptionError: see :func:`open_backend`.
    """
    size_hw = small_size_hw(config.overload_size, full)
    if size_hw is None:
        return None
    # A plan that was named is the full one's.
    size = text_from_size_hw(size_hw)
    small = open_backend(replace(config, backend=full.backend, plan='', network_size=size),
                         max_batch, watch)
    if config.overload_size == 'auto' and small.info.precision != 'int8' == full.precision:
        small.close()
        raise ModelError(
            f'{config.model} is there for {size} in {small.info.precision} only, and would save '
            f'little beside INT8. Make that, too: ped_engine import {config.model} --size {size} '
            f'--precision int8 --calibrate PICTURES; or set overload_size to none.')
    return small


def small_size_hw(overload_size: str, full: BackendInfo) -> tuple[int, int] | None:
    """
    Read the parameter ``overload_size``.

    Args:
        overload_size: as it was set.
        full: what the full network is.

    Returns:
        Height and width in pixels; None where there is to be no small network.

    Raises:
        ConfigError: it cannot be read, or is not smaller than the full one.
    """
    if overload_size == 'none' or (overload_size == 'auto' and full.backend == 'tensorrt'):
        return None
    if overload_size == 'auto':
        height, width = (round(_SMALL_SHARE * side / _STRIDE) * _STRIDE
                         for side in full.network_hw)
        return (height, width) if width >= _LEAST_WIDTH else None
    height, width = size_hw_from_text(overload_size)
    if height * width >= math.prod(full.network_hw):
        raise ConfigError(f'overload_size is {overload_size}, no smaller than network_size, '
                          f'{text_from_size_hw(full.network_hw)}. Make it smaller, or set it to '
                          f'auto or none.')
    return height, width


def _plan_problem(info: BackendInfo, config: BackendConfig) -> str:
    """Say what a plan named by its path is not; empty if it is what is configured."""
    names = {config.model, Path(config.model).stem}     # a plan may be all of it that is here
    with suppress(ModelError):
        names.add(resolve(config.model).name)
    if info.model not in names:
        return f'is a plan of {info.model}, model is set to {config.model}'
    if info.network_hw != size_hw_from_text(config.network_size):
        return (f'was built for {text_from_size_hw(info.network_hw)}, network_size is set to '
                f'{config.network_size}')
    return ''


def _graph(config: BackendConfig, name: str) -> Path:
    """Give the typed graph for a CPU in the precision asked for, making it where it is not."""
    size_hw = size_hw_from_text(config.network_size)
    # ONNX Runtime takes twice as long for the quantised graph as for the float32 one.
    gains = config.precision == 'auto' and name == 'openvino' and has_fast_int8()
    if config.precision == 'int8' or (gains and has_int8(config.model, size_hw, 'cpu')):
        return typed_graph(config.model, size_hw, precision='int8', runtime='cpu')
    return typed_graph(config.model, size_hw)


def _plan(config: BackendConfig, max_batch: int, watch: Watch) -> Path:
    """Give the plan asked for, building it where that is allowed."""
    if config.plan:
        return Path(config.plan)
    request = _plan_request(config, max_batch)
    if config.allow_build:
        # Not after minutes of building.
        import_extra('pycuda', 'tensorrt')
    return ensure_plan(request, _golden_judge(config.model), allow_build=config.allow_build,
                       watch=watch)


def _golden_judge(model: str) -> Judge:
    """Give a judge of graphs that knows the pictures of the package."""
    def judge(reference: Path, candidate: Path, precision: str) -> Mapping[str, float | str]:
        """Compare two graphs on the golden pictures, both on the CPU."""
        from ped_perception.engine.agreement import LabelledPicture
        from ped_perception.engine.gate import Gate
        from ped_perception.engine.golden import golden_pictures
        gate = Gate(lambda graph: open_on_cpu(model, graph),
                    [LabelledPicture(image_hw3) for image_hw3 in golden_pictures().values()])
        return gate(reference, candidate, precision)

    return judge


def _plan_request(config: BackendConfig, max_batch: int) -> PlanRequest:
    if config.precision not in _GPU_PRECISIONS:
        raise BackendError(f'TensorRT does not run models in {config.precision} here. Set '
                           f'precision to one of: {", ".join(_GPU_PRECISIONS)}.')
    batches = (USUAL_BATCHES if max_batch <= USUAL_BATCHES.maximum
               else Batches(1, max_batch, max_batch))
    return PlanRequest(config.model, size_hw_from_text(config.network_size),
                       _GPU_PRECISIONS[config.precision], batches, device=config.device,
                       slots=max_batch)


def open_on_cpu(model: str, graph: Path) -> Backend:
    """Open a graph on ONNX Runtime, in the precision it is written in."""
    return open_graph(graph, BackendConfig(model=model, backend='onnxruntime'), 1)


def open_graph(graph: Path, config: BackendConfig, max_batch: int) -> Backend:
    """
    Load a typed graph or a plan; see :func:`open_backend`.

    Args:
        graph: file made by ``ped_engine import``, or ``….plan`` made by ``ped_engine build``.
        config: runtime, precision, threads; model and size are those of the graph.
        max_batch: most slots of one inference.
    """
    if not graph.is_file():
        made = 'build' if graph.suffix == SUFFIX else 'import'
        raise BackendError(f'There is no model file {graph}. '
                           f'Make it with: ped_engine {made} NAME --size WIDTHxHEIGHT')
    if config.backend == 'auto':
        name = 'tensorrt' if graph.suffix == SUFFIX else _choose_cpu_backend()
    else:
        name = choose_backend(config)
    if config.preprocess == 'gpu' and name != 'tensorrt':
        raise BackendError(f'The backend is {name}, and preprocess gpu needs tensorrt. Set '
                           'preprocess to cpu.')
    backend = _OPENERS[name](graph, config, max_batch)
    give_back_memory()
    return backend
