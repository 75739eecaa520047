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
The flavours of TensorRT, and what they do differently.

TensorRT 10 and 11 (module ``tensorrt``) build on the GPU that will run the plan, by timing
kernels on it. TensorRT-RTX (module ``tensorrt_rtx``) builds on any machine for the compute
capabilities it is told, and finishes on the GPU when the plan is loaded. Everything else is one
API as long as nothing is touched that a version lacks: TensorRT 11 has no ``BuilderFlag.FP16``
and no ``EXPLICIT_BATCH``, and is always strongly typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import importlib
import importlib.util
import re
from typing import Any

from ped_perception.core.errors import (
    EngineMismatchError,
    import_extra,
    MissingExtraError,
    ModelError,
)
from ped_perception.engine.gpu import Gpu

AUTO = 'auto'


@dataclass(frozen=True)
class Flavor:
    """
    One product line.

    Attributes:
        name: as in options and manifests.
        modules: import names; the first that exists is taken.
        extra: of this package, which brings it.
        has_targets: it builds for other GPUs than that of the machine.
        has_timing_cache: measurements of kernels can be kept for the next build.
        oldest: version that has all that is used here.
        note: for whom it is not installed.
    """

    name: str
    modules: tuple[str, ...]
    extra: str
    has_targets: bool
    has_timing_cache: bool
    oldest: tuple[int, int]
    note: str = ''


FLAVORS = {flavor.name: flavor for flavor in (
    Flavor('tensorrt', ('tensorrt',), 'tensorrt', False, True, (10, 1),
           'On a Jetson it comes with JetPack instead: sudo apt install python3-libnvinfer, and a '
           'virtual environment must see the packages of the system.'),
    # The bindings alone, without the package around them, are enough to build.
    Flavor('tensorrt_rtx', ('tensorrt_rtx', 'tensorrt_rtx_bindings'), 'rtx', True, False,
           (1, 0)))}


@dataclass(frozen=True, eq=False)
class Library:
    """A flavour that is installed: its module and the version of it."""

    flavor: Flavor
    trt: Any

    @property
    def version(self) -> str:
        """Version of the library, which plans belong to."""
        return str(self.trt.__version__)

    def __str__(self) -> str:
        return f'{self.flavor.name} {self.version}'


def load_library(name: str = AUTO) -> Library:
    """
    Import a flavour; 'auto' takes TensorRT where it is installed, else TensorRT-RTX.

    Raises:
        ModelError: there is no such flavour, or it is too old.
        MissingExtraError: it is not installed.
    """
    if name == AUTO:
        name = next((flavor.name for flavor in FLAVORS.values() if _installed(flavor)),
                    next(iter(FLAVORS)))
    if name not in FLAVORS:
        raise ModelError(f'There is no flavor {name!r} of TensorRT; choose one of: {AUTO}, '
                         f'{", ".join(FLAVORS)}.')
    flavor = FLAVORS[name]
    try:
        library = Library(flavor, import_extra(_installed(flavor) or flavor.modules[0],
                                               flavor.extra))
    except MissingExtraError as error:
        raise MissingExtraError(f'{error} {flavor.note}'.rstrip()) from error
    _check_version(library)
    return library


def _check_version(library: Library) -> None:
    """Refuse a version in whose API something is missing, before that is met in the middle."""
    numbers = re.match(r'(\d+)\.(\d+)', library.version)
    if numbers is not None and (int(numbers[1]), int(numbers[2])) < library.flavor.oldest:
        oldest = '.'.join(map(str, library.flavor.oldest))
        raise ModelError(f'{library} is too old: {oldest} or newer is needed. On a Jetson it '
                         'comes with JetPack: 6.1 has 10.3.')


def _installed(flavor: Flavor) -> str | None:
    return next((name for name in flavor.modules if importlib.util.find_spec(name)), None)


def capabilities_for(library: Library, targets: Sequence[str], gpu: Gpu | None,
                     ) -> tuple[str | None, tuple[str, ...]]:
    """
    Decide what a plan is built for.

    Args:
        library: what builds.
        targets: compute capabilities asked for, as 'sm_86'; empty: the GPU of this machine.
        gpu: of this machine.

    Returns:
        The GPU's name if the plan will belong to it alone, and compute capabilities, sorted.

    Raises:
        EngineMismatchError: the flavour cannot build for them here; says where it can.
    """
    if not library.flavor.has_targets:
        if gpu is None:
            raise EngineMismatchError(
                f'{library} builds on the GPU that will run the plan, and none can be seen here. '
                'If there is one, see what nvidia-smi says, and CUDA_VISIBLE_DEVICES. Build on '
                'the vehicle, or with ped_engine build --flavor tensorrt_rtx --target sm_86 for '
                'an RTX card.')
        if set(targets) - {gpu.capability}:
            raise EngineMismatchError(
                f'{library} builds only for the GPU of this machine, {gpu}, not for '
                f'{", ".join(targets)}. Run this command on the machine that has it.')
        return gpu.name, (gpu.capability,)
    known = buildable(library)
    wanted = tuple(sorted(set(targets))) or ((gpu.capability,) if gpu else ())
    if not wanted:
        raise EngineMismatchError(
            f'No NVIDIA GPU can be seen here. If there is one, see what nvidia-smi says, and '
            f'CUDA_VISIBLE_DEVICES. A node can do without: set backend and precision to auto. '
            f'ped_engine build can, too, when told for which: --target {" | ".join(known)}')
    foreign = [target for target in wanted if target not in known]
    if foreign:
        raise EngineMismatchError(
            f'{library} cannot build for {", ".join(foreign)}, only for {", ".join(known)}. '
            'Jetson (sm_87, sm_110) and other GPUs need TensorRT itself: run ped_engine build '
            'with --flavor tensorrt on that machine.')
    return None, wanted


def buildable(library: Library) -> tuple[str, ...]:
    """Name the compute capabilities a flavour with targets can build for."""
    members = library.trt.ComputeCapability.__members__
    return tuple(f'sm_{name[2:]}' for name in members if name[:2] == 'SM')


def dla_problem(library: Library, cores: int, core: int, precision: str,
                is_dynamic: bool) -> str | None:
    """
    Say why a plan cannot use a DLA core; None if it can.

    Args:
        library: what builds.
        cores: how many the builder sees.
        core: the one asked for.
        precision: of the graph.
        is_dynamic: the batch has no fixed size.
    """
    if not cores:
        return (f'{library} sees no DLA on this machine. AGX Orin has two, which TensorRT uses '
                'up to 10.7 (JetPack 6) and again from 11.4.1 (JetPack 7.2.2). Leave out --dla')
    if not 0 <= core < cores:
        return f'there is no DLA core {core}; this machine has 0 to {cores - 1}'
    if precision == 'fp32':
        return 'a DLA computes in float16 and int8 only; choose --precision fp16'
    if is_dynamic:
        return 'a DLA takes one batch size only; give it as --batch 4,4,4'
    return None
