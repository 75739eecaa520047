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

Building is for people at a terminal, for installers, and for a program that starts and was told
it may: it takes minutes and the whole GPU. Nothing that runs while driving builds: it calls
``find_plan``, or ``ensure_plan`` with ``allow_build`` false, and fails at once with the command
to run. Even where building is allowed it never happens in a callback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
import hashlib
from pathlib import Path
import time
from typing import TYPE_CHECKING

from ped_perception import __version__
from ped_perception.core.errors import EngineMismatchError
from ped_perception.engine.build import build_plan
from ped_perception.engine.gpu import find_gpu
from ped_perception.engine.listening import Progress
from ped_perception.engine.locate import (
    build_command,
    existing_plan,
    find_plan,
    locate_plan,
    Plan,
    PlanRequest,
)
from ped_perception.engine.manifest import Manifest
from ped_perception.engine.models import typed_graph
from ped_perception.engine.plans import plan_lock, plan_problem, write_plan

if TYPE_CHECKING:
    from ped_perception.engine.gate import Judge  # needs scipy: 50 MB for who only finds a plan


@dataclass(frozen=True, eq=False)
class Watch:
    """
    Who wants to know how a build goes.

    Attributes:
        progress: called with the share done, 0..1, and what is being done.
        waiting: called once if another process builds this plan and is waited for.
        building: called once, before it begins, with the plan's file.
    """

    progress: Progress = lambda share, phase: None
    waiting: Callable[[], object] = lambda: None
    building: Callable[[Path], object] = lambda path: None


NOBODY = Watch()


def ensure_plan(request: PlanRequest, judge: Judge, *, allow_build: bool = True,
                force: bool = False, watch: Watch = NOBODY) -> Path:
    """
    Return the plan that answers a request; build it if it is not there, damaged or stale.

    Of several processes that ask at once, one builds and the others wait for it.

    Args:
        request: what is wanted.
        judge: see ``engine.gate``; asked before a graph of lower precision is built.
        allow_build: false on a vehicle: then this is :func:`find_plan`.
        force: build even if a good plan is there.
        watch: is told how it goes.

    Returns:
        The plan; without ``force`` it may be one that answers as well, see ``existing_plan``.

    Raises:
        ModelError: the graph was refused by the judge, the parser or the builder.
        EngineMismatchError, MissingExtraError: see :func:`find_plan`, :func:`locate_plan`.
    """
    if not allow_build:
        return find_plan(request)
    plan = locate_plan(request)
    there = None if force else existing_plan(plan, request)
    if there is not None:
        return there
    asked_ns = time.time_ns()
    with plan_lock(plan.path, watch.waiting):
        # Whoever had the lock before may have built it in the meantime.
        if plan_problem(plan.path, plan.recipe) is not None or (
                force and plan.path.stat().st_mtime_ns < asked_ns):
            _build(plan, request, judge, watch)
    return plan.path


def _build(plan: Plan, request: PlanRequest, judge: Judge, watch: Watch) -> None:
    _check_device(plan, request)
    watch.building(plan.path)
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


def _check_device(plan: Plan, request: PlanRequest) -> None:
    """Refuse to build for one GPU by timing kernels on another."""
    if plan.library.flavor.has_targets or not request.device:
        return
    first, wanted = find_gpu(), find_gpu(request.device)
    if first != wanted:
        raise EngineMismatchError(
            f'{plan.library} builds on the first GPU, {first}; the plan is for device '
            f'{request.device}, {wanted}. Build it so that only that one is seen: '
            f'{build_command(plan, request)}')
