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

"""The demo's figures and pictures as a report for the browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ped_perception.cli.demo_figures import lack_of_time, latencies_ms, STAGES, written
from ped_perception.cli.demo_run import DemoRun
from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.charts import Chart, histogram, Line
from ped_perception.evaluation.report import (
    Block,
    picture_from_image,
    Pictures,
    Report,
    Section,
    Shares,
    Table,
    Tile,
)

_STAGE_TEXTS = {
    'receive': 'receive', 'decode': 'decode', 'views': 'views', 'infer': 'network',
    'postprocess': 'post-processing', 'track': 'following', 'publish': 'publish'}


def report_from_figures(figures: Mapping[str, Any], run: DemoRun,
                        pictures: Mapping[int, Uint8Array], notes: list[str]) -> Report:
    """
    Describe the report of a run.

    Args:
        figures: as in ``report.json``.
        run: with at least one picture processed.
        pictures: with boxes, by stamp.
        notes: what the reader should know.
    """
    source = figures['source']
    text, good = verdict(figures)
    return Report(
        title='Pedestrians found in the demo',
        subtitle=f'{Path(source["path"]).name} as {source["transport"]} {source["width"]}x'
                 f'{source["height"]} through ROS 2, {figures["model"]} on '
                 f'{figures["machine"]["cpu"]}, {figures["finished"][:16].replace("T", " ")} UTC',
        verdict=text, good=good, tiles=_tiles(figures),
        sections=(
            Section('What was seen', 'Each picture is the one with most pedestrians in its part '
                    'of the run. The number on a box is its score.', _seen(run, pictures)),
            Section('How fast', 'Latency counts from the stamp of the image to the moment at '
                    'which the detector publishes its detections: transport, waiting, network '
                    'and all.', _speed(figures, run)),
            Section('What ran', '', _configuration(figures))),
        footer=' '.join([
            "Frame counts, stages and memory are the detector's own, from /diagnostics; "
            'latencies are taken by the middleware for every frame; processor time is read from '
            'the operating system while frames flow. The video was drawn after the measurement.'
            if not source['live'] else
            "Frame counts, stages and memory are the detector's own, from /diagnostics; "
            'latencies are taken by the middleware for every frame. The detector drew the '
            'pictures during the measurement, which costs time.', *notes]))


def verdict(figures: Mapping[str, Any]) -> tuple[str, bool]:
    """Give the result in one sentence, and whether it is a good one."""
    found = figures['detections_total']
    missed = figures['frames_sent'] - figures['frames_processed']
    if not found:
        return f'No pedestrian in {figures["frames_processed"]} frames.', False
    if missed:
        return (f'{found} detections. {missed} of {figures["frames_sent"]} frames were not '
                f'looked at: {figures["frames_dropped"]} were replaced by newer ones or '
                f'unreadable, {figures["frames_lost_in_transport"]} lost on the way.'), False
    return (f'{found} detections. Every one of {figures["frames_sent"]} frames was looked at'
            f'{lack_of_time(figures)}.'), True


def _tiles(figures: Mapping[str, Any]) -> tuple[Tile, ...]:
    latency = figures['latency_ms']
    return (
        Tile('Frames processed', str(figures['frames_processed']),
             note=f'{figures["frames_sent"]} sent, {figures["frames_dropped"]} dropped, '
                  f'{figures["frames_lost_in_transport"]} lost'),
        Tile('Rate', written(figures['fps']), 'fps'),
        Tile('Latency p50', written(latency['p50']), 'ms',
             f'p95 {written(latency["p95"])} ms, p99 {written(latency["p99"])} ms'),
        Tile('Detections', str(figures['detections_total']),
             note=f'up to {figures["most_pedestrians_in_a_frame"]} in one frame'),
        Tile('Processor', written(figures['cpu_percent'], 0), '%',
             'of one core, detector process'),
        Tile('Peak memory', written(figures['peak_rss_mb'], 0), 'MB', 'detector process'))


def _seen(run: DemoRun, pictures: Mapping[int, Uint8Array]) -> tuple[Block, ...]:
    start_ns = run.camera_stamps_ns[0]
    counts = {heard.detections.stamp_ns: len(heard.detections) for heard in run.heard}
    shown = tuple(
        picture_from_image(image_hw3, f'{(stamp_ns - start_ns) / 1e9:.1f} s after the start: '
                           f'{counts.get(stamp_ns, 0)} pedestrians')
        for stamp_ns, image_hw3 in sorted(pictures.items()))
    over_time = Chart(
        'Pedestrians over time', 'time [s]', 'pedestrians in the frame',
        lines=(Line([(stamp_ns - start_ns) / 1e9 for stamp_ns in counts], list(counts.values()),
                    steps=True),))
    return (Pictures('Frames with their detections', shown), over_time) if shown else (
        over_time,)


def _speed(figures: Mapping[str, Any], run: DemoRun) -> tuple[Block, ...]:
    latencies = latencies_ms(run)
    marks = {f'{name} {value:.1f} ms': value for name, value in figures['latency_ms'].items()}
    stages = tuple(
        (_STAGE_TEXTS[stage], figures['stage_ms'][stage] or 0.0,
         f'{written(figures["stage_ms"][stage], 2)} ms') for stage in STAGES)
    arrival = figures['latency_arrival_ms']
    return (
        histogram(latencies, title='Latency of each frame', x_label='latency [ms]',
                  y_label='frames', marks=marks),
        Shares('Where the time goes (median of each stage)', stages,
               'receive: from the stamp of the image until the detector begins with it.'),
        Table('Seen from outside', (
            ('published, p50 / p95 / p99', _three(figures['latency_ms'])),
            ('received by a subscriber', _three(arrival)),
            ('processor of the camera', _percent(figures['cpu_percent_camera'])),
            ('processor of the listener', _percent(figures['cpu_percent_listener'])))))


def _configuration(figures: Mapping[str, Any]) -> tuple[Block, ...]:
    machine, ros = figures['machine'], figures['ros']
    return (
        Table('Detector', (
            ('source', str(figures['source']['path'])),
            ('model', f'{figures["model"]}'), ('network input', f'{figures["network_size"]}'),
            ('precision', f'{figures["precision"]}'), ('views', f'{figures["views"]}'),
            ('backend', f'{figures["backend"]}'), ('device', f'{figures["device"]}'),
            ('ROS 2', f'{ros["distribution"]}, {ros["middleware"]}'),
            ('ROS domain', str(ros['domain_id'])))),
        Table('Machine and versions', (
            ('processor', f'{machine["cpu"]}, {machine["cores"]} cores'),
            ('memory', f'{machine["memory_gib"]} GiB'), ('system', str(machine['system'])),
            ('load when finished', str(machine['load_average'])),
            *((name, number) for name, number in figures['versions'].items()))))


def _percent(value: float | None) -> str:
    return f'{written(value, 0)} % of one core'


def _three(values: Mapping[str, float | None]) -> str:
    return ' / '.join(written(value) for value in values.values()) + ' ms'
