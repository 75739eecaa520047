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

"""``ped_launch_check``: launch files and their parameter files, checked without starting them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from ped_perception.cli.launch_scope import Findings
from ped_perception.cli.launch_walk import check_launch_file
from ped_perception.core.errors import PedPerceptionError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns 0 where nothing is wrong, 1 where something is."""
    options = _parser().parse_args(arguments)
    files = [Path(text) for text in options.words if ':=' not in text]
    given = dict(text.split(':=', 1) for text in options.words if ':=' in text)
    if not files:
        print('ped_launch_check: no launch file is given', file=sys.stderr)
        return 1
    findings = Findings()
    try:
        for file in files:
            check_launch_file(file.resolve(), given, findings)
    except PedPerceptionError as error:
        print(f'ped_launch_check: {error}', file=sys.stderr)
        return 1
    for note in findings.notes:
        print(f'note: {note}')
    for fault in findings.faults:
        print(fault, file=sys.stderr)
    faults = len(findings.faults)
    print(f'{len(files)} launch file{"s" if len(files) > 1 else ""} checked with all that '
          f'{"they include" if len(files) > 1 else "it includes"}: '
          + (f'{faults} fault{"s" if faults > 1 else ""}' if faults else 'nothing is wrong'))
    return int(bool(faults))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='ped_launch_check',
        description='Checks XML launch files as far as that goes without starting anything: '
                    'elements and attributes, arguments, includes, packages and executables, '
                    'remaps, and every parameter with its range, by the same code as the nodes.',
        epilog='Exit code: 0 nothing is wrong, 1 something is.')
    parser.add_argument('words', nargs='+', metavar='FILE|ARGUMENT:=VALUE',
                        help='launch files, and arguments as for ros2 launch')
    return parser


if __name__ == '__main__':
    sys.exit(main())
