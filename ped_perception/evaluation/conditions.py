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

"""Conditions on a comparison, as a check of changes writes them: ``AP50<-0.5``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import operator
import re

from ped_perception.core.errors import ConfigError
from ped_perception.evaluation.figures import Change, FIGURES

_OPERATORS = {'<': operator.lt, '<=': operator.le, '>': operator.gt, '>=': operator.ge}
_FORM = re.compile(r'([A-Za-z]\w*(?:@\d*\.?\d+)?)(<=|>=|<|>)([+-]?(?:\d+\.?\d*|\.\d+))')


@dataclass(frozen=True)
class Condition:
    """
    A bound on a difference, second run less first, in the unit of the figure.

    Attributes:
        name: of a figure.
        comparison: ``<``, ``<=``, ``>`` or ``>=``.
        limit: in points for shares.
    """

    name: str
    comparison: str
    limit: float

    def __str__(self) -> str:
        """Write it as it is read."""
        return f'{self.name}{self.comparison}{self.limit:g}'

    def is_met(self, changes: Sequence[Change]) -> bool:
        """
        Tell whether the difference is beyond the bound.

        Raises:
            ConfigError: the runs do not have the figure: what cannot be judged does not pass.
        """
        difference = next((change.difference for change in changes
                           if change.figure.name == self.name), None)
        if difference is None:
            have = [change.figure.name for change in changes if change.difference is not None]
            raise ConfigError(f'{self} cannot be judged: {self.name} is not defined in both runs. '
                              f'These are: {", ".join(have)}.')
        return bool(_OPERATORS[self.comparison](difference, self.limit))


def condition_from_text(text: str) -> Condition:
    """
    Read a condition: METRIC OP VALUE, as ``AP50<-0.5``; spaces and case do not matter.

    Raises:
        ConfigError: not of that form, or no such metric.
    """
    match = _FORM.fullmatch(re.sub(r'\s+', '', text))
    if match is None:
        raise ConfigError(f'{text!r} is no condition. Write METRIC OP VALUE, where OP is one of '
                          f'{" ".join(_OPERATORS)}, as in AP50<-0.5.')
    name, comparison, limit = match.groups()
    known = [figure.name for figure in FIGURES]
    if name.upper() not in known:
        raise ConfigError(f'{name!r} in {text!r} is no metric. Known are: {", ".join(known)}.')
    return Condition(name.upper(), comparison, float(limit))
