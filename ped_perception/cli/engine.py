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

"""``ped_engine``: models in, typed graphs and TensorRT plans out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
import json
import os
from pathlib import Path
import sys
from typing import Any

from ped_perception.cli.arguments import size
from ped_perception.cli.inspect import add_inspect
from ped_perception.cli.int8 import import_int8, KEPT_FROM_CALIBRATION, Pictures
from ped_perception.cli.plans import add_build, plan_rows, print_plan_rows
from ped_perception.cli.verify import add_verify
from ped_perception.core.config import text_from_size_hw
from ped_perception.core.errors import ModelError, PedPerceptionError
from ped_perception.engine.catalogue import find_file, ImportOptions, ModelEntry, SourceModel
from ped_perception.engine.models import (
    cached_path,
    compile_graph,
    ImportReport,
    stale_int8,
    TypedGraphInfo,
)
from ped_perception.engine.names import check_name, is_packaged, known_models, remember, resolve


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the program.

    Returns:
        0 if it did what was asked, 1 if not; 130 after Ctrl-C, 141 where nobody reads its output
        any more, as shells count these.
    """
    options = _parser().parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except PedPerceptionError as error:
        # One line, whatever a library put into its message.
        print(f'ped_engine: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('ped_engine: interrupted', file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='ped_engine',
        description='Turns detectors into typed pedestrian graphs and TensorRT plans.')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    _add_list(commands)
    _add_import(commands)
    add_build(commands)
    add_inspect(commands)
    add_verify(commands)
    return parser


# -- list ---------------------------------------------------------------------------------------


def _add_list(commands: Any) -> None:
    parser = commands.add_parser('list', help='list the models and the plans built of them')
    parser.add_argument('--json', action='store_true', help='for programs')
    parser.set_defaults(run=_list)


def _list(options: argparse.Namespace) -> int:
    rows = [_model_row(entry) for entry in known_models().values()]
    plans = plan_rows()
    if options.json:
        print(json.dumps(rows + plans, indent=2))
        return 0
    print(f'{"name":<24}{"family":<12}{"size":<10}{"AP50":>6}{"AP":>6}  {"available":<11}licence')
    for row in rows:
        first = row['measured'][0] if row['measured'] else {'ap50': '-', 'ap': '-'}
        available = 'yes' if row['path'] else 'no'
        print(f'{row["name"]:<24}{row["family"]:<12}{row["size"]:<10}{first["ap50"]:>6}'
              f'{first["ap"]:>6}  {available:<11}{row["licence"]}')
    for row in rows:
        if not row['path']:
            print(f'\n{row["name"]}: {row["how_to_get"]}')
    print_plan_rows(plans)
    return 0


def _model_row(entry: ModelEntry) -> dict[str, Any]:
    path = find_file(entry)
    return {
        'name': entry.name, 'kind': 'model', 'title': entry.title,
        'family': entry.family, 'path': str(path) if path else None,
        'shipped': entry.shipped, 'size': text_from_size_hw(entry.size_hw),
        'licence': entry.licence,
        'prebuilt': [{'size': text_from_size_hw(row.size_hw), 'precision': row.precision,
                      'runtime': row.runtime, 'agreement': row.agreement}
                     for row in entry.prebuilt],
        'source': entry.source, 'how_to_get': entry.how_to_get,
        'measured': [{'images': row.images, 'size': text_from_size_hw(row.size_hw),
                      'ap50': row.ap50, 'ap': row.ap} for row in entry.measured]}


# -- import -------------------------------------------------------------------------------------


def _add_import(commands: Any) -> None:
    parser = commands.add_parser(
        'import', help='compile a model into one typed graph',
        description='Compiles a detector into one graph: uint8 BGR images in, pedestrian boxes '
                    'and scores out. What is not given comes from models.toml for known '
                    'models, else from the family. What is given is remembered under the '
                    "model's name.")
    parser.add_argument('model', metavar='NAME|FILE', help='a known model or an ONNX file')
    parser.add_argument('--size', required=True, type=size, metavar='WxH',
                        help='network input, as 640x384')
    parser.add_argument('-o', '--output', type=Path, metavar='FILE',
                        help="ONNX file to write (default: in the user's cache)")
    parser.add_argument('--name', help='that the other commands and the node shall know it by '
                                       '(default: of the file)')
    parser.add_argument('--family', help='model family (default: detected)')
    parser.add_argument('--class-index', type=int, metavar='I', help='class of the pedestrian')
    parser.add_argument('--class-count', type=int, metavar='C', help='classes of the model')
    parser.add_argument('--top-k', type=int, metavar='K', help='candidates per image')
    parser.add_argument('--precision', choices=('fp32', 'fp16', 'int8'), default='fp32',
                        help='type of weights and activations (default: %(default)s); int8 '
                             'needs --calibrate')
    parser.add_argument('--calibrate', metavar='SOURCE',
                        help='folder of pictures, video or rosbag2 recording, with people, as '
                             'the camera takes them; a quarter is kept to compare with float32')
    parser.add_argument('--pictures', type=_count, default=200, metavar='N',
                        help='pictures taken of it at most (default: %(default)s)')
    parser.add_argument('--runtime', choices=('cpu', 'tensorrt'), default='cpu',
                        help='what will run the int8 graph (default: %(default)s)')
    parser.add_argument('--mean', type=float, nargs=3, metavar='V',
                        help='grey levels subtracted, in the order of --channel-order')
    parser.add_argument('--std', type=float, nargs=3, metavar='V', help='divisors after that')
    parser.add_argument('--channel-order', choices=('bgr', 'rgb'), help='what the model expects')
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> int:
    source = resolve(options.model, remembered=False)
    if options.name is not None:
        source = replace(source, name=options.name)
    is_own = not is_packaged(source)
    if is_own:
        check_name(source.name)
    wanted = ImportOptions(
        options.family, options.class_index, options.class_count, options.top_k,
        tuple(options.mean) if options.mean else None,
        tuple(options.std) if options.std else None, options.channel_order)
    output = options.output or cached_path(source, options.size, options.precision, wanted,
                                           runtime=options.runtime)
    if options.precision == 'int8':
        lines, family = _import_int8(source, options, wanted, output)
    else:
        report = compile_graph(source, options.size, options.precision, wanted, output)
        lines, family = _summary(report), report.family
    if is_own:
        is_same = remember(source, family, options.size, wanted.or_else(source.options))
        lines.append(f'name       {source.name}{"" if is_same else ", no longer that of another"}')
    print('\n'.join(lines))
    return 0


def _import_int8(source: SourceModel, options: argparse.Namespace, wanted: ImportOptions,
                 output: Path) -> tuple[list[str], str]:
    if options.calibrate is None:
        raise ModelError('INT8 needs pictures to calibrate with: add --calibrate FOLDER, VIDEO '
                         'or RECORDING.')
    lines = import_int8(source, options.size, wanted, options.runtime,
                        Pictures(options.calibrate, options.pictures), output)
    if options.output is None:
        for stale in stale_int8(output):
            stale.unlink(missing_ok=True)
    return lines, TypedGraphInfo.from_file(output).family


def _summary(report: ImportReport) -> list[str]:
    spec, saving = report.spec, report.saving
    height, width = spec.size_hw
    saved = 'nothing'
    if saving.parameters:
        saved = (f'{saving.parameters:,} parameters, {saving.weight_bytes / 1e3:,.0f} kB of '
                 f'float32 weights, {saving.macs / 1e6:,.1f} million MACs an image '
                 '(the other classes)')
    if saving.uncut:
        saved += f'; all classes are needed by {", ".join(saving.uncut)}'
    return [
        f'family     {report.family} ({report.reason})',
        f'input      images uint8[N,{height},{width},3] BGR',
        f'network    {spec.channel_order.upper()}, mean {list(spec.mean)}, std {list(spec.std)}',
        f'class      {spec.class_index} of {spec.class_count}',
        f'saved      {saved}',
        f'output     boxes float32[N,{report.top_k},4], scores float32[N,{report.top_k}]',
        f'precision  {spec.precision}, {report.nodes} nodes',
        f'file       {report.path} ({report.path.stat().st_size / 1e6:.2f} MB)']


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < KEPT_FROM_CALIBRATION:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of at least '
                                         f'{KEPT_FROM_CALIBRATION}')
    return int(text)


if __name__ == '__main__':
    sys.exit(main())
