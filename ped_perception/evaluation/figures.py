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

"""The figures that runs are compared by: their names, units, and which way is good."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.evaluation.detection import PRECISIONS
from ped_perception.evaluation.miss_rate import SETTINGS


@dataclass(frozen=True)
class Figure:
    """
    Something that is compared.

    Attributes:
        name: short, as conditions write it.
        title: in words.
        unit: of its values and differences.
        higher_is_better: which way is good.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool


# In the order in which compare.py gives their values.
DETECTION_FIGURES = (
    Figure('AP50', 'AP at IoU 0.5', 'points', True),
    Figure('AP', 'AP over IoU 0.5 to 0.95', 'points', True),
    *(Figure(f'MR_{setting.name.upper()}', f'log-average miss rate, {setting.name}', 'points',
             False) for setting in SETTINGS),
    *(Figure(f'RECALL@{precision:g}', f'recall at precision {precision:g}', 'points', True)
      for precision in PRECISIONS),
    Figure('RECALL', 'recall of what is published', 'points', True),
    Figure('PRECISION', 'precision of what is published', 'points', True),
    Figure('FPPI', 'false positives published in a picture', '', False))
# Of a whole run, taken from its metrics.json with the factor of its unit: what other pictures, or
# another hour on this machine, would give cannot be drawn from it.
WHOLE_FIGURES: tuple[tuple[Figure, tuple[str, str], float], ...] = (
    (Figure('IDF1', 'IDF1 of the tracks', 'points', True), ('tracking', 'idf1'), 100.0),
    (Figure('MOTA', 'MOTA of the tracks', 'points', True), ('tracking', 'mota'), 100.0),
    (Figure('HOTA', 'HOTA of the tracks', 'points', True), ('tracking', 'hota'), 100.0),
    (Figure('SWITCHES', 'id switches', '', False), ('tracking', 'id_switches'), 1.0),
    (Figure('P50', 'time of a picture, p50', 'ms', False), ('time_ms', 'p50'), 1.0),
    (Figure('P95', 'time of a picture, p95', 'ms', False), ('time_ms', 'p95'), 1.0),
    (Figure('P99', 'time of a picture, p99', 'ms', False), ('time_ms', 'p99'), 1.0),
    (Figure('MEMORY', 'peak memory', 'MB', False), ('memory_mb', 'peak'), 1.0))
FIGURES = (*DETECTION_FIGURES, *(figure for figure, _, _ in WHOLE_FIGURES))


@dataclass(frozen=True)
class Change:
    """
    One figure of both runs, None where a run does not have it.

    Attributes:
        figure: which.
        a: of the first run.
        b: of the second.
        interval: in which 95 % of the differences lie when pictures are drawn again; None where
            that says nothing.
    """

    figure: Figure
    a: float | None
    b: float | None
    interval: tuple[float, float] | None

    @property
    def difference(self) -> float | None:
        """Second less first."""
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def verdict(self) -> str:
        """Say 'same', 'better', 'worse' or 'within chance'; '' where that cannot be told."""
        if self.difference == 0 and self.interval in (None, (0.0, 0.0)):
            return 'same'
        if self.difference is None or self.interval is None:
            return ''
        low, high = self.interval
        if low <= 0 <= high:
            return 'within chance'
        return 'better' if (low > 0) == self.figure.higher_is_better else 'worse'
