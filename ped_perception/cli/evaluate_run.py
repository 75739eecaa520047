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

"""``ped_evaluate run``: from pictures and labels to figures, and to files other tools read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ped_perception.cli.evaluate_camera import (
    bag_of,
    Calibrations,
    calibrations_from,
    camera_for,
    no_calibrations,
)
from ped_perception.cli.evaluate_settings import (
    add_settings,
    camera_of,
    perception_of,
    settings_of,
    told,
)
from ped_perception.core.errors import ConfigError, import_extra
from ped_perception.evaluation.labelled import LabelledPictures
from ped_perception.evaluation.looking import Recording
from ped_perception.evaluation.metrics import compared, metrics_of
from ped_perception.evaluation.reading_labels import (
    FORMS,
    kitti_calibrations,
    LabelOptions,
    read_labels,
    TOPIC,
)
from ped_perception.evaluation.recordings import labels_of, Part, parts_of
from ped_perception.evaluation.report import html_from_report
from ped_perception.evaluation.rerun_file import RerunFile
from ped_perception.evaluation.results import read_results, REPORT, write_results
from ped_perception.evaluation.run import Run, run_over
from ped_perception.evaluation.run_report import report_of_run
from ped_perception.evaluation.selection import selection_from_text
from ped_perception.ros.settings import Settings
from ped_perception.sources import open_source
from tqdm import tqdm


def add_run(commands: Any) -> None:
    """Add the command to the subparsers of ``ped_evaluate``."""
    parser = commands.add_parser(
        'run', help='measure on a video, pictures or recordings',
        description='Looks at pictures as the node does, compares with the labels, and writes '
                    'metrics.json, predictions.json (COCO results), labels.json (COCO), '
                    'tracks.txt (MOT), pictures.json and report.html.')
    parser.add_argument('source', metavar='SOURCE',
                        help='video, folder of pictures, rosbag2 recording, or a folder of them')
    parser.add_argument('--labels', required=True, metavar='PATH|topic:NAME',
                        help='COCO .json, MOTChallenge gt.txt, folder of YOLO or KITTI files, or '
                             'a topic of the recording (vision_msgs/Detection2DArray). For '
                             'several recordings a folder with the labels of each by its name; it '
                             'may be SOURCE')
    parser.add_argument('--label-format', default='', choices=tuple(FORMS), metavar='FORM',
                        help=f'form of the labels where it is not found out: {", ".join(FORMS)}')
    parser.add_argument('--class', dest='person', default='', metavar='NAME',
                        help='class of the labels that counts (default: person, pedestrian; of '
                             'YOLO without names 0)')
    parser.add_argument('--ignore', type=Path, metavar='FILE',
                        help='regions without labels, a line x,y,w,h each (default: '
                             'ignore_regions.txt beside the labels, where it exists)')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='DIR',
                        help='folder for the results')
    _add_pictures(parser)
    add_settings(parser)
    parser.add_argument('--camera', default='', metavar='NAME',
                        help='camera of the parameters that took the pictures (default: that of '
                             'the name of the recording, or the only one)')
    parser.add_argument('--calibration', type=Path, metavar='PATH',
                        help='calibration as camera_calibration writes it (default: the recorded '
                             'CameraInfo), or folder calib of KITTI (default: that beside the '
                             'labels); of several recordings a folder with NAME.yaml')
    parser.add_argument('--compare-trackers', action='store_true',
                        help='let other trackers follow the same detections (extra comparison)')
    parser.add_argument('--rerun', type=Path, metavar='FILE.rrd',
                        help='write pictures, boxes and times for the Rerun viewer, too (extra '
                             'view)')
    parser.add_argument('--quiet', action='store_true', help='print the summary only')
    parser.set_defaults(run=_run)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--frames', default='', metavar='SELECTION',
                        help='pictures to look at (of each recording): 1-219, 1-219:2 for every '
                             'second one, 500-')
    parser.add_argument('--drop', type=float, default=0.0, metavar='SHARE',
                        help='leave out this share of them at random, stamps kept')
    parser.add_argument('--seed', type=int, default=0, metavar='N',
                        help='of those random numbers (default: %(default)s)')
    parser.add_argument('--topic', default='', help='image topic of a recording with several')
    parser.add_argument('--rate', type=float, default=0.0, metavar='HZ',
                        help='how fast the pictures of a folder were taken')


def _run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    config = perception_of(settings)
    selection = selection_from_text(options.frames, options.drop, options.seed)
    parts = parts_of(options.source)
    # All labels before the first picture: a bad file must not cost a run.
    labels = [_labels(options, part) for part in parts]
    cameras = [camera_of(settings, options.camera, [part.name, Path(part.name).name])
               for part in parts]
    topics = [_topic(options, settings, part, camera)
              for part, camera in zip(parts, cameras, strict=True)]
    if options.compare_trackers and not all(found.has_identities for found in labels):
        raise ConfigError(f'Trackers cannot be compared with {options.labels}: it does not say '
                          f'who is who from picture to picture. Give MOTChallenge labels.')
    options.output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        more: dict[str, Any] = {} if options.rerun is None else {'watch': stack.enter_context(
            RerunFile(options.rerun, config.detector.score_threshold)).take}
        bar = stack.enter_context(tqdm(unit=' pictures', disable=options.quiet, mininterval=0.5))
        run = run_over(
            _recordings(options, settings, list(zip(parts, labels, cameras, topics, strict=True)),
                        bar, selection.last),
            settings.slots(), selection, settings.backend, config, bar.update, **more)
    metrics = {
        **_asked_for(options), 'topic': options.topic or topics[0],
        'label_format': ', '.join(sorted({found.form for found in labels})),
        'parameters': told(settings, sorted(set(cameras))), **metrics_of(run)}
    if len(parts) > 1:
        metrics['recordings'] = _recording_rows(run, parts, cameras, topics)
    if options.compare_trackers:
        metrics['trackers'] = compared(run, config)
    write_results(run, metrics, options.output)
    report = html_from_report(report_of_run(read_results(options.output)))
    (options.output / REPORT).write_text(report, encoding='utf-8')
    print('\n'.join([*_summary(metrics), f'written    {options.output}']))
    return 0


def _asked_for(options: argparse.Namespace) -> dict[str, Any]:
    """Give what the user asked for, with paths that hold from everywhere."""
    def whole(path: str | Path | None) -> str:
        """Give a path whole; empty for none."""
        return str(Path(path).expanduser().resolve()) if path else ''

    labels = options.labels
    return {'source': whole(options.source),
            'labels': labels if labels.startswith(TOPIC) else whole(labels),
            'frames': options.frames or 'all', 'drop': options.drop, 'seed': options.seed,
            'config': whole(options.config), 'calibration': whole(options.calibration)}


def _labels(options: argparse.Namespace, part: Part) -> LabelledPictures:
    how = LabelOptions(options.label_format, options.person, options.ignore)
    if not part.name or options.labels.startswith(TOPIC):
        return read_labels(options.labels, how, bag_of(part.source))
    place = Path(options.labels)
    if not place.is_dir():
        raise ConfigError(f'{options.source} holds several recordings, so --labels must be a '
                          f'folder with the labels of each by its name; {place} is none.')
    return read_labels(labels_of(part, place), how)


def _calibrations(options: argparse.Namespace, part: Part, labels: LabelledPictures,
                  ) -> Calibrations:
    place: Path | None = options.calibration
    if place is None:
        place = kitti_calibrations(labels.place) if labels.form == 'kitti' else None
    elif part.name and place.is_dir() and not any(place.glob('*.txt')):
        place = place / f'{part.name}.yaml'
    return no_calibrations if place is None else calibrations_from(place)


def _recordings(options: argparse.Namespace, settings: Settings,
                parts: Sequence[tuple[Part, LabelledPictures, str, str]], bar: Any,
                last: int | None) -> Iterator[Recording]:
    """Open the recordings, one after the other."""
    for part, labels, camera, topic in parts:
        with ExitStack() as stack:
            source = stack.enter_context(open_source(
                part.source, topics=[topic] if topic else [], rate_hz=options.rate))
            if source.is_live:
                raise ConfigError(f'{part.source} is live; labels are for recordings.')
            count = source.frame_count
            if len(parts) == 1:
                bar.total = last or count
            else:
                bar.set_description(part.name)
            calibrations = _calibrations(options, part, labels)
            yield Recording(part.name, source, labels, camera_for(
                part.source, camera, settings, calibrations, stack))


def _topic(options: argparse.Namespace, settings: Settings, part: Part, camera: str) -> str:
    """Give the image topic to read, '' for the only one."""
    bag = bag_of(part.source)
    if options.topic or bag is None or options.config is None:
        return str(options.topic)
    storage, _ = import_extra('ped_perception.sources.storage', 'bags').open_storage(bag)
    try:
        cameras = import_extra('ped_perception.replay.cameras', 'bags')
        (topic,) = cameras.topics_of_cameras(
            {camera: settings.cameras[camera]}, storage.topics)
        return str(topic)
    finally:
        storage.close()


def _recording_rows(run: Run, parts: Sequence[Part], cameras: Sequence[str],
                    topics: Sequence[str]) -> list[dict[str, Any]]:
    """Give what was found in each recording."""
    rows = []
    for part, camera, topic in zip(parts, cameras, topics, strict=True):
        found = metrics_of(run.of(part.name))
        row = {'name': part.name, 'source': part.source, 'camera': camera, 'topic': topic}
        rows.append(row | {key: found[key] for key in ('detection', 'tracking', 'pictures')
                           if key in found})
    return rows


def _summary(metrics: Mapping[str, Any]) -> list[str]:
    detection, pictures = metrics['detection'], metrics['pictures']
    rates = detection['log_average_miss_rate']
    lines = [
        *(f'note       {note}' for note in metrics['notes']),
        (f'pictures   {pictures["looked_at"]}, {pictures["labelled"]} of them labelled with '
         f'{detection["people"]} people'),
        (f'detection  AP50 {_percent(detection["ap50"])}  AP {_percent(detection["ap"])}  '
         f'log-average miss rate {_percent(rates["reasonable"])} (reasonable), '
         f'{_percent(rates["all"])} (all)')]
    for row in metrics.get('recordings', ()):
        lines.append(f'  {row["name"]:<24} AP50 {_percent(row["detection"]["ap50"])}  '
                     f'{row["pictures"]["labelled"]} labelled')
    if 'ground_error' in metrics:
        lines += _ground_lines(metrics['ground_error'][-1])
    rows = metrics.get('trackers') or (
        {'ped_perception': metrics['tracking']} if 'tracking' in metrics else {})
    if rows:
        lines.append(f'{"tracking":<24}{"HOTA":>7}{"IDF1":>7}{"MOTA":>7}{"switches":>10}'
                     f'{"misses":>8}{"ghosts":>8}')
    for name, row in rows.items():
        lines.append(f'  {name:<22}{_percent(row["hota"]):>7}{_percent(row["idf1"]):>7}'
                     f'{_percent(row["mota"]):>7}{row["id_switches"]:>10.0f}'
                     f'{row["misses"]:>8.0f}{row["false_positives"]:>8.0f}')
    times = metrics['time_ms']
    lines.append(f'time       p50 {times["p50"]:.1f}  p95 {times["p95"]:.1f}  p99 '
                 f'{times["p99"]:.1f} ms a picture')
    return lines


def _ground_lines(row: Mapping[str, Any]) -> list[str]:
    if not row['placed']:
        return [f'ground     none of {row["people"]} people was placed']
    return [(f'ground     {row["placed"]} of {row["people"]} people placed, median error '
             f'{row["median_m"]:.2f} m ({_percent(row["median_share"])} % of the distance), '
             f'{_percent(row["inside_95"])} % within the 95 % ellipse')]


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f}'
