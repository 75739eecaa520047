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

"""What to do when the network fails: try again, wait longer each time, and say when it is lost."""

from __future__ import annotations

from dataclasses import dataclass
import math

from ped_perception.core.config import param


@dataclass(frozen=True)
class RecoveryConfig:
    """How a failing inference is tried again."""

    first_wait_s: float = param(
        0.1, 'After a failed inference the next picture is looked at this much later; the time '
        'doubles with every further failure.', unit='s', minimum=0.0, maximum=10.0)
    longest_wait_s: float = param(
        2.0, 'Longest time between two attempts.', unit='s', minimum=0.01, maximum=60.0)
    give_up_s: float = param(
        10.0, 'An inference that has failed for this long counts as FAILED. Attempts go on.',
        unit='s', minimum=0.1, maximum=600.0)
    hang_s: float = param(
        5.0, 'An inference, or the following of people, that has not answered for this long '
        'counts as FAILED.', unit='s', minimum=0.1, maximum=600.0)


class Recovery:
    """
    Follows failures of one backend. Times are of a steady clock, in seconds.

    One thread reports; another may read the attributes.

    Attributes:
        failures: in a row, 0 while all is well.
        failing_since_s: when the first of them was, NaN while all is well.
        total: failures since the start.
        problem: what the last failure said, empty while all is well.
    """

    def __init__(self, config: RecoveryConfig) -> None:
        """Begin without a failure."""
        self._config = config
        self._retry_at_s = -math.inf
        self.failures = 0
        self.total = 0
        self.failing_since_s = math.nan
        self.problem = ''

    def failed(self, now_s: float, problem: str) -> float:
        """
        Take note of a failure.

        Returns:
            Seconds to wait before the next attempt.
        """
        if not self.failures:
            self.failing_since_s = now_s
        # Beyond some doublings the limit holds anyway, and floats end.
        wait_s = min(self._config.longest_wait_s,
                     self._config.first_wait_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        self.total += 1
        self.problem = problem
        self._retry_at_s = now_s + wait_s
        return wait_s

    def succeeded(self) -> bool:
        """Take note of a success; tell whether it ended a row of failures."""
        ended = self.failures > 0
        self.failures, self.failing_since_s, self.problem = 0, math.nan, ''
        return ended

    def may_try(self, now_s: float) -> bool:
        """Tell whether it is time for the next attempt."""
        return not self.failures or now_s >= self._retry_at_s

    @property
    def needs_new_backend(self) -> bool:
        """Tell whether trying again with the same one has failed too."""
        return self.failures >= 2

    def is_lost(self, now_s: float) -> bool:
        """
        Tell whether it has failed for so long that it counts as lost.

        Until the next attempt is due: while none is made, because no picture comes, nothing is
        known.
        """
        # Written so that NaN is no.
        return min(now_s, self._retry_at_s) - self.failing_since_s >= self._config.give_up_s
