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
A test double of TensorRT's building half, in the shape of version 10 or 11.

What a version lacks is an AttributeError, as in the real one. It "builds" by copying the graph;
its network has one layer for each node, of the type that ONNX infers. Nothing here says anything
about the real library but names; the real builder is tested with TensorRT-RTX.
"""

from __future__ import annotations

import enum
import json
from types import SimpleNamespace

import onnx
from onnx import shape_inference

PLAN = b'FAKE PLAN OF '
KINDS = {1: 'FLOAT', 2: 'UINT8', 3: 'INT8', 6: 'INT32', 7: 'INT64', 9: 'BOOL', 10: 'HALF'}


class ILogger:
    """As in TensorRT."""

    class Severity(enum.Enum):
        """As in TensorRT."""

        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class IProgressMonitor:
    """As in TensorRT."""


class _Config:
    # Setting what a version lacks must fail.
    __slots__ = (
        'DLA_core',
        '_fake',
        'cache',
        'default_device_type',
        'flags',
        'limits',
        'num_compute_capabilities',
        'profile',
        'profiling_verbosity',
        'progress_monitor',
    )

    def __init__(self, fake):
        self._fake, self.limits, self.cache = fake, {}, None
        self.flags = {fake.BuilderFlag.TF32}     # as in TensorRT, unasked

    def set_compute_capability(self, capability, index):
        assert index < self.num_compute_capabilities

    def add_optimization_profile(self, profile):
        self.profile = profile
        sizes = [shape[0] for shape in profile.shape]
        return 0 if sizes == sorted(sizes) else -1

    def set_memory_pool_limit(self, pool, limit):
        self.limits[pool] = limit

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def get_flag(self, flag):
        return flag in self.flags

    def create_timing_cache(self, data):
        return SimpleNamespace(data=data, serialize=lambda: data + b'+measured')

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache
        return not cache.data.startswith(b'damaged')

    def get_timing_cache(self):
        return self.cache


class FakeTensorRt:
    """
    Stands for the module ``tensorrt``.

    Args:
        version: '10.…' or '11.…', or one of TensorRT-RTX.
        dla_cores: that the builder sees.
        targets: compute capabilities that TensorRT-RTX builds for.

    Attributes:
        config: of the last build.
        creation_flags: of the last network.
        parser_errors: that the parser reports instead of parsing.
        build_error: that the builder logs instead of building.
        engine_layers: what the inspector shows of a plan: formats of the layers' results.
    """

    ILogger, IProgressMonitor = ILogger, IProgressMonitor

    def __init__(self, version, dla_cores=0, targets=()):
        self.__version__ = version
        is_old = version.startswith('10.')
        self.BuilderFlag = enum.Enum('BuilderFlag', 'GPU_FALLBACK TF32 FP16 INT8' if is_old
                                     else 'GPU_FALLBACK TF32')
        self.NetworkDefinitionCreationFlag = enum.IntEnum(
            'NetworkDefinitionCreationFlag',
            {'EXPLICIT_BATCH': 0, 'STRONGLY_TYPED': 1} if is_old else {'STRONGLY_TYPED': 1})
        self.ProfilingVerbosity = enum.Enum('ProfilingVerbosity', 'DETAILED')
        self.MemoryPoolType = enum.Enum('MemoryPoolType', 'WORKSPACE')
        self.DeviceType = enum.Enum('DeviceType', 'GPU DLA')
        self.LayerInformationFormat = enum.Enum('LayerInformationFormat', 'JSON')
        self.ComputeCapability = enum.Enum('ComputeCapability', ['NONE', 'CURRENT', *targets])
        self._dla_cores = dla_cores
        self.parser_errors, self.build_error, self.engine_layers = [], '', ['FP16', 'FP32']
        self.config = self.creation_flags = None
        self.builds = 0

    def Builder(self, log):
        """Make a builder."""
        def create_network(flags):
            self.creation_flags = flags
            return SimpleNamespace(layers=[])

        def create_config():
            self.config = _Config(self)
            return self.config

        return SimpleNamespace(
            num_DLA_cores=self._dla_cores, create_network=create_network,
            create_builder_config=create_config, create_optimization_profile=_Profile,
            build_serialized_network=lambda network, config: self._build(log, network, config))

    def OnnxParser(self, network, log):
        """Make a parser."""
        def parse(data):
            if not self.parser_errors:
                _fill(network, data)
            return not self.parser_errors

        return SimpleNamespace(parse=parse, num_errors=len(self.parser_errors),
                               get_error=lambda index: self.parser_errors[index])

    def Runtime(self, log):
        """Make a runtime whose engines can only be inspected."""
        layers = [{'Outputs': [{'Format/Datatype': kind}]} for kind in self.engine_layers]
        inspector = SimpleNamespace(
            get_engine_information=lambda form: json.dumps({'Layers': layers}))
        engine = SimpleNamespace(create_engine_inspector=lambda: inspector)
        return SimpleNamespace(
            deserialize_cuda_engine=lambda data: engine if data.startswith(PLAN) else None)

    def _build(self, log, network, config):
        self.builds += 1
        monitor = config.progress_monitor
        monitor.phase_start('Building engine', None, 2)
        for step in range(2):
            if not monitor.step_complete('Building engine', step):
                return None
        monitor.phase_finish('Building engine')
        if self.build_error:
            log.log(ILogger.Severity.ERROR, self.build_error)
            return None
        log.log(ILogger.Severity.INFO, 'Total Activation Memory: 3000 bytes')
        log.log(ILogger.Severity.INFO, 'Total Weights Memory: 2000 bytes')
        log.log(ILogger.Severity.VERBOSE, 'Max Scratch Memory: 1000 bytes')
        return PLAN + network.data


class _Profile:

    def set_shape(self, name, minimum, optimum, maximum):
        self.name, self.shape = name, (minimum, optimum, maximum)


def _fill(network, data):
    """Give a network the inputs, outputs and layers of a graph."""
    graph = shape_inference.infer_shapes(onnx.load_model_from_string(data)).graph
    types = {value.name: value.type.tensor_type.elem_type
             for value in (*graph.value_info, *graph.output)}

    def tensor(value):
        kind = value.type.tensor_type
        return SimpleNamespace(
            name=value.name, dtype=SimpleNamespace(name=KINDS[kind.elem_type]),
            shape=tuple(dim.dim_value or -1 for dim in kind.shape.dim))

    layers = [SimpleNamespace(
        type=SimpleNamespace(name=node.op_type.upper()), num_outputs=len(node.output),
        get_output=lambda index, node=node: SimpleNamespace(
            dtype=SimpleNamespace(name=KINDS[types[node.output[index]]])))
        for node in graph.node]
    network.data = data
    network.num_layers, network.get_layer = len(layers), layers.__getitem__
    network.num_inputs, network.num_outputs = len(graph.input), len(graph.output)
    network.get_input = lambda index: tensor(graph.input[index])
    network.get_output = lambda index: tensor(graph.output[index])
