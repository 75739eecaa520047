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
The sidecar of a plan: what it was built from, for and with, and whether it may be used here.

A TensorRT plan is a binary that belongs to one version of TensorRT and one GPU, and nothing in
it can be trusted before it is deserialised; a wrong one crashes, or computes garbage. So every
plan ``NAME.plan`` has a manifest ``NAME.plan.json``, written last: a plan without one is not
there. ``load_plan`` is the only way from a plan file to bytes for the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
import hashlib
import json
from pathlib import Path
import shlex
from typing import Any

from ped_perception.core.errors import EngineMismatchError
from ped_perception.engine.gpu import Gpu

# Also of the way plans are built beyond their recipe, such as without TF32: plans of another way
# are not taken for ours.
FORMAT = 2
SUFFIX = '.plan'


@dataclass(frozen=True)
class Batches:
    """Sizes of the batch a plan takes (minimum, maximum) and is tuned for (optimum)."""

    minimum: int
    optimum: int
    maximum: int

    def __str__(self) -> str:
        return f'{self.minimum},{self.optimum},{self.maximum}'


@dataclass(frozen=True)
class Recipe:
    """
    All that decides the bytes of a plan.

    Attributes:
        name: of the model.
        graph_sha256: of the typed graph, an ONNX file.
        precision: of the trunk: 'fp32', 'fp16' or 'int8'.
        network_hw: network input, pixels.
        batches: see there.
        flavor: 'tensorrt' or 'tensorrt_rtx'.
        flavor_version: as the library gives it.
        gpu: name of the only GPU it runs on; None: any of ``capabilities``.
        capabilities: compute capabilities it runs on, as 'sm_86'.
        workspace_mib: most scratch memory of a layer; None: all there is.
        dla_core: core that runs what it can, the GPU the rest; None: only the GPU.
        keep_fp32: layers of the trunk that were kept in float32.
    """

    name: str
    graph_sha256: str
    precision: str
    network_hw: tuple[int, int]
    batches: Batches
    flavor: str
    flavor_version: str
    gpu: str | None
    capabilities: tuple[str, ...]
    workspace_mib: int | None = None
    dla_core: int | None = None
    keep_fp32: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Digest of the recipe: plans with one key are interchangeable."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def file_name(self) -> str:
        """Name of the plan's file; covers the whole recipe."""
        height, width = self.network_hw
        return (f'{self.name}-{width}x{height}-{self.precision}-b{self.batches.maximum}-'
                f'{self.flavor}-{"-".join(self.capabilities)}-{self.key[:16]}{SUFFIX}')

    def command(self, model: str | None = None) -> str:
        """
        Give the command that builds such a plan, to be run on the machine it is for.

        Args:
            model: name or file of the model, if it is not simply its name.
        """
        height, width = self.network_hw
        words = ['ped_engine', 'build', model or self.name, '--size', f'{width}x{height}',
                 '--precision', self.precision, '--batch', str(self.batches),
                 '--flavor', self.flavor]
        if self.gpu is None:
            words += ['--target', *self.capabilities]
        for option, value in (('--workspace', self.workspace_mib), ('--dla', self.dla_core)):
            words += [option, str(value)] if value is not None else []
        for layer in self.keep_fp32:
            words += ['--keep-fp32', layer]
        return shlex.join(words)


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan; -1 is the size of the batch."""

    name: str
    is_input: bool
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """What the builder said a plan takes on the GPU, at the largest batch; None: not said."""

    activation_bytes: int | None = None
    weight_bytes: int | None = None
    scratch_bytes: int | None = None


@dataclass(frozen=True)
class Manifest:
    """
    All that is known of a plan.

    Attributes:
        recipe: what it was built from, for and with.
        plan_sha256, plan_bytes: of the plan file.
        tensors: inputs and outputs.
        layers: number of layers by the element type of their result.
        layers_from: what was counted: 'engine' (read back from the plan, which takes a GPU) or
            'network' (the strongly typed network that it was built from).
        memory: see there.
        builder_flags: that the builder worked with, as TensorRT names them, read back. TF32 is
            never among them: float32 means float32.
        agreement: figures of ``engine.agreement`` against float32; empty: it is float32.
        built_at: UTC, ISO 8601.
        build_s: how long the builder took.
        package_version: of ped_perception.
    """

    recipe: Recipe
    plan_sha256: str
    plan_bytes: int
    tensors: tuple[Tensor, ...]
    layers: Mapping[str, int]
    layers_from: str
    memory: Memory
    builder_flags: tuple[str, ...]
    agreement: Mapping[str, float | str]
    built_at: str
    build_s: float
    package_version: str

    def to_bytes(self) -> bytes:
        """Give the one way to write this manifest, its checksum included."""
        content = {'format': FORMAT, **asdict(self)}
        checksum = hashlib.sha256(_json_bytes(content)).hexdigest()
        return _json_bytes({**content, 'checksum': checksum})

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """
        Read a manifest.

        Raises:
            ValueError: it is not, to the byte, what :meth:`to_bytes` wrote.
        """
        try:
            content = json.loads(data)
            if content.pop('format') != FORMAT:
                raise ValueError(f'its format is not {FORMAT}: another version wrote it')
            del content['checksum']
            recipe = dict(content.pop('recipe'))
            recipe.update(batches=Batches(**recipe['batches']),
                          **{key: tuple(recipe[key])
                             for key in ('network_hw', 'capabilities', 'keep_fp32')})
            tensors = tuple(Tensor(**{**row, 'shape': tuple(row['shape'])})
                            for row in content.pop('tensors'))
            manifest = cls(recipe=Recipe(**recipe), tensors=tensors,
                           memory=Memory(**content.pop('memory')),
                           builder_flags=tuple(content.pop('builder_flags')), **content)
            # Compared whole: a byte that changed between two values counts, too.
            if manifest.to_bytes() != data:
                raise ValueError('the checksum is wrong')
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'is damaged ({error})') from error
        return manifest


@dataclass(frozen=True)
class Machine:
    """What would run a plan here."""

    flavor: str
    flavor_version: str
    gpu: Gpu | None


@dataclass(frozen=True)
class LoadedPlan:
    """A plan that may be given to the runtime, and its manifest."""

    path: Path
    data: bytes
    manifest: Manifest


def manifest_path(plan: Path) -> Path:
    """Say where the manifest of a plan is."""
    return plan.with_name(f'{plan.name}.json')


def inspect_plan(plan: Path) -> LoadedPlan | str:
    """Read a plan and its manifest, or say why they cannot be used on any machine."""
    sidecar = manifest_path(plan)
    try:
        manifest = Manifest.from_bytes(sidecar.read_bytes())
        data = plan.read_bytes()
    except FileNotFoundError as error:
        return f'{error.filename} does not exist'
    except OSError as error:
        return f'{error.filename} cannot be read ({error.strerror})'
    except ValueError as error:
        return f'{sidecar} {error}'
    if len(data) != manifest.plan_bytes or _sha256(data) != manifest.plan_sha256:
        return f'{plan} is damaged (it is not what its manifest describes)'
    return LoadedPlan(plan, data, manifest)


def load_plan(plan: Path, machine: Machine) -> LoadedPlan:
    """
    Read a plan that this machine can run; to be called before anything is deserialised.

    Args:
        plan: the file ``….plan``; its manifest lies beside it.
        machine: what will run it.

    Raises:
        EngineMismatchError: it is missing, damaged, or was built for another library, version
            or GPU; says which, and the command that builds one for this machine.
    """
    loaded = inspect_plan(plan)
    if isinstance(loaded, str):
        raise EngineMismatchError(f'{loaded}. Build it: ped_engine build NAME')
    problem = machine_problem(loaded.manifest.recipe, machine)
    if problem is not None:
        raise EngineMismatchError(
            f'{plan} {problem}. Build it here: {_rebuild(loaded.manifest.recipe, machine)}')
    return loaded


def machine_problem(recipe: Recipe, machine: Machine) -> str | None:
    """Say why plans of a recipe do not run on a machine; None if they do."""
    if recipe.flavor != machine.flavor:
        return f'was built for {recipe.flavor}, this machine has {machine.flavor}'
    if recipe.flavor_version != machine.flavor_version:
        return (f'was built for {recipe.flavor} {recipe.flavor_version}, this machine has '
                f'{machine.flavor_version}')
    wanted = recipe.gpu or ' or '.join(recipe.capabilities)
    if machine.gpu is None:
        return f'was built for {wanted}, this machine has no NVIDIA GPU'
    if (machine.gpu.capability not in recipe.capabilities
            or recipe.gpu not in (None, machine.gpu.name)):
        return f'was built for {wanted}, this machine has {machine.gpu}'
    return None


def _rebuild(recipe: Recipe, machine: Machine) -> str:
    """Give the command for this machine, which the recipe may not fit."""
    height, width = recipe.network_hw
    return (f'ped_engine build {recipe.name} --size {width}x{height} --precision '
            f'{recipe.precision} --batch {recipe.batches} --flavor {machine.flavor}')


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + '\n').encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
