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
from ped_perception.core.ground_motion import MotionState, squared_sigmas
from ped_perception.core.ground_types import GroundReason, GroundTracks
from ped_perception.core.types import BoolArray, Float64Array, Int64Array
from scipy.optimize import linear_sum_assignment

# Before every stamp, without an overflow when stamps are subtracted.
NEVER_NS = -(2 ** 62)
_FAR = 1e9


@dataclass
class Link:
    """A track of one camera that is a pedestrian; measured in that camera's newest picture."""

    track_id: int
    reason: int = -1
    measured: bool = False
    misfits: int = 0
    score: float = 0.0


@dataclass(eq=False)
class People:
    """Rows of everybody known; ids ascend."""

    motion: MotionState = field(default_factory=lambda: MotionState.start(
        np.zeros((0, 2)), np.zeros((0, 2, 2)), 0.0))
    ids_m: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    lasting_m22: Float64Array = field(default_factory=lambda: np.zeros((0, 2, 2)))
    placed_ns_m: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    heights_m: Float64Array = field(default_factory=lambda: np.zeros(0))
    links: list[dict[str, Link]] = field(default_factory=list)

    def add(self, ids: list[int], links: list[dict[str, Link]]) -> None:
        """Append people who have no position yet."""
        count = len(ids)
        blank = MotionState.start(np.zeros((count, 2)), np.zeros((count, 2, 2)), 1.0)
        self.motion = self.motion.extended(blank)
        self.ids_m = np.concatenate([self.ids_m, np.array(ids, np.int64)])
        self.lasting_m22 = np.concatenate([self.lasting_m22, np.zeros((count, 2, 2))])
        self.placed_ns_m = np.concatenate([self.placed_ns_m, np.full(count, NEVER_NS)])
        self.heights_m = np.concatenate([self.heights_m, np.full(count, np.nan)])
        self.links += links

    def keep(self, kept_m: BoolArray) -> None:
        """Forget all others."""
        self.motion = self.motion.take(kept_m)
        self.ids_m, self.lasting_m22 = self.ids_m[kept_m], self.lasting_m22[kept_m]
        self.placed_ns_m, self.heights_m = self.placed_ns_m[kept_m], self.heights_m[kept_m]
        self.links = [self.links[row] for row in np.flatnonzero(kept_m)]

    @property
    def placed_m(self) -> BoolArray:
        """Tell who has a position."""
        placed_m: BoolArray = self.placed_ns_m != NEVER_NS
        return placed_m

    def close_pairs(self, alone_a: Int64Array, other_b: Int64Array, sigmas: float, max_m: float,
                    ) -> list[tuple[int, int]]:
        """Pair people (rows) off who may be one person, at the least total distance."""
        x_m2 = self.motion.x_m2
        if not len(alone_a) or not len(other_b):
            return []
        off_ab2 = x_m2[alone_a][:, None] - x_m2[other_b]
        a_p, b_p = np.nonzero((off_ab2 ** 2).sum(axis=2) < max_m ** 2)
        cov_m22 = self.motion.xx_m22 + self.lasting_m22
        cost_p = squared_sigmas(off_ab2[a_p, b_p],
                                cov_m22[alone_a[a_p]] + cov_m22[other_b[b_p]])
        # People who meet are at one place, but not with one velocity.
        apart_p = squared_sigmas(
            self.motion.v_m2[alone_a[a_p]] - self.motion.v_m2[other_b[b_p]],
            self.motion.vv_m22[alone_a[a_p]] + self.motion.vv_m22[other_b[b_p]])
        near_p = np.maximum(cost_p, apart_p) < sigmas ** 2
        cost_ab = np.full((len(alone_a), len(other_b)), _FAR)
        cost_ab[a_p[near_p], b_p[near_p]] = cost_p[near_p]
        chosen = zip(*linear_sum_assignment(cost_ab), strict=True)
        return [(int(alone_a[a]), int(other_b[b])) for a, b in chosen if cost_ab[a, b] < _FAR]

    def unite(self, older: int, newer: int) -> None:
        """Give the older row all that is known of the newer one."""
        rows = np.array([older])
        motion, newcomer = self.motion.take(rows), self.motion.take(np.array([newer]))
        motion.correct(newcomer.x_m2, newcomer.xx_m22 + self.lasting_m22[newer])
        self.motion.put(rows, motion)
        self.links[older].update(self.links[newer])
        self.placed_ns_m[older] = self.placed_ns_m[[older, newer]].max()

    def tracks(self, motion: MotionState, stamp_ns: int, predicted: bool, over_ground: bool,
               ) -> GroundTracks:
        """Write down everybody, with the motion as it is or as it will be."""
        told = [_told(links) for links in self.links]
        reasons, scores, measured, sources = zip(*told, strict=True) if told else ((),) * 4
        reason_m: Int64Array = np.array(reasons, np.int64)
        reason_m = np.where(~self.placed_m & (reason_m < GroundReason.ABOVE_HORIZON),
                            GroundReason.LOST, reason_m)
        xy_m2, v_m2, heights_m = motion.x_m2.copy(), motion.v_m2.copy(), self.heights_m.copy()
        cov_m22, v_cov_m22 = motion.xx_m22 + self.lasting_m22, motion.vv_m22.copy()
        for array in (xy_m2, cov_m22, v_m2, v_cov_m22, heights_m):
            array[~self.placed_m] = np.nan
        return GroundTracks(
            stamp_ns=stamp_ns, ids_t=self.ids_m.copy(), xy_t2=xy_m2, cov_t22=cov_m22,
            velocity_t2=v_m2, velocity_cov_t22=v_cov_m22, heights_t=heights_m,
            scores_t=np.array(scores, np.float32), valid_t=self.placed_m,
            predicted_t=~np.array(measured, np.bool_) | predicted,
            reason_t=reason_m.astype(np.uint8), over_ground=over_ground, sources_t=sources)


def _told(links: dict[str, Link]) -> tuple[int, float, bool, tuple[tuple[str, int], ...]]:
    """
    Give what is told of somebody: reason, score, whether measured, and the tracks he is.

    The first two are those of the cameras that measured, else of any.
    """
    if len(links) == 1:
        # Nearly everybody, in every picture: worth a shorter way.
        (camera, link), = links.items()
        return link.reason, link.score, link.measured, ((camera, link.track_id),)
    measured = [link for link in links.values() if link.measured]
    asked = measured or list(links.values())
    if not asked:
        return GroundReason.LOST, 0.0, False, ()
    return (asked[0].reason, max(link.score for link in asked), bool(measured),
            tuple((camera, link.track_id) for camera, link in links.items()))
