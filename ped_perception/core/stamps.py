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
Which pictures are worth looking at, by their stamps: the age budget, and time that jumps.

Ages are ROS time: the node's clock against the stamp of the picture. A picture that is too old
says nothing about now, and one whose stamp lies in the future was stamped by another clock.
"""

from __future__ import annotations

from dataclasses import dataclass
import enum

from ped_perception.core.config import param

NS = 1e-9
# Further away than this, stamps were not made by a clock that is merely wrong.
_OTHER_BASE_S = 600.0


class StampVerdict(enum.Enum):
    """What the stamp of a picture says."""

    FINE = 'fine'
    TOO_OLD = 'too_old'
    FUTURE = 'future'
    REPEATED = 'repeated'
    DISORDERED = 'disordered'


@dataclass(frozen=True)
class AgeConfig:
    """How old a picture may be."""

    max_frame_age_s: float = param(
        0.5, 'Pictures older than this are dropped before the inference; 0 for no limit, as for '
        'recordings of one camera that are played without their clock.', unit='s', minimum=0.0,
        maximum=60.0, dynamic=True)
    max_future_s: float = param(
        0.2, 'Pictures whose stamps are further in the future are dropped: another clock made '
        'them. Not checked when max_frame_age_s is 0.', unit='s', minimum=0.0, maximum=10.0,
        dynamic=True)
    jump_back_s: float = param(
        1.0, 'Stamps that go back further than this mean that time was set back, as when a bag '
        'begins again: everybody is forgotten. Less is a picture out of order, which is dropped.',
        unit='s', minimum=0.01, maximum=60.0)


class StampGuard:
    """
    Judges the stamps of one camera. For one thread.

    Attributes:
        jumps: times that stamps went back.
    """

    def __init__(self) -> None:
        """Begin without a picture."""
        self._last_ns: int | None = None
        self._seen_ns: int | None = None
        self.jumps = 0

    def reset(self) -> None:
        """Forget the last stamp, because time was set."""
        self._last_ns = self._seen_ns = None

    def judge(self, stamp_ns: int, now_ns: int, config: AgeConfig) -> StampVerdict:
        """
        Judge the next picture.

        Args:
            stamp_ns: of the picture, ROS time.
            now_ns: ROS time.
            config: limits.

        Returns:
            FINE where the picture is to be looked at; only then its stamp counts for the order of
            those to come. When that stamp went back by more than ``jump_back_s``, ``jumps`` has
            been counted up.
        """
        age_s = (now_ns - stamp_ns) * NS
        seen_ns, self._seen_ns = self._seen_ns, stamp_ns
        # A stamp that stands still gets too old; that it stands still is what is wrong with it.
        if stamp_ns == seen_ns and abs(age_s) < _OTHER_BASE_S:
            return StampVerdict.REPEATED
        if config.max_frame_age_s:
            if age_s > config.max_frame_age_s:
                return StampVerdict.TOO_OLD
            if age_s < -config.max_future_s:
                return StampVerdict.FUTURE
        if self._last_ns is not None:
            step_s = (stamp_ns - self._last_ns) * NS
            if step_s == 0:
                return StampVerdict.REPEATED
            if -config.jump_back_s <= step_s < 0:
                return StampVerdict.DISORDERED
            self.jumps += step_s < 0
        self._last_ns = stamp_ns
        return StampVerdict.FINE


def stamp_problem(verdict: StampVerdict, stamp_ns: int, now_ns: int, config: AgeConfig, *,
                  clock_stands: bool = False) -> str:
    """
    Say what is wrong with a stamp, and what to do about it; empty for a fine one.

    Args:
        verdict: about the picture.
        stamp_ns: of the picture, ROS time.
        now_ns: ROS time.
        config: limits.
        clock_stands: ROS time has not gone on since the picture before.
    """
    age_s = (now_ns - stamp_ns) * NS
    if verdict is StampVerdict.FUTURE and now_ns == 0:
        return ('use_sim_time is set, but no time has come on /clock: start the simulator or the '
                'bag with its clock, or set use_sim_time to false')
    if verdict is StampVerdict.FUTURE and clock_stands:
        return (f'the stamp is {-age_s:.3f} s in the future, and /clock does not go on: is the '
                f'simulator or the recording paused?')
    if verdict is StampVerdict.REPEATED and clock_stands:
        return ('the stamp does not change from picture to picture, and /clock does not go on: is '
                'the simulator or the recording paused?')
    if verdict in (StampVerdict.TOO_OLD, StampVerdict.FUTURE) and abs(age_s) > _OTHER_BASE_S:
        return (f'the stamps are in another time base: {stamp_ns * NS:.3f} s, while it is '
                f'{now_ns * NS:.3f} s here. A recording needs use_sim_time and its clock, a '
                f'driver must stamp with ROS time; max_frame_age_s 0 takes any stamp')
    return {
        StampVerdict.FINE: '',
        StampVerdict.TOO_OLD: f'the picture is {age_s:.3f} s old, more than max_frame_age_s '
                              f'({config.max_frame_age_s:g} s)',
        StampVerdict.FUTURE: f'the stamp is {-age_s:.3f} s in the future: synchronise the clocks '
                             f'of the camera and of this computer (PTP, NTP)',
        StampVerdict.REPEATED: 'the stamp does not change from picture to picture: the driver or '
                               'a duplicate publisher repeats it',
        StampVerdict.DISORDERED: 'the picture is older than the one before: are there two '
                                 'publishers on the topic?',
    }[verdict]
