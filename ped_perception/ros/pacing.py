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

"""When to publish which frame: deadlines on a steady clock, without drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import time

from ped_perception.sources.frames import SourceFrame

_NS_PER_S = 1_000_000_000


class Schedule:
    """
    Times of the frames of a source after the first one, through all rounds of a loop.

    Args:
        rate_hz: of each camera; 0 keeps the recorded distances.
        speed: recorded time for one second, where the distances are the recorded ones.
        period_ns: recorded distance of frames, put between the rounds of a loop.
    """

    def __init__(self, rate_hz: float, speed: float, period_ns: int) -> None:
        self._rate_hz = rate_hz
        self._speed = speed
        self._period_ns = period_ns
        self._given: Counter[str] = Counter()
        self._round_log_ns: int | None = None
        self._round_due_ns = 0
        self._last_due_ns = 0

    @property
    def period_ns(self) -> int:
        """Distance of frames as they are played."""
        return round(_NS_PER_S / self._rate_hz if self._rate_hz > 0.0
                     else self._period_ns / self._speed)

    def due_ns(self, frame: SourceFrame) -> int:
        """Give the time of the next frame of the source; it never runs backwards."""
        if self._rate_hz > 0.0:
            due_ns = round(self._given[frame.camera] * _NS_PER_S / self._rate_hz)
            self._given[frame.camera] += 1
        else:
            if self._round_log_ns is None:
                self._round_log_ns = frame.log_ns
            due_ns = self._round_due_ns + round((frame.log_ns - self._round_log_ns) / self._speed)
        # Recordings contain clocks that were set back; later frames must not wait for those.
        self._last_due_ns = max(due_ns, self._last_due_ns)
        return self._last_due_ns

    def begin_round(self) -> None:
        """Expect the first frame of the source again, one period after its last one."""
        self._round_log_ns = None
        self._round_due_ns = self._last_due_ns + self.period_ns
        latest = max(self._given.values(), default=0)
        # A camera that lost frames starts the next round together with the others.
        self._given = Counter(dict.fromkeys(self._given, latest))


class Pacer:
    """
    Turns a schedule's times into waiting times.

    Deadlines count from the first one, so errors of single waits do not add up. Being late by
    more than the tolerance moves all later deadlines: a camera that could not keep up does not
    send what it missed in a burst.

    Args:
        tolerance_ns: how late a frame may be without moving the deadlines.
        now_ns: steady clock in nanoseconds.
    """

    def __init__(self, tolerance_ns: int, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._tolerance_ns = tolerance_ns
        self._now_ns = now_ns
        self._origin_ns: int | None = None
        self.late_frames = 0
        self.late_ns = 0

    def wait_ns(self, due_ns: int) -> int:
        """Give the time left to a deadline, 0 or less when it has passed; the first is now."""
        now_ns = self._now_ns()
        if self._origin_ns is None:
            self._origin_ns = now_ns - due_ns
        return self._origin_ns + due_ns - now_ns

    def give_up_lateness(self, due_ns: int) -> int:
        """Count a frame that is later than the tolerance, and give by how much, else 0."""
        late_ns = -self.wait_ns(due_ns)
        if late_ns <= self._tolerance_ns or self._origin_ns is None:
            return 0
        self._origin_ns += late_ns
        self.late_frames += 1
        self.late_ns += late_ns
        return late_ns
