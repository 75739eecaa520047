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
Follow pedestrians from picture to picture of one camera.

Two-stage association after Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
Detection Box" (ECCV 2022, arXiv 2110.06864): sure detections choose first, what remains of the
confirmed tracks may take unsure ones, and only sure detections begin tracks. All times are
seconds between stamps; nothing counts frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from ped_perception.core import kalman
from ped_perception.core.association import assigned, overlaps_from_boxes
from ped_perception.core.config import param
from ped_perception.core.types import (
    BoolArray,
    Detections,
    Float32Array,
    Float64Array,
    Int64Array,
    Tracks,
)
from scipy.special import chdtri

_NS = 1e-9


@dataclass(frozen=True)
class TrackerConfig:
    """Parameters of the tracker; times are ROS time, lengths heights of the person's box."""

    high_score: float = param(
        0.45, 'Detections from this score on choose their tracks first.',
        minimum=0.0, maximum=1.0)
    low_score: float = param(
        0.2, 'Detections from this score on may continue a confirmed track; lower ones are '
        'ignored.', minimum=0.0, maximum=1.0)
    new_score: float = param(
        0.5, 'Detections from this score on may begin a track.', minimum=0.0, maximum=1.0)
    min_overlap: float = param(
        0.1, 'Least intersection over union of a predicted box with a sure detection.',
        minimum=0.0, maximum=1.0)
    min_overlap_low: float = param(
        0.4, 'Least intersection over union of a predicted box with an unsure detection.',
        minimum=0.0, maximum=1.0)
    gate_probability: float = param(
        0.999, 'Share of true pairs that the gate on the Mahalanobis distance lets through.',
        minimum=0.5, maximum=0.999999)
    confirm_s: float = param(
        0.2, 'A person is confirmed when detected again this long after the first detection.',
        unit='s', minimum=0.0, maximum=10.0)
    forget_new_s: float = param(
        0.2, 'An unconfirmed track is dropped when unseen for longer.', unit='s',
        minimum=0.0, maximum=10.0)
    forget_s: float = param(
        1.5, 'A confirmed track is predicted for this long without a detection, then dropped.',
        unit='s', minimum=0.0, maximum=60.0)
    speed: float = param(
        0.7, 'Standard deviation of the speed of a person in the picture, in heights of its box '
        'in one second: 0.7 is 1.2 m/s.', unit='1/s', minimum=0.01, maximum=100.0)
    speed_memory_s: float = param(
        3.0, 'Time after which a speed is forgotten: short for people who turn and stop.',
        unit='s', minimum=0.01, maximum=100.0)
    growth: float = param(
        0.3, 'Standard deviation of the relative growth of a box in one second: the speed of '
        'approach divided by the distance.', unit='1/s', minimum=0.01, maximum=100.0)
    growth_memory_s: float = param(
        0.5, 'Time after which a rate of growth is forgotten.', unit='s',
        minimum=0.01, maximum=100.0)
    centre_noise: float = param(
        0.05, 'Standard deviation of the centre of a detected box, in heights of the box.',
        minimum=0.001, maximum=1.0)
    width_noise: float = param(
        0.15, 'Relative standard deviation of the width of a detected box: arms and legs swing.',
        minimum=0.001, maximum=1.0)
    height_noise: float = param(
        0.06, 'Relative standard deviation of the height of a detected box.',
        minimum=0.001, maximum=1.0)


@dataclass(frozen=True, eq=False)
class _People:
    """Everything remembered of T tracks, oldest id first."""

    ids_t: Int64Array
    first_ns_t: Int64Array
    seen_ns_t: Int64Array
    scores_t: Float32Array
    confirmed_t: BoolArray
    detections_t: Int64Array
    states: kalman.BoxStates

    def take(self, rows: BoolArray) -> _People:
        return _People(**{entry.name: getattr(self, entry.name)[rows] for entry in fields(self)})

    def joined(self, other: _People) -> _People:
        arrays = {entry.name: np.concatenate([getattr(self, entry.name),
                                              getattr(other, entry.name)])
                  for entry in fields(self) if entry.name != 'states'}
        return _People(**arrays, states=self.states.joined(other.states))


class Tracker:
    """
    The pedestrians of one camera; one thread at a time.

    Step it on every picture, also when nothing was detected: time passes for the tracks only
    through :meth:`step`.
    """

    def __init__(self, config: TrackerConfig, ids: Iterator[int]) -> None:
        """
        Begin with nobody.

        Args:
            config: checked parameters.
            ids: source of ids, ascending, one ``itertools.count(1)`` for all cameras of a node:
                an id taken from it is never seen again.
        """
        self._config = config
        self._ids = ids
        self._model = kalman.MotionModel(
            speed=config.speed, speed_memory_s=config.speed_memory_s, growth=config.growth,
            growth_memory_s=config.growth_memory_s, centre_noise=config.centre_noise,
            width_noise=config.width_noise, height_noise=config.height_noise)
        self._gate = float(chdtri(4, 1 - config.gate_probability))
        self._stamp_ns: int | None = None
        self._people = self._nobody()
        self.resets = 0

    def reset(self) -> None:
        """Forget everybody; ids go on."""
        self._stamp_ns = None
        self._people = self._nobody()
        self.resets += 1

    def step(self, detections: Detections,
             now_from_previous_33: Float64Array | None = None) -> Tracks:
        """
        Take in one picture.

        A stamp older than the last one (a bag that begins again, a clock that was set) resets
        the tracker first.

        Args:
            detections: of the picture, possibly none.
            now_from_previous_33: float64[3, 3] homography that moves the background of the
                picture of the last step onto this one, None when not known.

        Returns:
            All tracks, those only predicted and those not yet confirmed too.
        """
        stamp_ns = detections.stamp_ns
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.reset()
        dt_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) * _NS
        self._stamp_ns = stamp_ns
        people = self._people
        # After a gap in the stream nobody may be recognised by a guess from long ago.
        people = people.take(stamp_ns - people.seen_ns_t <= self._config.forget_s / _NS)
        people = self._moved(people, dt_s, now_from_previous_33)
        rows, columns = self._matched(people, detections)
        people = self._updated(people, rows, columns, detections)
        people = people.take(self._kept(people, detections))
        self._people = people.joined(self._begun(detections, columns))
        return self._published(detections)

    def _moved(self, people: _People, dt_s: float,
               now_from_previous_33: Float64Array | None) -> _People:
        states = people.states
        if now_from_previous_33 is not None:
            states = kalman.warped(states, now_from_previous_33)
        return replace(people, states=kalman.predicted(states, dt_s, self._model))

    def _matched(self, people: _People, detections: Detections,
                 ) -> tuple[Int64Array, Int64Array]:
        """Pair tracks with detections; give rows of tracks and of detections."""
        config = self._config
        overlap_tn = overlaps_from_boxes(people.states.boxes_t4, detections.boxes_n4)
        measured_n4 = kalman.measurements_from_boxes(detections.boxes_n4)
        distance_tn = kalman.squared_distances(people.states, measured_n4, self._model)
        cost_tn = 1 - overlap_tn
        near_tn = distance_tn <= self._gate
        sure_n = detections.scores_n >= config.high_score
        unsure_n = ~sure_n & (detections.scores_n >= config.low_score)
        rows, columns = assigned(
            cost_tn, near_tn & (overlap_tn >= config.min_overlap) & sure_n)
        left_t = people.confirmed_t.copy()
        left_t[rows] = False
        more_rows, more_columns = assigned(
            cost_tn, near_tn & (overlap_tn >= config.min_overlap_low) & unsure_n
            & left_t[:, None])
        return np.concatenate([rows, more_rows]), np.concatenate([columns, more_columns])

    def _updated(self, people: _People, rows: Int64Array, columns: Int64Array,
                 detections: Detections) -> _People:
        measured_m4 = kalman.measurements_from_boxes(detections.boxes_n4[columns])
        states = people.states.replaced(
            rows, kalman.corrected(people.states[rows], measured_m4, self._model))
        old_enough_t = (detections.stamp_ns - people.first_ns_t
                        >= self._config.confirm_s / _NS)
        detections_t = np.full_like(people.detections_t, -1)
        detections_t[rows] = columns
        seen_t = detections_t >= 0
        scores_t = people.scores_t.copy()
        scores_t[rows] = detections.scores_n[columns]
        return replace(
            people, states=states, scores_t=scores_t, detections_t=detections_t,
            seen_ns_t=np.where(seen_t, detections.stamp_ns, people.seen_ns_t),
            confirmed_t=people.confirmed_t | (seen_t & old_enough_t))

    def _kept(self, people: _People, detections: Detections) -> BoolArray:
        """Tell which tracks live on: seen lately, and not gone out of the picture."""
        unseen_s_t = (detections.stamp_ns - people.seen_ns_t) * _NS
        limit_s_t = np.where(people.confirmed_t, self._config.forget_s,
                             self._config.forget_new_s)
        height, width = detections.source_hw
        x_t, y_t = people.states.position_t4[:, 0], people.states.position_t4[:, 1]
        inside_t = (x_t >= 0) & (x_t <= width) & (y_t >= 0) & (y_t <= height)
        seen_t = people.detections_t >= 0
        kept: BoolArray = seen_t | ((unseen_s_t <= limit_s_t) & inside_t)
        return kept

    def _begun(self, detections: Detections, taken: Int64Array) -> _People:
        """Begin tracks from sure detections that belong to nobody."""
        free_n = detections.scores_n >= self._config.new_score
        free_n[taken] = False
        rows = np.flatnonzero(free_n)
        stamps = np.full(len(rows), detections.stamp_ns, np.int64)
        measured_m4 = kalman.measurements_from_boxes(detections.boxes_n4[rows])
        return _People(
            ids_t=np.array([next(self._ids) for _ in rows], np.int64), first_ns_t=stamps,
            seen_ns_t=stamps, scores_t=detections.scores_n[rows],
            confirmed_t=np.full(len(rows), self._config.confirm_s == 0), detections_t=rows,
            states=kalman.started(measured_m4, self._model))

    def _published(self, detections: Detections) -> Tracks:
        people = self._people

        def seconds_since(stamps_t: Int64Array) -> Float32Array:
            return ((detections.stamp_ns - stamps_t) * _NS).astype(np.float32)

        return Tracks(
            camera=detections.camera, stamp_ns=detections.stamp_ns,
            frame_id=detections.frame_id, source_hw=detections.source_hw, ids_t=people.ids_t,
            boxes_t4=people.states.boxes_t4.astype(np.float32), scores_t=people.scores_t,
            ages_s_t=seconds_since(people.first_ns_t),
            unseen_s_t=seconds_since(people.seen_ns_t), confirmed_t=people.confirmed_t,
            detections_t=people.detections_t,
            velocities_t2=people.states.rate_t4[:, :2].astype(np.float32),
            sigmas_t4=people.states.sigmas_t4.astype(np.float32))

    def _nobody(self) -> _People:
        none = np.zeros(0, np.int64)
        return _People(
            ids_t=none, first_ns_t=none, seen_ns_t=none, scores_t=np.zeros(0, np.float32),
            confirmed_t=np.zeros(0, np.bool_), detections_t=none,
            states=kalman.started(np.zeros((0, 4)), self._model))
