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

"""What is counted and timed of one camera."""

from __future__ import annotations

from collections import deque
import enum
import math
import statistics

from ped_perception.core.overload import Look
from ped_perception.core.stats import RateMeter, RollingWindow

STAGES = ('receive', 'decode', 'views', 'infer', 'postprocess', 'track', 'publish')

# Newest pictures that the share of bad ones and the recent latency are about.
_RECENT = 32
# Newest intervals that the period is the median of: a lost picture must not count.
_INTERVALS = 9


class Drop(enum.Enum):
    """Why a picture was not looked at; the value is its name in diagnostics."""

    RATE = 'rate'
    """More than target_rate_hz."""
    IDLE = 'idle'
    """Nobody subscribes to the results."""
    REPLACED = 'replaced'
    """A newer one came before it was its turn."""
    TOO_OLD = 'too_old'
    FUTURE = 'future'
    REPEATED = 'repeated'
    DISORDERED = 'disordered'
    BAD = 'bad'
    """It could not be decoded."""
    INFERENCE = 'inference'
    """The inference failed."""
    RESULT = 'result'
    """What was found could not be followed or published."""


# Nothing is known of what the picture shows, though it was to be looked at.
_UNUSABLE = frozenset({Drop.TOO_OLD, Drop.FUTURE, Drop.REPEATED, Drop.DISORDERED, Drop.BAD,
                       Drop.INFERENCE, Drop.RESULT})


class CameraStats:
    """
    Counts and times of one camera since the node was configured.

    ``arrived`` and the drops RATE, IDLE and REPLACED are told by the executor's thread,
    ``looked_at`` and the drop RESULT by the one that follows people, all else by the inference
    thread; any thread may read.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.received = 0
        self.processed = 0
        self.looks = dict.fromkeys(Look, 0)
        self.small_in_a_row = 0
        self.detections = 0
        self.drops = dict.fromkeys(Drop, 0)
        self.last_problem = ''
        self.received_s = -math.inf
        self.looked_at_s = -math.inf
        self.recent_latency_s = math.nan
        self.rate = RateMeter()
        self.received_rate = RateMeter()
        self.latency_ms = RollingWindow()
        self.stage_ms = {stage: RollingWindow() for stage in STAGES}
        self._intervals_s: deque[float] = deque(maxlen=_INTERVALS)
        self._usable: deque[bool] = deque(maxlen=_RECENT)
        self._latencies_s: deque[float] = deque(maxlen=_RECENT)
        self._looks: deque[Look] = deque(maxlen=_RECENT)

    def arrived(self, now_s: float) -> None:
        """Count a picture that came in, usable or not; the time is of the steady clock."""
        if math.isfinite(self.received_s):
            self._intervals_s.append(now_s - self.received_s)
        self.received += 1
        self.received_s = now_s
        self.received_rate.add(now_s)

    def dropped(self, cause: Drop, problem: str = '') -> None:
        """Count a picture that was not looked at, and keep what was wrong with it."""
        self.drops[cause] += 1
        if cause in _UNUSABLE:
            self._usable.append(False)
        if problem:
            self.last_problem = problem

    def looks_at(self, look: Look) -> None:
        """Count a picture that the inference begins to look at."""
        self.looks[look] += 1
        self.small_in_a_row = self.small_in_a_row + 1 if look is Look.SMALL_NETWORK else 0
        self._looks.append(look)

    def looked_at(self, received_s: float, now_s: float, latency_s: float, people: int) -> None:
        """
        Count a picture whose result is published.

        Args:
            received_s: when it came in, steady clock.
            now_s: steady clock.
            latency_s: from its stamp to now, ROS time.
            people: found in it.
        """
        self.processed += 1
        self.detections += people
        self.rate.add(now_s)
        self.latency_ms.add(latency_s * 1e3)
        self._usable.append(True)
        # A copy: another thread may tell of the next picture.
        if all(list(self._usable)):
            # Whatever it was, it is over.
            self.last_problem = ''
        self._latencies_s.append(latency_s)
        self.recent_latency_s = sorted(self._latencies_s)[int(0.95 * len(self._latencies_s))]
        self.looked_at_s = received_s

    def forget_times(self) -> None:
        """Forget latencies, because the clock they were measured with was set."""
        self.latency_ms.clear()
        self._latencies_s.clear()
        self.recent_latency_s = math.nan

    @property
    def period_s(self) -> float:
        """
        Usual time between the newest pictures that came in, NaN before the second.

        The median, which a lost picture does not change; but where pictures come in bursts, the
        mean of all but the longest.
        """
        intervals_s = sorted(self._intervals_s)
        if not intervals_s:
            return math.nan
        median_s = statistics.median(intervals_s)
        mean_s = statistics.fmean(intervals_s[:-1] or intervals_s)
        return mean_s if mean_s > 2 * median_s else median_s

    @property
    def problem(self) -> str:
        """What was wrong with the newest picture, empty where nothing was."""
        usable = list(self._usable)
        return self.last_problem if usable and not usable[-1] else ''

    @property
    def bad_share(self) -> float:
        """Share of the newest pictures that could not be used."""
        usable = list(self._usable)
        return 1 - sum(usable) / len(usable) if usable else 0.0

    def share_of(self, look: Look) -> float:
        """Give the share of the newest pictures that were looked at so closely."""
        looks = list(self._looks)
        return looks.count(look) / len(looks) if looks else 0.0

    @property
    def total_dropped(self) -> int:
        """Pictures received but not looked at, for whatever reason."""
        return sum(self.drops.values())
