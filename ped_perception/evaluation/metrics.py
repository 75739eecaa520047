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

"""The figures of a run, as ``metrics.json`` has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
import itertools
from typing import Any

import numpy as np
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.types import Int64Array
from ped_perception.evaluation.detection import DetectionScore
from ped_perception.evaluation.ground_score import ground_errors
from ped_perception.evaluation.looking import Looked
from ped_perception.evaluation.machine import machine_description, versions
from ped_perception.evaluation.mot import MotScore
from ped_perception.evaluation.other_trackers import OTHER_TRACKERS
from ped_perception.evaluation.run import Run

_FALLBACK_RATE_HZ = 10.0


def metrics_of(run: Run) -> dict[str, Any]:
    """
    Score a run; shares are in 0..1, times in milliseconds.

    Raises:
        MissingExtraError: pycocotools or motmetrics is not installed.
    """
    score = DetectionScore()
    for looked in run.looked:
        if looked.labels is not None:
            score.update(looked.labels, looked.detections, looked.regions_r4, looked.depths_n)
    times_ms = np.array([looked.time_s for looked in run.looked]) * 1e3
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99))
    placed = [looked.placed for looked in run.looked if looked.placed is not None]
    return {
        'detection': score.result(),
        **({'tracking': tracking_of(run)} if run.has_identities else {}),
        **({'ground_error': ground_errors(placed)} if placed else {}),
        'time_ms': {'p50': float(p50), 'p95': float(p95), 'p99': float(p99)},
        'memory_mb': {'peak': run.peak_memory_mb},
        'pictures': {'looked_at': len(run.looked), 'undecodable': sum(run.undecodable.values()),
                     'disordered': sum(run.disordered.values()),
                     'labelled': sum(looked.labels is not None for looked in run.looked)},
        'network': vars(run.info), 'notes': list(run.notes),
        'machine': machine_description(), 'versions': versions()}


def tracking_of(run: Run) -> dict[str, float | None]:
    """Score the tracks that are published: confirmed, and seen in the picture."""
    score = _SequencesScore()
    for looked in run.looked:
        told_t = looked.tracks.confirmed_t & ~looked.tracks.predicted_t
        score.update(looked, looked.tracks.ids_t[told_t],
                     np.asarray(looked.tracks.boxes_t4[told_t], np.float64))
    return score.result()


def compared(run: Run, config: PerceptionConfig) -> dict[str, dict[str, float | None]]:
    """
    Let other trackers follow the detections of a run.

    Args:
        run: over pictures of videos, with identities.
        config: whose thresholds and times the others get too.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    rows = {'ped_perception': tracking_of(run)}
    for name, begin in OTHER_TRACKERS.items():
        score = _SequencesScore()
        for _, group in itertools.groupby(run.looked, lambda looked: looked.recording):
            pictures = list(group)
            tracker = begin(config.tracker, rate_of(pictures) or _FALLBACK_RATE_HZ)
            for looked in pictures:
                ids_t, boxes_t4 = tracker.step(
                    looked.detections.from_score(config.tracker.low_score))
                score.update(looked, ids_t, np.asarray(boxes_t4, np.float64))
        rows[name] = score.result()
    return rows


def rate_of(pictures: list[Looked]) -> float | None:
    """Give how many pictures of one recording came in a second, by their stamps."""
    stamps_ns = [looked.detections.stamp_ns for looked in pictures]
    if len(stamps_ns) < 2 or stamps_ns[-1] <= stamps_ns[0]:
        return None
    return (len(stamps_ns) - 1) / (stamps_ns[-1] - stamps_ns[0]) * 1e9


class _SequencesScore:
    """Scores several recordings as one: nobody of one is anybody of another."""

    def __init__(self) -> None:
        """Begin with no picture."""
        self._score = MotScore()
        self._people: dict[tuple[str, int], int] = {}
        self._tracks: dict[tuple[str, int], int] = {}

    def update(self, looked: Looked, ids_t: Int64Array, boxes_t4: Any) -> None:
        """Take in tracks of a picture; one without labels is not scored."""
        if looked.labels is not None:
            labels = replace(looked.labels, ids_n=_unique(
                looked.recording, looked.labels.ids_n.tolist(), self._people))
            self._score.update(
                labels, _unique(looked.recording, ids_t.tolist(), self._tracks), boxes_t4,
                looked.regions_r4)

    def result(self) -> dict[str, float | None]:
        """Give the metrics, None where nothing defines one: JSON knows no NaN."""
        return {name: value if np.isfinite(value) else None
                for name, value in self._score.result().items()}


def _unique(recording: str, ids: Iterable[int], known: dict[tuple[str, int], int]) -> Int64Array:
    return np.array([known.setdefault((recording, identity), len(known)) for identity in ids],
                    np.int64)
