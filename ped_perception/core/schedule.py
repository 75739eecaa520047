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
Which cameras are looked at next when there is no time for all of them.

Weighted fair queueing (Demers, Keshav and Shenker, SIGCOMM 1989): every camera has a virtual
time that advances by one over its priority when it is looked at; the one furthest behind is next.
So a camera of priority 2 is looked at twice as often as one of priority 1, and none starves.
How many fit is decided by the measured time of inferences.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

# Weight of a new measurement of the time of a slot, and of one of a smaller network: where others
# need the processor, too, that one takes longer for its size.
_MEMORY = 0.2
_INDIRECT_MEMORY = 0.05


class Schedule:
    """
    Chooses the cameras of the next inference. For one thread.

    Attributes:
        slot_s: measured time of one slot of a batch, in seconds; 0 before the first.
        left_out: times that a camera had to wait although a picture was there.
    """

    def __init__(self, priorities: Mapping[str, float]) -> None:
        """
        Begin with all cameras alike.

        Args:
            priorities: weight of each camera, greater than 0.
        """
        self._priorities = dict(priorities)
        self._virtual = dict.fromkeys(priorities, 0.0)
        self.slot_s = 0.0
        self.left_out = 0

    def choose(self, cameras: Sequence[str], views: Mapping[str, float], budget_s: float,
               urgent: Collection[str] = (), urgency: float = 1.0,
               behind: Mapping[str, int] | None = None) -> list[str]:
        """
        Choose among the cameras that have a picture; at least one is chosen.

        Args:
            cameras: that have a picture.
            views: of each camera, the slots that it takes; those of a smaller network are parts
                of one.
            budget_s: time that the inference may take.
            urgent: cameras that matter more than usual now.
            urgency: factor of their priorities.
            behind: pictures of each camera that were not looked at as closely as these will be;
                who has most of them goes first.

        Returns:
            The chosen ones, those with most right to it first.
        """
        waiting = sorted(cameras, key=lambda camera: (-(behind or {}).get(camera, 0),
                                                      self._virtual[camera]))
        chosen: list[str] = []
        slots = 0.0
        for camera in waiting:
            slots += views[camera]
            if chosen and slots * self.slot_s > budget_s:
                break
            chosen.append(camera)
        self.left_out += len(waiting) - len(chosen)
        # Who had no pictures for a while does not get that time back at the cost of others.
        floor = min((self._virtual[camera] for camera in waiting), default=0.0)
        for camera in self._virtual:
            self._virtual[camera] = max(self._virtual[camera], floor)
        for camera in chosen:
            factor = urgency if camera in urgent else 1.0
            self._virtual[camera] += 1 / (self._priorities[camera] * factor)
        return chosen

    def measured(self, slots: int, duration_s: float, share: float = 1.0) -> None:
        """
        Take the time of an inference.

        Args:
            slots: that it filled.
            duration_s: how long it took.
            share: what a slot should take, as a share of ``slot_s``; less than one for a smaller
                network.
        """
        memory = _MEMORY if share == 1 else _INDIRECT_MEMORY
        slot_s = duration_s / (slots * share)
        self.slot_s += (slot_s - self.slot_s) * (memory if self.slot_s else 1.0)

    def set_priorities(self, priorities: Mapping[str, float]) -> None:
        """Take other weights for the same cameras."""
        self._priorities.update(priorities)


class RateLimit:
    """Lets pictures of one camera through at a target rate, whatever rate they come at."""

    def __init__(self) -> None:
        """Begin with the first picture."""
        self._due_s = float('-inf')

    def lets_through(self, time_s: float, rate_hz: float) -> bool:
        """
        Decide about one picture.

        Args:
            time_s: of its arrival on a steady clock.
            rate_hz: pictures wanted in a second, 0 for all.
        """
        if rate_hz <= 0:
            return True
        period_s = 1 / rate_hz
        # The rate may have been raised since.
        self._due_s = min(self._due_s, time_s + period_s)
        # A picture a little before its time is nearer to it than the next one would be.
        if time_s < self._due_s - 0.25 * period_s:
            return False
        # From when it was due, so that the mean rate is right; after a gap from now.
        begin_s = self._due_s if time_s < self._due_s + period_s else time_s
        self._due_s = begin_s + period_s
        return True
