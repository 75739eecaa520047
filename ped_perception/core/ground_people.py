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

"""The table of everybody whom the ground filter knows: motion, identity, links to tracks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.ground_motion import EgoMotion, MotionState, squared_sigmas
from ped_perception.core.ground_types import GroundPositions, GroundReason, GroundTracks
from ped_perception.core.types import BoolArray, Float64Array, Int64Array
from scipy.optimize import linear_sum_assignment

# Before every stamp, without an overflow when stamps are subtracted.
NEVER_NS = -(2 ** 62)
_FAR = 1e9
NO_TRACK = -1
# Of a link whose track was not measured yet: no reason of any measurement.
_UNKNOWN = 255
_UNPLACED = int(GroundReason.ABOVE_HORIZON)

# A track of one camera that is a pedestrian: when it was first and last seen, what of it was
# measured in that camera's newest picture.
_LINK = np.dtype([('track_id', np.int64), ('begun_ns', np.int64), ('seen_ns', np.int64),
                  ('misfits', np.int64), ('score', np.float32), ('reason', np.uint8),
                  ('measured', np.bool_)])
_NO_LINK = np.array((NO_TRACK, NEVER_NS, NEVER_NS, 0, 0.0, GroundReason.LOST, False), _LINK)
# Less than between two pictures, and more than the ages of tracks are rounded by.
_ONE_PICTURE_NS = 1_000_000
Links = NDArray[np.void]
Sources = tuple[tuple[tuple[str, int], ...], ...]


@dataclass(eq=False)
class People:
    """
    Everybody known, M pedestrians; ids ascend.

    Attributes:
        motion: of all of them.
        ids_m: int64[M].
        lasting_22m: float64[2, 2, M], what of the errors of their positions is not averaged away.
        placed_ns_m: int64[M], stamp of the last position, NEVER_NS for none.
        heights_m: float64[M] in metres.
        links_m: for each camera the records [M] of its tracks that are these pedestrians.
        replaced: for each camera the ids of its lost tracks that later ones took the place of.
    """

    motion: MotionState = field(default_factory=lambda: MotionState(np.zeros((16, 0))))
    ids_m: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    lasting_22m: Float64Array = field(default_factory=lambda: np.zeros((2, 2, 0)))
    placed_ns_m: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    heights_m: Float64Array = field(default_factory=lambda: np.zeros(0))
    links_m: dict[str, Links] = field(default_factory=dict)
    replaced: dict[str, set[int]] = field(default_factory=dict)
    # Kept from picture to picture until somebody's links change.
    _sources: Sources | None = None

    def __len__(self) -> int:
        """Give the number of pedestrians."""
        return len(self.ids_m)

    def add(self, first_id: int, camera: str, links_n: Links) -> Int64Array:
        """Append people who have no position yet, each a track of one camera; give their rows."""
        before, count = len(self), len(links_n)
        blank_22n = np.zeros((2, 2, count))
        self.motion = self.motion.extended(MotionState.start(blank_22n[0], blank_22n, 1.0))
        self.ids_m = np.concatenate([self.ids_m, np.arange(first_id, first_id + count)])
        self.lasting_22m = np.concatenate([self.lasting_22m, blank_22n], axis=2)
        self.placed_ns_m = np.concatenate([self.placed_ns_m, np.full(count, NEVER_NS)])
        self.heights_m = np.concatenate([self.heights_m, np.full(count, np.nan)])
        self.links_of(camera)
        for name, links in self.links_m.items():
            self.links_m[name] = np.concatenate(
                [links, links_n if name == camera else np.full(count, _NO_LINK)])
        self._sources = None
        return np.arange(before, before + count)

    def keep(self, kept_m: BoolArray) -> None:
        """Forget all others."""
        rows = kept_m.nonzero()[0]
        self.motion = self.motion.take(rows)
        self.ids_m, self.lasting_22m = self.ids_m[rows], self.lasting_22m.take(rows, axis=2)
        self.placed_ns_m, self.heights_m = self.placed_ns_m[rows], self.heights_m[rows]
        self.links_m = {camera: links[rows] for camera, links in self.links_m.items()}
        self._sources = None

    @property
    def placed_m(self) -> BoolArray:
        """Tell who has a position."""
        placed_m: BoolArray = self.placed_ns_m != NEVER_NS
        return placed_m

    def links_of(self, camera: str) -> Links:
        """Give the links of a camera, to be read and changed; tracks by :meth:`link` only."""
        if camera not in self.links_m:
            self.links_m[camera] = np.full(len(self), _NO_LINK)
        return self.links_m[camera]

    def link_counts_m(self) -> Int64Array:
        """Tell how many cameras each is linked to."""
        counts_m = np.zeros(len(self), np.int64)
        for links in self.links_m.values():
            counts_m += links['track_id'] != NO_TRACK
        return counts_m

    def link(self, camera: str, ids_t: Int64Array) -> Int64Array:
        """
        Find the pedestrians of a camera's tracks, and cut the links of its other tracks.

        Returns:
            int64[T], the row of each track, -1 for one that is linked to nobody.
        """
        links = self.links_of(camera)
        track_m = links['track_id']
        if not len(track_m):
            return np.full(len(ids_t), -1, np.int64)
        # People and tracks are both in the order they came in: there is little left to sort.
        order_m = track_m.argsort(kind='stable')
        place_t = np.minimum(track_m.searchsorted(ids_t, sorter=order_m), len(track_m) - 1)
        rows_t: Int64Array = order_m.take(place_t)
        rows_t[track_m.take(rows_t) != ids_t] = -1
        ended_m = track_m != NO_TRACK
        ended_m[rows_t[rows_t >= 0]] = False
        if ended_m.any():
            links[ended_m] = _NO_LINK
            self._sources = None
        links['measured'] = False
        return rows_t

    def without_replaced(self, positions: GroundPositions) -> GroundPositions:
        """Leave tracks out that later ones took the place of, until they are seen again."""
        replaced = self.replaced.pop(positions.camera, None)
        if not replaced:
            return positions
        known_t = positions.seen_t.copy()
        for row in (~known_t).nonzero()[0].tolist():
            known_t[row] = positions.ids_t[row] not in replaced
        if not known_t.all():
            self.replaced[positions.camera] = set(positions.ids_t[~known_t].tolist())
        return positions.take(known_t)

    def cut(self, camera: str, row: int) -> Links:
        """Take a link away, and give it."""
        links = self.links_m[camera]
        link = links[row:row + 1].copy()
        links[row] = _NO_LINK
        self._sources = None
        return link

    def cut_all(self, camera: str) -> None:
        """Take all links of a camera away."""
        del self.links_m[camera]
        self._sources = None

    def close_pairs(self, camera: str, alone_a: Int64Array, other_b: Int64Array, sigmas: float,
                    max_m: float, ego: EgoMotion | None) -> list[tuple[int, int]]:
        """
        Pair people (rows) off who may be one person, at the least total distance.

        Args:
            camera: that sees those of ``alone_a`` and may have lost sight of those of
                ``other_b``: whom it ever saw in one picture are two.
            alone_a: rows of the ones.
            other_b: rows of the others.
            sigmas: largest Mahalanobis distance of positions and of velocities.
            max_m: largest distance in metres.
            ego: motion of the vehicle, None where it is not known.
        """
        if not len(other_b):
            return []
        begun_m, seen_m = (self.links_of(camera)[name] for name in ('begun_ns', 'seen_ns'))
        after_b = seen_m.take(other_b) + _ONE_PICTURE_NS
        alone_a = alone_a[begun_m.take(alone_a) > after_b.min()]
        if not len(alone_a):
            return []
        x_2m, v_2m = self.motion.x_2m, self.motion.v_2m
        vv_22m = self.motion.vv_22m + self.motion.drifts(self.lasting_22m, ego)
        off_2ab = x_2m[:, alone_a, None] - x_2m[:, None, other_b]
        a_p, b_p = np.nonzero(off_2ab[0] ** 2 + off_2ab[1] ** 2 < max_m ** 2)
        cov_22m = self.motion.xx_22m + self.lasting_22m
        one_p, two_p = alone_a[a_p], other_b[b_p]
        cost_p = squared_sigmas(off_2ab[:, a_p, b_p], cov_22m[..., one_p] + cov_22m[..., two_p])
        # People who meet are at one place, but not with one velocity.
        apart_p = squared_sigmas(v_2m[:, one_p] - v_2m[:, two_p],
                                 vv_22m[..., one_p] + vv_22m[..., two_p])
        near_p = np.maximum(cost_p, apart_p) < sigmas ** 2
        near_p &= begun_m.take(one_p) > after_b.take(b_p)
        cost_ab = np.full((len(alone_a), len(other_b)), _FAR)
        cost_ab[a_p[near_p], b_p[near_p]] = cost_p[near_p]
        chosen = zip(*linear_sum_assignment(cost_ab), strict=True)
        return [(int(alone_a[a]), int(other_b[b])) for a, b in chosen if cost_ab[a, b] < _FAR]

    def unite(self, older: int, newer: int) -> None:
        """Give the older row all that is known of the newer one; of two links the later seen."""
        rows = np.array([older])
        motion, newcomer = self.motion.take(rows), self.motion.take(np.array([newer]))
        motion.correct(newcomer.x_2m, newcomer.xx_22m + self.lasting_22m[..., newer, None])
        self.motion.put(rows, motion)
        for camera, links in self.links_m.items():
            kept, left = sorted((older, newer), key=links['seen_ns'].__getitem__, reverse=True)
            lost = int(links['track_id'][left])
            if lost != NO_TRACK:
                self.replaced.setdefault(camera, set()).add(lost)
            links[older] = links[kept]
        self.placed_ns_m[older] = self.placed_ns_m[[older, newer]].max()
        self._sources = None

    def tracks(self, motion: MotionState, stamp_ns: int, predicted: bool, ego: EgoMotion | None,
               withdrawn: bool = False) -> GroundTracks:
        """Write down everybody, with the motion as it is or as it will be, or without any."""
        told_m = self._told()
        reason_m, placed_m = told_m['reason'].copy(), self.placed_m & (not withdrawn)
        unplaced = (~placed_m).nonzero()[0]
        xy_m2, v_m2, heights_m = motion.x_2m.T.copy(), motion.v_2m.T.copy(), self.heights_m.copy()
        cov_m22 = _by_person(motion.xx_22m + self.lasting_22m)
        v_cov_m22 = _by_person(motion.vv_22m + motion.drifts(self.lasting_22m, ego))
        if len(unplaced):
            reason_m[unplaced[reason_m[unplaced] < _UNPLACED]] = GroundReason.LOST
            for array in (xy_m2, cov_m22, v_m2, v_cov_m22, heights_m):
                array[unplaced] = np.nan
        return GroundTracks(
            stamp_ns=stamp_ns, ids_t=self.ids_m.copy(), xy_t2=xy_m2, cov_t22=cov_m22,
            velocity_t2=v_m2, velocity_cov_t22=v_cov_m22, heights_t=heights_m,
            scores_t=told_m['score'].copy(), valid_t=placed_m,
            predicted_t=~told_m['measured'] | predicted,
            reason_t=reason_m, over_ground=ego is not None, sources_t=self.sources())

    def _told(self) -> Links:
        """
        Give for each the link that is told of him: reason, score, whether measured.

        That of the first camera that measured, else of the first that has one; the score is the
        best of those that measured, else of all.
        """
        if not self.links_m:
            return np.full(len(self), _NO_LINK)
        first_m, *others = self.links_m.values()
        told_m = first_m.copy() if others else first_m
        for other_m in others:
            rank_m, other_rank_m = (links['measured'].astype(np.int8)
                                    + (links['track_id'] != NO_TRACK)
                                    for links in (told_m, other_m))
            np.maximum(told_m['score'], other_m['score'], out=told_m['score'],
                       where=other_rank_m == rank_m)
            better_m = other_rank_m > rank_m
            told_m[better_m] = other_m[better_m]
        return told_m

    def sources(self) -> Sources:
        """Give for each the (camera, track id) pairs that he is."""
        if self._sources is None:
            columns = [links['track_id'].tolist() for links in self.links_m.values()]
            cameras = tuple(self.links_m)
            self._sources = tuple(
                tuple((camera, number) for camera, number in zip(cameras, numbers, strict=True)
                      if number != NO_TRACK)
                for numbers in zip(*columns, strict=True)) if columns else ((),) * len(self)
        return self._sources


def new_links(positions: GroundPositions, rows_n: Int64Array) -> Links:
    """Give records for tracks (rows) that begin."""
    links_n = np.full(len(rows_n), _NO_LINK)
    links_n['track_id'], links_n['reason'] = positions.ids_t[rows_n], _UNKNOWN
    ages_ns_n = (positions.ages_s_t[rows_n] * 1e9).astype(np.int64)
    links_n['begun_ns'] = positions.stamp_ns - ages_ns_n
    return links_n


def _by_person(cov_22m: Float64Array) -> Float64Array:
    """Give a copy of covariances [2, 2, M] as [M, 2, 2]."""
    return cov_22m.transpose(2, 0, 1).copy()
