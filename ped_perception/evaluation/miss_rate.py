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

"""
Miss rate against false positives per picture: what the pedestrian benchmarks count.

The protocol is that of Dollar et al., "Pedestrian detection: an evaluation of the state of the
art" (PAMI 2012), which CityPersons (Zhang et al., CVPR 2017) took over: detections choose in the
order of their scores the free label that they overlap most, from IoU 0.5 on; one that found none
and lies by half in an ignored box or region is not counted. Labels outside of the heights of a
setting, and those of whom too little is visible, are ignored; detections far outside of the
heights are left out. The log-average miss rate is the geometric mean of the miss rates at nine
rates of false positives from 0.01 to 1 a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ped_perception.core.association import overlaps_from_boxes
from ped_perception.core.types import BoolArray, Float64Array, Int64Array
from ped_perception.evaluation.mot import Labels

_MIN_OVERLAP = 0.5
_MIN_IGNORED_SHARE = 0.5
# Detections so much smaller or larger than the heights of a setting are left out.
_SLACK = 1.25
_RATES = np.logspace(-2, 0, 9)
_NO_MISS = 1e-10


@dataclass(frozen=True)
class Setting:
    """Which people count: heights of their boxes in pixels, and the share of them to be seen."""

    name: str
    min_height_px: float
    max_height_px: float = np.inf
    min_visible: float = 0.0


# Those of Dollar et al. Where labels do not tell what is visible of a person, all is.
SETTINGS = (Setting('reasonable', 50.0, min_visible=0.65), Setting('all', 20.0, min_visible=0.2))


@dataclass(frozen=True, eq=False)
class Found:
    """
    What became of the detections of one picture, best score first.

    Attributes:
        scores_n: float64[N], without those that do not count.
        person_n: int64[N], row of the label found, -1 for a false positive.
        people: number of labels that count.
        heights_p: float64[people], of those labels in pixels; ``person_n`` counts them.
        row_n: int64[N], which of the boxes given it is.
    """

    scores_n: Float64Array
    person_n: Int64Array
    people: int
    heights_p: Float64Array
    row_n: Int64Array


def matched(labels: Labels, boxes_n4: Float64Array, scores_n: Float64Array,
            regions_r4: Float64Array, setting: Setting) -> Found:
    """
    Compare the detections of one picture with its labels.

    Args:
        labels: of the picture.
        boxes_n4: float64[N, 4] of the detections.
        scores_n: float64[N].
        regions_r4: float64[R, 4], ignored.
        setting: which people count.
    """
    order = np.argsort(-scores_n, kind='stable')
    boxes_n4, scores_n = boxes_n4[order], scores_n[order]
    height_n = boxes_n4[:, 3] - boxes_n4[:, 1]
    near_n = ((height_n >= setting.min_height_px / _SLACK)
              & (height_n < setting.max_height_px * _SLACK))
    boxes_n4, scores_n, row_n = boxes_n4[near_n], scores_n[near_n], order[near_n]
    height_p = labels.boxes_n4[:, 3] - labels.boxes_n4[:, 1]
    counted_p = (labels.counted_n & (labels.visible_n >= setting.min_visible)
                 & (height_p >= setting.min_height_px) & (height_p < setting.max_height_px))
    overlap_np = overlaps_from_boxes(boxes_n4, labels.boxes_n4[counted_p])
    ignored_n = _mostly_inside(
        boxes_n4, np.concatenate([labels.boxes_n4[~counted_p], regions_r4]))
    person_n = np.full(len(boxes_n4), -1, np.int64)
    for row in range(len(boxes_n4)):
        if overlap_np.shape[1] and overlap_np[row].max() >= _MIN_OVERLAP:
            person_n[row] = overlap_np[row].argmax()
            overlap_np[:, person_n[row]] = 0
    kept_n = (person_n >= 0) | ~ignored_n
    return Found(scores_n[kept_n], person_n[kept_n], int(counted_p.sum()), height_p[counted_p],
                 row_n[kept_n])


def _mostly_inside(boxes_n4: Float64Array, ignored_r4: Float64Array) -> BoolArray:
    """Tell which boxes lie by half or more inside one of others."""
    low_nr2 = np.maximum(boxes_n4[:, None, :2], ignored_r4[None, :, :2])
    high_nr2 = np.minimum(boxes_n4[:, None, 2:], ignored_r4[None, :, 2:])
    common_nr = np.prod(np.maximum(high_nr2 - low_nr2, 0), axis=2)
    area_n = np.prod(boxes_n4[:, 2:] - boxes_n4[:, :2], axis=1)
    inside_n: BoolArray = np.any(common_nr >= _MIN_IGNORED_SHARE * area_n[:, None], axis=1)
    return inside_n


@dataclass(frozen=True, eq=False)
class Curve:
    """
    All detections of a set in the order of their scores.

    Attributes:
        score_n: float64[N], descending; a row says what a threshold of that score gives.
        recall_n: float64[N], share of the people found.
        precision_n: float64[N].
        rate_n: float64[N], false positives in a picture.
    """

    score_n: Float64Array
    recall_n: Float64Array
    precision_n: Float64Array
    rate_n: Float64Array

    @staticmethod
    def of(pictures: list[Found]) -> Curve:
        """Put the pictures of a set together."""
        score_n = np.concatenate([np.zeros(0), *(found.scores_n for found in pictures)])
        right_n = np.concatenate([np.zeros(0, np.bool_),
                                  *(found.person_n >= 0 for found in pictures)])
        order = np.argsort(-score_n, kind='stable')
        score_n, right_n = score_n[order], right_n[order]
        # Equal scores pass together.
        last_n = np.append(score_n[1:] != score_n[:-1], True)[:len(score_n)]
        true_n, every_n = right_n.cumsum()[last_n], np.arange(1, len(right_n) + 1)[last_n]
        people = sum(found.people for found in pictures)
        return Curve(score_n[last_n], true_n / people if people else np.full(len(true_n), np.nan),
                     true_n / every_n, (every_n - true_n) / max(len(pictures), 1))

    def log_average_miss_rate(self) -> float:
        """Give the geometric mean of the miss rates at 0.01 to 1 false positives a picture."""
        # The recall of the last point that passes; before the first one nobody is found.
        passing = np.searchsorted(self.rate_n, _RATES, side='right')
        misses = 1 - np.append(0.0, self.recall_n)[passing]
        return float(np.exp(np.log(np.maximum(misses, _NO_MISS)).mean()))

    def at_precision(self, precision: float) -> tuple[float, float]:
        """Give the highest recall with at least this precision, and the score for it."""
        passing = np.flatnonzero(self.precision_n >= precision)
        if not len(passing):
            return 0.0, 1.0
        return float(self.recall_n[passing[-1]]), float(self.score_n[passing[-1]])
