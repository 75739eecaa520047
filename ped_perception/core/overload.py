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
How closely pictures are looked at, when there is no time to look at all of them closely.

The first view of a camera is what counts. The further ones help to find the nearest and the
farthest people, and a smaller network misses some of the farthest; but a picture that nobody
looks at helps nobody. So before a picture is dropped, further views are left out, and then the
small network looks instead of the large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import enum
import statistics

# A step is to end within so many periods after a picture came. The newest picture waits until a
# step ends, so that the first one would be lost after two; the rest is for what nobody foresees.
_MOST_PERIODS = 1.5

# With less load than this, a picture that had to wait is chance, not overload: cameras that are
# not synchronised wait for each other.
_SPARE_LOAD = 0.8

# So many steps in a row are left to the small network. It may not see the farthest people at all,
# and those who are never looked at closely would be lost for good.
_MOST_SMALL = 2

# So many pictures in a row of one camera: a step of the large network takes fewer cameras than one
# of the small one, and it could be the same ones again and again.
_MOST_SMALL_OF_A_CAMERA = 6

# Where the small network, too, would miss half of the pictures.
_HOPELESS_LOAD = 2.0


class Look(enum.Enum):
    """How closely the pictures of a step are looked at, the closest first."""

    ALL_VIEWS = 'all views'
    FIRST_VIEW = 'first view'
    SMALL_NETWORK = 'small network'


@dataclass(frozen=True)
class Demand:
    """
    What a camera asks of the inference.

    Attributes:
        views: through which its pictures are seen.
        rate_hz: of its pictures, 0 where it is not known.
        waited_s: how long its newest picture has waited; None where there is none.
        small_in_a_row: so many of its pictures were left to the small network since the large one
            last looked.
    """

    views: int
    rate_hz: float
    waited_s: float | None = None
    small_in_a_row: int = 0


class LookChooser:
    """
    Chooses for each step how closely it looks. For one thread.

    Attributes:
        counts: steps so far, by how closely they looked.
    """

    def __init__(self) -> None:
        """Begin without a step."""
        self.counts = dict.fromkeys(Look, 0)
        self._small_in_a_row = 0

    def choose(self, demands: Sequence[Demand], slot_s: float, small_share: float | None) -> Look:
        """
        Choose the closest look that leaves time for the pictures that come next.

        Every third step at least is the large network's, even if that costs a picture, and so is
        one for a camera that it has not looked at for long. Where the small one, too, would miss
        most of the pictures, those that are looked at are worth the large one.

        Args:
            demands: of all cameras.
            slot_s: how long the network takes for a view, in seconds; 0 where it is not known.
            small_share: how long the small network takes, as a share of that; None where there
                is none.

        Returns:
            The choice, which is counted in ``counts``.
        """
        look = (Look.FIRST_VIEW if any(demand.views > 1 for demand in demands)
                else Look.ALL_VIEWS)
        if _leaves_time(demands, [demand.views * slot_s for demand in demands]):
            look = Look.ALL_VIEWS
        elif (small_share is not None and self._small_in_a_row < _MOST_SMALL
                and not any(demand.waited_s is not None
                            and demand.small_in_a_row >= _MOST_SMALL_OF_A_CAMERA
                            for demand in demands)
                and not _leaves_time(demands, [slot_s] * len(demands))
                and not _is_hopeless(demands, small_share * slot_s)):
            look = Look.SMALL_NETWORK
        self._small_in_a_row = self._small_in_a_row + 1 if look is Look.SMALL_NETWORK else 0
        self.counts[look] += 1
        return look


def _leaves_time(demands: Sequence[Demand], costs_s: Sequence[float]) -> bool:
    """Tell whether all would be well if a picture of each camera took so long."""
    if _load(demands, costs_s) < _SPARE_LOAD:
        return True
    step_s = sum(cost_s for demand, cost_s in zip(demands, costs_s, strict=True)
                 if demand.waited_s is not None)
    return all((demand.waited_s + step_s) * demand.rate_hz <= _MOST_PERIODS
               for demand in demands if demand.waited_s is not None)


def _is_hopeless(demands: Sequence[Demand], cost_s: float) -> bool:
    """Tell whether half of the pictures would be missed even if each took that long."""
    rates_hz = [demand.rate_hz for demand in demands if demand.rate_hz > 0]
    if _load(demands, [cost_s] * len(demands)) < _HOPELESS_LOAD:
        return False
    # Of most cameras, not of a single fast one, whose pictures come at no cost to the others.
    return statistics.median(rates_hz) * len(rates_hz) * cost_s >= _HOPELESS_LOAD


def _load(demands: Sequence[Demand], costs_s: Sequence[float]) -> float:
    """Give the share of the time that all pictures would take."""
    return sum(demand.rate_hz * cost_s for demand, cost_s in zip(demands, costs_s, strict=True))
