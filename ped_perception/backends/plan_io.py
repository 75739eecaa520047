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

"""Before a plan is run: whether it may be, and what goes in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ped_perception.backends.config import BackendConfig
from ped_perception.backends.graph_io import Shape
from ped_perception.core.errors import BackendError, EngineMismatchError
from ped_perception.engine.build import DTYPES
from ped_perception.engine.flavors import AUTO, Library, load_library
from ped_perception.engine.gpu import find_gpu, Gpu
from ped_perception.engine.manifest import inspect_plan, load_plan, LoadedPlan, Machine

Io = dict[str, tuple[str, Shape]]


def admitted_plan(plan: Path, config: BackendConfig) -> tuple[LoadedPlan, Library, Gpu]:
    """
    Read a plan that this machine and this configuration may use.

    Raises:
        BackendError, EngineMismatchError, MissingExtraError: see ``TensorRtBackend``.
    """
    described = inspect_plan(plan)
    flavor = AUTO if isinstance(described, str) else described.manifest.recipe.flavor
    library = load_library(flavor)
    gpu = find_gpu(config.device)
    if gpu is None:
        raise BackendError(f'There is no NVIDIA GPU with the index {config.device}, or no driver '
                           'for it. Set device, or backend to auto.')
    loaded = load_plan(plan, Machine(library.flavor.name, library.version, gpu))
    precision = loaded.manifest.recipe.precision
    if config.precision not in ('auto', precision):
        raise EngineMismatchError(
            f'{plan} computes in {precision}, precision is set to {config.precision}. Set it to '
            f'auto or {precision}, or build another plan: ped_engine build '
            f'{loaded.manifest.recipe.name} --precision {config.precision}')
    return loaded, library, gpu


def io_of_engine(trt: Any, engine: Any) -> tuple[Io, Io]:
    """Describe inputs and outputs as ``graph_shape_from_io`` takes them."""
    inputs: Io = {}
    outputs: Io = {}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        kind = engine.get_tensor_dtype(name).name
        (inputs if is_input else outputs)[name] = (
            DTYPES.get(kind, kind), [int(size) for size in engine.get_tensor_shape(name)])
    return inputs, outputs
