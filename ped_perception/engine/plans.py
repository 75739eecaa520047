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

"""Where plans are kept: found, checked, written so that half a plan never loads, locked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
import fcntl
import glob
from pathlib import Path

from ped_perception.core.errors import ModelError
from ped_perception.engine.files import user_folder, write_whole
from ped_perception.engine.manifest import (
    inspect_plan,
    LoadedPlan,
    Manifest,
    manifest_path,
    Recipe,
    SUFFIX,
)


def user_plans() -> Path:
    """Give the folder of plans in the user's cache."""
    return user_folder('plans')


def built_plans(folder: Path, start: str = '') -> dict[Path, LoadedPlan | str]:
    """Read the plans of a folder whose names start so; see ``inspect_plan``."""
    return {path: inspect_plan(path)
            for path in sorted(folder.glob(f'{glob.escape(start)}*{SUFFIX}'))}


def plan_problem(plan: Path, recipe: Recipe) -> str | None:
    """
    Say why a plan is not what a recipe asks for; None if it is and may be used.

    This is the check of the cache: the plan is read whole, nothing is deserialised.
    """
    loaded = inspect_plan(plan)
    if isinstance(loaded, str):
        return loaded
    found = loaded.manifest.recipe
    theirs, ours = asdict(found), asdict(recipe)
    different = [f'{key} is {theirs[key]}, not {ours[key]}' for key in ours
                 if theirs[key] != ours[key]]
    return f'{plan} is another plan: {"; ".join(different)}' if different else None


def write_plan(plan: Path, data: bytes, manifest: Manifest) -> None:
    """
    Write a plan and its manifest; hold :func:`plan_lock`.

    The manifest is taken away first and comes last, so that a process killed at any moment
    leaves the old pair, no pair or the new one.

    Raises:
        ModelError: they cannot be written.
    """
    sidecar = manifest_path(plan)
    try:
        sidecar.unlink(missing_ok=True)
        for name in (plan.name, sidecar.name):
            for left in plan.parent.glob(f'.{name}.*'):
                if left.suffix[1:].isdigit():       # of a process that was killed here
                    left.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f'{sidecar} cannot be replaced: {error}.') from error
    write_whole(plan, data)
    write_whole(sidecar, manifest.to_bytes())


@contextmanager
def plan_lock(plan: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """
    Let one process at a time work on a plan; the system frees the lock of a killed one.

    Args:
        plan: need not exist.
        waiting: called once if another process has the lock, before waiting for it.

    Raises:
        ModelError: the folder cannot be written.
    """
    try:
        plan.parent.mkdir(parents=True, exist_ok=True)
        # Never removed: two processes could then each lock a file of that name.
        stream = plan.with_name(f'.{plan.name}.lock').open('ab')
    except OSError as error:
        raise ModelError(f'{plan.parent} cannot be written: {error}. Choose another folder '
                         'with -o DIR.') from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
