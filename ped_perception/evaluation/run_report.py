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

"""A run as a page: figures, mistakes as pictures, curves, tracks, times, and what ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ped_perception.evaluation.charts import Chart, histogram
from ped_perception.evaluation.detection_section import detection_section, ground_section
from ped_perception.evaluation.mistakes import Judged, judged
from ped_perception.evaluation.mistakes_section import mistakes_section
from ped_perception.evaluation.report import (
    Block,
    Report,
    Section,
    Table,
    Tile,
)
from ped_perception.evaluation.results import Results
from ped_perception.evaluation.track_lanes import track_lanes

# Tracking metrics that are numbers of something; the others are shares.
_COUNTS = ('id_switches', 'fragmentations', 'false_positives', 'misses', 'labelled_boxes',
           'labelled_people', 'mostly_tracked', 'mostly_lost', 'pictures')


def report_of_run(results: Results) -> Report:
    """Describe the page of a run."""
    metrics = results.metrics
    pictures = [judged(picture, results.published_score) for picture in results.pictures
                if picture.labels is not None]
    network = metrics['network']
    return Report(
        title='How good it is',
        subtitle=f'{metrics["source"]}, pictures {metrics["frames"]}: {network["model"]} '
                 f'{network["precision"]} with {network["backend"]} on '
                 f'{metrics["machine"]["cpu"]}',
        verdict=_verdict(results, pictures), good=None, tiles=_tiles(results),
        sections=tuple(section for section in (
            mistakes_section(results, pictures), detection_section(results),
            ground_section(metrics), _recordings(metrics), _tracking(results), _times(results),
            _setup(metrics))
            if section.blocks),
        footer='Made by ped_evaluate run from the files beside this page. What is published is '
               'what the node would send on: detections from score_threshold on. AP by '
               'pycocotools, the log-average miss rate by the protocol of Dollar et al. (PAMI '
               '2012).')


def _verdict(results: Results, pictures: Sequence[Judged]) -> str:
    people = sum(one.found.people for one in pictures)
    found = people - sum(one.misses for one in pictures)
    false = sum(one.false_positives for one in pictures)
    share = f', {_percent(found / people)} %,' if people else ''
    return (f'{found} of {people} labelled people{share} are found at score '
            f'{results.published_score:g}, with {false / len(pictures):.2f} false positives in a '
            f'picture.')


def _tiles(results: Results) -> tuple[Tile, ...]:
    metrics = results.metrics
    detection, times, pictures = metrics['detection'], metrics['time_ms'], metrics['pictures']
    rates = detection['log_average_miss_rate']
    peak_mb = (metrics.get('memory_mb') or {}).get('peak')
    memory = [] if peak_mb is None else [f'memory {peak_mb:.0f} MB']
    tiles = [
        Tile('AP at IoU 0.5', _percent(detection['ap50']), '%',
             f'AP over IoU 0.5 to 0.95: {_percent(detection["ap"])} %'),
        Tile('Log-average miss rate', _percent(rates['reasonable']), '%',
             f'reasonable; all {_percent(rates["all"])} %'),
        *(Tile(f'Recall at precision {precision}', _percent(fixed['recall']), '%',
               f'from score {fixed["score"]:.2f} on')
          for precision, fixed in list(detection['recall_at_precision'].items())[-1:]),
        Tile('Time of a picture, p50', f'{times["p50"]:.1f}', 'ms',
             ', '.join([f'p95 {times["p95"]:.1f} ms', f'p99 {times["p99"]:.1f} ms', *memory])),
        Tile('Pictures', str(pictures['looked_at']),
             note=f'{pictures["labelled"]} labelled, {pictures["undecodable"]} unreadable')]
    if 'tracking' in metrics:
        tracking = metrics['tracking']
        more = ', '.join(f'{name} {_percent(tracking[key])} %' for name, key in (
            ('MOTA', 'mota'), ('HOTA', 'hota')) if tracking.get(key) is not None)
        tiles.insert(3, Tile('IDF1 of the tracks', _percent(tracking['idf1']), '%', more))
    return tuple(tiles)


def _tracking(results: Results) -> Section:
    blocks: list[Block] = []
    lanes = track_lanes(results)
    if lanes is not None:
        blocks.append(lanes)
    rows = results.metrics.get('trackers') or (
        {'': results.metrics['tracking']} if 'tracking' in results.metrics else {})
    if rows:
        names = list(next(iter(rows.values())))
        for title, chosen, write in (
                ('Shares [%]', [name for name in names if name not in _COUNTS], _percent),
                ('Counts', [name for name in names if name in _COUNTS], _count)):
            blocks.append(Table(title, tuple(
                (name.replace('_', ' '), *(write(row.get(name)) for row in rows.values()))
                for name in chosen), ('', *rows) if len(rows) > 1 else ()))
    return Section('Tracks', 'Confirmed tracks in the pictures they were seen in, as they are '
                   'published.', tuple(blocks))


def _recordings(metrics: Mapping[str, Any]) -> Section:
    rows = tuple(
        (row['name'], str(row['pictures']['labelled']), str(row['detection']['people']),
         _percent(row['detection']['ap50']),
         _percent(row['detection']['log_average_miss_rate']['reasonable']),
         _percent(row.get('tracking', {}).get('idf1'))) for row in metrics.get('recordings', ()))
    table = Table('Each by itself', rows, (
        'recording', 'labelled pictures', 'people', 'AP at IoU 0.5 [%]',
        'log-average miss rate, reasonable [%]', 'IDF1 [%]'), wide=True)
    return Section('Recordings', '', (table,) if rows else ())


def _times(results: Results) -> Section:
    times = results.metrics['time_ms']
    chart: Chart = histogram(
        [picture.time_ms for picture in results.pictures], title='Time of a picture',
        x_label='from decoded picture to tracks [ms]', y_label='pictures',
        marks={f'{name} {times[name]:.1f} ms': times[name] for name in ('p50', 'p95', 'p99')})
    return Section('How fast', 'One picture after another; nothing waits for the next one.',
                   (chart,))


def _setup(metrics: Mapping[str, Any]) -> Section:
    run = tuple((key, str(metrics[key])) for key in (
        'source', 'labels', 'label_format', 'frames', 'drop', 'seed', 'topic', 'config',
        'calibration') if metrics.get(key))
    tables = [Table('Run', run)]
    if metrics.get('notes'):
        tables.append(Table('To know', tuple(('', str(note)) for note in metrics['notes'])))
    for title, key in (('Network', 'network'), ('Machine', 'machine'), ('Versions', 'versions')):
        tables.append(Table(title, tuple((name.replace('_', ' '), _written(value))
                                         for name, value in metrics[key].items())))
    parameters = tuple((name, _written(value)) for name, value in metrics['parameters'].items())
    # Side by side.
    half = (len(parameters) + 1) // 2
    tables += [Table(title, rows) for title, rows in (
        ('Parameters', parameters[:half]), ('Parameters, continued', parameters[half:])) if rows]
    return Section('What ran', '', tuple(tables))


def _written(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ', '.join(map(_written, value))
    return f'{value:g}' if isinstance(value, float) else str(value)


def _count(value: float | None) -> str:
    return '-' if value is None else f'{value:.0f}'


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f}'
