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


"""Tables of a run's page that are rows of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ped_perception.evaluation.report import Table


def ground_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Show the errors of positions by distance; the last row is over all."""
    body = []
    for index, row in enumerate(rows):
        if row['people']:
            over = 'all' if index == len(rows) - 1 else f'{row["from_m"]} to {row["to_m"]} m'
            body.append((over, str(row['people']), str(row['placed']),
                         _number(row['median_m'], '{:.2f} m'), _percent(row['median_share']),
                         _number(row['p95_m'], '{:.2f} m'), _percent(row['inside_95'])))
    return Table('Error of positions by distance', tuple(body), (
        'distance', 'people', 'placed', 'median', 'of the distance', 'p95', 'inside 95 % ellipse'),
        wide=True)


def calibration_table(calibration: Mapping[str, Any]) -> Table:
    """Show which share of the detections of a score is right."""
    return Table(f'Scores and what they are worth (expected calibration error '
                 f'{_percent(calibration["expected_error"])})', tuple(
        (f'{row["from_score"]:.1f} to {row["to_score"]:.1f}', str(row['detections']),
         _number(row['mean_score'], '{:.2f}'), _number(row['precision'], '{:.2f}'))
        for row in calibration['bins']), ('score', 'detections', 'mean score', 'share right'))


def recordings_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Show each of several recordings."""
    return Table('Recordings', tuple(
        (row['name'], str(row['pictures']['labelled']), str(row['detection']['people']),
         _percent(row['detection']['ap50']),
         _percent(row['detection']['log_average_miss_rate']['reasonable']),
         _percent(row.get('tracking', {}).get('idf1')))
        for row in rows),
        ('recording', 'labelled pictures', 'people', 'AP50', 'miss rate', 'IDF1'), wide=True)


def _number(value: float | None, form: str) -> str:
    return '-' if value is None else form.format(value)


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f} %'
