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
Which detection belongs to whom.

Association in stages after Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
Detection Box" (ECCV 2022, arXiv 2110.06864): sure detections choose first, and what remains of
the confirmed tracks may take unsure ones. Sure detections that are left are offered to whoever
was seen there just now, and then to people lost from sight who looked the same and could be
there by now.
"""

from __future__ import annotations

import numpy as np
from ped_perception.core import kalman
from ped_perception.core.appearance import likenesses, look_distances, Looks
from ped_perception.core.association import assigned_pairs, Pairs
from ped_perception.core.people import Matches, People
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import BoolArray, Float32Array, Float64Array, Int64Array
from scipy.special import chdtri

# Somebody with nobody near him is known by his place alone where the boxes overlap this far.
_OWN_PLACE = 0.5


class Matcher:
    """Pairs people with the detections of a picture."""

    def __init__(self, config: TrackerConfig) -> None:
        """Take checked parameters."""
        self._config = config
        self._model = config.model
        self._gate = float(chdtri(4, 1 - config.gate_probability))

    def match(self, people: People, scores_n: Float32Array, looks: Looks,
              measured_n4: Float64Array, pairs: Pairs) -> Matches:
        """
        Pair people with detections.

        Args:
            people: T tracks, carried to the time of the picture.
            scores_n: of the N detections.
            looks: of the same.
            measured_n4: see :func:`~ped_perception.core.kalman.measurements_from_boxes`.
            pairs: those of tracks and detections whose boxes overlap.
        """
        found = self._by_overlap(people, scores_n, looks, measured_n4, pairs)
        left_t = people.confirmed_t.copy()
        left_t[found.rows_m] = False
        free_n = scores_n >= self._config.new_score
        free_n[found.columns_m] = False
        if not left_t.any() or not free_n.any():
            return found
        own = _alone(people, pairs, left_t, free_n)
        left_t[own.rows_p], free_n[own.columns_p] = False, False
        again = self._recognised(people, looks, measured_n4, np.flatnonzero(left_t),
                                 np.flatnonzero(free_n))
        own_like_km = likenesses(people.looks_tkd, people.look_counts_t, looks, own.rows_p,
                                 own.columns_p)
        return Matches(np.concatenate([found.rows_m, own.rows_p, again.rows_m]),
                       np.concatenate([found.columns_m, own.columns_p, again.columns_m]),
                       np.concatenate([found.like_km, own_like_km, again.like_km], axis=1))

    def _by_overlap(self, people: People, scores_n: Float32Array, looks: Looks,
                    measured_n4: Float64Array, pairs: Pairs) -> Matches:
        """Pair by overlap and colours, sure detections first."""
        config = self._config
        pairs = pairs[(scores_n >= config.low_score).take(pairs.columns_p)
                      & (pairs.overlap_p >= min(config.min_overlap, config.min_overlap_low))]
        pairs = pairs[kalman.squared_distances(
            people.states, measured_n4, pairs.rows_p, pairs.columns_p, self._model) <= self._gate]
        like_kp, _, differ_p = _compared(people, looks, pairs.rows_p, pairs.columns_p)
        alike = (differ_p <= config.look_gate).nonzero()[0]
        pairs = pairs[alike]
        cost_p = 1 - pairs.overlap_p + config.look_weight * differ_p.take(alike)
        sure_p = (scores_n >= config.high_score).take(pairs.columns_p)
        chosen = (sure_p & (pairs.overlap_p >= config.min_overlap)).nonzero()[0]
        chosen = chosen.take(assigned_pairs(
            pairs.rows_p.take(chosen), pairs.columns_p.take(chosen), cost_p.take(chosen),
            config.max_cost))
        left_t = people.confirmed_t.copy()
        left_t[pairs.rows_p.take(chosen)] = False
        more = (~sure_p & (pairs.overlap_p >= config.min_overlap_low)
                & left_t.take(pairs.rows_p)).nonzero()[0]
        if len(more):
            more = more.take(assigned_pairs(
                pairs.rows_p.take(more), pairs.columns_p.take(more), cost_p.take(more)))
            chosen = np.concatenate([chosen, more])
        return Matches(pairs.rows_p.take(chosen), pairs.columns_p.take(chosen),
                       like_kp.take(alike.take(chosen), axis=1))

    def _recognised(self, people: People, looks: Looks, measured_n4: Float64Array,
                    lost: Int64Array, free: Int64Array) -> Matches:
        """Pair lost people with detections that nobody took and that look like them."""
        rows_p, columns_p = np.repeat(lost, len(free)), np.tile(free, len(lost))
        distance_p = kalman.squared_distances(people.states, measured_n4, rows_p, columns_p,
                                              self._model)
        near_p = distance_p <= self._gate
        rows_p, columns_p, distance_p = rows_p[near_p], columns_p[near_p], distance_p[near_p]
        like_kp, known_p, differ_p = _compared(people, looks, rows_p, columns_p)
        alike = np.flatnonzero(known_p & (differ_p <= self._config.max_look_distance))
        chosen = alike[assigned_pairs(rows_p[alike], columns_p[alike],
                                      distance_p[alike] / self._gate)]
        return Matches(rows_p[chosen], columns_p[chosen], like_kp[:, chosen])


def _compared(people: People, looks: Looks, rows_p: Int64Array, columns_p: Int64Array,
              ) -> tuple[Float32Array, BoolArray, Float64Array]:
    """Give the likenesses of some pairs, which of them are known, and how far they are off."""
    counts_t = people.look_counts_t
    like_kp = likenesses(people.looks_tkd, counts_t, looks, rows_p, columns_p)
    known_p = counts_t.take(rows_p) > 0 if looks.known else np.zeros(len(rows_p), np.bool_)
    return like_kp, known_p, look_distances(like_kp, known_p)


def _alone(people: People, pairs: Pairs, left_t: BoolArray, free_n: BoolArray) -> Pairs:
    """
    Pair people who have nobody near them with the detection in their place, whatever its colours.

    Colours tell people apart. Who was seen in the last picture and has nobody near him is the
    same person in other colours: the light changed, or the exposure of the camera.
    """
    pairs = pairs[(np.bincount(pairs.columns_p, minlength=len(free_n))[pairs.columns_p] == 1)
                  & (pairs.overlap_p >= _OWN_PLACE) & free_n[pairs.columns_p]
                  & left_t[pairs.rows_p] & (people.detections_t[pairs.rows_p] >= 0)]
    return pairs[assigned_pairs(pairs.rows_p, pairs.columns_p, 1 - pairs.overlap_p)]
