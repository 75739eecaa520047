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

"""How good detections and positions are: the part of a run's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ped_perception.evaluation.charts import Bar, Chart, Line
from ped_perception.evaluation.curves import miss_rate_chart, precision_chart
from ped_perception.evaluation.report import Block, Section, Shares, Table
from ped_perception.evaluation.results import Results

# Ends of ranges that stand for no end.
_ENDLESS = {'px': 100_000, 'm': 1000}


def detection_section(results: Results) -> Section:
    """Draw the curves over all thresholds, what they come to by height, and what scores mean."""
    detection = results.metrics['detection']
    if not detection['people']:
        return Section('How good detections are', '', ())
    runs = {'': results}
    blocks: list[Block] = [precision_chart(runs), miss_rate_chart(runs)]
    blocks.append(_by_bins('AP at IoU 0.5 by height of the person',
                           detection['ap_by_height'], 'px'))
    if detection.get('ap_by_distance'):
        blocks.append(_by_bins('AP at IoU 0.5 by distance', detection['ap_by_distance'], 'm'))
    if (detection.get('score_calibration') or {}).get('expected_error') is not None:
        blocks.append(_calibration_chart(detection['score_calibration']))
    return Section('How good detections are', f'{detection["people"]} people in '
                   f'{detection["pictures"]} labelled pictures.', tuple(blocks))


def ground_section(metrics: Mapping[str, Any]) -> Section:
    """Write the errors of positions on the ground, where they are known."""
    rows = tuple(
        (_range_text(row['from_m'], row['to_m'], 'm'), str(row['people']), str(row['placed']),
         _number(row['median_m'], 'm'), _number(row['p95_m'], 'm'),
         _percent(row['median_share']), _percent(row['inside_95']))
        for row in metrics.get('ground_error') or () if row['people'])
    table = Table('Errors by distance', rows, (
        'distance', 'people', 'placed', 'median', 'p95', 'median, of the distance',
        'within the 95 % ellipse'), wide=True)
    return Section('Where people stand', 'Positions of published detections of people whose '
                   'position is labelled, each picture by itself. Of honest ellipses 95 % hold '
                   'the true place.', (table,) if rows else ())


def _calibration_chart(calibration: Mapping[str, Any]) -> Chart:
    bins = [one for one in calibration['bins'] if one['detections']]
    bars = tuple(Bar(one['from_score'], one['to_score'] - one['from_score'], one['precision'],
                     f'score {one["from_score"]:g} to {one["to_score"]:g}: {one["detections"]} '
                     f'detections, mean score {one["mean_score"]:.2f}, {one["precision"]:.1%} of '
                     f'them right') for one in bins)
    return Chart('What scores mean', 'score', 'share of the detections that are right', bars=bars,
                 lines=(Line([0.0, 1.0], [0.0, 1.0]),), x_range=(0.0, 1.0), y_range=(0.0, 1.0),
                 note=f'Bars that end on the line: a score means what it says. Expected '
                      f'calibration error {calibration["expected_error"]:.3f}.')


def _by_bins(title: str, bins: Sequence[Mapping[str, Any]], unit: str) -> Shares:
    rows = tuple(
        (f'{_range_text(one[f"from_{unit}"], one[f"to_{unit}"], unit)} ({one["people"]})',
         one['ap50'] or 0.0, _percent(one['ap50'])) for one in bins if one['people'])
    return Shares(title, rows, 'In brackets the number of people.', whole=1.0)


def _range_text(low: float, high: float, unit: str) -> str:
    if high < _ENDLESS[unit]:
        return f'{low:g} to {high:g} {unit}'
    return f'from {low:g} {unit}' if low else 'all'


def _number(value: float | None, unit: str) -> str:
    return '-' if value is None else f'{value:.2f} {unit}'


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f} %'
