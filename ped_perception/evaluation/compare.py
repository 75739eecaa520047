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

"""What changed between two runs over the same pictures, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ped_perception.core.types import Float64Array, Int64Array
from ped_perception.evaluation.detection import DetectionScore, EVERYBODY, PRECISIONS
from ped_perception.evaluation.figures import Change, DETECTION_FIGURES, WHOLE_FIGURES
from ped_perception.evaluation.miss_rate import matched, SETTINGS
from ped_perception.evaluation.mistakes import Judged, judged
from ped_perception.evaluation.pairing import paired, Pairing
from ped_perception.evaluation.resampling import (
    ApMatches,
    block_length,
    drawn_rows,
    PooledMatches,
)
from ped_perception.evaluation.results import ResultPicture, Results

DRAWS = 1000
CONFIDENCE = 0.95
# Drawing the same few pictures again says nothing of others.
FEWEST_PICTURES = 10
_SEED = 0
# Pictures of a video nearer than this show the same.
_NEIGHBOURS = 10
# Below this share of draws in which a figure is defined nothing is said of its spread.
_LEAST_DEFINED = 0.9


@dataclass(frozen=True, eq=False)
class PictureChange:
    """One labelled picture in both runs, each at the score from which it publishes."""

    a: Judged
    b: Judged

    @property
    def more_misses(self) -> int:
        """Misses of the second run less those of the first."""
        return self.b.misses - self.a.misses

    @property
    def more_false(self) -> int:
        """False positives of the second run less those of the first."""
        return self.b.false_positives - self.a.false_positives

    @property
    def worse_by(self) -> int:
        """Mistakes of the second run less those of the first."""
        return self.more_misses + self.more_false


@dataclass(frozen=True, eq=False)
class Comparison:
    """
    Two runs over the same pictures.

    Attributes:
        a: the first run.
        b: the second, which is judged.
        changes: figure by figure.
        pictures: that both looked at, with labels, in their order.
        identical: whether all detections of these are, bit by bit.
        notes: what a reader must know.
    """

    a: Results
    b: Results
    changes: tuple[Change, ...]
    pictures: tuple[PictureChange, ...]
    identical: bool
    notes: tuple[str, ...]

    def with_verdict(self, verdict: str) -> list[Change]:
        """Give the figures of which this is said."""
        return [change for change in self.changes if change.verdict == verdict]

    def worst(self, count: int) -> list[PictureChange]:
        """Give the pictures that got worse, worst first, at most so many and no neighbours."""
        return _first(self.pictures, count, self._gap, lambda change: change.worse_by)

    def best(self, count: int) -> list[PictureChange]:
        """Give the pictures that got better, best first, at most so many and no neighbours."""
        return _first(self.pictures, count, self._gap, lambda change: -change.worse_by)

    @property
    def _gap(self) -> int:
        return _NEIGHBOURS if self.a.is_sequence and self.b.is_sequence else 0


def compare(a: Results, b: Results, overlap: bool = False) -> Comparison:
    """
    Compare two runs.

    Args:
        a: the reference.
        b: what is judged.
        overlap: where the runs are not over the same pictures, use those that both looked at and
            that have the same labels in both.

    Raises:
        ConfigError: see :func:`paired`.
        MissingExtraError: pycocotools is not installed.
    """
    pairing = paired(a, b, overlap)
    labelled = [pair for pair in pairing.pictures if pair[0].labels is not None]
    block = block_length(len(labelled), a.is_sequence and b.is_sequence)
    pictures = tuple(PictureChange(judged(first, a.published_score),
                                   judged(second, b.published_score))
                     for first, second in labelled)
    changes = _changes(_Detections([change.a for change in pictures]),
                       _Detections([change.b for change in pictures]), len(pictures), block)
    if pairing.whole:
        changes += _whole_changes(a.metrics, b.metrics)
    return Comparison(
        a, b, tuple(changes), pictures, all(_is_same(*pair) for pair in labelled),
        _notes(pairing, len(pictures), block))


class _Detections:
    """The detections of a run, matched once."""

    def __init__(self, pictures: Sequence[Judged]) -> None:
        score = DetectionScore()
        for one in pictures:
            score.update(one.picture.scored_labels, one.picture.detections)
        self._ap = ApMatches.of(score)
        self._pooled = [
            PooledMatches.of([matched(
                one.picture.scored_labels, one.picture.detections.boxes_n4.astype(np.float64),
                one.picture.detections.scores_n.astype(np.float64), np.zeros((0, 4)), setting)
                for one in pictures])
            for setting in (*SETTINGS, EVERYBODY)]
        self._counts_p3 = np.array([
            (one.found.people - one.misses, one.false_positives, one.found.people)
            for one in pictures], np.int64)

    def values(self, rows_p: Int64Array) -> Float64Array:
        """Give DETECTION_FIGURES for pictures drawn, NaN where nothing defines one."""
        weight_p = np.bincount(rows_p, minlength=len(self._counts_p3))
        curves = [pooled.curve(weight_p) for pooled in self._pooled]
        right, false, people = weight_p @ self._counts_p3
        shares = [*self._ap.ap50_and_ap(weight_p),
                  *(curve.log_average_miss_rate() for curve in curves[:-1]),
                  *(curves[-1].at_precision(precision)[0] for precision in PRECISIONS),
                  right / people if people else np.nan,
                  right / (right + false) if right + false else np.nan]
        return np.array([*(100 * share for share in shares), false / len(rows_p)])


def _changes(a: _Detections, b: _Detections, pictures: int, block: int) -> list[Change]:
    every = np.arange(pictures)
    first, second = a.values(every), b.values(every)
    draws = DRAWS if pictures >= FEWEST_PICTURES else 0
    # The same draw for both: what makes a picture hard is in both, and does not count.
    differences = np.array([b.values(rows) - a.values(rows)
                            for rows in drawn_rows(pictures, block, draws, _SEED)])
    changes = []
    for column, figure in enumerate(DETECTION_FIGURES):
        interval = None
        if draws:
            defined = differences[np.isfinite(differences[:, column]), column]
            if len(defined) >= _LEAST_DEFINED * draws:
                low, high = np.percentile(
                    defined, (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)))
                interval = float(low), float(high)
        changes.append(Change(figure, _or_none(first[column]), _or_none(second[column]), interval))
    return changes


def _whole_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    changes = []
    for figure, (part, key), factor in WHOLE_FIGURES:
        first, second = ((metrics.get(part) or {}).get(key) for metrics in (a, b))
        if first is not None or second is not None:
            changes.append(Change(figure, None if first is None else factor * first,
                                  None if second is None else factor * second, None))
    return changes


def _notes(pairing: Pairing, pictures: int, block: int) -> tuple[str, ...]:
    drawn = (f'in blocks of {block}, because neighbours are alike' if block > 1
             else 'one by one')
    spread = (
        f'Interval: {CONFIDENCE:.0%} of the differences lie in it when the pictures are drawn '
        f'again {DRAWS} times with repetition, {drawn}, the same for both runs. It says what '
        f'other pictures of the same kind would change, nothing about other places and cameras. '
        f'Of twenty figures that chance moves, one is called better or worse.'
        if pictures >= FEWEST_PICTURES else
        f'There are no intervals: {pictures} labelled pictures say nothing of others; give at '
        f'least {FEWEST_PICTURES}.')
    whole = ('Tracks, times and memory are of a whole run: what other pictures, or another hour '
             'on this machine, would give cannot be drawn from it, so they have no interval.'
             if pairing.whole else
             'Tracks, times and memory are of a whole run and are not compared.')
    return tuple(filter(None, (pairing.note, spread, whole)))


def _first(pictures: Sequence[PictureChange], count: int, gap: int,
           weight: Callable[[PictureChange], int]) -> list[PictureChange]:
    chosen: list[PictureChange] = []
    for change in sorted(pictures, key=lambda one: -weight(one)):
        if weight(change) <= 0 or len(chosen) == count:
            break
        if not any(_are_near(change.a.picture, other.a.picture, gap) for other in chosen):
            chosen.append(change)
    return chosen


def _are_near(a: ResultPicture, b: ResultPicture, gap: int) -> bool:
    return a.recording == b.recording and abs(a.number - b.number) < gap


def _is_same(a: ResultPicture, b: ResultPicture) -> bool:
    return (np.array_equal(a.detections.boxes_n4, b.detections.boxes_n4)
            and np.array_equal(a.detections.scores_n, b.detections.scores_n))


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
