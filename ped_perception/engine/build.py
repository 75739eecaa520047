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
A typed graph becomes a TensorRT plan: one way for TensorRT 10, 11 and TensorRT-RTX.

The network is strongly typed always: its precision is that of the graph, and no builder flag
can change it behind our back. Building takes minutes on a vehicle computer and all of its GPU,
so nothing that runs while driving calls this: see ``engine.ensure``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import json
from pathlib import Path
import re
import time
from typing import Any

from ped_perception.core.errors import ModelError
from ped_perception.engine.files import write_whole
from ped_perception.engine.flavors import dla_problem, Library
from ped_perception.engine.listening import make_log, make_monitor, Progress, start
from ped_perception.engine.manifest import Memory, Recipe, Tensor

INPUT = 'images'
DTYPES = {'HALF': 'float16', 'FLOAT': 'float32', 'BF16': 'bfloat16', 'INT8': 'int8',
          'UINT8': 'uint8', 'INT32': 'int32', 'INT64': 'int64', 'BOOL': 'bool'}
# What must occur in a network of a precision, and what must not.
MARKS = {'fp32': (None, ('float16', 'int8')), 'fp16': ('float16', ('int8',)),
         'int8': ('int8', ())}
MEMORY_LINES = {'activation_bytes': r'Total Activation Memory: (\d+)',
                'weight_bytes': r'Total Weights Memory: (\d+)',
                'scratch_bytes': r'Max Scratch Memory: (\d+)'}


@dataclass(frozen=True, eq=False)
class Built:
    """A plan and what was read back of it; attributes as in ``manifest.Manifest``."""

    data: bytes
    tensors: tuple[Tensor, ...]
    layers: Mapping[str, int]
    layers_from: str
    memory: Memory
    builder_flags: tuple[str, ...]
    build_s: float
    warnings: tuple[str, ...]


def build_plan(library: Library, graph: Path, recipe: Recipe, *,
               timing_cache: Path | None = None,
               progress: Progress = lambda share, phase: None) -> Built:
    """
    Build a plan in memory.

    Args:
        library: of the flavour and version of the recipe.
        graph: typed graph, an ONNX file.
        recipe: what to build.
        timing_cache: file that keeps the measurements of kernels; flavours without ignore it.
        progress: called with the share done, 0..1, and the builder's name for what it does.

    Raises:
        ModelError: the parser or the builder refuses; with their messages and node names.
        BackendError: TensorRT does not start on this machine.
        KeyboardInterrupt: the user interrupted the builder.
    """
    trt = library.trt
    log = make_log(trt)
    builder = start(trt.Builder, log)
    network = _parse(library, builder, graph, log)
    layers = _check_precision(graph, recipe.precision, _network_layers(network))
    config = _configure(library, builder, network, recipe)
    cache = _open_cache(library, config, timing_cache)
    monitor = make_monitor(trt, progress)
    config.progress_monitor = monitor
    started = time.monotonic()
    plan = builder.build_serialized_network(network, config)
    build_s = time.monotonic() - started
    if monitor.interrupted:
        raise KeyboardInterrupt
    if plan is None:
        raise ModelError(f'{library} cannot build {graph}: '
                         f'{"; ".join(log.errors) or "it gives no reason"}')
    if cache is not None and timing_cache is not None:
        write_whole(timing_cache, bytes(config.get_timing_cache().serialize()))
    data = bytes(plan)
    counted = _engine_layers(trt, log, data) if recipe.gpu is not None else None
    return Built(data, _tensors(network), counted or layers, 'engine' if counted else 'network',
                 memory_from_log(log.infos), _flags(trt, config), build_s, tuple(log.warnings))


def _parse(library: Library, builder: Any, graph: Path, log: Any) -> Any:
    """Make the network of a graph, strongly typed."""
    trt = library.trt
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph.read_bytes()):
        errors = [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
        raise ModelError(f'{library} cannot read {graph}: {"; ".join(errors)}')
    return network


def memory_from_log(lines: Iterable[str]) -> Memory:
    """Find what the builder says about memory; the last word counts."""
    found: dict[str, int] = {}
    for line in lines:
        for name, pattern in MEMORY_LINES.items():
            match = re.search(pattern, line)
            if match:
                found[name] = int(match[1])
    return Memory(**found)


def _configure(library: Library, builder: Any, network: Any, recipe: Recipe) -> Any:
    trt = library.trt
    config = builder.create_builder_config()
    # What the inspector can say about precision depends on it; the speed does not.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # What is left in float32 is so because 11 bits are too few, and TF32 has no more.
    if hasattr(trt.BuilderFlag, 'TF32'):
        config.clear_flag(trt.BuilderFlag.TF32)
    profile, batches = builder.create_optimization_profile(), recipe.batches
    profile.set_shape(INPUT, *((size, *recipe.network_hw, 3) for size in (
        batches.minimum, batches.optimum, batches.maximum)))
    if config.add_optimization_profile(profile) < 0:
        raise ModelError(f'{library} does not take batches of {batches}.')
    if recipe.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_mib << 20)
    if library.flavor.has_targets:
        config.num_compute_capabilities = len(recipe.capabilities)
        for index, name in enumerate(recipe.capabilities):
            member = getattr(trt.ComputeCapability, f'SM{name.removeprefix("sm_")}')
            config.set_compute_capability(member, index)
    if recipe.dla_core is not None:
        problem = dla_problem(library, builder.num_DLA_cores, recipe.dla_core, recipe.precision,
                              batches.minimum != batches.maximum)
        if problem:
            raise ModelError(f'No plan for the DLA: {problem}.')
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = recipe.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    return config


def _flags(trt: Any, config: Any) -> tuple[str, ...]:
    """Read back which flags the builder worked with."""
    flags = trt.BuilderFlag.__members__
    return tuple(sorted(name for name, flag in flags.items() if config.get_flag(flag)))


def _open_cache(library: Library, config: Any, path: Path | None) -> Any:
    """Give the builder the measurements of earlier builds; a damaged file is begun anew."""
    if path is None or not library.flavor.has_timing_cache:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b'')
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b'')
        config.set_timing_cache(cache, False)
    return cache


def _network_layers(network: Any) -> Counter[str]:
    """Count layers by the type of their result; constants and shapes are no computation."""
    types: Counter[str] = Counter()
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type.name not in ('CONSTANT', 'SHAPE') and layer.num_outputs:
            types[_dtype(layer.get_output(0).dtype)] += 1
    return types


def _check_precision(graph: Path, precision: str, layers: Counter[str]) -> dict[str, int]:
    wanted, unwanted = MARKS[precision]
    if (wanted and not layers[wanted]) or any(layers[name] for name in unwanted):
        raise ModelError(f'{graph} is not a graph of precision {precision}: its layers give '
                         f'{dict(layers)}. Make it anew with: ped_engine import')
    return dict(sorted(layers.items()))


def _engine_layers(trt: Any, log: Any, data: bytes) -> dict[str, int] | None:
    """Count the layers of the plan itself; None where they are fused beyond recognition."""
    engine = start(trt.Runtime, log).deserialize_cuda_engine(data)
    if engine is None:
        raise ModelError(f'The plan was built and cannot be loaded: {"; ".join(log.errors)}')
    text = engine.create_engine_inspector().get_engine_information(
        trt.LayerInformationFormat.JSON)
    types: Counter[str] = Counter()
    for layer in json.loads(text)['Layers']:
        if isinstance(layer, dict) and layer.get('Outputs'):
            types[_type_from_format(str(layer['Outputs'][0].get('Format/Datatype', '')))] += 1
    # A compiler that makes one layer of everything shows the type of the boxes only.
    return dict(sorted(types.items())) if sum(types.values()) > 1 else None


def _type_from_format(text: str) -> str:
    """Read the type out of the inspector's format, as 'Channel major FP16 format' or 'Half'."""
    for pattern, dtype in ((r'FP16|Half', 'float16'), (r'FP32|Float', 'float32'),
                           (r'Int8|INT8', 'int8'), (r'BF16|BFloat', 'bfloat16')):
        if re.search(pattern, text):
            return dtype
    return text or 'unknown'


def _tensors(network: Any) -> tuple[Tensor, ...]:
    sides = ((True, network.num_inputs, network.get_input),
             (False, network.num_outputs, network.get_output))
    return tuple(
        Tensor(tensor.name, is_input, _dtype(tensor.dtype), tuple(int(n) for n in tensor.shape))
        for is_input, count, get in sides for tensor in map(get, range(count)))


def _dtype(value: Any) -> str:
    return DTYPES.get(value.name, str(value.name).lower())


def _parser_error(error: Any) -> str:
    # Older parsers know the number of the node only.
    name = getattr(error, 'node_name', None)
    where = f'{error.node_operator()} {name()}' if name else f'node {error.node()}'
    return f'{where}: {error.desc()}'
