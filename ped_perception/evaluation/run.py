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


"""Runs what drives on labelled pictures, and measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
import time
from typing import Any

import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.errors import ImageError, SourceError
from ped_perception.core.follow import Follower
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.pipeline import BackendInfo, Pipeline
from ped_perception.core.types import Detections, Frame, Tracks
from ped_perception.evaluation.detection import DetectionScore
from ped_perception.evaluation.labelled import LabelledPictures
from ped_perception.evaluation.machine import machine_description, versions
from ped_perception.evaluation.mot import Labels, MotScore
from ped_perception.evaluation.other_trackers import OTHER_TRACKERS
from ped_perception.evaluation.selection import selected, Selection
from ped_perception.sources import Source, SourceFrame

# Detections from this score on are kept for the curves; the tracker and the publication get
# what their own thresholds let through.
LOWEST_SCORE = 0.02
_FALLBACK_RATE_HZ = 10.0


@dataclass(frozen=True, eq=False)
class Looked:
    """
    What was found in one picture.

    Attributes:
        number: of the picture in its source, from 1.
        image_id: what it is called in the files that are written.
        labels: None for a picture without.
        detections: from :data:`LOWEST_SCORE` on.
        tracks: predicted and unconfirmed ones too.
        time_s: that it took, from decoded picture to tracks.
        name: of its file, '' where it has none.
    """

    number: int
    image_id: int | str
    labels: Labels | None
    detections: Detections
    tracks: Tracks
    time_s: float
    name: str = ''


# A picture as the source gave it, the same decoded, and what was found in it.
Watch = Callable[[SourceFrame, Frame, Looked], object]


@dataclass(eq=False)
class Run:
    """
    One run over a source.

    Attributes:
        info: what ran the network.
        looked: picture by picture.
        undecodable: pictures that could not be read.
    """

    info: BackendInfo
    looked: list[Looked] = field(default_factory=list)
    undecodable: int = 0


def run_over(source: Source, selection: Selection, labels: LabelledPictures,
             backend_config: BackendConfig, config: PerceptionConfig,
             progress: Callable[[], object], watch: Watch = lambda taken, frame, looked: None,
             ) -> Run:
    """
    Look at the selected pictures of a source with the product's own pipeline and tracker.

    Args:
        source: of one camera.
        selection: which pictures.
        labels: of them; pictures without are followed, but not scored.
        backend_config: what runs the network.
        config: everything else.
        progress: called after every picture.
        watch: is told of every picture, before it is let go.

    Raises:
        PedPerceptionError: the source, the network or the configuration is unusable.
    """
    if len(source.cameras) != 1:
        raise SourceError(f'{source.name} has {len(source.cameras)} cameras '
                          f'({", ".join(stream.name for stream in source.cameras)}); one can be '
                          f'evaluated at a time. Choose one with --topic.')
    with open_backend(backend_config, len(config.detector.views)) as backend:
        pipeline = Pipeline(backend, config.detector, LOWEST_SCORE)
        follower = Follower(config.tracker, config.ground, config.ground_filter)
        run = Run(pipeline.info)
        for number, taken in selected(source, selection):
            try:
                frame = taken.frame()
            except ImageError:
                run.undecodable += 1
                continue
            begin_s = time.perf_counter()
            (detections,), _ = pipeline.step([frame])
            tracks = _followed(follower, frame, detections, config.tracker.low_score)
            run.looked.append(Looked(
                number, labels.image_id(number, taken), labels.of(number, taken), detections,
                tracks, time.perf_counter() - begin_s, taken.name))
            watch(taken, frame, run.looked[-1])
            progress()
    if not any(looked.labels is not None for looked in run.looked):
        raise SourceError(f'None of the {len(run.looked)} pictures of {source.name} is labelled. '
                          f'Do the labels belong to it?')
    return run


def _followed(follower: Follower, frame: Frame, detections: Detections, low_score: float
              ) -> Tracks:
    return follower.step(frame, above(detections, low_score)).tracks


def above(detections: Detections, score: float) -> Detections:
    """Leave out the detections below a score."""
    count = int((detections.scores_n >= score).sum())
    return replace(detections, boxes_n4=detections.boxes_n4[:count],
                   scores_n=detections.scores_n[:count])


def metrics_of(run: Run, labels: LabelledPictures) -> dict[str, Any]:
    """Score a run; shares are in 0..1, times in milliseconds."""
    score = DetectionScore(labels.ignore_regions_r4)
    for looked in run.looked:
        if looked.labels is not None:
            score.update(looked.labels, looked.detections)
    times_ms = np.array([looked.time_s for looked in run.looked]) * 1e3
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99))
    return {
        'detection': score.result(),
        **({'tracking': tracking_of(run, labels)} if labels.has_identities else {}),
        'time_ms': {'p50': float(p50), 'p95': float(p95), 'p99': float(p99)},
        'pictures': {'looked_at': len(run.looked), 'undecodable': run.undecodable,
                     'labelled': sum(looked.labels is not None for looked in run.looked)},
        'network': vars(run.info), 'machine': machine_description(), 'versions': versions()}


def tracking_of(run: Run, labels: LabelledPictures) -> dict[str, float | None]:
    """Score the tracks that are published: confirmed, and seen in the picture."""
    score = MotScore(labels.ignore_regions_r4)
    for looked in run.looked:
        if looked.labels is not None:
            told_t = looked.tracks.confirmed_t & ~looked.tracks.predicted_t
            score.update(looked.labels, looked.tracks.ids_t[told_t],
                         looked.tracks.boxes_t4[told_t])
    return _finite(score.result())


def compared(run: Run, labels: LabelledPictures, config: PerceptionConfig, rate_hz: float | None,
             ) -> dict[str, dict[str, float | None]]:
    """
    Let other trackers follow the detections of a run.

    Args:
        run: over pictures of a video.
        labels: with identities.
        config: whose thresholds and times the others get too.
        rate_hz: at which the pictures that were looked at come, None where it is not known.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    rows = {'ped_perception': tracking_of(run, labels)}
    for name, begin in OTHER_TRACKERS.items():
        tracker, score = begin(config.tracker, rate_hz or _FALLBACK_RATE_HZ), MotScore(
            labels.ignore_regions_r4)
        for looked in run.looked:
            ids_t, boxes_t4 = tracker.step(above(looked.detections, config.tracker.low_score))
            if looked.labels is not None:
                score.update(looked.labels, ids_t, boxes_t4)
        rows[name] = _finite(score.result())
    return rows


def rate_of(run: Run) -> float | None:
    """Give how many of the pictures looked at came in a second, by their stamps."""
    stamps_ns = [looked.detections.stamp_ns for looked in run.looked]
    if len(stamps_ns) < 2 or stamps_ns[-1] <= stamps_ns[0]:
        return None
    return (len(stamps_ns) - 1) / (stamps_ns[-1] - stamps_ns[0]) * 1e9


def _finite(metrics: dict[str, float]) -> dict[str, float | None]:
    # JSON knows no NaN.
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}
