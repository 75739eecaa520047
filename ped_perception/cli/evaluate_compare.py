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

"""``ped_evaluate compare``: what changed between two runs, with an exit code."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ped_perception.core.errors import ConfigError
from ped_perception.evaluation.compare import compare, Comparison
from ped_perception.evaluation.compare_report import report_of_comparison
from ped_perception.evaluation.comparison_summary import (
    difference_text,
    json_of,
    mistakes_text,
    rounded,
    set_differently,
    setup_text,
    verdict_of,
)
from ped_perception.evaluation.conditions import Condition, condition_from_text
from ped_perception.evaluation.figures import Change, FIGURES
from ped_perception.evaluation.report import html_from_report
from ped_perception.evaluation.results import METRICS, read_results, REPORT, Results

# argparse ends with 2 when it is called wrongly.
CONDITION_MET = 3
JSON_NAME = 'comparison.json'
_LISTED = 5


def add_compare(commands: Any) -> None:
    """
    Add the command.

    Args:
        commands: subparsers of ``ped_evaluate``.
    """
    parser = commands.add_parser(
        'compare', help='say what changed between two runs, and whether chance explains it',
        description='Compares the folders that two runs over the same pictures left: figures with '
                    'bootstrap intervals, and the pictures that got better and worse.',
        epilog=f'Exit code: 0 done, {CONDITION_MET} a condition of --fail-if is met, 1 something '
               f'failed, 2 called wrongly.')
    parser.add_argument('a', type=Path, metavar='A', help='folder of the run to compare with')
    parser.add_argument('b', type=Path, metavar='B', help='folder of the run that is judged')
    parser.add_argument('--fail-if', action='append', default=[], metavar='CONDITION',
                        type=_condition,
                        help='METRIC OP VALUE on the difference B - A, shares in points, as in '
                             '"AP50<-0.5"; may be repeated. METRIC is one of '
                             f'{", ".join(figure.name for figure in FIGURES)}')
    parser.add_argument('-o', '--output', type=Path, metavar='DIR',
                        help=f'folder for {REPORT}, with pictures, and {JSON_NAME}')
    parser.add_argument('--source', default='', metavar='SOURCE',
                        help='where the pictures are now (default: where the runs had them from)')
    parser.add_argument('--overlap', action='store_true',
                        help='where the runs are not over the same pictures and labels, compare '
                             'what they have in common')
    parser.set_defaults(run=_run)


def _condition(text: str) -> Condition:
    """Read a condition; one that cannot be read is a wrong call, and no result for CI."""
    try:
        return condition_from_text(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _run(options: argparse.Namespace) -> int:
    conditions: list[Condition] = options.fail_if
    if options.source and options.output is None:
        raise ConfigError('--source says where the pictures for the report are. Give a folder for '
                          'it, too, with --output.')
    if options.output is not None and (options.output / METRICS).exists():
        raise ConfigError(f'{options.output} is the folder of a run, and its report stays. Give '
                          f'another folder for the comparison.')
    comparison = compare(read_results(options.a), read_results(options.b), options.overlap)
    judged = {condition: condition.is_met(comparison.changes) for condition in conditions}
    met = [condition for condition, is_met in judged.items() if is_met]
    lines = _text(comparison)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / JSON_NAME).write_text(
            json.dumps(json_of(comparison, judged), indent=2) + '\n', encoding='utf-8')
        report, problem = report_of_comparison(
            comparison, verdict_of(comparison, met, conditions), options.source)
        (options.output / REPORT).write_text(html_from_report(report), encoding='utf-8')
        lines += [f'no pictures in the report: {problem}'] if problem else []
        lines.append(f'written    {options.output / REPORT}, {JSON_NAME}')
    print('\n'.join([*lines, verdict_of(comparison, met, conditions).text]))
    return CONDITION_MET if met else 0


def _text(comparison: Comparison) -> list[str]:
    lines = [_run_line('A', comparison.a), _run_line('B', comparison.b)]
    lines += [f'  {name}: {first} -> {second}'
              for name, first, second in set_differently(comparison.a, comparison.b)]
    lines += [f'{"figure":<16}{"A":>9}{"B":>9}{"B - A":>17}   {"95 % interval":<18}',
              *map(_figure_line, comparison.changes)]
    worse, better = (sum(sign * change.worse_by > 0 for change in comparison.pictures)
                     for sign in (1, -1))
    lines.append(f'pictures   {worse} got worse, {better} better, '
                 f'{len(comparison.pictures) - worse - better} neither')
    for word, changes in (('worse', comparison.worst(_LISTED)),
                          ('better', comparison.best(_LISTED))):
        lines += [f'  {word:<7}{change.a.picture.title}: {mistakes_text(change)}'
                  for change in changes]
    return lines


def _run_line(letter: str, results: Results) -> str:
    return f'{letter}  {results.folder}: {setup_text(results)}, {len(results.pictures)} pictures'


def _figure_line(change: Change) -> str:
    interval = '' if change.interval is None else ' .. '.join(
        rounded(end, sign=True) for end in change.interval)
    return (f'{change.figure.name:<16}{rounded(change.a):>9}{rounded(change.b):>9}'
            f'{difference_text(change):>17}   {interval:<18}{change.verdict}').rstrip()
