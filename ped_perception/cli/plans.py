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

"""``ped_engine build``: a model becomes a TensorRT plan; and the plans that are there."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
import sys
from typing import Any

from ped_perception.backends import open_on_cpu
from ped_perception.backends.gpu_letterbox import ensure_kernels
from ped_perception.cli.arguments import positive, size
from ped_perception.core.config import text_from_size_hw
from ped_perception.core.errors import BackendError, ImageError, import_extra, ModelError
from ped_perception.engine.agreement import LabelledPicture
from ped_perception.engine.ensure import ensure_plan, Watch
from ped_perception.engine.flavors import AUTO, FLAVORS
from ped_perception.engine.gate import Gate
from ped_perception.engine.golden import golden_pictures
from ped_perception.engine.locate import PlanRequest, USUAL_BATCHES
from ped_perception.engine.manifest import (
    Batches,
    inspect_plan,
    LoadedPlan,
    Manifest,
    SUFFIX,
)
from ped_perception.engine.models import TypedGraphInfo
from ped_perception.engine.names import resolve, usual_size
from ped_perception.engine.plans import built_plans, user_plans
from ped_perception.sources import open_source
from tqdm import tqdm

MOST_PICTURES = 200
MEGABYTE = 1e6


def add_build(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        'build', help='build the TensorRT plan of a model',
        description='Builds a plan for this GPU, or with TensorRT-RTX for others, checks its '
                    'precision against float32 on pictures, and writes it with a manifest. Does '
                    'nothing if a good one is there. Where nvcc is, the letterbox of the GPU '
                    'is compiled, too.')
    parser.add_argument('model', metavar='NAME|FILE', help='a known model or an ONNX file')
    add_plan_options(parser)
    parser.add_argument('--flavor', choices=(AUTO, *FLAVORS), default=AUTO,
                        help='of TensorRT (default: the one installed)')
    parser.add_argument('--target', nargs='+', default=(), metavar='sm_XX',
                        help='compute capabilities to build for (tensorrt_rtx; default: that of '
                             'this GPU)')
    parser.add_argument('--workspace', type=positive, metavar='MiB',
                        help='most scratch memory of a layer (default: all there is)')
    parser.add_argument('--dla', type=int, metavar='CORE',
                        help='DLA core that runs what it can; the GPU runs the rest')
    parser.add_argument('--keep-fp32', action='append', default=[], metavar='LAYER',
                        help='layer that stays float32; may be given several times')
    parser.add_argument('-o', '--output', type=Path, metavar='DIR',
                        help="folder of the plan (default: in the user's cache)")
    parser.add_argument('--force', action='store_true', help='build even if a good plan is there')
    parser.set_defaults(run=_build)


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add what ``build`` and ``verify`` have in common."""
    parser.add_argument('--size', type=size, metavar='WxH',
                        help='network input (default: that of models.toml)')
    parser.add_argument('--precision', choices=('fp16', 'fp32', 'int8'), default='fp16',
                        help='of weights and activations (default: %(default)s); int8 takes the '
                             'graph of ped_engine import')
    parser.add_argument('--batch', type=_batches, default=USUAL_BATCHES, metavar='MIN,OPT,MAX',
                        help='sizes of the batch, or one (default: %(default)s)')
    parser.add_argument('--images', metavar='SOURCE',
                        help='folder, video or recording with people, on which precisions are '
                             'compared (default: the golden pictures)')


def request_from_options(options: argparse.Namespace) -> PlanRequest:
    """
    Read the options of ``build``.

    Raises:
        ModelError: the size is not given and not known.
    """
    return PlanRequest(
        options.model, size_of(options), options.precision, options.batch, options.flavor,
        tuple(options.target), options.workspace, options.dla, tuple(options.keep_fp32),
        options.output)


def size_of(options: argparse.Namespace) -> tuple[int, int]:
    """
    Give the network input asked for, else the model's usual one, else that of a typed graph.

    Raises:
        ModelError: none is known, or not even the model.
    """
    if options.size is not None:
        height, width = options.size
        return height, width
    if Path(options.model).suffix == SUFFIX:
        raise ModelError(f'{options.model} is a plan, and this takes the model that it was built '
                         f'of; look at a plan with: ped_engine verify {options.model}')
    size_hw = usual_size(options.model)
    if size_hw is not None:
        return size_hw
    path = resolve(options.model).path      # what is neither file nor name is told that
    import_extra('onnx', 'engine')
    from ped_perception.engine.trunk import load_model
    metadata = {entry.key: entry.value for entry in load_model(path).metadata_props}
    try:
        return TypedGraphInfo.from_metadata(metadata, str(path)).size_hw
    except ModelError:
        raise ModelError(f'The input size of {options.model} is not known; say it: '
                         '--size WxH') from None


def gate_from_options(options: argparse.Namespace) -> Gate:
    """Make the judge of a graph: float32 on the CPU, on the pictures asked for."""
    return Gate(partial(open_on_cpu, resolve(options.model).name),
                list(_pictures(options.images)))


def plan_row(path: Path, loaded: LoadedPlan | str) -> dict[str, Any]:
    """Describe a plan for ``list``."""
    if isinstance(loaded, str):
        return {'name': path.name, 'kind': 'plan', 'path': str(path), 'problem': loaded}
    manifest = loaded.manifest
    recipe, memory = manifest.recipe, manifest.memory
    return {
        'name': recipe.name, 'kind': 'plan', 'path': str(path), 'problem': None,
        'size': text_from_size_hw(recipe.network_hw),
        'precision': recipe.precision, 'batch': str(recipe.batches),
        'flavor': recipe.flavor, 'flavor_version': recipe.flavor_version, 'gpu': recipe.gpu,
        'capabilities': list(recipe.capabilities), 'plan_bytes': manifest.plan_bytes,
        'activation_bytes': memory.activation_bytes, 'weight_bytes': memory.weight_bytes,
        'built_at': manifest.built_at}


def plan_rows() -> list[dict[str, Any]]:
    """Describe the plans in the user's cache for ``list``."""
    return [plan_row(path, loaded) for path, loaded in built_plans(user_plans()).items()]


def print_plan_rows(rows: list[dict[str, Any]]) -> None:
    """Print what ``plan_rows`` gave."""
    if rows:
        print(f'\n{"built plan":<24}{"size":<10}{"type":<6}{"batch":<8}for')
    for row in rows:
        if row['problem']:
            print(f'{row["name"]}: {row["problem"]}')
        else:
            print(f'{row["name"]:<24}{row["size"]:<10}{row["precision"]:<6}{row["batch"]:<8}'
                  f'{row["gpu"] or " ".join(row["capabilities"])}, '
                  f'{row["flavor"]} {row["flavor_version"]}')


def manifest_lines(manifest: Manifest) -> list[str]:
    """Say all about a plan that its user wants to know."""
    recipe, memory = manifest.recipe, manifest.memory
    layers = ', '.join(f'{count} {name}' for name, count in manifest.layers.items())
    read_from = 'the plan' if manifest.layers_from == 'engine' else 'the typed network'
    library = f'{recipe.flavor} {recipe.flavor_version}'
    sizes = {'activations': memory.activation_bytes, 'weights': memory.weight_bytes,
             'scratch': memory.scratch_bytes}
    return [
        f'for        {recipe.gpu or " ".join(recipe.capabilities)}, {library}',
        f'precision  {recipe.precision}; layers in {read_from}: {layers}',
        f'batch      {recipe.batches} (minimum, optimum, maximum)',
        'memory     ' + ', '.join(f'{key} {_megabytes(n)}' for key, n in sizes.items()),
        f'built      {manifest.built_at} in {manifest.build_s:.1f} s',
        *_agreement_lines(manifest)]


def _agreement_lines(manifest: Manifest) -> Iterator[str]:
    figures = manifest.agreement
    if figures:
        yield (f'agreement  {figures["found"]:.1%} of {figures["boxes"]} pedestrians of float32 '
               f'found; boxes move {figures["shift_px_p99"]:.2f} px at 99 %, scores '
               f'{figures["score_shift_p95"]:.3f} at 95 %')
    if 'largest_activation' in figures:
        yield (f'range      largest activation {figures["largest_activation"]} in '
               f'{figures["largest_activation_layer"]}; float16 holds 65504')


def _build(options: argparse.Namespace) -> int:
    request = request_from_options(options)
    with _watch() as watch:
        path = ensure_plan(request, gate_from_options(options), force=options.force, watch=watch)
    loaded = inspect_plan(path)
    if isinstance(loaded, str):
        raise ModelError(f'{loaded}. Something else changes this folder; try again.')
    size = f'{loaded.manifest.plan_bytes / MEGABYTE:.2f} MB'
    print('\n'.join([*manifest_lines(loaded.manifest), f'plan       {path} ({size})']))
    print('\n'.join(map(_letterbox_line, loaded.manifest.recipe.capabilities)))
    return 0


def _letterbox_line(capability: str) -> str:
    """Compile the letterbox for a GPU that the plan is for; without it the plan works as well."""
    try:
        return f'letterbox  {ensure_kernels(capability, allow_build=True)}'
    except BackendError as error:
        return f'letterbox  not compiled for {capability}, so preprocess must be cpu: {error}'


@contextmanager
def _watch() -> Iterator[Watch]:
    """Show the builder's progress as a bar, on a terminal."""
    with tqdm(total=100, unit='%', disable=None, leave=False,
              bar_format='{desc} |{bar}| {n:.0f} % [{elapsed}]') as bar:
        def progress(share: float, phase: str) -> None:
            """Move the bar."""
            bar.set_description_str(phase, refresh=False)
            bar.update(max(0.0, 100 * share - bar.n))

        def waiting() -> None:
            """Say that another process builds."""
            print('ped_engine: another process builds this plan; waiting for it', file=sys.stderr)

        yield Watch(progress, waiting)


def _pictures(source: str | None) -> Iterator[LabelledPicture]:
    if source is None:
        yield from map(LabelledPicture, golden_pictures().values())
        return
    with open_source(source) as frames:
        step = max(1, -(-(frames.frame_count or 0) // MOST_PICTURES))
        for index, frame in enumerate(frames):
            if index >= step * MOST_PICTURES:
                return
            if index % step:
                continue
            try:
                yield LabelledPicture(frame.picture.bgr())
            except ImageError:
                continue    # a damaged picture says nothing; the others do


def _megabytes(count: int | None) -> str:
    return 'unknown' if count is None else f'{count / MEGABYTE:.1f} MB'


def _batches(text: str) -> Batches:
    sizes = [positive(part) for part in text.split(',')]
    if len(sizes) == 1:
        sizes *= 3
    if len(sizes) != 3 or sizes != sorted(sizes):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not MINIMUM,OPTIMUM,MAXIMUM, as in {USUAL_BATCHES}')
    return Batches(*sizes)
