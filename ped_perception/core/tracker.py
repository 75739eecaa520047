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

Who is who is decided in :mod:`~ped_perception.core.matching`; sure detections of nobody begin
tracks. All times are seconds between stamps; nothing counts frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from ped_perception.core import kalman
from ped_perception.core.appearance import Looks, looks_from_boxes, unknown_looks
from ped_perception.core.association import Pairs, pairs_with_detections
from ped_perception.core.border import Cuts, whole_boxes
from ped_perception.core.doubt import crowds, doubts
from ped_perception.core.ego_motion import BackgroundMotion
from ped_perception.core.matching import Matcher
from ped_perception.core.native import Pixels
from ped_perception.core.people import (
    clear_detections,
    Matches,
    newcomers,
    nobody,
    NS,
    People,
    remember_looks,
    tracks_from_people,
)
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import (
    BoolArray,
    Detections,
    Float64Array,
    Int64Array,
    Tracks,
)


class Tracker:
    """
    The pedestrians of one camera; one thread at a time.

    Step it on every picture, also when nothing was detected: time passes for the tracks only
    through :meth:`step`.

    Attributes:
        resets: times that stamps went back.
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
        self._model = config.model
        self._matcher = Matcher(config)
        self._begin()
        self.resets = 0

    def _begin(self) -> None:
        self._stamp_ns: int | None = None
        self._people = nobody(self._model)
        self._background = BackgroundMotion()

    def reset(self) -> None:
        """Forget everybody; ids go on."""
        self._begin()
        self.resets += 1

    def look_ahead(self, pixels: Pixels) -> None:
        """
        Estimate the movement of the camera before the people of a picture are known.

        It is most of the work of :meth:`step`, needs no detections, and nearly all of it is done
        without the interpreter's lock: pictures of several cameras may be looked at side by side,
        each in any thread, before one thread steps.

        Args:
            pixels: BGR or in a native layout; the same object must be given to :meth:`step`.
        """
        if self._config.ego_motion:
            self._background.look_ahead(pixels, wanted=len(self._people) > 0)

    def step(self, detections: Detections, pixels: Pixels | None = None,
             now_from_previous_33: Float64Array | None = None) -> Tracks:
        """
        Take in one picture.

        A stamp older than the last one (a bag that begins again, a clock that was set) resets
        the tracker first.

        Args:
            detections: of the picture, possibly none.
            pixels: the picture, BGR or in a native layout; without it people are told apart by
                position only and the camera is taken to stand still.
            now_from_previous_33: float64[3, 3] homography that moves the background of the
                picture of the last step onto this one, where odometry knows it, see
                :func:`~ped_perception.core.ego_motion.homography_from_rotation`.

        Returns:
            All tracks, those only predicted and those not yet confirmed too.

        Raises:
            ValueError: the picture is not of the size that the detections belong to.
        """
        if pixels is not None and pixels.shape[:2] != detections.source_hw:
            raise ValueError(f'the picture is of size {pixels.shape[:2]} (height, width), but '
                             f'the detections belong to one of {detections.source_hw}')
        if self._stamp_ns is not None and detections.stamp_ns < self._stamp_ns:
            self.reset()
        people = self._carried(detections, pixels, now_from_previous_33)
        looks = self._looks(detections, pixels)
        whole_n4 = whole_boxes(detections.boxes_n4,
                               Cuts.of(detections.boxes_n4, detections.source_hw))
        measured_n4 = kalman.measurements_from_boxes(whole_n4)
        pairs, pairs_nn = pairs_with_detections(people.states.boxes_t4, whole_n4, looks.known)
        matches = self._matcher.match(people, detections.scores_n, looks, measured_n4, pairs)
        track_n = np.full(len(detections), -1, np.int64)
        track_n[matches.columns_m] = matches.rows_m
        crowd_n, shared_n = crowds(pairs, people.confirmed_t, track_n)
        if pairs_nn is not None:
            self._remember(people, detections, matches, looks, pairs_nn, crowd_n)
        people = self._updated(people, detections, matches, measured_n4, crowd_n, shared_n)
        people = people.take(self._kept(people, detections))
        self._people = self._begun(people, detections, measured_n4, looks,
                                   matches.columns_m)
        return tracks_from_people(self._people, detections)

    def _carried(self, detections: Detections, pixels: Pixels | None,
                 now_from_previous_33: Float64Array | None) -> People:
        """Carry everybody to the time and the view of the new picture."""
        stamp_ns = detections.stamp_ns
        dt_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) * NS
        self._stamp_ns = stamp_ns
        homography = now_from_previous_33
        if pixels is not None and self._config.ego_motion:
            moved_33 = self._background.take(pixels, wanted=len(self._people) > 0)
            self._background.hide(detections.boxes_n4)
            if homography is None:
                homography = moved_33
        # After a gap in the stream nobody may be recognised by a guess from long ago.
        people = self._people
        people = people.take(people.unseen_s_t(stamp_ns) <= self._config.forget_s)
        states = people.states
        if homography is not None:
            states = kalman.warped(states, homography)
        return replace(people, states=kalman.predicted(states, dt_s, self._model))

    def _looks(self, detections: Detections, pixels: Pixels | None) -> Looks:
        if pixels is None or self._config.look_weight == 0:
            return unknown_looks(len(detections))
        return looks_from_boxes(pixels, detections.boxes_n4)

    def _remember(self, people: People, detections: Detections, matches: Matches, looks: Looks,
                  pairs_nn: Pairs, crowd_n: Float64Array) -> None:
        """Let looks follow the new picture, the more the longer somebody was not seen."""
        clear_n = clear_detections(
            detections.scores_n >= self._config.high_score, pairs_nn, crowd_n)
        unseen_s_t = people.unseen_s_t(detections.stamp_ns)
        remember_looks(people, matches, looks, clear_n,
                       -np.expm1(-unseen_s_t / self._config.look_memory_s), detections.stamp_ns)

    def _updated(self, people: People, detections: Detections, matches: Matches,
                 measured_n4: Float64Array, crowd_n: Float64Array, shared_n: BoolArray) -> People:
        """Take the detections into their tracks, the doubtful ones less."""
        rows, columns, stamp_ns = matches.rows_m, matches.columns_m, detections.stamp_ns
        scores_m = detections.scores_n.take(columns)
        doubts_m = doubts(scores_m, crowd_n.take(columns), shared_n.take(columns),
                          kalman.squared_distances(people.states, measured_n4, rows, columns,
                                                   self._model))
        states = people.states.replaced(rows, kalman.corrected(
            people.states[rows], measured_n4.take(columns, axis=0), self._model, doubts_m))
        detections_t = np.full(len(people), -1, np.int64)
        scores_t, seen_ns_t = people.scores_t.copy(), people.seen_ns_t.copy()
        confirmed_t = people.confirmed_t.copy()
        detections_t[rows], scores_t[rows], seen_ns_t[rows] = columns, scores_m, stamp_ns
        confirmed_t[rows] |= ((stamp_ns - people.first_ns_t.take(rows)) * NS
                              >= self._config.confirm_s)
        return replace(people, states=states, scores_t=scores_t, detections_t=detections_t,
                       seen_ns_t=seen_ns_t, confirmed_t=confirmed_t)

    def _kept(self, people: People, detections: Detections) -> BoolArray:
        """Tell which tracks live on: seen lately, and not gone out of the picture."""
        limit_s_t = np.where(people.confirmed_t, self._config.forget_s,
                             self._config.forget_new_s)
        centre_t2 = people.states.position_t4[:, :2]
        size_2 = np.array(detections.source_hw[::-1])
        inside_t = ((centre_t2 >= 0) & (centre_t2 <= size_2)).all(axis=1)
        kept: BoolArray = (people.detections_t >= 0) | (
            inside_t & (people.unseen_s_t(detections.stamp_ns) <= limit_s_t))
        return kept

    def _begun(self, people: People, detections: Detections, measured_n4: Float64Array,
               looks: Looks, taken: Int64Array) -> People:
        """Begin tracks from sure detections that belong to nobody."""
        free_n = detections.scores_n >= self._config.new_score
        free_n[taken] = False
        rows = free_n.nonzero()[0]
        if not len(rows):
            return people
        ids_m = np.array([next(self._ids) for _ in rows], np.int64)
        return people.joined(newcomers(
            ids_m, rows, detections, looks, kalman.started(measured_n4[rows], self._model),
            confirmed=self._config.confirm_s == 0))
