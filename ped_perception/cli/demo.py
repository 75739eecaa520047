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

"""``ped_demo``: pedestrians in real video, through real ROS 2, with what it cost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import contextlib
import json
from pathlib import Path
import signal
import sys
import tempfile

from ped_perception.cli.demo_figures import figures_from_run, summary
from ped_perception.cli.demo_nodes import CAMERA, DemoSettings
from ped_perception.cli.demo_report import report_from_figures
from ped_perception.cli.demo_run import count_in, DemoRun, run_demo
from ped_perception.cli.demo_video import (
    drawn_pictures,
    JpegSpool,
    sent_pictures,
    stamps_worth_showing,
    write_video,
)
from ped_perception.cli.share import shared_file
from ped_perception.core.config import size_hw_from_text
from ped_perception.core.errors import ConfigError, MissingExtraError, PedPerceptionError
from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.report import html_from_report
from ped_perception.sources import open_source

FAILED, NO_FRAME, NOBODY, INTERRUPTED = 1, 3, 4, 130

# The clip is small so that it can be shipped; it is sent as a vehicle's camera would send it.
_CLIP, _CLIP_RATE_HZ, _CLIP_SIZE = 'pets_street.mp4', 25.0, '1280x720'
_FALLBACK_RATE_HZ = 25.0
_MAXIMUM_RATE_HZ, _MAXIMUM_DURATION_S = 1000.0, 1e6  # the first is the camera's
_VIDEO, _PAGE, _DATA = _RESULTS = 'annotated.mp4', 'report.html', 'report.json'
# Containers say roughly how many frames they have.
_COMPLETE = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns its exit code, which the help explains."""
    options = _parser().parse_args(arguments)
    # All of them end the children on their way out, as Ctrl-C does.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return _demo(_settings(options))
    except (PedPerceptionError, OSError) as error:
        print(f'ped_demo: {error}', file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print('ped_demo: interrupted, everything is stopped', file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='ped_demo',
        description='Plays a video through ped_camera and ped_detector, two processes that talk '
                    'over ROS 2, and shows the pedestrians found and what it cost.',
        epilog=f'Exit code: 0 pedestrians found, {FAILED} something failed, {NO_FRAME} no frame '
               f'came through, {NOBODY} no pedestrian found, {INTERRUPTED} interrupted before '
               f'there were results. Ctrl-C while it plays ends the run early and still writes '
               f'the results.')
    parser.add_argument('--source', metavar='SOURCE',
                        help='video, folder of pictures, rosbag2 recording, /dev/video0 or '
                             f'rtsp://… (default: the street scene that comes with it, 768x432 '
                             f'scaled to {_CLIP_SIZE} and played at {_CLIP_RATE_HZ:g} Hz)')
    parser.add_argument('--topic', default='', help='image topic of a recording with several')
    parser.add_argument('--rate', type=float, metavar='HZ',
                        help='frames per second; 0 as recorded (default for your own source)')
    parser.add_argument('--size', metavar='WxH', help='scale pictures before they are sent')
    parser.add_argument('--transport', choices=('raw', 'compressed'), default='raw',
                        help='how pictures are sent (default: %(default)s)')
    parser.add_argument('--backend', help='runtime of the network (default: the fastest)')
    parser.add_argument('--model', help='name (see ped_engine list) or ONNX file')
    parser.add_argument('--duration', type=float, default=0.0, metavar='S',
                        help='end after this time (default: with the source)')
    parser.add_argument('-o', '--output', type=Path, default=Path('demo_output'), metavar='DIR',
                        help='folder for the results (default: %(default)s)')
    parser.add_argument('--quiet', action='store_true', help='print the summary only')
    return parser


def _settings(options: argparse.Namespace) -> DemoSettings:
    """
    Check what is asked for before anything is started.

    Raises:
        PedPerceptionError: the source does not open, or an option makes no sense.
    """
    own = options.source is not None
    source = options.source if own else str(shared_file('demo', _CLIP))
    size = options.size if options.size is not None else '' if own else _CLIP_SIZE
    rate_hz = options.rate if options.rate is not None else 0.0 if own else _CLIP_RATE_HZ
    if size:
        size_hw_from_text(size)
    for name, value, maximum in (('--rate', rate_hz, _MAXIMUM_RATE_HZ),
                                 ('--duration', options.duration, _MAXIMUM_DURATION_S)):
        if not 0.0 <= value <= maximum:
            raise ConfigError(f'{name} is {value}; it must lie between 0 and {maximum:g}.')
    is_live, topic, frame_count = _look_at(source, options.topic, options.quiet)
    _prepare_output(options.output)
    detector = {key: value for key, value in (
        ('backend', options.backend), ('model', options.model)) if value}
    return DemoSettings(
        source=source, topic=topic, output=options.output, rate_hz=rate_hz, size=size,
        transport=options.transport, detector=detector, duration_s=options.duration,
        is_live=is_live, frame_count=frame_count, quiet=options.quiet)


def _prepare_output(folder: Path) -> None:
    """
    Make the folder of the results, without those of an earlier run.

    Raises:
        ConfigError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _RESULTS:
            (folder / name).unlink(missing_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f'The results cannot be written into {folder}: {error.strerror}. Name '
                          f'another folder with -o.') from error


def _look_at(source: str, topic: str, quiet: bool) -> tuple[bool, str, int | None]:
    """Give whether a source is live, the topic to play, and how many frames it has."""
    if source.startswith('/dev/') or '://' in source:
        # Opening a device here would take it away from the camera.
        return True, '', None
    with open_source(source, camera=CAMERA, topics=[topic] if topic else []) as opened:
        names = [camera.name for camera in opened.cameras]
        if len(names) > 1 and not quiet:
            print(f'{source} has {len(names)} cameras; {names[0]} is played. Others with '
                  f'--topic: {", ".join(names[1:])}')
        is_recording = names != [CAMERA]
        return False, names[0] if is_recording else '', opened.cameras[0].frame_count


def _demo(settings: DemoSettings) -> int:
    def say(text: str) -> None:
        """Tell the user, unless he wants quiet."""
        if not settings.quiet:
            print(text, flush=True)

    with contextlib.ExitStack() as stack:
        spool = stack.enter_context(JpegSpool()) if settings.is_live else None
        run = run_demo(settings, say, None if spool is None else spool.add)
        if not run.heard:
            print(f'ped_demo: no frame came through: {run.frames_sent} sent, '
                  f'{count_in(run.status, "frames_received")} received, none processed. See '
                  f'{settings.output}/camera.log and {settings.output}/detector.log.',
                  file=sys.stderr)
            return NO_FRAME
        say('Drawing what was found …')
        pictures, files, notes = _video(run, settings, spool)
    figures = figures_from_run(run, settings)
    notes = [*_notes(run, settings), *notes]
    files = [*_write(figures, run, pictures, notes, settings.output), *files]
    print('\n'.join([*notes, summary(figures, files, settings.output)]))
    if not figures['detections_total']:
        print(f'ped_demo: no pedestrian was found in {figures["frames_processed"]} frames of '
              f'{settings.source}', file=sys.stderr)
        return NOBODY
    return 0


def _video(run: DemoRun, settings: DemoSettings, spool: JpegSpool | None,
           ) -> tuple[dict[int, Uint8Array], list[Path], list[str]]:
    """Write the video; give the pictures for the report, the files written, and notes."""
    if spool is None and len(run.camera_stamps_ns) != run.frames_sent:
        lost = run.frames_sent - len(run.camera_stamps_ns)
        note = f'No video: {lost} CameraInfo were lost, and with them the stamps of the frames.'
        return {}, [], [note]
    file = settings.output / _VIDEO
    if spool is None:
        pictures = drawn_pictures(run, sent_pictures(run, settings))
        total = len(run.camera_stamps_ns)
    else:
        pictures, total = spool.pictures(), spool.count
        if not total:
            return {}, [], ['No video: no annotated picture came from the detector.']
    span_s = (run.camera_stamps_ns[-1] - run.camera_stamps_ns[0]) / 1e9
    rate_hz = len(run.camera_stamps_ns) / span_s if span_s else _FALLBACK_RATE_HZ
    try:
        kept = write_video(pictures, file, rate_hz, total, stamps_worth_showing(run),
                           settings.quiet)
    except MissingExtraError as error:
        return {}, [], [f'No video: {error}']
    return kept, [file], []


def _notes(run: DemoRun, settings: DemoSettings) -> list[str]:
    """Say what the figures do not: what the camera left out, and what else was unusual."""
    notes = []
    if run.camera_troubles:
        notes.append(f'The camera says: {run.camera_troubles} frames; camera.log has the reason.')
    promised = settings.frame_count or 0
    if (run.frames_sent < _COMPLETE * promised
            and not (run.interrupted or settings.duration_s or run.camera_troubles)):
        notes.append(f'{settings.source} promises {promised} frames, but {run.frames_sent} came: '
                     f'it may be cut off.')
    if run.size_count > 1:
        notes.append(f'Pictures of {run.size_count} sizes were sent: the size that is named is '
                     f'that of the last, and the video has that of the first.')
    return notes


def _write(figures: dict[str, object], run: DemoRun, pictures: dict[int, Uint8Array],
           notes: list[str], output: Path) -> list[Path]:
    """Write the report for people and the one for programs; give the files."""
    page, data = output / _PAGE, output / _DATA
    data.write_text(json.dumps({**figures, 'notes': notes}, indent=2, allow_nan=False) + '\n',
                    encoding='utf-8')
    page.write_text(html_from_report(report_from_figures(figures, run, pictures, notes)),
                    encoding='utf-8')
    return [page, data]


if __name__ == '__main__':
    sys.exit(main())
