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
Everybody around the vehicle once: positions of all cameras filtered, joined and given ids.

Identity. Every pedestrian has an id of its own, given once in a run. It holds links, at most one
for each camera: the (camera, track id) pairs that are this pedestrian. A track that is linked
stays linked while its camera's tracker keeps it, so that ids are as stable as the trackers make
them and a pedestrian who walks from one camera into the next keeps his. Links change in three
ways only:

* Joining. A pedestrian whom only the camera just processed sees is compared with those whom it
  does not see, by the Mahalanobis distances of positions and velocities with everything that is
  uncertain about both, and paired off at the least total distance (Hungarian method). Whom its
  tracker lost may be among them, unless it ever saw the two in one picture. A newcomer joins at
  once; two that have lived side by side must be close for several pictures in a row, because
  people meet. They must be near in metres too: far away the ellipses of different people
  overlap. The older id stays, and of two tracks of one camera the one that is seen.
* Parting. A track that does not fit its pedestrian for several pictures in a row leaves it and
  begins a new one; if it is the only link, the pedestrian starts again from the measurement.
* Ending. The tracker dropped the track, or the camera fell silent.

Uncertainty. Only part of the error of a position is new in every picture. The filter averages
that part; the rest, a tall person's height say, is added to what it publishes and never averaged
away. As soon as a measurement is of another kind than the last, or from another camera, what was
lasting is new, and the whole covariance counts. To a vehicle that drives, an error of the distance
that lasts looks like a velocity: that is added, too.

Time is that of the pictures. Cameras may come a little out of order: a position older than the
filter is carried forward. A camera whose stamps go back, or are further behind than max_lag_s,
means that time was reset: everything is forgotten but the ids that were given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ped_perception.core.config import param
from ped_perception.core.ground_motion import (
    EgoMotion,
    MotionState,
    moved_points,
    squared_sigmas,
    turned,
    turned_back,
)
from ped_perception.core.ground_people import Links, NEVER_NS, new_links, People
from ped_perception.core.ground_types import GroundPositions, GroundTracks
from ped_perception.core.ids import Ids
from ped_perception.core.types import BoolArray, Float64Array, Int64Array


@dataclass(frozen=True)
class GroundFilterConfig:
    """How people move, and when two tracks are one pedestrian."""

    wander_m2_s3: float = param(
        1.0, "Growth of the variance of a pedestrian's velocity: 1 is from standing to walking "
        'within a second.', unit='m2/s3', minimum=0.01, maximum=100.0)
    speed_sigma_m_s: float = param(
        1.5, 'Standard deviation of the speed over ground of somebody new, along x and y.',
        unit='m/s', minimum=0.1, maximum=10.0)
    relative_speed_sigma_m_s: float = param(
        10.0, 'The same as base_link sees it, where there is no odometry.', unit='m/s',
        minimum=0.1, maximum=60.0)
    coast_s: float = param(
        1.0, 'Positions are predicted for this long without a measurement, then withdrawn.',
        unit='s', minimum=0.0, maximum=10.0)
    max_lag_s: float = param(
        0.7, 'Cameras may be this far behind the newest one; more means that time was reset. With '
        'several not less than max_frame_age_s and max_future_s together, and the former must '
        'then be a limit, not 0: late pictures would make everybody be forgotten.', unit='s',
        minimum=0.01, maximum=10.0)
    join_sigmas: float = param(
        2.45, 'Tracks of two cameras may be one pedestrian up to this distance; 2.45 keeps 95 %.',
        minimum=0.5, maximum=10.0)
    join_max_m: float = param(
        3.0, 'Tracks of two cameras further apart are two pedestrians, however uncertain.',
        unit='m', minimum=0.1, maximum=50.0)
    join_pictures: int = param(
        5, 'Two pedestrians become one after this many pictures of either camera close together.',
        minimum=1, maximum=100)
    outlier_sigmas: float = param(
        4.0, 'A position further from where its pedestrian should be is not taken in.',
        minimum=1.0, maximum=20.0)
    outlier_pictures: int = param(
        3, 'A track that does not fit for this many pictures leaves its pedestrian.', minimum=1,
        maximum=100)


class GroundFilter:
    """
    Follows everybody on the ground, from the positions of any number of cameras.

    Not thread-safe: one thread calls all methods.
    """

    def __init__(self, config: GroundFilterConfig, ids: Ids | None = None) -> None:
        """Start with nobody; ids go on where those of the run ended."""
        self._config = config
        self._ids = ids or Ids()
        self._ego: EgoMotion | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everybody and all times; ids go on."""
        self._people = People()
        self._stamp_ns = NEVER_NS
        self._stamps_ns: dict[str, int] = {}
        self._close: dict[tuple[int, int], int] = {}

    def update(self, positions: GroundPositions, ego: EgoMotion | None = None) -> GroundTracks:
        """
        Take in the positions of one camera's picture.

        Args:
            positions: an empty picture counts too; a picture seen before changes nothing.
            ego: motion of the vehicle since the last update, None without odometry.

        Returns:
            Everybody at the time of the newest picture so far.
        """
        stamp_ns, camera = positions.stamp_ns, positions.camera
        last_ns = self._stamps_ns.get(camera, NEVER_NS)
        lag_s = (self._stamp_ns - stamp_ns) / 1e9
        if stamp_ns < last_ns or (self._stamp_ns != NEVER_NS and lag_s > self._config.max_lag_s):
            self.reset()
            last_ns, lag_s = NEVER_NS, 0.0
        self._refer_to(ego)
        if stamp_ns > self._stamp_ns:
            self._advance(stamp_ns)
            lag_s = 0.0
        if stamp_ns != last_ns:
            self._stamps_ns[camera] = stamp_ns
            positions = self._people.without_replaced(positions)
            rows_t, born = self._link(positions)
            self._measure(positions, rows_t, lag_s)
            self._join(camera, born)
            self._forget()
        return self._people.tracks(self._people.motion, self._stamp_ns, predicted=False,
                                   ego=self._ego)

    def predicted_to(self, stamp_ns: int) -> GroundTracks:
        """
        Tell where everybody will be, to make up for latency; the filter stays as it is.

        Args:
            stamp_ns: a time not before that of the last update. So much later that measurements
                of then would be withdrawn, nobody has a position: a slow computer, or a recording
                of last year, does not make people run a thousand kilometres.
        """
        motion = MotionState(self._people.motion.values_16m.copy())
        duration_s = max(0, stamp_ns - self._stamp_ns) / 1e9 if len(self._people) else 0.0
        too_late = duration_s > self._config.coast_s
        self._walk(motion, 0.0 if too_late else duration_s)
        return self._people.tracks(motion, stamp_ns, predicted=True, ego=self._ego,
                                   withdrawn=too_late)

    def _walk(self, motion: MotionState, duration_s: float) -> None:
        motion.predict(duration_s, self._config.wander_m2_s3)
        if self._ego is not None:
            motion.move_frame(self._ego, duration_s)

    def _advance(self, stamp_ns: int) -> None:
        people = self._people
        if self._stamp_ns != NEVER_NS and len(people):
            duration_s = (stamp_ns - self._stamp_ns) / 1e9
            self._walk(people.motion, duration_s)
            if self._ego is not None:
                people.lasting_22m = turned(
                    people.lasting_22m, turned_back(self._ego, duration_s))
        self._stamp_ns = stamp_ns

    def _refer_to(self, ego: EgoMotion | None) -> None:
        """Keep velocities true when odometry comes or goes."""
        if ego is not None and self._ego is None:
            self._people.motion.change_reference(ego, 1.0)
        elif ego is None and self._ego is not None:
            self._people.motion.change_reference(self._ego, -1.0)
        self._ego = ego

    def _link(self, positions: GroundPositions) -> tuple[Int64Array, range]:
        """
        Cut links whose tracks ended, begin a pedestrian for each new track.

        Returns:
            the row of each track, and the ids of the new pedestrians.
        """
        rows_t = self._people.link(positions.camera, positions.ids_t)
        fresh = (rows_t < 0).nonzero()[0]
        first_id = self._ids.next_person
        if len(fresh):
            rows_t[fresh] = self._begin(positions.camera, new_links(positions, fresh))
        return rows_t, range(first_id, self._ids.next_person)

    def _begin(self, camera: str, links_n: Links) -> Int64Array:
        rows_n = self._people.add(self._ids.next_person, camera, links_n)
        self._ids.next_person += len(links_n)
        return rows_n

    def _measure(self, positions: GroundPositions, rows_t: Int64Array, lag_s: float) -> None:
        """Take the positions in, each by its pedestrian."""
        people = self._people
        links = people.links_of(positions.camera)
        same_t = ((links['reason'].take(rows_t) == positions.reason_t)
                  & (people.link_counts_m().take(rows_t) == 1))
        links['reason'][rows_t], links['score'][rows_t] = positions.reason_t, positions.scores_t
        links['seen_ns'][rows_t[positions.seen_t]] = positions.stamp_ns
        usable = (positions.valid_t & positions.seen_t).nonzero()[0]
        rows_n = rows_t.take(usable)
        x_2n = positions.xy_t2.take(usable, axis=0).T
        noise_22n, cov_22n = (_by_block(cov_t22, usable)
                              for cov_t22 in (positions.noise_t22, positions.cov_t22))
        lasting_22n = cov_22n - noise_22n
        motion = people.motion.take(rows_n)
        if lag_s > 0:
            x_2n = x_2n + lag_s * motion.v_2m
            x_2n = x_2n if self._ego is None else moved_points(x_2n.T, self._ego, lag_s).T
            noise_22n = noise_22n + lag_s ** 2 * motion.vv_22m
        known_n = people.placed_m.take(rows_n)
        miss_n = squared_sigmas(x_2n - motion.x_2m, motion.xx_22m + noise_22n + lasting_22n)
        fits_n = known_n & (miss_n < self._config.outlier_sigmas ** 2)
        rows_n, begun_n = self._parted(positions.camera, rows_n, known_n & ~fits_n)
        begun_n |= ~known_n
        fit, begun = fits_n.nonzero()[0], begun_n.nonzero()[0]
        unknown_22n = lasting_22n * ~same_t.take(usable)
        motion = motion.take(fit)
        motion.correct(x_2n.take(fit, axis=1), (noise_22n + unknown_22n).take(fit, axis=2))
        people.motion.put(rows_n[fit], motion)
        if len(begun):
            self._start(rows_n[begun], x_2n[:, begun], noise_22n[..., begun])
        taken = (fits_n | begun_n).nonzero()[0]
        rows = rows_n.take(taken)
        people.lasting_22m[..., rows] = lasting_22n.take(taken, axis=2)
        people.heights_m[rows] = positions.heights_t.take(usable.take(taken))
        people.placed_ns_m[rows] = self._stamp_ns
        # Parting may have made the table longer.
        links = people.links_of(positions.camera)
        links['measured'][rows], links['misfits'][rows] = True, 0

    def _start(self, rows_n: Int64Array, x_2n: Float64Array, noise_22n: Float64Array) -> None:
        """Let the motion of some begin with a measurement."""
        sigma_m_s = (self._config.relative_speed_sigma_m_s if self._ego is None
                     else self._config.speed_sigma_m_s)
        self._people.motion.put(rows_n, MotionState.start(x_2n, noise_22n, sigma_m_s))

    def _parted(self, camera: str, rows_n: Int64Array, misfit_n: BoolArray,
                ) -> tuple[Int64Array, BoolArray]:
        """Count misfits; give the rows again, and which of them begin anew."""
        people, again_n = self._people, np.zeros(len(rows_n), np.bool_)
        for index in misfit_n.nonzero()[0].tolist():
            row, links = rows_n[index], people.links_of(camera)
            links['misfits'][row] += 1
            again_n[index] = links['misfits'][row] >= self._config.outlier_pictures
            if again_n[index] and people.link_counts_m()[row] > 1:
                rows_n[index] = self._begin(camera, people.cut(camera, row))[0]
        return rows_n, again_n

    def _join(self, camera: str, born: range) -> None:
        """Make one of pedestrians who are at one place, and not seen by this camera as two."""
        people = self._people
        other_m = people.links_of(camera)['seen_ns'] != self._stamps_ns[camera]
        if not other_m.any() and not self._close:
            return
        alone_m = ~other_m & (people.link_counts_m() == 1)
        placed_m = people.placed_m
        pairs = people.close_pairs(
            camera, np.flatnonzero(alone_m & placed_m), np.flatnonzero(other_m & placed_m),
            self._config.join_sigmas, self._config.join_max_m, self._ego)
        if not pairs and not self._close:
            return
        ids = people.ids_m.tolist()
        judged = {ids[row] for row in np.flatnonzero(alone_m)}
        waiting = set(ids) - judged
        close = {pair: hits for pair, hits in self._close.items() if waiting.issuperset(pair)}
        kept_m: BoolArray = np.ones(len(ids), np.bool_)
        for pair in pairs:
            older, newer = min(pair), max(pair)
            hits = self._close.get((ids[older], ids[newer]), 0) + 1
            if hits >= self._config.join_pictures or ids[older] in born or ids[newer] in born:
                people.unite(older, newer)
                kept_m[newer] = False
            else:
                close[ids[older], ids[newer]] = hits
        self._close = close
        if not kept_m.all():
            people.keep(kept_m)

    def _forget(self) -> None:
        """Withdraw old positions, cut links of silent cameras, drop who has neither."""
        people, oldest_ns = self._people, self._stamp_ns - round(self._config.coast_s * 1e9)
        people.placed_ns_m[people.placed_ns_m < oldest_ns] = NEVER_NS
        for camera in [name for name in people.links_m if self._stamps_ns[name] < oldest_ns]:
            people.cut_all(camera)
        kept_m = people.placed_m | (people.link_counts_m() > 0)
        if not kept_m.all():
            people.keep(kept_m)


def _by_block(cov_t22: Float64Array, rows: Int64Array) -> Float64Array:
    """Give some covariances of [T, 2, 2] as [2, 2, N]."""
    rows_n4 = cov_t22.reshape(-1, 4).take(rows, axis=0)
    return np.ascontiguousarray(rows_n4.T).reshape(2, 2, -1)
