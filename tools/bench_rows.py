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

"""Rows of the benchmark page: medians with their spread, ratios, tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Row = dict[str, Any]
_REPEATS, _WARM_UP = 40, 3


class Spread(NamedTuple):
    """Of repeated measurements; the first ones, which warm up, left out."""

    median: float
    p10: float
    p90: float


def spread_of(samples: ArrayLike) -> Spread:
    """Give the median and the 10th and 90th percentile."""
    p10, median, p90 = np.percentile(np.asarray(samples, np.float64), (10, 50, 90)).tolist()
    return Spread(median, p10, p90)


def times_ms(call: Callable[..., object], arguments: Sequence[Any], repeats: int = _REPEATS,
             ) -> list[float]:
    """
    Call something often and give how long each call took; the first calls warm up.

    Args:
        call: what is measured.
        arguments: of which each call gets the next one.
        repeats: how often to measure.
    """
    times_s = []
    for number in range(repeats + _WARM_UP):
        begin_s = time.perf_counter()
        call(arguments[number % len(arguments)])
        times_s.append(time.perf_counter() - begin_s)
    return [1e3 * time_s for time_s in times_s[_WARM_UP:]]


def with_ratio(rows: Sequence[Row], key: str, name: str = 'ratio') -> list[Row]:
    """Add how each row compares with the first one."""
    return [{**row, name: _middle(row[key]) / _middle(rows[0][key])} for row in rows]


def table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""
    lines = ['| ' + ' | '.join(rows[0]) + ' |', '|' + '---|' * len(rows[0])]
    lines += ['| ' + ' | '.join(_cell(value) for value in row.values()) + ' |' for row in rows]
    return '\n'.join(lines)


def _middle(value: float | Spread) -> float:
    return value.median if isinstance(value, Spread) else value


def _cell(value: object) -> str:
    if isinstance(value, Spread):
        return f'{value.median:.2f} ({value.p10:.2f} to {value.p90:.2f})'
    return f'{value:.2f}' if isinstance(value, float) else str(value)
