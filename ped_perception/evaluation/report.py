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
A report as one HTML file that needs nothing else: no network, no script, no file beside it.

The report is described by records; ``templates/report.html.j2`` gives it its looks.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
import functools
from pathlib import Path
from typing import TypeAlias

import cv2
import jinja2
import numpy as np
from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.charts import Chart, HEIGHT, lay_out, WIDTH
from ped_perception.evaluation.lanes import Lanes, lay_out_lanes

_TEMPLATES = Path(__file__).parent / 'templates'
_JPEG_QUALITY = 82


@dataclass(frozen=True)
class Tile:
    """A headline figure, already written as text."""

    label: str
    value: str
    unit: str = ''
    note: str = ''


@dataclass(frozen=True)
class Table:
    """Rows under a title; the first column names the row. A wide one has the whole page."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    wide: bool = False

    kind = 'table'


@dataclass(frozen=True)
class Shares:
    """Parts of a whole as horizontal bars: label, value, text beside the bar."""

    title: str
    rows: tuple[tuple[str, float, str], ...]
    note: str = ''
    whole: float = 0.0

    kind = 'shares'

    @property
    def largest(self) -> float:
        """Value whose bar has the full width: the whole, else the largest; never 0."""
        return self.whole or max((value for _, value, _ in self.rows), default=0.0) or 1.0


@dataclass(frozen=True)
class Picture:
    """A JPEG inside the report."""

    data_uri: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side, two in a row or, when small, three."""

    title: str
    pictures: tuple[Picture, ...]
    small: bool = False

    kind = 'pictures'


Block: TypeAlias = Chart | Lanes | Table | Shares | Pictures


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """
    A whole report.

    Attributes:
        title: of the page.
        subtitle: what was looked at, when and where.
        verdict: the result in one sentence.
        good: whether the verdict is one to be content with, None where that is not for the
            report to say.
        tiles: headline figures.
        sections: everything else.
        footer: how the figures came about.
    """

    title: str
    subtitle: str
    verdict: str
    good: bool | None
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    footer: str


def picture_from_image(image_hw3: Uint8Array, caption: str, width: int = 960) -> Picture:
    """
    Put an image into a report.

    Args:
        image_hw3: uint8[H, W, 3] BGR.
        caption: below it, and for those who cannot see it.
        width: in pixels that a wider image is scaled down to.
    """
    height = image_hw3.shape[0]
    if image_hw3.shape[1] > width:
        height = max(1, round(height * width / image_hw3.shape[1]))
        image_hw3 = np.asarray(
            cv2.resize(image_hw3, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    _, payload = cv2.imencode('.jpg', image_hw3, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    text = base64.b64encode(payload.tobytes()).decode('ascii')
    return Picture(f'data:image/jpeg;base64,{text}', image_hw3.shape[1], height, caption)


def html_from_report(report: Report) -> str:
    """Write a report as one HTML page."""
    return _environment().get_template('report.html.j2').render(report=report)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(lay_out=lay_out, lay_out_lanes=lay_out_lanes, width=WIDTH,
                               height=HEIGHT)
    return environment
