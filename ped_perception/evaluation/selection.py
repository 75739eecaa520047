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

"""Which pictures of a source are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import re

import numpy as np
from ped_perception.core.errors import ConfigError, SourceError
from ped_perception.sources import Source, SourceFrame

_PART = re.compile(r'(\d+)(?:-(\d+)?)?(?::(\d+))?')


@dataclass(frozen=True)
class Selection:
    """
    Some pictures of a source, by their numbers, which count from 1.

    Attributes:
        ranges: first, last (None for the end of the source) and step; empty takes all.
        drop: share of those that is left out at random, as an overloaded computer does; stamps
            stay what they are.
        seed: of the random numbers.
    """

    ranges: tuple[tuple[int, int | None, int], ...] = ()
    drop: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 <= self.drop < 1:
            raise ConfigError(f'The share of pictures to drop is {self.drop:g}; it must be 0 or '
                              f'more and less than 1.')

    @property
    def last(self) -> int | None:
        """Number of the last picture that may be selected, None for the end of the source."""
        ends = [last for _, last, _ in self.ranges]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    def __contains__(self, number: int) -> bool:
        """Tell whether the ranges take in a picture."""
        return not self.ranges or any(
            first <= number and (last is None or number <= last) and (number - first) % step == 0
            for first, last, step in self.ranges)


def selection_from_text(text: str, drop: float = 0.0, seed: int = 0) -> Selection:
    """
    Read a selection: ``1-219``, ``1-219:2`` (every second), ``500-``, or several with commas.

    Raises:
        ConfigError: not of that form, or the share to drop is impossible.
    """
    ranges = []
    for part in filter(None, text.replace(' ', '').split(',')):
        match = _PART.fullmatch(part)
        if match is None:
            raise ConfigError(f'{part!r} selects no pictures; write 1-219, 1-219:2 for every '
                              f'second one, 500- for the rest, or several with commas.')
        first, last, step = (int(group) if group else None for group in match.groups())
        if '-' not in part:
            last = first
        if not first or step == 0 or (last is not None and last < first):
            raise ConfigError(f'{part!r} selects no pictures: they count from 1, the last is not '
                              f'before the first, and steps are 1 or more.')
        ranges.append((first, last, step or 1))
    return Selection(tuple(ranges), drop, seed)


def selected(source: Source, selection: Selection) -> Iterator[tuple[int, SourceFrame]]:
    """
    Give the pictures of a source that are selected, with their numbers.

    Raises:
        SourceError: reading cannot go on, or the source ends before a picture that was asked
            for by its number.
    """
    random = np.random.default_rng(selection.seed)
    number = 0
    for number, frame in enumerate(source, 1):
        if selection.last is not None and number > selection.last:
            return
        if number in selection and random.random() >= selection.drop:
            yield number, frame
    if selection.last is not None and number < selection.last:
        raise SourceError(f'{source.name} ends with picture {number}, but pictures up to '
                          f'{selection.last} were asked for. Choose fewer.')
