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

"""What the tracker remembers of the people it follows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from ped_perception.core import kalman
from ped_perception.core.appearance import LOOK_SIZE, Looks
from ped_perception.core.association import Pairs
from ped_perception.core.types import (
    BoolArray,
    Detections,
    Float32Array,
    Float64Array,
    Int64Array,
    Tracks,
)

NS = 1e-9
# Before every stamp.
_NEVER_NS = -(2 ** 62)
# Who is hidden this much by somebody else would be remembered with the other's colours.
_MAX_CROWD = 0.3
# A person looks different from the front, from behind and half hidden by a sign: so many looks
# are remembered, and one that is no nearer to any of them than this is a new one.
_LOOKS = 3
_SAME_LOOK = 0.75


@dataclass(frozen=True, eq=False)
class Matches:
    """
    People and the detections that are theirs, no row twice.

    Attributes:
        rows_m: int64[M], of the people.
        columns_m: int64[M], of the detections.
        like_km: float32[K, M], how like each remembered look is what is seen, see
            :func:`~ped_perception.core.appearance.likenesses`.
    """

    rows_m: Int64Array
    columns_m: Int64Array
    like_km: Float32Array


@dataclass(frozen=True, eq=False)
class People:
    """
    Everything remembered of T tracks, oldest id first.

    Attributes:
        ids_t: int64[T], ascending.
        first_ns_t: int64[T], stamp of the first detection.
        seen_ns_t: int64[T], stamp of the last detection.
        scores_t: float32[T], of the last detection.
        confirmed_t: bool[T].
        detections_t: int64[T], row of the detection in the newest picture, -1 for none.
        looks_tkd: float32[T, K, LOOK_SIZE], each of length one, or zero where nothing is known:
            those that are come first.
        look_ns_tk: int64[T, K], stamps when each of them was last seen.
        states: of the T boxes.
    """

    ids_t: Int64Array
    first_ns_t: Int64Array
    seen_ns_t: Int64Array
    scores_t: Float32Array
    confirmed_t: BoolArray
    detections_t: Int64Array
    looks_tkd: Float32Array
    look_ns_tk: Int64Array
    states: kalman.BoxStates

    def __len__(self) -> int:
        """Give the number of people."""
        return len(self.ids_t)

    def take(self, rows: BoolArray) -> People:
        """Keep some."""
        numbers = rows.nonzero()[0]
        if len(numbers) == len(rows):
            return self
        return People(**{entry.name: getattr(self, entry.name)[numbers] for entry in fields(self)})

    def joined(self, other: People) -> People:
        """Put younger ones behind these."""
        arrays = {entry.name: np.concatenate([getattr(self, entry.name),
                                              getattr(other, entry.name)])
                  for entry in fields(self) if entry.name != 'states'}
        return People(**arrays, states=self.states.joined(other.states))

    @property
    def look_counts_t(self) -> Int64Array:
        """Tell how many looks of each are known."""
        counts_t: Int64Array = np.add.reduce(self.look_ns_tk > _NEVER_NS, axis=1, dtype=np.int64)
        return counts_t

    def unseen_s_t(self, stamp_ns: int) -> Float64Array:
        """Give the seconds since the last detection of each."""
        return np.asarray((stamp_ns - self.seen_ns_t) * NS, np.float64)


def nobody(model: kalman.MotionModel) -> People:
    """Give an empty memory."""
    none = np.zeros(0, np.int64)
    return People(
        ids_t=none, first_ns_t=none, seen_ns_t=none, scores_t=np.zeros(0, np.float32),
        confirmed_t=np.zeros(0, np.bool_), detections_t=none,
        looks_tkd=np.zeros((0, _LOOKS, LOOK_SIZE), np.float32),
        look_ns_tk=np.zeros((0, _LOOKS), np.int64),
        states=kalman.started(np.zeros((0, 4)), model))


def newcomers(ids_m: Int64Array, rows: Int64Array, detections: Detections,
              looks: Looks, states: kalman.BoxStates, confirmed: bool) -> People:
    """Remember the people of some detections (rows) for the first time, in these states."""
    stamps = np.full(len(rows), detections.stamp_ns, np.int64)
    looks_mkd = np.zeros((len(rows), _LOOKS, LOOK_SIZE), np.float32)
    looks_mkd[:, 0] = looks.looks_nd[rows]
    look_ns_mk = np.full((len(rows), _LOOKS), _NEVER_NS)
    if looks.known:
        look_ns_mk[:, 0] = detections.stamp_ns
    return People(
        ids_t=ids_m, first_ns_t=stamps, seen_ns_t=stamps, scores_t=detections.scores_n[rows],
        confirmed_t=np.full(len(rows), confirmed), detections_t=rows, looks_tkd=looks_mkd,
        look_ns_tk=look_ns_mk, states=states)


def remember_looks(people: People, matches: Matches, looks: Looks, clear_n: BoolArray,
                   share_t: Float64Array, stamp_ns: int) -> None:
    """
    Let what people look like follow what is seen of them; changes their looks in place.

    What is seen is mixed into the nearest look, or replaces the one not seen for longest.

    Args:
        people: of the picture.
        matches: of people with detections.
        looks: of the detections.
        clear_n: which detections count, see :func:`clear_detections`.
        share_t: weight of what is seen now, for each of the people.
        stamp_ns: of the picture.
    """
    clear = clear_n.take(matches.columns_m).nonzero()[0]
    rows, columns = matches.rows_m.take(clear), matches.columns_m.take(clear)
    like_km = matches.like_km.take(clear, axis=1)
    same_m = like_km.max(axis=0) >= _SAME_LOOK
    place_m = np.where(same_m, like_km.argmax(axis=0),
                       people.look_ns_tk.take(rows, axis=0).argmin(axis=1))
    share_m1 = np.where(same_m, share_t.take(rows), 1).astype(np.float32)[:, None]
    # One row for each look.
    place_m += rows * _LOOKS
    looks_ld = people.looks_tkd.reshape(-1, LOOK_SIZE)
    mixed_md, seen_md = looks_ld.take(place_m, axis=0), looks.looks_nd.take(columns, axis=0)
    mixed_md *= 1 - share_m1
    seen_md *= share_m1
    mixed_md += seen_md
    mixed_md /= np.sqrt(np.einsum('md,md->m', mixed_md, mixed_md))[:, None]
    looks_ld[place_m] = mixed_md
    people.look_ns_tk.reshape(-1)[place_m] = stamp_ns


def clear_detections(sure_n: BoolArray, pairs_nn: Pairs, crowd_n: Float64Array) -> BoolArray:
    """
    Tell which detections show what somebody looks like.

    Those that are sure, and that neither another sure one nor somebody else's track hides.

    Args:
        sure_n: which detections are sure.
        pairs_nn: the detections that overlap each other.
        crowd_n: largest intersection over union of each detection with somebody else's track.
    """
    hiding_p = ((pairs_nn.overlap_p > _MAX_CROWD) & sure_n.take(pairs_nn.columns_p)
                & (pairs_nn.rows_p != pairs_nn.columns_p))
    clear_n = sure_n & (crowd_n <= _MAX_CROWD)
    clear_n[pairs_nn.rows_p.take(hiding_p.nonzero()[0])] = False
    return clear_n


def tracks_from_people(people: People, detections: Detections) -> Tracks:
    """Give what is known of everybody at the time of the picture."""
    return Tracks(
        camera=detections.camera, stamp_ns=detections.stamp_ns, frame_id=detections.frame_id,
        source_hw=detections.source_hw, ids_t=people.ids_t,
        boxes_t4=people.states.boxes_t4.astype(np.float32), scores_t=people.scores_t,
        ages_s_t=((detections.stamp_ns - people.first_ns_t) * NS).astype(np.float32),
        unseen_s_t=people.unseen_s_t(detections.stamp_ns).astype(np.float32),
        confirmed_t=people.confirmed_t, detections_t=people.detections_t,
        velocities_t2=people.states.rate_t4[:, :2].astype(np.float32),
        sigmas_t4=people.states.sigmas_t4.astype(np.float32))
