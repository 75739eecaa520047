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

"""Which plan answers a request on this machine, and whether it is there. Nothing is built here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
import shlex

from ped_perception.core.errors import EngineMismatchError, ModelError
from ped_perception.engine.catalogue import ImportOptions, sha256_from_file
from ped_perception.engine.flavors import AUTO, capabilities_for, Library, load_library
from ped_perception.engine.gpu import find_gpu, visible_device
from ped_perception.engine.manifest import Batches, LoadedPlan, Recipe
from ped_perception.engine.models import GraphPrecision, typed_graph
from ped_perception.engine.plans import built_plans, plan_problem, user_plans

USUAL_BATCHES = Batches(1, 4, 8)


@dataclass(frozen=True)
class PlanRequest:
    """
    What a user asks for.

    Attributes:
        model: name in models.toml, or an ONNX file.
        size_hw: network input, pixels.
        precision: of weights and activations.
        batches: sizes of the batch.
        flavor: of TensorRT, or 'auto'.
        targets: compute capabilities to build for; empty: the GPU of this machine.
        workspace_mib: most scratch memory of a layer; None: all there is.
        dla_core: core that runs what it can; None: only the GPU.
        keep_fp32: layers of the trunk that stay float32.
        folder: where plans are kept; None: in the user's cache.
        device: index of the GPU it is for.
        slots: most that will be filled at once by somebody who only runs the plan: then one
            that was built with other options, but takes so many, does as well. None: only a
            plan as described will do.
    """

    model: str
    size_hw: tuple[int, int]
    precision: GraphPrecision = 'fp16'
    batches: Batches = USUAL_BATCHES
    flavor: str = AUTO
    targets: tuple[str, ...] = ()
    workspace_mib: int | None = None
    dla_core: int | None = None
    keep_fp32: tuple[str, ...] = ()
    folder: Path | None = None
    device: int = 0
    slots: int | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """A request made definite: the file that answers it, and all that building it takes."""

    path: Path
    recipe: Recipe
    graph: Path
    library: Library


def locate_plan(request: PlanRequest) -> Plan:
    """
    Say which plan answers a request on this machine; it need not exist.

    Raises:
        ModelError: the model is unknown or damaged.
        EngineMismatchError: no such plan can be built here; says where.
        MissingExtraError: this flavour of TensorRT is not installed.
    """
    library = load_library(request.flavor)
    gpu_name, capabilities = capabilities_for(library, request.targets, find_gpu(request.device))
    graph = _graph(request)
    name = graph.name.split(f'-{request.size_hw[1]}x{request.size_hw[0]}-')[0]
    recipe = Recipe(
        name, sha256_from_file(graph), request.precision, request.size_hw, request.batches,
        library.flavor.name, library.version, gpu_name, capabilities, request.workspace_mib,
        request.dla_core, request.keep_fp32)
    folder = request.folder if request.folder is not None else user_plans()
    return Plan(folder / recipe.file_name, recipe, graph, library)


def find_plan(request: PlanRequest) -> Path:
    """
    Return the plan that answers a request, without ever building one.

    Raises:
        EngineMismatchError: there is none, or it is damaged or stale; with the reason and the
            command that builds it.
        ModelError, MissingExtraError: see :func:`locate_plan`.
    """
    plan = locate_plan(request)
    path = existing_plan(plan, request)
    if path is not None:
        return path
    raise EngineMismatchError(
        f'There is no plan of {plan.recipe.name} to use: {plan_problem(plan.path, plan.recipe)}. '
        f'None is built while driving; build it before: {build_command(plan, request)}')


def existing_plan(plan: Plan, request: PlanRequest) -> Path | None:
    """
    Give the plan that was located, or another that answers the request as well, if it is intact.

    Others are a plan of TensorRT-RTX for more GPUs than this one, and for those who say how many
    slots they fill, one of another batch, scratch memory, DLA or choice of float32 layers. The
    last one built is taken.
    """
    if plan_problem(plan.path, plan.recipe) is None:
        return plan.path
    height, width = request.size_hw
    start = f'{plan.recipe.name}-{width}x{height}-{plan.recipe.precision}-'
    others = [loaded for loaded in built_plans(plan.path.parent, start).values()
              if isinstance(loaded, LoadedPlan)
              and _answers(loaded.manifest.recipe, plan, request)]
    return max(others, key=lambda loaded: loaded.manifest.built_at).path if others else None


def _answers(found: Recipe, plan: Plan, request: PlanRequest) -> bool:
    """Tell whether a plan that is not the one located does what was asked for."""
    wanted = plan.recipe
    if (plan.library.flavor.has_targets and not request.targets
            and set(wanted.capabilities) <= set(found.capabilities)):
        wanted = replace(wanted, capabilities=found.capabilities)
    if request.slots is None or found.batches.maximum < request.slots:
        return found == wanted
    wanted = replace(wanted, batches=found.batches, workspace_mib=found.workspace_mib,
                     dla_core=found.dla_core, keep_fp32=found.keep_fp32)
    if found != replace(wanted, graph_sha256=found.graph_sha256):
        return False
    try:
        # Another choice of float32 layers is another graph, but must be one of the same model.
        graph = _graph(replace(request, keep_fp32=found.keep_fp32))
    except ModelError:
        return False
    return sha256_from_file(graph) == found.graph_sha256


def _graph(request: PlanRequest) -> Path:
    return typed_graph(request.model, request.size_hw, precision=request.precision,
                       runtime='tensorrt', options=_options(request))


def _options(request: PlanRequest) -> ImportOptions:
    if request.precision != 'fp16' or not request.keep_fp32:
        return ImportOptions()      # the key of the graph stays that of the plain one
    return ImportOptions(keep_fp32=request.keep_fp32)


def build_command(plan: Plan, request: PlanRequest) -> str:
    """Give the command that builds a plan, to be run on the machine it is for."""
    command = plan.recipe.command(request.model)
    if request.device:
        # The builder takes the first GPU it sees.
        command = f'CUDA_VISIBLE_DEVICES={visible_device(request.device)} {command}'
    return (f'{command} -o {shlex.quote(str(request.folder))}' if request.folder is not None
            else command)
