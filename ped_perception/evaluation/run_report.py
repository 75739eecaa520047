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
from ped_perception.evaluation.curves import miss_rate_chart, precision_chart
from ped_perception.evaluation.mistakes import (
    Judged,
    judged,
    Mistake,
    worst_false_positives,
    worst_misses,
)
from ped_perception.evaluation.overlays import drawn, LEGEND, part_around
from ped_perception.evaluation.reopening import pictures_again
from ped_perception.evaluation.report import (
    Block,
    Picture,
    picture_from_image,
    Pictures,
    Report,
    Section,
    Shares,
    Table,
    Tile,
)
from ped_perception.evaluation.results import Results
from ped_perception.evaluation.run_tables import (
    calibration_table,
    ground_table,
    recordings_table,
)
from ped_perception.evaluation.track_lanes import track_lanes

_SHOWN = 6
_WIDTH_PX = 480
# Tracking metrics that are numbers of something; the others are shares.
_COUNTS = ('id_switches', 'fragmentations', 'false_positives', 'misses', 'labelled_boxes',
           'labelled_people', 'mostly_tracked', 'mostly_lost', 'pictures')


def report_of_run(results: Results) -> Report:
    """
    Describe the page of a run.

    Raises:
        PedPerceptionError: its pictures cannot be read again.
    """
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
            _mistakes(results, pictures), _detection(results), _positions(metrics),
            _tracking(results), _times(results), _setup(metrics)) if section.blocks),
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
    tiles = [
        Tile('AP at IoU 0.5', _percent(detection['ap50']), '%',
             f'AP over IoU 0.5 to 0.95: {_percent(detection["ap"])} %'),
        Tile('Log-average miss rate', _percent(rates['reasonable']), '%',
             f'reasonable; all {_percent(rates["all"])} %'),
        *(Tile(f'Recall at precision {precision}', _percent(fixed['recall']), '%',
               f'from score {fixed["score"]:.2f} on')
          for precision, fixed in list(detection['recall_at_precision'].items())[-1:]),
        Tile('Time of a picture, p50', f'{times["p50"]:.1f}', 'ms',
             f'p95 {times["p95"]:.1f} ms, p99 {times["p99"]:.1f} ms'),
        Tile('Pictures', str(pictures['looked_at']),
             note=f'{pictures["labelled"]} labelled, {pictures["undecodable"]} unreadable')]
    if 'tracking' in metrics:
        tracking = metrics['tracking']
        more = ', '.join(f'{name} {_percent(tracking[key])} %' for name, key in (
            ('MOTA', 'mota'), ('HOTA', 'hota')) if tracking.get(key) is not None)
        tiles.insert(3, Tile('IDF1 of the tracks', _percent(tracking['idf1']), '%', more))
    return tuple(tiles)


def _mistakes(results: Results, pictures: Sequence[Judged]) -> Section:
    missed = worst_misses(pictures, _SHOWN, results.is_sequence)
    false = worst_false_positives(pictures, _SHOWN, results.is_sequence)
    images = pictures_again(results, [one.judged.picture for one in (*missed, *false)])

    def shown(mistakes: Sequence[Mistake], text: str, beside: str) -> tuple[Picture, ...]:
        return tuple(picture_from_image(
            drawn(images[one.judged.picture.image_id], one.judged)[
                part_around(one.box_xyxy[None], one.judged.published.source_hw)],
            f'{one.judged.picture.title}: {text.format(one.weight)}'
            + (f', {beside} it overlaps by {one.overlap:.2f}' if one.is_near else ''), _WIDTH_PX)
            for one in mistakes)

    blocks = [Pictures(title, shown(mistakes, text, beside), small=True)
              for title, mistakes, text, beside in (
        ('Missed, tallest first', missed, '{:.0f} px tall', 'a detection beside'),
        ('Detections of nobody, highest score first', false, 'score {:.2f}', 'a label beside'))
        if mistakes]
    once = ('What is wrong at the same place again is shown once.' if results.is_sequence
            else 'One of each picture.')
    return Section('Where it is wrong', f'{LEGEND} People and detections with nothing near come '
                   f'first. {once}', tuple(blocks))


def _detection(results: Results) -> Section:
    detection = results.metrics['detection']
    if not detection['people']:
        return Section('How good detections are', '', ())
    runs = {'': results}
    blocks: list[Block] = [precision_chart(runs), miss_rate_chart(runs)]
    blocks.append(_by_bins('AP at IoU 0.5 by height of the person', detection['ap_by_height'],
                           'px', 100_000))
    if detection.get('ap_by_distance'):
        blocks.append(_by_bins('AP at IoU 0.5 by distance', detection['ap_by_distance'], 'm',
                               1000))
    blocks.append(calibration_table(detection['score_calibration']))
    if 'recordings' in results.metrics:
        blocks.append(recordings_table(results.metrics['recordings']))
    return Section('How good detections are', f'{detection["people"]} people in '
                   f'{detection["pictures"]} labelled pictures.', tuple(blocks))


def _positions(metrics: Mapping[str, Any]) -> Section:
    rows = metrics.get('ground_error')
    return Section('Where they stand', 'Published detections of people whose place is labelled, '
                   'each picture by itself.', (ground_table(rows),) if rows else ())


def _by_bins(title: str, bins: Sequence[Mapping[str, Any]], unit: str, endless: float) -> Shares:
    rows = []
    for one in bins:
        if not one['people']:
            continue
        low, high, ap50 = one[f'from_{unit}'], one[f'to_{unit}'], one['ap50']
        label = f'from {low:g} {unit}' if high >= endless else f'{low:g} to {high:g} {unit}'
        rows.append((f'{label} ({one["people"]})', ap50 or 0.0,
                     '-' if ap50 is None else f'{_percent(ap50)} %'))
    return Shares(title, tuple(rows), 'In brackets the number of people.', whole=1.0)


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


def _times(results: Results) -> Section:
    times = results.metrics['time_ms']
    chart: Chart = histogram(
        [picture.time_ms for picture in results.pictures], title='Time of a picture',
        x_label='from decoded picture to tracks [ms]', y_label='pictures',
        marks={f'{name} {times[name]:.1f} ms': times[name] for name in ('p50', 'p95', 'p99')})
    return Section('How fast', f'One picture after another; nothing waits for the next one. The '
                   f'process needed {results.metrics["memory_mb"]["peak"]:.0f} MB at its peak.',
                   (chart,))


def _setup(metrics: Mapping[str, Any]) -> Section:
    run = tuple((key, str(metrics[key])) for key in (
        'source', 'labels', 'label_format', 'config', 'calibration', 'frames', 'drop', 'seed',
        'topic') if metrics.get(key))
    notes = tuple(('note', note) for note in metrics['notes'])
    tables = [Table('Run', (*run, *notes))]
    for title, key in (('Network', 'network'), ('Machine', 'machine'), ('Versions', 'versions'),
                       ('Parameters', 'parameters')):
        tables.append(Table(title, tuple(
            (name.replace('_', ' ') if key != 'parameters' else name, _written(value))
            for name, value in metrics[key].items())))
    return Section('What ran', '', tuple(tables))


def _written(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ', '.join(map(_written, value))
    return f'{value:g}' if isinstance(value, float) else str(value)


def _count(value: float | None) -> str:
    return '-' if value is None else f'{value:.0f}'


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f}'
