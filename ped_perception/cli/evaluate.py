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
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
import sys
from typing import Any

from ped_perception.backends import BackendConfig
from ped_perception.cli.evaluate_compare import add_compare
from ped_perception.cli.evaluate_harvest import add_harvest
from ped_perception.core.config import config_from_mapping, specs_of, unknown_parameter
from ped_perception.core.errors import ConfigError, PedPerceptionError
from ped_perception.core.ground_filter import GroundFilterConfig
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.pipeline import DetectorConfig
from ped_perception.core.tracker import TrackerConfig
from ped_perception.evaluation.labelled import read_labels
from ped_perception.evaluation.report import html_from_report
from ped_perception.evaluation.rerun_file import RerunFile
from ped_perception.evaluation.results import read_results, REPORT, write_results
from ped_perception.evaluation.run import compared, metrics_of, rate_of, run_over
from ped_perception.evaluation.run_report import report_of_run
from ped_perception.evaluation.selection import selection_from_text
from ped_perception.sources import open_source
from tqdm import tqdm
import yaml

FAILED, INTERRUPTED = 1, 130

# As the detector node names them.
_PREFIXES: Mapping[str, tuple[type, str]] = {
    'backend': (BackendConfig, ''), 'detector': (DetectorConfig, ''),
    'tracker': (TrackerConfig, 'tracker.'), 'ground': (GroundConfig, 'ground.'),
    'ground_filter': (GroundFilterConfig, 'ground_filter.')}


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
    _add_run(commands)
    add_compare(commands)
    add_harvest(commands, _configs)
    return parser


def _add_run(commands: Any) -> None:
    parser = commands.add_parser(
        'run', help='measure on a video, a folder of pictures or a recording',
        description='Looks at pictures as the node does, compares with the labels, and writes '
                    'metrics.json, predictions.json (COCO results), labels.json (COCO), '
                    'tracks.txt (MOT), pictures.json and report.html.')
    parser.add_argument('source', metavar='SOURCE',
                        help='video, folder of pictures or rosbag2 recording')
    parser.add_argument('--labels', type=Path, required=True, metavar='FILE',
                        help='COCO .json, or MOTChallenge .txt (pictures count from 1)')
    parser.add_argument('--ignore', type=Path, metavar='FILE',
                        help='regions without labels, a line x,y,w,h each (default: '
                             'ignore_regions.txt beside the labels, where it exists)')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='DIR',
                        help='folder for the results')
    parser.add_argument('--frames', default='', metavar='SELECTION',
                        help='pictures to look at: 1-219, 1-219:2 for every second one, 500-')
    parser.add_argument('--drop', type=float, default=0.0, metavar='SHARE',
                        help='leave out this share of them at random, stamps kept')
    parser.add_argument('--seed', type=int, default=0, metavar='N',
                        help='of those random numbers (default: %(default)s)')
    parser.add_argument('--topic', default='', help='image topic of a recording with several')
    parser.add_argument('--rate', type=float, default=0.0, metavar='HZ',
                        help='how fast the pictures of a folder were taken')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='parameter of the node, as tracker.forget_s=3 (see '
                             'doc/parameters.md); may be repeated')
    parser.add_argument('--compare-trackers', action='store_true',
                        help='let other trackers follow the same detections (extra comparison)')
    parser.add_argument('--rerun', type=Path, metavar='FILE.rrd',
                        help='write pictures, boxes and times for the Rerun viewer, too (extra '
                             'view)')
    parser.add_argument('--quiet', action='store_true', help='print the summary only')
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    backend, config = _configs(options.set)
    selection = selection_from_text(options.frames, options.drop, options.seed)
    labels = read_labels(options.labels, options.ignore)
    if options.compare_trackers and not labels.has_identities:
        raise ConfigError(f'Trackers cannot be compared with {options.labels}: it does not say '
                          f'who is who from picture to picture. Give MOTChallenge labels.')
    options.output.mkdir(parents=True, exist_ok=True)
    topics = [options.topic] if options.topic else []
    with ExitStack() as stack:
        source = stack.enter_context(
            open_source(options.source, topics=topics, rate_hz=options.rate))
        if source.is_live:
            raise ConfigError(f'{options.source} is live; labels are for recordings.')
        more = {} if options.rerun is None else {'watch': stack.enter_context(
            RerunFile(options.rerun, config.detector.score_threshold)).take}
        bar = stack.enter_context(tqdm(
            total=selection.last or source.frame_count, unit=' pictures', disable=options.quiet,
            mininterval=0.5))
        run = run_over(source, selection, labels, backend, config, bar.update, **more)
    metrics = {'source': str(Path(options.source).resolve()),
               'labels': str(options.labels.resolve()),
               'frames': options.frames or 'all', 'drop': options.drop, 'seed': options.seed,
               'topic': options.topic, 'parameters': _parameters(backend, config),
               **metrics_of(run, labels)}
    if options.compare_trackers:
        metrics['trackers'] = compared(run, labels, config, rate_of(run))
    write_results(run, labels.ignore_regions_r4, metrics, options.output)
    report = html_from_report(report_of_run(read_results(options.output)))
    (options.output / REPORT).write_text(report, encoding='utf-8')
    print('\n'.join([*_summary(metrics), f'written    {options.output}']))
    return 0


def _configs(settings: Sequence[str]) -> tuple[BackendConfig, PerceptionConfig]:
    """
    Read ``NAME=VALUE`` settings, values as in a parameter file.

    Raises:
        ConfigError: unknown name, or a value of the wrong type or out of range.
    """
    values: dict[str, dict[str, object]] = {part: {} for part in _PREFIXES}
    owners = {prefix + spec.name: (part, spec.name)
              for part, (kind, prefix) in _PREFIXES.items() for spec in specs_of(kind)}
    for setting in settings:
        name, equals, text = setting.partition('=')
        if not equals:
            raise ConfigError(f'{setting!r} sets nothing; write NAME=VALUE.')
        if name not in owners:
            raise ConfigError(unknown_parameter(name, sorted(owners)))
        part, field = owners[name]
        try:
            values[part][field] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f'{text!r} is no value for {name}: {error}') from error
    made: dict[str, Any] = {
        part: config_from_mapping(kind, values[part], prefix)
        for part, (kind, prefix) in _PREFIXES.items()}
    return made.pop('backend'), PerceptionConfig(**made)


def _parameters(backend: BackendConfig, config: PerceptionConfig) -> dict[str, Any]:
    """Give every parameter, by the name that the node has for it."""
    parts = {'backend': backend, **vars(config)}
    return {prefix + spec.name: getattr(parts[part], spec.name)
            for part, (kind, prefix) in _PREFIXES.items() for spec in specs_of(kind)}


def _summary(metrics: Mapping[str, Any]) -> list[str]:
    detection, pictures = metrics['detection'], metrics['pictures']
    rates = detection['log_average_miss_rate']
    lines = [
        (f'pictures   {pictures["looked_at"]}, {pictures["labelled"]} of them labelled with '
         f'{detection["people"]} people'),
        (f'detection  AP50 {_percent(detection["ap50"])}  AP {_percent(detection["ap"])}  '
         f'log-average miss rate {_percent(rates["reasonable"])} (reasonable), '
         f'{_percent(rates["all"])} (all)')]
    rows = metrics.get('trackers') or (
        {'ped_perception': metrics['tracking']} if 'tracking' in metrics else {})
    if rows:
        lines.append(f'{"tracking":<24}{"IDF1":>7}{"MOTA":>7}{"switches":>10}{"misses":>8}'
                     f'{"ghosts":>8}')
    for name, row in rows.items():
        lines.append(f'  {name:<22}{_percent(row["idf1"]):>7}{_percent(row["mota"]):>7}'
                     f'{row["id_switches"]:>10.0f}{row["misses"]:>8.0f}'
                     f'{row["false_positives"]:>8.0f}')
    return lines


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f}'


if __name__ == '__main__':
    sys.exit(main())
