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

"""ONNX Runtime on the CPU: runs everywhere, the reference of the other backends."""

from __future__ import annotations

from pathlib import Path
import tempfile
from typing import Any

from ped_perception.backends.config import BackendConfig
from ped_perception.backends.cpu_backend import CpuBackend
from ped_perception.backends.graph_io import (
    allocate_batch,
    check_count,
    graph_shape_from_io,
    INPUT,
    OUTPUTS,
)
from ped_perception.core.errors import BackendError, import_extra
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.types import Candidates

_DTYPES = {'tensor(uint8)': 'uint8', 'tensor(float)': 'float32'}
_INTEGER_CONVOLUTIONS = (b'QLinearConv', b'ConvInteger')
_FLOAT_CONVOLUTIONS = (b'Conv', b'FusedConv')


class OnnxRuntimeBackend(CpuBackend):
    """Runs a typed graph, float32 or quantised to INT8, with ONNX Runtime's CPU provider."""

    def __init__(self, graph: Path, config: BackendConfig, max_batch: int) -> None:
        """
        Load the graph; see :func:`ped_perception.backends.open_graph` for the arguments.

        Raises:
            BackendError: the file cannot be loaded, or bf16 or fp16 is asked for.
        """
        if config.precision in ('bf16', 'fp16'):
            raise BackendError(f'ONNX Runtime has no {config.precision} on the CPU. Set '
                               'precision to auto or fp32, or backend to what has it.')
        ort = import_extra('onnxruntime', 'onnxruntime')
        options = ort.SessionOptions()
        options.intra_op_num_threads = config.threads
        # Idle workers that spin would take the core from the camera driver between frames.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.log_severity_level = 3
        try:
            self._session: Any = ort.InferenceSession(
                str(graph), options, providers=['CPUExecutionProvider'])
            precision = _precision(ort, graph, self._session)
        except Exception as error:  # its exceptions share no base class but Exception
            raise BackendError(f'ONNX Runtime cannot load {graph}: {error}. '
                               f'Make it anew with: ped_engine import') from error
        shape = graph_shape_from_io(
            graph,
            {i.name: (_DTYPES.get(i.type, i.type), i.shape) for i in self._session.get_inputs()},
            {o.name: (_DTYPES.get(o.type, o.type), o.shape) for o in self._session.get_outputs()})
        super().__init__(BackendInfo(
            'onnxruntime', config.model, precision, shape.network_hw, max_batch, shape.top_k,
            f'CPU, {config.threads or "all"} threads, ONNX Runtime {ort.__version__}'),
            allocate_batch(max_batch, shape.network_hw))

    def infer(self, count: int) -> Candidates:
        """Run the first ``count`` slots; see ``core.pipeline.Backend``."""
        if self._session is None:
            raise BackendError('The backend is closed; open a new one.')
        check_count(count, self._info.max_batch)
        try:
            boxes_nk4, scores_nk = self._session.run(
                list(OUTPUTS), {INPUT: self._batch_nhw3[:count]})
        except Exception as error:
            raise BackendError(f'ONNX Runtime failed on a batch of {count}: {error}') from error
        return Candidates(boxes_nk4, scores_nk)

    def close(self) -> None:
        """Release the session; closing twice is harmless."""
        self._session = None


def _precision(ort: Any, graph: Path, session: Any) -> str:
    """
    Read back what the convolutions are computed in.

    A quantised file says nothing: ONNX Runtime multiplies integers only where a convolution's
    result is quantised at once, and computes the others in float32. So the graph it made is
    looked at, in the encoding of an ONNX node's operator: field 4, length, name.
    """
    if session.get_modelmeta().custom_metadata_map.get('precision') != 'int8':
        return 'fp32'
    options = ort.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / 'optimised.onnx'
        options.optimized_model_filepath = str(optimised)
        ort.InferenceSession(str(graph), options, providers=['CPUExecutionProvider'])
        data = optimised.read_bytes()
    integer, single = (sum(data.count(b'\x22' + bytes([len(name)]) + name) for name in names)
                       for names in (_INTEGER_CONVOLUTIONS, _FLOAT_CONVOLUTIONS))
    return 'int8' if integer > single else 'fp32'
