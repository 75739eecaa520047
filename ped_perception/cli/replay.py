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

"""``ped_replay``: recordings through the pipeline, every picture, as fast as it goes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
import sys

from ped_perception.cli.arguments import parameter_from_text, positive
from ped_perception.cli.replay_fleet import FleetWorkers
from ped_perception.cli.replay_folder import recordings_in, replay_folder
from ped_perception.cli.replay_workers import LocalWorkers, Workers
from ped_perception.cli.share import shared_file
from ped_perception.core.errors import ConfigError, import_extra, PedPerceptionError
from ped_perception.replay.summary import digest_of, Summary
from ped_perception.ros.parameter_files import values_from_file
from ped_perception.ros.settings import camera_names, settings_from_values
from ped_perception.sources.bag_layout import is_bag_folder, METADATA_NAME
from tqdm import tqdm

FAILED, INTERRUPTED = 1, 130
_NODE = 'ped_detector'
_MAXIMUM_START_S = 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code, which the help explains."""
    options = _parser().parse_args(arguments)
    try:
        if options.bag.is_dir() and not is_bag_folder(options.bag):
            return _replay_folder(options)
        other = _another_below(options.bag)
        if other:
            raise ConfigError(f'{options.bag} holds a recording itself, and {other} is another, '
                              f'which would be left out. Give one of them, or put each into a '
                              f'folder of its own.')
        if options.ray is not None or options.jobs is not None:
            raise ConfigError(f'--jobs and --ray are for a folder of recordings; {options.bag} is '
                              f'one recording.')
        _print_summary(_replay(options), options.output)
    except (PedPerceptionError, OSError) as error:
        print(f'ped_replay: {" ".join(str(error).split())}', file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print('ped_replay: interrupted; what was not finished was not written', file=sys.stderr)
        return INTERRUPTED
    return 0


def _another_below(bag: Path) -> Path | None:
    """Give a recording below a folder that is taken for one only for the files that it holds."""
    if not bag.is_dir() or (bag / METADATA_NAME).exists():
        return None
    return next(recordings_in(bag), None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='ped_replay',
        description='Reads a rosbag2 recording directly, runs every picture through the pipeline '
                    'of the node, and writes a new recording (mcap) with the detections and '
                    'their ids, positions on the ground and health. Two runs give the same bytes.',
        epilog=f'Exit code: 0 everything was replayed, {FAILED} something failed, {INTERRUPTED} '
               'interrupted. In a folder of recordings, each is replayed by a process of its own '
               'into a folder of its name; one that fails is tried once more; what was finished '
               'before, with the same parameters, is not repeated.')
    parser.add_argument('bag', type=Path, metavar='BAG|DIR',
                        help='recording: its folder, or one .mcap or .db3 file; or a folder of '
                             'recordings')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='OUT',
                        help='folder of the new recording, or for the new recordings; what is '
                             'there already is not overwritten')
    parser.add_argument('--config', type=Path, metavar='FILE',
                        help='parameter file of the node, with its cameras (default: that of '
                             'replay.launch.xml, and every image topic is a camera)')
    parser.add_argument('-p', '--parameter', action='append', default=[], metavar='NAME:=VALUE',
                        help='as for the node, for example score_threshold:=0.5 or '
                             "cameras:='[front]'; may be given several times")
    parser.add_argument('--start', type=float, default=0.0, metavar='S',
                        help='leave out what was written before this time after the beginning')
    parser.add_argument('--images', action='store_true',
                        help='copy the pictures and their CameraInfo, too')
    parser.add_argument('--jobs', type=positive, metavar='N',
                        help='recordings of a folder at a time (default: 1, or with --ray as '
                             'many as there are cores for)')
    parser.add_argument('--ray', metavar='ADDRESS',
                        help='replay a folder with the machines of a Ray cluster: HOST:6379, '
                             'auto for that of this machine, local for one that begins and ends '
                             'with this program (extra fleet). All must see recordings, output '
                             'and parameter file at the same place')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')
    return parser


def _values(options: argparse.Namespace) -> dict[str, object]:
    """Read the parameters; those of the command line win."""
    file = options.config or shared_file('config', 'replay.yaml')
    values = values_from_file(file, _NODE)
    if options.config is None:
        cameras = camera_names(values)
        values = {name: value for name, value in values.items()
                  if name != 'cameras' and name.partition('.')[0] not in cameras}
    values.update(parameter_from_text(text, ':=') for text in options.parameter)
    return values


def _replay(options: argparse.Namespace) -> Summary:
    runner = import_extra('ped_perception.replay.runner', 'bags')
    values = _values(options)
    if not 0.0 <= options.start <= _MAXIMUM_START_S:
        raise ConfigError(f'--start is {options.start}; it must lie between 0 and '
                          f'{_MAXIMUM_START_S:g}.')
    settings = runner.settings_for_bag(
        options.bag, values, all_cameras='cameras' not in values)
    with tqdm(unit=' pictures', disable=options.quiet, dynamic_ncols=True) as bar:
        def show(done: int, total: int | None) -> None:
            """Move the bar."""
            bar.total = total
            bar.update(done - bar.n)

        summary: Summary = runner.replay(
            options.bag, options.output, settings, start_s=options.start, images=options.images,
            progress=show)
    return summary


def _print_summary(summary: Summary, output: Path) -> None:
    for note in summary.notes:
        print(f'note: {note}')
    for camera, causes in summary.skipped.items():
        print(f'skipped of {camera}: '
              + ', '.join(f'{count} {cause}' for cause, count in causes.items()))
    total_s = summary.times_s['total']
    print(f'{output}: {summary.looked_at} of {summary.pictures} pictures looked at, '
          f'{summary.detections} detections of {summary.people} people, {summary.placed} '
          f'positions')
    print(f'{summary.model} {summary.precision} in {summary.backend}: {total_s:.1f} s, '
          f'{summary.looked_at / total_s if total_s else 0:.1f} pictures a second; apart from '
          f'inference and decoding {summary.overhead:.1%} of the time')


def _replay_folder(options: argparse.Namespace) -> int:
    runner = import_extra('ped_perception.replay.runner', 'bags')
    values = _values(options)

    def digest(bag: Path) -> str:
        """Give the digest of the settings that a bag is replayed with."""
        return digest_of(runner.settings_for_bag(
            bag, values, all_cameras='cameras' not in values))

    words = ['--start', str(options.start)]
    if options.config is not None:
        words += ['--config', str(options.config.absolute())]
    if options.images:
        words.append('--images')
    parameters = list(options.parameter)
    with _workers(options, values) as workers:
        if workers.threads and not values.get('threads'):
            # Otherwise each of them takes all cores.
            parameters.append(f'threads:={workers.threads}')
        for text in parameters:
            words += ['-p', text]
        failed = replay_folder(options.bag, options.output, words, digest, workers,
                               quiet=options.quiet)
    return FAILED if failed else 0


def _workers(options: argparse.Namespace, values: Mapping[str, object]) -> Workers:
    if options.ray is None:
        return LocalWorkers(options.jobs or 1)
    asked = settings_from_values(
        {name: values[name] for name in ('backend', 'threads') if name in values}).backend
    return FleetWorkers(options.ray, most=options.jobs, threads=asked.threads,
                        gpu=asked.backend == 'tensorrt')


if __name__ == '__main__':
    sys.exit(main())
