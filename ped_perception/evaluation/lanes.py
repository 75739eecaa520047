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

"""Who was there when: a lane for each track, as SVG inside the report."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.evaluation.charts import ticks, WIDTH

_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 18, 6, 46
_LANE, _BAR = 18, 11.0


@dataclass(frozen=True)
class Span:
    """A stretch of a lane, from ``begin`` to ``end`` in the unit of the axis."""

    begin: float
    end: float
    good: bool
    tip: str


@dataclass(frozen=True)
class Lane:
    """One row; marks are places pointed out in it, each with what is to be said there."""

    label: str
    spans: tuple[Span, ...]
    marks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Lanes:
    """
    Rows of stretches over a common axis.

    Attributes:
        title: above the chart.
        x_label: what is along x, with its unit.
        lanes: from top to bottom.
        x_range: of the axis.
        note: below, what the reader must know.
    """

    title: str
    x_label: str
    lanes: tuple[Lane, ...]
    x_range: tuple[float, float]
    note: str = ''

    kind = 'lanes'


@dataclass(frozen=True)
class LaidOutLanes:
    """Lanes in pixels of their drawing, as the template writes them."""

    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[tuple[float, str]]
    labels: list[tuple[float, str]]
    spans: list[tuple[float, float, float, float, bool, str]]
    marks: list[tuple[float, float, float, str]]


def lay_out_lanes(block: Lanes) -> LaidOutLanes:
    """Compute where everything goes; stretches stay visible however short they are."""
    low, high = block.x_range
    span = high - low or 1.0
    right, bottom = WIDTH - _RIGHT, _TOP + _LANE * len(block.lanes)

    def x_px(x: float) -> float:
        """Give the place of a value across the page."""
        return round(_LEFT + (x - low) / span * (right - _LEFT), 1)

    labels, spans, marks = [], [], []
    for row, lane in enumerate(block.lanes):
        y = _TOP + row * _LANE + (_LANE - _BAR) / 2
        labels.append((y + _BAR - 1, lane.label))
        for part in lane.spans:
            begin = x_px(part.begin)
            spans.append((begin, y, round(max(x_px(part.end) - begin, 1.0), 1), _BAR, part.good,
                          part.tip))
        marks += [(x_px(x), y - 2.5, y + _BAR + 2.5, tip) for x, tip in lane.marks]
    x_ticks = [(x_px(tick), f'{tick:g}') for tick in ticks(low, high, 13)]
    return LaidOutLanes(bottom + _BOTTOM, _LEFT, right, _TOP, bottom, x_ticks, labels, spans,
                        marks)
