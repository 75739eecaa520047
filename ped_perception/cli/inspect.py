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

"""``ped_engine inspect``: what a network costs, layer by layer, before it runs anywhere."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import re
import sys
from typing import Any, TYPE_CHECKING

from ped_perception.cli.arguments import positive, size
from ped_perception.cli.inspect_page import page_from_inspection
from ped_perception.cli.inspect_text import lines_from_inspection, megabytes, milliseconds
from ped_perception.cli.plans import size_of
from ped_perception.core.errors import import_extra, ModelError
from ped_perception.engine.files import write_whole
from ped_perception.engine.models import typed_graph, TypedGraphInfo
from ped_perception.engine.roofline import find_device, load_devices

if TYPE_CHECKING:
    from ped_perception.engine.inspect import Inspection

UNITS = {'': 1, 'B': 1, 'kB': 1e3, 'MB': 1e6, 'GB': 1e9, 'KiB': 1 << 10, 'MiB': 1 << 20,
         'GiB': 1 << 30}
SECONDS = {'us': 1e-6, 'ms': 1e-3, 's': 1.0}
NAMED = 3


def add_inspect(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        'inspect', help='what a network costs and sees, and whether it fits a budget',
        description='Counts parameters, multiplications and bytes of every layer, what the heads '
                    'can see, the memory at its peak, and an estimate of the time on devices. '
                    'Nothing is run: times are lower bounds by the roofline model, not '
                    'measurements. With budgets it exits with 1 if one is broken.')
    parser.add_argument('model', metavar='NAME|FILE',
                        help='a known model, an ONNX file, or a typed graph of ped_engine import')
    parser.add_argument('--size', type=size, metavar='WxH',
                        help='network input (default: that of models.toml or of the graph)')
    parser.add_argument('--precision', choices=('fp32', 'fp16'), default=None,
                        help='of weights and activations (default: fp16)')
    parser.add_argument('--batch', type=positive, default=1, metavar='N',
                        help='images at once (default: %(default)s)')
    parser.add_argument('--device', nargs='+', default=[], metavar='NAME',
                        help=f'estimate for: {", ".join(load_devices())}')
    parser.add_argument('--efficiency', type=_share, default=1.0, metavar='E',
                        help='part of the peak figures that is reached (default: %(default)s, '
                             'the lower bound)')
    parser.add_argument('--budget-memory', type=_bytes, metavar='SIZE',
                        help='most memory of weights and activations, as 512MiB')
    parser.add_argument('--budget-latency', type=_seconds, metavar='TIME',
                        help='most time of a batch, as 20ms; on every --device')
    parser.add_argument('--all', action='store_true', help='show every layer')
    parser.add_argument('--json', action='store_true', help='for programs')
    parser.add_argument('--html', type=Path, metavar='FILE', help='write a page with charts')
    parser.set_defaults(run=_inspect, parser=parser)


def _inspect(options: argparse.Namespace) -> int:
    if options.budget_latency is not None and not options.device:
        options.parser.error('--budget-latency needs --device; known are: '
                             f'{", ".join(load_devices())}')
    devices = [find_device(name) for name in options.device]
    import_extra('onnx', 'engine')
    from ped_perception.engine.inspect import inspect_graph, record_of
    inspection = inspect_graph(_graph(options), options.batch, devices, options.efficiency)
    broken = _broken(inspection, options.budget_memory, options.budget_latency)
    if options.html is not None:
        page = page_from_inspection(inspection, broken)
        write_whole(options.html, page.encode())
    if options.json:
        print(json.dumps({**record_of(inspection), 'broken_budgets': broken}, indent=2))
    else:
        print('\n'.join(lines_from_inspection(inspection, None if options.all else 15)))
    for line in broken:
        print(f'ped_engine: {line}', file=sys.stderr)
    return 1 if broken else 0


def _graph(options: argparse.Namespace) -> Path:
    """Take a typed graph as it is; make one of anything else."""
    path = Path(options.model)
    if path.is_file():
        try:
            info = TypedGraphInfo.from_file(path)
        except ModelError:
            pass                # a model as it was exported; if it is damaged, importing says so
        else:
            asked = (options.size or info.size_hw, options.precision or info.precision)
            if asked != (info.size_hw, info.precision):
                raise ModelError(
                    f'{path} is a typed graph already, {info.size_hw[1]}x{info.size_hw[0]} in '
                    f'{info.precision}: leave --size and --precision out.')
            return path
    return typed_graph(options.model, size_of(options), precision=options.precision or 'fp16')


def _broken(inspection: Inspection, memory: float | None, latency_s: float | None) -> list[str]:
    """Say which budgets are broken, by how much, and by which layers."""
    lines = []
    if memory is not None and inspection.memory_bytes > memory:
        layers = ', '.join(
            f'{layer.name} ({megabytes(layer.weight_bytes + layer.activation_bytes)})'
            for layer in inspection.by_memory()[:NAMED])
        lines.append(f'over the memory budget: {megabytes(inspection.memory_bytes)} of '
                     f'{megabytes(memory)}; most of it: {layers}')
    for index, found in enumerate(inspection.estimates):
        if latency_s is not None and found.latency_s > latency_s:
            kernels = ', '.join(f'{kernel.name} ({milliseconds(seconds)})'
                                for kernel, seconds in inspection.by_time(index)[:NAMED])
            lines.append(f'over the latency budget on {found.device.name}: at least '
                         f'{milliseconds(found.latency_s)} (estimate) of '
                         f'{milliseconds(latency_s)}; most of it: {kernels}')
    return lines


def _number_with_unit(text: str, units: dict[str, float], example: str) -> float:
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*([A-Za-z]*)', text)
    if match is None or match[2] not in units:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a budget; write it as {example} '
            f'({", ".join(filter(None, units))})')
    return float(match[1]) * units[match[2]]


def _bytes(text: str) -> float:
    return _number_with_unit(text, UNITS, '512MiB')


def _seconds(text: str) -> float:
    return _number_with_unit(text, SECONDS, '20ms')


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(f'{text!r} is not in (0, 1]')
    return value
