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
When there is time for the further views of a picture, and when not.

The first view of a camera is always looked at. The further ones help to find the nearest and the
farthest people, but a picture that nobody looks at helps nobody: where the inference cannot keep
up with all views, the further ones are left out of some pictures before any picture is dropped.
"""

from __future__ import annotations

# Waiting less than this for a picture means that it was there first: the inference is late.
ON_TIME_S = 0.5e-3

# With less load than this, a picture that had to wait is chance, not overload.
SPARE_LOAD = 0.8

# Steps without further views after a step with them has cost a picture: about two seconds.
PAUSE_STEPS = 50


class ViewBudget:
    """
    Decides for each step whether all views are looked at. For one thread.

    All views, if the thread had to wait for the picture, or is known to have time to spare; only
    the first, if the picture had to wait. As the newest picture waits until a step ends, one late
    step costs no picture unless it is two periods long; where that happens nevertheless, a pause
    follows.
    """

    def __init__(self) -> None:
        """Begin with all views."""
        self.reduced = 0
        self._was_all = True
        self._pause = 0

    def all_views(self, waited_s: float, replaced: bool, load: float = 1.0) -> bool:
        """
        Decide about the next step.

        Args:
            waited_s: how long the thread waited for the pictures of the step.
            replaced: whether a picture was replaced unseen since the last step.
            load: share of the time that all views of all pictures would take, as far as it is
                known.

        Returns:
            Whether all views are to be looked at; the answer is counted in ``reduced``.
        """
        if replaced and self._was_all:
            self._pause = PAUSE_STEPS
        self._pause = max(0, self._pause - 1)
        self._was_all = not self._pause and (waited_s > ON_TIME_S or load < SPARE_LOAD)
        self.reduced += not self._was_all
        return self._was_all
