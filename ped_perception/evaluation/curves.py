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

"""What thresholds trade off, as charts; several runs in one for a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ped_perception.core.types import Float64Array
from ped_perception.evaluation.charts import Chart, Line
from ped_perception.evaluation.detection import EVERYBODY
from ped_perception.evaluation.miss_rate import Curve, matched, Setting, SETTINGS
from ped_perception.evaluation.results import Results

# The rates of Dollar et al. lie between 0.01 and 1; a decade more shows where a curve goes.
_RATE_RANGE, _MISS_RANGE = (1e-3, 10.0), (0.01, 1.0)
# More points of a curve than a screen has columns only make the file large.
_MOST_POINTS = 500


def curve_of(results: Results, setting: Setting = EVERYBODY) -> Curve:
    """Put the labelled pictures of a run together, for the people of a setting."""
    return Curve.of([matched(
        picture.scored_labels, picture.detections.boxes_n4.astype(np.float64),
        picture.detections.scores_n.astype(np.float64), np.zeros((0, 4)), setting)
        for picture in results.pictures if picture.labels is not None])


def precision_chart(runs: Mapping[str, Results]) -> Chart:
    """Draw precision over recall, everybody counting; the marks are what the runs publish."""
    lines, marks = [], {}
    for label, results in runs.items():
        curve = curve_of(results)
        lines.append(_line(curve.recall_n, curve.precision_n, label))
        passing = int((curve.score_n >= results.published_score).sum())
        if passing:
            name = f'{label}, ' if len(runs) > 1 else ''
            marks[f'{name}published from score {results.published_score:g}'] = float(
                curve.recall_n[passing - 1])
    return Chart('Precision over recall', 'recall: share of the people found',
                 'precision', lines=tuple(lines), marks=marks, x_range=(0.0, 1.0),
                 y_range=(0.0, 1.0),
                 note='Everybody who is labelled and counted, at IoU 0.5. A lower score threshold '
                      'moves along the line to the right.')


def miss_rate_chart(runs: Mapping[str, Results], settings: Sequence[Setting] = SETTINGS) -> Chart:
    """Draw the miss rate over the false positives of a picture, both axes logarithmic."""
    lines = []
    for label, results in runs.items():
        for setting in settings:
            curve = curve_of(results, setting)
            inside_n = (curve.rate_n >= _RATE_RANGE[0]) & (curve.rate_n <= _RATE_RANGE[1])
            # Below the axis a step comes in from its left end, with the misses it has there.
            before = np.flatnonzero(curve.rate_n < _RATE_RANGE[0])
            start = 1 - curve.recall_n[before[-1]] if len(before) else 1.0
            lines.append(_line(
                np.append(_RATE_RANGE[0], curve.rate_n[inside_n]),
                np.clip(np.append(start, 1 - curve.recall_n[inside_n]), *_MISS_RANGE),
                ', '.join(filter(None, (label, setting.name))), steps=True))
    heights = ', '.join(f'{setting.name}: from {setting.min_height_px:g} px tall'
                        for setting in settings)
    return Chart('Miss rate over false positives', 'false positives in a picture', 'miss rate',
                 lines=tuple(lines), x_range=_RATE_RANGE, y_range=_MISS_RANGE, x_log=True,
                 y_log=True, note=f'Lower is better. {heights}. The log-average miss rate is the '
                                  f'geometric mean at nine places from 0.01 to 1.')


def _line(x_n: Float64Array, y_n: Float64Array, label: str, steps: bool = False) -> Line:
    shown = np.unique(np.linspace(0, len(x_n) - 1, min(len(x_n), _MOST_POINTS)).astype(np.int64))
    return Line(x_n[shown].tolist(), y_n[shown].tolist(), label, steps)
