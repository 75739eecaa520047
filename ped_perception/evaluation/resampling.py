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
Figures of the same pictures drawn again, with repetition: how far chance moves them.

The bootstrap (Efron, "Bootstrap methods: another look at the jackknife", 1979) takes pictures as
the unit. Pictures of a video resemble their neighbours, so that blocks of them are drawn (Politis
and Romano, "A circular block-resampling procedure for stationary data", 1992). Detections are
matched with labels once; a draw only says how often each picture counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import math

import numpy as np
from ped_perception.core.types import BoolArray, Float64Array, Int64Array
from ped_perception.evaluation.detection import DetectionScore
from ped_perception.evaluation.miss_rate import Curve, Found


def block_length(pictures: int, sequence: bool) -> int:
    """
    Give how many neighbouring pictures are drawn together: 1 where they have no order.

    In a sequence it is the cube root of their number, which is the order that makes the
    estimated variance best (Hall, Horowitz and Jing, "On blocking rules for the bootstrap with
    dependent data", 1995).
    """
    return max(1, round(pictures ** (1 / 3))) if sequence else 1


def drawn_rows(pictures: int, block: int, count: int, seed: int) -> Iterator[Int64Array]:
    """
    Draw as many pictures as there are, ``count`` times.

    Args:
        pictures: how many there are, at least one.
        block: so many neighbours are drawn together; the first follows the last.
        count: of draws.
        seed: the same seed gives the same draws.

    Yields:
        int64[pictures], rows of the pictures drawn.
    """
    random = np.random.default_rng(seed)
    for _ in range(count):
        starts = random.integers(pictures, size=math.ceil(pictures / block))
        yield ((starts[:, None] + np.arange(block)) % pictures).ravel()[:pictures]


# As pycocotools has them: precision is looked up at 101 recalls.
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class PooledMatches:
    """
    What became of all detections, best score first, of pictures that count several times.

    Attributes:
        score_n: float64[N].
        picture_n: int64[N], row of the picture.
        right_n: bool[N], False for a false positive.
        people_p: int64[P], labels of each picture.
    """

    score_n: Float64Array
    picture_n: Int64Array
    right_n: BoolArray
    people_p: Int64Array

    @staticmethod
    def of(pictures: Sequence[Found]) -> PooledMatches:
        """Put pictures together."""
        score_n = np.concatenate([np.zeros(0), *(found.scores_n for found in pictures)])
        picture_n = np.repeat(np.arange(len(pictures)), [len(found.row_n) for found in pictures])
        right_n = np.concatenate([np.zeros(0, np.bool_),
                                  *(found.person_n >= 0 for found in pictures)])
        order = np.argsort(-score_n, kind='stable')
        return PooledMatches(score_n[order], picture_n[order], right_n[order],
                             np.array([found.people for found in pictures], np.int64))

    def curve(self, weight_p: Int64Array) -> Curve:
        """Give the curve over all scores; pictures count ``weight_p`` times."""
        weight_n = weight_p[self.picture_n]
        # Equal scores pass together.
        last_n = np.append(self.score_n[1:] != self.score_n[:-1], True)[:len(self.score_n)]
        true_n = (weight_n * self.right_n).cumsum()[last_n]
        every_n = weight_n.cumsum()[last_n]
        people = int(weight_p @ self.people_p)
        return Curve(self.score_n[last_n],
                     true_n / people if people else np.full(len(true_n), np.nan),
                     true_n / np.maximum(every_n, 1),
                     (every_n - true_n) / max(int(weight_p.sum()), 1))


@dataclass(frozen=True, eq=False)
class _ThresholdMatches:
    """
    What average precision at one IoU threshold needs: places in the order of the scores.

    Attributes:
        right_r: int64[R] of the detections that are right.
        ignored_i: int64[I] of those that do not count.
        ignored_before_r: int64[R], how many of these come before each right one.
    """

    right_r: Int64Array
    ignored_i: Int64Array
    ignored_before_r: Int64Array

    @staticmethod
    def of(right_n: BoolArray, ignored_n: BoolArray) -> _ThresholdMatches:
        """Reduce flags of all detections, best score first."""
        right_r, ignored_i = np.flatnonzero(right_n & ~ignored_n), np.flatnonzero(ignored_n)
        return _ThresholdMatches(right_r, ignored_i, np.searchsorted(ignored_i, right_r))

    def average_precision(self, weight_n: Int64Array, every_n: Int64Array, people: int) -> float:
        """
        Compute it.

        Args:
            weight_n: how often each detection counts.
            every_n: the same, summed up to and with each.
            people: to be found.
        """
        # Precision has its maxima where a right detection comes in: nothing else is looked at.
        true_r = weight_n[self.right_r].cumsum()
        ignored_i = np.append(0, weight_n[self.ignored_i].cumsum())
        counted_r = every_n[self.right_r] - ignored_i[self.ignored_before_r]
        precision_r = true_r / np.maximum(counted_r, 1)
        envelope_r = np.maximum.accumulate(precision_r[::-1])[::-1]
        place = np.searchsorted(true_r / people, _RECALLS, side='left')
        return float(np.append(envelope_r, 0.0)[place].mean())


@dataclass(frozen=True, eq=False)
class ApMatches:
    """
    The matches of pycocotools, reduced to what average precision needs of them.

    Attributes:
        picture_n: int64[N], row of the picture of each detection, best score first.
        thresholds: matches at each IoU threshold.
        people_p: int64[P], labels of each picture.
    """

    picture_n: Int64Array
    thresholds: tuple[_ThresholdMatches, ...]
    people_p: Int64Array

    @staticmethod
    def of(score: DetectionScore) -> ApMatches:
        """Match what a score has taken in."""
        evaluation = score.evaluated(edges=())
        none_tn = np.zeros((len(evaluation.params.iouThrs), 0), np.bool_)
        people_p = np.zeros(len(evaluation.params.imgIds), np.int64)
        scores: list[Float64Array] = [np.zeros(0)]
        rows: list[Int64Array] = [people_p[:0]]
        right: list[BoolArray] = [none_tn]
        ignored: list[BoolArray] = [none_tn]
        # A picture without any box is None.
        for row, entry in enumerate(evaluation.evalImgs):
            if entry is not None:
                people_p[row] = np.count_nonzero(np.asarray(entry['gtIgnore']) == 0)
                scores.append(np.asarray(entry['dtScores'], np.float64))
                rows.append(np.full(len(entry['dtScores']), row, np.int64))
                right.append(np.asarray(entry['dtMatches']) > 0)
                ignored.append(np.asarray(entry['dtIgnore'], np.bool_))
        # As pycocotools sorts, so that equal scores stand in the same order.
        order = np.argsort(-np.concatenate(scores), kind='mergesort')
        right_tn = np.concatenate(right, axis=1)[:, order]
        ignored_tn = np.concatenate(ignored, axis=1)[:, order]
        return ApMatches(
            np.concatenate(rows)[order],
            tuple(_ThresholdMatches.of(right_n, ignored_n)
                  for right_n, ignored_n in zip(right_tn, ignored_tn, strict=True)), people_p)

    def ap50_and_ap(self, weight_p: Int64Array) -> tuple[float, float]:
        """Give AP at IoU 0.5 and over all thresholds; pictures count ``weight_p`` times."""
        people = int(weight_p @ self.people_p)
        if not people:
            return math.nan, math.nan
        weight_n = weight_p[self.picture_n]
        every_n = weight_n.cumsum()
        found = [matches.average_precision(weight_n, every_n, people)
                 for matches in self.thresholds]
        return found[0], float(np.mean(found))
