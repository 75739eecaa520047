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
From what a vehicle asks for to a plan that is there, fits and is intact.

Building is for people at a terminal and for installers: it takes minutes and the whole GPU.
Nothing that runs while driving builds: it calls ``find_plan``, or ``ensure_plan`` with
``allow_build`` false, and fails at once with the command to run. Even where building is allowed
it never happens in a callback.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
import hashlib
from pathlib import Path
import time
from typing import Callable

from ped_perception import __version__
from ped_perception.core.errors import EngineMismatchError
from ped_perception.engine.build import build_plan
from ped_perception.engine.catalogue import ImportOptions, sha256_from_file
from ped_perception.engine.flavors import AUTO, capabilities_for, Library, load_library
from ped_perception.engine.gate import Judge
from ped_perception.engine.gpu import find_gpu
from ped_perception.engine.listening import Progress
from ped_perception.engine.manifest import Batches, Manifest, Recipe
from ped_perception.engine.models import GraphPrecision, typed_graph
from ped_perception.engine.plans import plan_lock, plan_problem, user_plans, write_plan

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


@dataclass(frozen=True, eq=False)
class Plan:
    """A request made definite: the file that answers it, and all that building it takes."""

    path: Path
    recipe: Recipe
    graph: Path
    library: Library


@dataclass(frozen=True, eq=False)
class Watch:
    """Who wants to know how a build goes: its progress, and that it waits for another."""

    progress: Progress = lambda share, phase: None
    waiting: Callable[[], object] = lambda: None


def locate_plan(request: PlanRequest) -> Plan:
    """
    Say which plan answers a request on this machine; it need not exist.

    Raises:
        ModelError: the model is unknown or damaged.
        EngineMismatchError: no such plan can be built here; says where.
        MissingExtraError: this flavour of TensorRT is not installed.
    """
    library = load_library(request.flavor)
    gpu_name, capabilities = capabilities_for(library, request.targets, find_gpu())
    graph = typed_graph(request.model, request.size_hw, precision=request.precision,
                        runtime='tensorrt', options=_options(request))
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
    problem = plan_problem(plan.path, plan.recipe)
    if problem is not None:
        raise EngineMismatchError(
            f'There is no plan of {plan.recipe.name} to use: {problem}. None is built while '
            f'driving; build it before: {_command(plan, request)}')
    return plan.path


def ensure_plan(request: PlanRequest, judge: Judge, *, allow_build: bool = True,
                force: bool = False, watch: Watch = Watch()) -> Path:
    """
    Return the plan that answers a request; build it if it is not there, damaged or stale.

    Of several processes that ask at once, one builds and the others wait for it.

    Args:
        request: what is wanted.
        judge: see ``engine.gate``; asked before a graph of lower precision is built.
        allow_build: false on a vehicle: then this is :func:`find_plan`.
        force: build even if a good plan is there.
        watch: is told how it goes.

    Raises:
        ModelError: the graph was refused by the judge, the parser or the builder.
        EngineMismatchError, MissingExtraError: see :func:`find_plan`, :func:`locate_plan`.
    """
    if not allow_build:
        return find_plan(request)
    plan = locate_plan(request)
    if not force and plan_problem(plan.path, plan.recipe) is None:
        return plan.path
    asked_ns = time.time_ns()
    with plan_lock(plan.path, watch.waiting):
        # Whoever had the lock before may have built it in the meantime.
        if plan_problem(plan.path, plan.recipe) is not None or (
                force and plan.path.stat().st_mtime_ns < asked_ns):
            _build(plan, request, judge, watch)
    return plan.path


def _build(plan: Plan, request: PlanRequest, judge: Judge, watch: Watch) -> None:
    agreement = {}
    if request.precision != 'fp32':
        reference = typed_graph(request.model, request.size_hw)
        agreement = dict(judge(reference, plan.graph, request.precision))
    cache = plan.path.parent / '-'.join(
        ['timing', plan.library.flavor.name, plan.library.version, *plan.recipe.capabilities])
    built = build_plan(plan.library, plan.graph, plan.recipe, timing_cache=cache,
                       progress=watch.progress)
    write_plan(plan.path, built.data, Manifest(
        recipe=plan.recipe, plan_sha256=hashlib.sha256(built.data).hexdigest(),
        plan_bytes=len(built.data), tensors=built.tensors, layers=built.layers,
        layers_from=built.layers_from, memory=built.memory, builder_flags=built.builder_flags,
        agreement=agreement,
        built_at=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        build_s=round(built.build_s, 2), package_version=__version__))


def _options(request: PlanRequest) -> ImportOptions:
    if request.precision != 'fp16' or not request.keep_fp32:
        return ImportOptions()      # the key of the graph stays that of the plain one
    return ImportOptions(keep_fp32=request.keep_fp32)


def _command(plan: Plan, request: PlanRequest) -> str:
    command = plan.recipe.command(request.model)
    return f'{command} -o {request.folder}' if request.folder is not None else command
