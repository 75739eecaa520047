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

"""``ped_engine verify``: is an engine intact, for this machine, and does it tell the truth."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
import sys
from typing import Any

from ped_perception.backends import BackendConfig, open_graph, open_on_cpu
from ped_perception.backends.gpu_letterbox import ensure_kernels
from ped_perception.cli.plans import (
    add_plan_options,
    gate_from_options,
    manifest_lines,
    size_of,
)
from ped_perception.core.config import text_from_size_hw
from ped_perception.core.errors import (
    BackendError,
    EngineMismatchError,
    ModelError,
    PedPerceptionError,
)
from ped_perception.engine.golden import (
    count_known,
    expectation_from,
    Expected,
    GoldenReport,
    run_golden,
    shipped_expectation,
)
from ped_perception.engine.gpu import find_gpu
from ped_perception.engine.manifest import inspect_plan, LoadedPlan, SUFFIX
from ped_perception.engine.models import has_int8, typed_graph
from ped_perception.engine.names import resolve
from ped_perception.engine.plans import built_plans, user_plans


def add_verify(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        'verify', help='check a model or a plan: intact, right on the golden pictures',
        description='Of a model: the golden pictures in float32, the precision against float32, '
                    'and every plan built of it. Of a plan: that it is intact, and on a GPU '
                    'that it finds the pedestrians of the golden pictures.')
    parser.add_argument('model', metavar='NAME|FILE|PLAN',
                        help=f'a known model, an ONNX file or a {SUFFIX} file')
    add_plan_options(parser)
    parser.add_argument('--ranges', action='store_true',
                        help='print the largest activation of every float16 layer')
    parser.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    path = Path(options.model)
    if path.suffix == SUFFIX:
        return _report([partial(_verify_plan, path, inspect_plan(path))])
    name, network_hw = resolve(options.model).name, size_of(options)
    checks = [partial(_verify_graph, options.model, network_hw)]
    on_cpu = options.precision == 'int8' and has_int8(options.model, network_hw, 'cpu')
    if on_cpu:
        checks.append(partial(_verify_on_cpu, options, network_hw))
    if not on_cpu or has_int8(options.model, network_hw, 'tensorrt'):
        checks.append(partial(_verify_precision, options, network_hw))
    start = f'{name}-{text_from_size_hw(network_hw)}-'
    checks += [partial(_verify_plan, plan, loaded)
               for plan, loaded in built_plans(user_plans(), start).items()]
    return _report(checks)


def _report(checks: Sequence[Callable[[], list[str]]]) -> int:
    """Make all checks, whatever the others say; 1 if one failed."""
    failed = 0
    for check in checks:
        try:
            print('\n'.join(check()))
        except PedPerceptionError as error:
            failed = 1
            sys.stdout.flush()
            print(f'ped_engine: {" ".join(str(error).split())}', file=sys.stderr)
    return failed


def _verify_graph(model: str, network_hw: tuple[int, int]) -> list[str]:
    name = resolve(model).name
    if shipped_expectation(name, network_hw) is None:
        return _verify_unknown(name, typed_graph(model, network_hw))
    with open_on_cpu(name, typed_graph(model, network_hw)) as backend:
        report = run_golden(backend, name)
    report.refuse()
    return [f'golden     {report}']


def _verify_unknown(name: str, graph: Path) -> list[str]:
    """Say what a model of the user finds; it need not find people as small, or photographed so."""
    with open_on_cpu(name, graph) as backend:
        found, every = count_known(backend)
    lines = [f'golden     {name} finds {found} of {every} known pedestrians; it has no own boxes']
    if found < every / 2:
        lines.append('           so few look wrong: was it told --mean, --std, --channel-order '
                     'and --class-index as it was trained?')
    return lines


def _verify_on_cpu(options: argparse.Namespace, network_hw: tuple[int, int]) -> list[str]:
    """Check the INT8 graph of this machine's processor, in the runtime that uses it."""
    from ped_perception.engine.agreement import measure, refuse, TOLERANCES
    name = resolve(options.model).name
    graph = typed_graph(options.model, network_hw, precision='int8', runtime='cpu')
    with open_graph(typed_graph(options.model, network_hw), BackendConfig(precision='fp32'),
                    1) as exact, open_graph(graph, BackendConfig(model=name), 1) as rounded:
        agreement = measure(exact, rounded, gate_from_options(options).pictures)
        refuse(agreement, TOLERANCES['int8'], 'Make it anew, with more pictures: ped_engine '
               'import --precision int8 --calibrate PICTURES')
        report = run_golden(rounded, name, _expectation(name, network_hw))
    report.refuse()
    return [f'agreement  {agreement}', f'golden     {report}']


def _verify_precision(options: argparse.Namespace, network_hw: tuple[int, int]) -> list[str]:
    if options.precision == 'fp32':
        return ['agreement  float32 is the reference']
    graph = typed_graph(options.model, network_hw, precision=options.precision,
                        runtime='tensorrt')
    gate, reference = gate_from_options(options), typed_graph(options.model, network_hw)
    figures = gate(reference, graph, options.precision)
    lines = ['agreement  ' + ', '.join(f'{key} {value}' for key, value in figures.items())]
    if options.ranges and options.precision == 'fp16':
        from ped_perception.engine.half import LARGEST_HALF
        largest = gate.activations(reference, graph)
        lines += [f"range      {value:12.3f}  {value / LARGEST_HALF:8.3%} of float16's  {layer}"
                  for layer, value in sorted(largest.items(), key=lambda item: -item[1])]
    return lines


def _verify_plan(path: Path, loaded: LoadedPlan | str) -> list[str]:
    """Check a plan; raises EngineMismatchError if it is damaged, foreign or wrong."""
    if isinstance(loaded, str):
        raise EngineMismatchError(f'{loaded}. Build it again: ped_engine build NAME --force')
    lines = [f'plan       {path}', 'intact     yes, by sha256', *manifest_lines(loaded.manifest)]
    gpu = find_gpu()
    if gpu is None:
        return [*lines, 'golden     not run: this machine has no NVIDIA GPU']
    lines.append(f'golden     {_golden_of_plan(path, loaded, "cpu")}')
    try:
        ensure_kernels(gpu.capability, allow_build=False)
    except BackendError:
        return [*lines, 'letterbox  of the GPU not run: it is not compiled']
    return [*lines, f'letterbox  of the GPU: {_golden_of_plan(path, loaded, "gpu")}']


def _golden_of_plan(path: Path, loaded: LoadedPlan, preprocess: str) -> GoldenReport:
    recipe = loaded.manifest.recipe
    config = BackendConfig(model=recipe.name, backend='tensorrt', preprocess=preprocess)
    with open_graph(path, config, recipe.batches.maximum) as backend:
        report = run_golden(backend, recipe.name, _expectation(recipe.name, recipe.network_hw))
    report.refuse()
    return report


def _expectation(name: str, network_hw: tuple[int, int]) -> Expected:
    """Take what is shipped, else what float32 finds on the CPU."""
    shipped = shipped_expectation(name, network_hw)
    if shipped is not None:
        return shipped
    try:
        graph = typed_graph(name, network_hw)
    except ModelError as error:
        raise ModelError(f'What {name} must find is not known: {error} Its file is needed: '
                         f'ped_engine import FILE --size {text_from_size_hw(network_hw)} '
                         f'--name {name}') from error
    with open_on_cpu(name, graph) as backend:
        return expectation_from(backend)
