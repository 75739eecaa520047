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
Charts as SVG inside the report, so that they follow its colours, print sharply and need nothing.

A chart is described in the units of its data; the template only writes what is laid out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1040, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 10, 50
_MARK_ROW = 17
_FEWEST_BINS, _MOST_BINS = 8, 48


@dataclass(frozen=True)
class Bar:
    """One bar, from ``x`` to ``x + width`` and from 0 up to ``y``."""

    x: float
    width: float
    y: float
    tip: str


@dataclass(frozen=True)
class Line:
    """One series; the label goes into the legend when there are several."""

    x_n: Sequence[float]
    y_n: Sequence[float]
    label: str = ''
    steps: bool = False


@dataclass(frozen=True)
class Chart:
    """
    What a chart shows, in data units.

    Attributes:
        title: above the chart.
        x_label: what is along x, with its unit.
        y_label: what is along y, with its unit.
        bars: of a histogram, side by side.
        lines: series, drawn over the bars.
        marks: vertical lines by their labels.
        note: below the chart, what the reader must know.
        x_range: of the axis, None for that of the data.
        y_range: of the axis, None for 0 to the largest value.
        x_log: whether equal lengths along x are equal ratios; needs a range above 0.
        y_log: likewise along y.
    """

    title: str
    x_label: str
    y_label: str
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    marks: Mapping[str, float] | None = None
    note: str = ''
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    x_log: bool = False
    y_log: bool = False

    kind = 'chart'

    def __post_init__(self) -> None:
        """Check that logarithms exist."""
        for log, limits in ((self.x_log, self.x_range), (self.y_log, self.y_range)):
            if log and (limits is None or limits[0] <= 0):
                raise ValueError(f'a logarithmic axis needs a range above 0, not {limits}')


def histogram(values: Sequence[float], *, title: str, x_label: str, y_label: str,
              marks: Mapping[str, float]) -> Chart:
    """
    Count values in bins of equal width.

    A few values far off would press all others into one bar: they are counted in the last bin,
    and the note says so.

    Args:
        values: at least one, finite.
        title: above the chart.
        x_label: what the values are, with their unit.
        y_label: what is counted.
        marks: values to point out, by their labels.
    """
    data = np.asarray(values, np.float64)
    low, high = float(data.min()), float(data.max())
    shown_high = max((_bulk_end(data), *marks.values()))
    note = ''
    if high > shown_high:
        beyond = int((data > shown_high).sum())
        note = f'The last bar holds {beyond} beyond the axis, up to {high:.4g}.'
    else:
        shown_high = high
    edges_n = _bin_edges(np.minimum(data, shown_high), low, shown_high)
    counts_n, _ = np.histogram(np.minimum(data, shown_high), edges_n)
    bars = tuple(
        Bar(float(start), float(end - start), float(count),
            f'{start:.4g} to {end:.4g}: {count} ({count / len(data):.1%})')
        for start, end, count in zip(edges_n[:-1], edges_n[1:], counts_n, strict=True))
    return Chart(title, x_label, y_label, bars=bars, marks=marks, note=note)


def _bulk_end(data: NDArray[np.float64]) -> float:
    """Give where the bulk of the values ends: far above the third quartile."""
    first, third = np.percentile(data, (25, 75))
    return float(third + 8 * (third - first))


def _bin_edges(data: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    # Freedman and Diaconis 1981, within what a reader can tell apart.
    first, third = np.percentile(data, (25, 75))
    width = max(2 * (third - first) / len(data) ** (1 / 3), (high - low) / _MOST_BINS)
    count = max(_FEWEST_BINS, math.ceil((high - low) / width))
    return np.linspace(low, high, count + 1, dtype=np.float64)


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Give round numbers within a range: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) < most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 12) -> list[float]:
    """Give powers of ten within a range above 0, with their 2- and 5-fold where there is room."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [float(f'{factor}e{power}') for power in powers for factor in factors]
        found = [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(found) <= most:
            break
    return found


@dataclass(frozen=True)
class LaidOut:
    """A chart in pixels of its drawing, as the template writes it."""

    chart: Chart
    frame: tuple[float, float, float, float]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    bars: list[tuple[float, float, float, float, str]]
    paths: list[str]
    marks: list[tuple[float, float, str, str]]


def lay_out(chart: Chart) -> LaidOut:
    """Compute where everything of a chart goes."""
    x_low, x_high = chart.x_range or _x_range(chart)
    y_low, y_high = chart.y_range or (0.0, _y_top(chart))
    # Labels of marks get a row each: percentiles often stand close together.
    left, right, bottom = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM
    top = _TOP + _MARK_ROW * len(chart.marks or {})

    x_share, y_share = _share(x_low, x_high, chart.x_log), _share(y_low, y_high, chart.y_log)

    def x_px(x: float) -> float:
        """Give the place of a value across the page."""
        return round(left + x_share(x) * (right - left), 1)

    def y_px(y: float) -> float:
        """Give the place of a value down the page."""
        return round(bottom - y_share(y) * (bottom - top), 1)

    bars = []
    for bar in chart.bars:
        start, end, up = x_px(bar.x), x_px(bar.x + bar.width), y_px(bar.y)
        # A gap of a pixel keeps neighbours apart.
        bars.append((start + 0.5, up, max(end - start - 1.0, 0.5), round(bottom - up, 1),
                     bar.tip))
    marks: list[tuple[float, float, str, str]] = []
    ordered = sorted((chart.marks or {}).items(), key=lambda item: item[1])
    for row, (label, x) in enumerate(ordered):
        at_right = x_px(x) > (left + right) * 0.75
        marks.append((x_px(x), _TOP + 4 + row * _MARK_ROW, label, 'end' if at_right else 'start'))
    return LaidOut(
        chart=chart, frame=(left, top, right, bottom),
        x_ticks=[(x_px(tick), f'{tick:g}')
                 for tick in (log_ticks if chart.x_log else ticks)(x_low, x_high, 13)],
        y_ticks=[(y_px(tick), f'{tick:g}')
                 for tick in (log_ticks(y_low, y_high, 7) if chart.y_log
                              else ticks(y_low, y_high, 6))],
        bars=bars, paths=[_path(line, x_px, y_px) for line in chart.lines], marks=marks)


def _share(low: float, high: float, log: bool) -> Callable[[float], float]:
    """Give the function from a value to its place between the ends of an axis."""
    if log:
        return lambda value: math.log(value / low) / math.log(high / low)
    return lambda value: (value - low) / (high - low)


def _x_range(chart: Chart) -> tuple[float, float]:
    xs = [edge for bar in chart.bars for edge in (bar.x, bar.x + bar.width)]
    xs += [x for line in chart.lines for x in line.x_n]
    xs += (chart.marks or {}).values()
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _y_top(chart: Chart) -> float:
    ys = [bar.y for bar in chart.bars] + [y for line in chart.lines for y in line.y_n]
    return (max(ys, default=0.0) or 1.0) * 1.08


def _path(line: Line, x_px: Callable[[float], float], y_px: Callable[[float], float]) -> str:
    commands: list[str] = []
    for x, y in zip(line.x_n, line.y_n, strict=True):
        if not commands:
            commands.append(f'M{x_px(x)} {y_px(y)}')
        elif line.steps:
            commands.append(f'H{x_px(x)}V{y_px(y)}')
        else:
            commands.append(f'L{x_px(x)} {y_px(y)}')
    return ''.join(commands)
