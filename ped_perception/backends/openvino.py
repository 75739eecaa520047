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

"""OpenVINO on the CPU: the fastest way to run the graph where there is no GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import os
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import numpy as np
from ped_perception.backends.config import BackendConfig
from ped_perception.backends.cpu_backend import CpuBackend
from ped_perception.backends.graph_io import (
    allocate_batch,
    check_count,
    graph_shape_from_io,
    INPUT,
    OUTPUTS,
    Shape,
)
from ped_perception.backends.openvino_cache import compiled_path, keep_compiled, load_compiled
from ped_perception.core.errors import BackendError, import_extra
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.types import Candidates

_DTYPES = {'u8': 'uint8', 'f32': 'float32'}
_PRECISIONS = {'f32': 'fp32', 'f16': 'fp16', 'bf16': 'bf16', 'i8': 'int8', 'u8': 'int8'}


class OpenVinoBackend(CpuBackend):
    """
    Runs a typed graph with OpenVINO's CPU plugin: float32, bfloat16 or quantised to INT8.

    Slots are computed one after the other with all threads, for the least latency; in large
    batches two at a time, each with half of the threads, which wait less for each other.
    """

    def __init__(self, graph: Path, config: BackendConfig, max_batch: int) -> None:
        """
        Load the graph; see :func:`ped_perception.backends.open_graph` for the arguments.

        Raises:
            BackendError: the file cannot be loaded, or the processor has no bf16.
        """
        ov = _runtime()
        core = ov.Core()
        try:
            compiled = _compiled(core, graph, ov.get_version(),
                                 _properties(core, graph, config, max_batch))
            shape = graph_shape_from_io(graph, _io(compiled.inputs), _io(compiled.outputs))
        except RuntimeError as error:
            raise BackendError(f'OpenVINO cannot load {graph}: {error}. '
                               f'Make it anew with: ped_engine import') from error
        threads = compiled.get_property('INFERENCE_NUM_THREADS')
        super().__init__(BackendInfo(
            'openvino', config.model, _precision(compiled), shape.network_hw, max_batch,
            shape.top_k, f'CPU, {threads} threads, OpenVINO {ov.get_version().split("-")[0]}'),
            allocate_batch(max_batch, shape.network_hw))
        self._boxes_nk4 = np.zeros((max_batch, shape.top_k, 4), np.float32)
        self._scores_nk = np.zeros((max_batch, shape.top_k), np.float32)
        self._requests = [self._bound_request(ov, compiled, slot) for slot in range(max_batch)]
        self._streams = int(compiled.get_property('NUM_STREAMS'))

    def infer(self, count: int) -> Candidates:
        """Run the first ``count`` slots; see ``core.pipeline.Backend``."""
        if not self._requests:
            raise BackendError('The backend is closed; open a new one.')
        check_count(count, self._info.max_batch)
        try:
            if self._streams == 1:
                # In this thread: going to one of the runtime and back takes time.
                for request in self._requests[:count]:
                    request.infer()
            else:
                _infer_together(self._requests[:count])
        except RuntimeError as error:
            raise BackendError(f'OpenVINO failed on a batch of {count}: {error}') from error
        return Candidates(self._boxes_nk4[:count], self._scores_nk[:count])

    def _bound_request(self, ov: Any, compiled: Any, slot: int) -> Any:
        """Make a request that reads and writes its slot's memory: nothing is copied."""
        request = compiled.create_infer_request()
        for name, array in ((INPUT, self._batch_nhw3), (OUTPUTS[0], self._boxes_nk4),
                            (OUTPUTS[1], self._scores_nk)):
            request.set_tensor(name, ov.Tensor(array[slot:slot + 1], shared_memory=True))
        return request

    def close(self) -> None:
        """Release the network; closing twice is harmless."""
        self._requests = []


def _infer_together(requests: Sequence[Any]) -> None:
    """Run requests in all streams; none is under way any more when this ends or raises."""
    failures: list[RuntimeError] = []
    try:
        for request in requests:
            request.start_async()
    finally:
        for request in requests:
            try:
                request.wait()
            except RuntimeError as error:
                failures.append(error)
    if failures:
        raise failures[0]


def _runtime() -> ModuleType:
    """Import OpenVINO, without its converter of models where nobody has imported that."""
    # A quarter of a second and 8 MB, with HTTP, TLS and telemetry, for what is not used here;
    # OpenVINO can do without.
    converter = 'openvino.tools'
    left_out = converter not in sys.modules
    if left_out:
        # As Python has it: importing what stands for None fails.
        nothing: Any = None
        sys.modules[converter] = nothing
    try:
        return import_extra('openvino', 'openvino')
    finally:
        if left_out:
            del sys.modules[converter]


def _compiled(core: Any, graph: Path, version: str, properties: dict[str, object]) -> Any:
    """Compile a graph, or load what was compiled before."""
    path = compiled_path(core, graph, version, properties)
    kept = load_compiled(core, path, properties)
    if kept is not None:
        return kept
    network = core.read_model(str(graph))
    shape = graph_shape_from_io(graph, _io(network.inputs), _io(network.outputs))
    # A static batch of one, run for each slot, is a quarter faster than a dynamic batch and
    # as fast as a static larger one: on a CPU a batch shares nothing.
    network.reshape({INPUT: [1, *shape.network_hw, 3]})
    compiled = core.compile_model(network, 'CPU', properties)
    keep_compiled(compiled, path)
    return compiled


def _io(ports: Any) -> dict[str, tuple[str, Shape]]:
    """Describe inputs or outputs as ``graph_shape_from_io`` takes them."""
    described: dict[str, tuple[str, Shape]] = {}
    for port in ports:
        kind = port.get_element_type().get_type_name()
        dims = [d.get_length() if d.is_static else str(d) for d in port.get_partial_shape()]
        # Compiling gives a port further names.
        ours = port.get_names() & {INPUT, *OUTPUTS}
        described[min(ours) if ours else port.get_any_name()] = (_DTYPES.get(kind, kind), dims)
    return described


def _precision(compiled: Any) -> str:
    """
    Read back what the convolutions are computed in: the hint is only a wish.

    Returns:
        The precision of most of them; a graph without any has that of the hint.
    """
    counts: Counter[str] = Counter()
    for operation in compiled.get_runtime_model().get_ops():
        facts = operation.get_rt_info()
        if facts['layerType'].astype(str) == 'Convolution':
            counts[facts['runtimePrecision'].astype(str)] += 1
    kind = (counts.most_common(1)[0][0] if counts
            else compiled.get_property('INFERENCE_PRECISION_HINT').get_type_name())
    return _PRECISIONS.get(kind, kind)


def _properties(core: Any, graph: Path, config: BackendConfig, max_batch: int,
                ) -> dict[str, object]:
    """
    Choose the properties of the CPU plugin.

    The precision is always explicit: left alone, OpenVINO silently computes in bf16 on
    processors that have it. What a quantised graph keeps in floating point stays float32: it is
    what must not be rounded, and every processor finds the same people. bf16 there would save
    7 % of the time of a batch, and confuse people with each other (engines/README.md).

    Raises:
        BackendError: bf16 is asked for and the processor has none, or fp16.
    """
    if config.precision == 'fp16':
        raise BackendError('OpenVINO does not compute in fp16 on a CPU. Set precision to '
                           'auto or fp32, or backend to tensorrt.')
    has_bf16 = 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    if config.precision == 'bf16' and not has_bf16:
        raise BackendError('This processor does not compute in bf16. Set precision to '
                           'auto or fp32.')
    gains = config.precision == 'auto' and has_bf16 and not _is_quantised(graph)
    precision = 'bf16' if gains or config.precision == 'bf16' else 'f32'
    streams = _streams(config, max_batch)
    properties: dict[str, object] = {
        'INFERENCE_PRECISION_HINT': precision, 'PERFORMANCE_HINT': 'LATENCY',
        'NUM_STREAMS': streams}
    if streams > 1:
        # Where others need a core, a stream must be able to go on at another one.
        properties['ENABLE_CPU_PINNING'] = False
    if config.threads:
        properties['INFERENCE_NUM_THREADS'] = config.threads
    return properties


def _is_quantised(graph: Path) -> bool:
    """Tell whether a graph computes in INT8; its file names all of its operators."""
    return b'QuantizeLinear' in graph.read_bytes()


def _streams(config: BackendConfig, max_batch: int) -> int:
    """
    Choose how many slots are computed at the same time.

    Two at a time make a batch of six a tenth faster, and a fifth where others need the cores,
    too; a slot alone, with half of the threads, takes nearly twice as long. One camera with two
    views is often looked at with one of them, for lack of time: it is better off one by one.
    """
    threads = config.threads or len(os.sched_getaffinity(0))
    return 2 if max_batch > 2 and threads > 1 else 1
