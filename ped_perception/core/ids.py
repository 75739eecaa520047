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

"""The ids that one run gives out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
import itertools


@dataclass
class Ids:
    """
    Where ids come from: each is given once in a run, whatever is loaded anew in between.

    Attributes:
        tracks: of the trackers of all cameras, ascending.
        next_person: the next one of everybody around the vehicle.
    """

    tracks: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    next_person: int = 1
