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
A test double of the TensorRT runtime that enforces its rules and computes with ONNX Runtime.

A "plan" is a typed graph behind a line of JSON with the profile: nothing here says anything
about TensorRT's numbers. Rules that TensorRT reports are reported its way, by returning False or
None and logging; those it leaves to crash are a ``RuleBroken`` of ``recording_cuda``.
"""

from __future__ import annotations

import enum
import json
import threading

import numpy as np
import onnxruntime as ort
from recording_cuda import Resource

MAGIC = b'RECORDING-TENSORRT '


class TensorIOMode(enum.Enum):
    """As in TensorRT."""

    INPUT, OUTPUT = 'input', 'output'


class DataType(enum.Enum):
    """As in TensorRT."""

    FLOAT, UINT8, HALF, INT32 = 'float32', 'uint8', 'float16', 'int32'


class ILogger:
    """As in TensorRT."""

    class Severity(enum.Enum):
        """As in TensorRT."""

        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


def double_plan(graph, *, minimum=1, maximum=8):
    """
    Make a plan of this double.

    Args:
        graph: bytes of a typed graph.
        minimum, maximum: of the batch.
    """
    return MAGIC + json.dumps({'minimum': minimum, 'maximum': maximum}).encode() + b'\n' + graph


class RecordingTensorRt:
    """
    Stands for the module ``tensorrt``.

    Args:
        ledger: of the CUDA that it runs on.

    Attributes:
        refusals: names of calls that say no when called next: 'execution', 'shape', 'address',
            'execute'.
    """

    ILogger, TensorIOMode, DataType = ILogger, TensorIOMode, DataType
    __version__ = '10.3.0'

    def __init__(self, ledger):
        self.ledger = ledger
        self.refusals = set()

    def Runtime(self, log):
        """Make a runtime."""
        return _Runtime(self, log)

    def refuses(self, log, what):
        """Tell whether a call was told to say no, and log why."""
        if what in self.refusals:
            self.refusals.remove(what)
            log.log(ILogger.Severity.ERROR, f'the double was told to refuse: {what}')
            return True
        return False


class _Part(Resource):

    def __init__(self, trt):
        super().__init__(trt.ledger)
        self._trt = trt


class _Runtime(_Part):
    kind = 'runtime'

    def __init__(self, trt, log):
        super().__init__(trt)
        self._log = log

    def deserialize_cuda_engine(self, data):
        """Give an engine, or None for what is no plan."""
        self.check('deserialize')
        if not data.startswith(MAGIC):
            self._log.log(ILogger.Severity.ERROR, 'Serialization assertion failed: magic tag')
            return None
        header, _, graph = data[len(MAGIC):].partition(b'\n')
        return _Engine(self._trt, self, self._log, json.loads(header), graph)


class _Engine(_Part):
    kind = 'engine'
    device_memory_size_v2 = 12_345_678

    def __init__(self, trt, runtime, log, profile, graph):
        super().__init__(trt)
        self._runtime, self.log, self.profile = runtime, log, profile
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(graph, options, providers=['CPUExecutionProvider'])
        self._tensors = [(TensorIOMode.INPUT, each) for each in self.session.get_inputs()]
        self._tensors += [(TensorIOMode.OUTPUT, each) for each in self.session.get_outputs()]
        self.num_io_tensors = len(self._tensors)

    def _find(self, name):
        for mode, tensor in self._tensors:
            if tensor.name == name:
                return mode, tensor
        return self._trt.ledger.breaks(f'there is no tensor {name!r} in the engine')

    def get_tensor_name(self, index):
        """Give the name of an input or output."""
        return self._tensors[index][1].name

    def get_tensor_mode(self, name):
        """Tell input from output."""
        return self._find(name)[0]

    def get_tensor_dtype(self, name):
        """Give the element type."""
        kind = self._find(name)[1].type
        return {'tensor(uint8)': DataType.UINT8, 'tensor(float)': DataType.FLOAT,
                'tensor(float16)': DataType.HALF}[kind]

    def get_tensor_shape(self, name):
        """Give the shape; -1 is free."""
        return tuple(size if isinstance(size, int) else -1 for size in self._find(name)[1].shape)

    def get_tensor_profile_shape(self, name, profile_index):
        """Give the smallest, usual and largest shape of an input."""
        mode, tensor = self._find(name)
        if mode != TensorIOMode.INPUT or profile_index != 0:
            self._trt.ledger.breaks(f'{name!r} has no profile {profile_index}')
        low, high = self.profile['minimum'], self.profile['maximum']
        return [(batch, *tensor.shape[1:]) for batch in (low, low, high)]

    def create_execution_context(self):
        """Give what runs the engine, or None."""
        self.check('create_execution_context')
        if self._trt.refuses(self.log, 'execution'):
            return None
        return _Execution(self._trt, self)


class _Execution(_Part):
    kind = 'execution'

    def __init__(self, trt, engine):
        super().__init__(trt)
        self._engine = engine
        self._addresses = {}
        self._shape = None
        self._thread = threading.get_ident()

    def set_tensor_address(self, name, address):
        """Say where a tensor is."""
        self._engine.get_tensor_mode(name)
        if not isinstance(address, int):
            raise TypeError('set_tensor_address(): incompatible function arguments')
        if self._trt.refuses(self._engine.log, 'address'):
            return False
        self._addresses[name] = address
        return True

    def set_input_shape(self, name, shape):
        """Say how large the batch is."""
        if self._engine.get_tensor_mode(name) != TensorIOMode.INPUT:
            self._trt.ledger.breaks(f'{name!r} is no input')
        if self._trt.refuses(self._engine.log, 'shape'):
            return False
        low, _, high = self._engine.get_tensor_profile_shape(name, 0)
        if tuple(shape[1:]) != tuple(low[1:]) or not low[0] <= shape[0] <= high[0]:
            self._engine.log.log(ILogger.Severity.ERROR,
                                 f'Set dimensions {shape} do not satisfy profile {low}..{high}')
            return False
        self._shape = tuple(shape)
        return True

    def execute_async_v3(self, stream_handle):
        """Queue an inference."""
        ledger = self._trt.ledger
        self.check('execute_async_v3')
        if stream_handle not in ledger.streams:
            ledger.breaks('execute_async_v3: there is no such stream')
        if self._shape is None:
            ledger.breaks('execute_async_v3: the input shape is not set')
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            if name not in self._addresses:
                ledger.breaks(f'execute_async_v3: the address of {name!r} is not set')
        if self._trt.refuses(self._engine.log, 'execute'):
            return False
        shape, addresses = self._shape, dict(self._addresses)
        session = self._engine.session
        ledger.streams[stream_handle].enqueue(
            lambda: _compute(ledger, session, shape, addresses))
        return True


def _compute(ledger, session, shape, addresses):
    """Run the graph from device memory to device memory."""
    name = session.get_inputs()[0].name
    images = ledger.find(addresses[name], int(np.prod(shape)), 'execute_async_v3')
    results = session.run(None, {name: images.reshape(shape)})
    for output, result in zip(session.get_outputs(), results, strict=True):
        flat = np.ascontiguousarray(result).reshape(-1).view(np.uint8)
        np.copyto(ledger.find(addresses[output.name], flat.size, 'execute_async_v3'), flat)
