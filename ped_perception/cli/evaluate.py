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

"""``ped_evaluate``: labelled pictures in, figures out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from ped_perception.cli.evaluate_compare import add_compare
from ped_perception.cli.evaluate_harvest import add_harvest
from ped_perception.cli.evaluate_run import add_run
from ped_perception.core.errors import PedPerceptionError

FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code, which the help explains."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (PedPerceptionError, OSError) as error:
        print(f'ped_evaluate: {" ".join(str(error).split())}', file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print('ped_evaluate: interrupted', file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='ped_evaluate',
        description='Measures on labelled pictures how good detections and tracks are.',
        epilog=f'Exit code: 0 done, {FAILED} something failed, {INTERRUPTED} interrupted.')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    add_run(commands)
    add_compare(commands)
    add_harvest(commands)
    return parser


if __name__ == '__main__':
    sys.exit(main())
