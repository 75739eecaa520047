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
Whether a camera still shows the world: frozen, black, over-exposed, blurred or covered pictures.

Looks at a few rows only. A picture is sampled as if it were about 640 pixels wide: 16 rows spread
over its height, and beside each the rows one, two and eight sampled pixels below. Differences of
brightness over these three distances, squared and averaged, tell fine detail from noise: noise
adds the same to all of them, so it drops out of their differences, while a sharp edge adds in
proportion to the distance and a blurred one in proportion to its square (the structure function
of turbulence research, Kolmogorov 1941, used here as a measure of focus).

* Covered: no fine detail in most tiles of the picture.
* Blurred: even the sharpest quarter of the picture gains too little between the first two
  distances, in one of four directions, so that motion blur in any direction counts. Each picture
  is looked at along rows and columns or along the diagonals, in turn.
* Frozen: the sampled rows do not change at all. A live sensor's noise changes them in every
  picture, also in front of a still scene; a noiseless simulator's do not change at standstill.
  Where the vehicle is known to move, pictures that differ by their noise alone are frozen, too.

What one picture shows is not told at once: a tunnel's mouth or a headlight passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
import enum
import functools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.core.config import param
from ped_perception.core.types import BoolArray, Float32Array, Frame, Int64Array, Uint8Array

# The picture is sampled as if it were this wide: blur that scaling to the network removes anyway
# is none.
_WIDTH = 640
_ROWS = 16
_DISTANCES = (0, 1, 2, 8)
# Right and down: two pairs of directions at right angles.
_Directions = tuple[tuple[int, int], ...]
_UPRIGHT: _Directions = ((1, 0), (0, 1))
_ASKEW: _Directions = ((1, 1), (-1, 1))
# Regions, in which focus is judged, are of 4x2 tiles each.
_TILES_XY = (16, 8)
_REGIONS_XY = (4, 4)

_SATURATED_GREY = 250
_BRIGHT_SHARE = 0.98
# Squared grey levels. A tile's fine detail: below this a wall, a cloth or a cloudless sky. At
# night there is less of it everywhere, but noise hides what is below the least.
_DETAIL_GREY2 = 4.0
_LEAST_DETAIL_GREY2 = 2.0
_DAYLIGHT_GREY = 128
# A region says something about focus where the brightness varies by this much, noise apart.
_CONTRAST_GREY2 = 40.0
_LEAST_REGIONS = 3
# Sharpest quarter: in a picture in focus some regions are out of it nevertheless.
_SHARPEST = 0.75

# Stamps that go back further than this mean that time was reset: a bag that loops.
_RESET_NS = 1_000_000_000


class ImageProblem(enum.Enum):
    """What is wrong with the pictures of a camera; the value is for people to read."""

    FROZEN = 'frozen: the picture or its stamp does not change'
    BLACK = 'black: the lens is capped, or there is no light'
    OVER_EXPOSED = 'over-exposed: most of the picture is white'
    COVERED = 'covered: no detail in most of the picture'
    BLURRED = 'blurred: out of focus, wet, dirty or shaken'


_ORDER = tuple(ImageProblem)


@dataclass(frozen=True)
class ImageMonitorConfig:
    """When a picture is taken to be useless."""

    persist_s: float = param(
        1.0, 'A problem is told when every picture showed it for this long, and withdrawn when '
        'none did for this long.', unit='s', minimum=0.0, maximum=60.0, dynamic=True)
    frozen_s: float = param(
        1.0, 'Frozen: pictures stay identical for this long; 0 to switch it off, as for a '
        'simulator without sensor noise.', unit='s', minimum=0.0, maximum=60.0, dynamic=True)
    frozen_repeats: int = param(
        5, 'Frozen: so many pictures in a row bear the same stamp; 0 to switch it off.',
        minimum=0, maximum=1000, dynamic=True)
    still_grey: float = param(
        0.5, 'Frozen, if the vehicle moves: brightness changes less than this on average over '
        'frozen_s; 0 to switch it off.', unit='grey levels', minimum=0.0, maximum=20.0,
        dynamic=True)
    black_grey: float = param(
        16.0, 'Black: 98 % of the picture are darker; 0 to switch it off.', unit='grey levels',
        minimum=0.0, maximum=255.0, dynamic=True)
    over_exposed_share: float = param(
        0.55, 'Over-exposed: a larger share of the picture is white; 1 to switch it off.',
        minimum=0.0, maximum=1.0, dynamic=True)
    covered_share: float = param(
        0.6, 'Covered: a larger share of the picture is without detail; 1 to switch it off.',
        minimum=0.0, maximum=1.0, dynamic=True)
    blurred_sharpness: float = param(
        0.09, 'Blurred: sharpness is below; street pictures have 0.12 to 0.4, 0 to switch it off.',
        minimum=0.0, maximum=1.0, dynamic=True)


@dataclass(frozen=True)
class ImageMeasures:
    """
    What was measured of one picture; NaN for what it is too small or too uniform to tell.

    Attributes:
        bright_grey: 98 % of the picture are this bright at most.
        saturated_share: of the picture.
        flat_share: of the picture, without detail.
        sharpness: of the sharpest quarter, about 0.3 in a good picture, 0 for no edges at all.
    """

    bright_grey: float
    saturated_share: float
    flat_share: float
    sharpness: float


@functools.lru_cache(maxsize=16)
def _rows_of(height: int, width: int) -> tuple[Int64Array, int]:
    """
    Give the rows that are looked at in pictures of one size, and every which column.

    Returns:
        int64[4, 16], or [1, 16] for pictures too small to compare rows and columns; and the step.
    """
    step = max(1, round(width / _WIDTH))
    room = height - _DISTANCES[-1] * step
    enough = room >= _ROWS and width // step >= _TILES_XY[0] + 2 * _DISTANCES[-1]
    tops_n = ((np.arange(_ROWS) + 0.5) * (room if enough else height) / _ROWS).astype(np.int64)
    return np.array(_DISTANCES if enough else _DISTANCES[:1])[:, None] * step + tops_n, step


def _sample(image_hw3: Uint8Array) -> Uint8Array:
    """
    Copy the pixels that are looked at, green only.

    Returns:
        uint8[4, 16, W], the rows and those 1, 2 and 8 sampled pixels below each; [1, 16, W] of
        pictures too small to have them.
    """
    rows_dn, step = _rows_of(image_hw3.shape[0], image_hw3.shape[1])
    sample_dnw: Uint8Array = np.ascontiguousarray(image_hw3[:, ::step, 1][rows_dn])
    return sample_dnw


def measures_of(image_hw3: Uint8Array) -> ImageMeasures:
    """
    Measure what one picture shows.

    Args:
        image_hw3: uint8[H, W, 3] BGR of any size.
    """
    return _measures(_sample(image_hw3), _UPRIGHT + _ASKEW)


def _measures(sample_dnw: Uint8Array, directions: _Directions) -> ImageMeasures:
    counts = cv2.calcHist([sample_dnw[0]], [0], None, [256], [0, 256]).ravel()
    bright_grey = np.searchsorted(np.cumsum(counts), _BRIGHT_SHARE * sample_dnw[0].size)
    saturated_share = counts[_SATURATED_GREY:].sum() / sample_dnw[0].size
    flat_share = sharpness = math.nan
    if len(sample_dnw) == len(_DISTANCES):
        fine_dtt, coarse_dtt = _gains(sample_dnw, directions)
        flat_share = _flat_share(fine_dtt, float(bright_grey))
        sharpness = _sharpness(fine_dtt, coarse_dtt)
    return ImageMeasures(float(bright_grey), float(saturated_share), flat_share, sharpness)


def _gains(sample_dnw: Uint8Array, directions: _Directions) -> tuple[Float32Array, Float32Array]:
    """
    Give by how much squared differences grow with the distance.

    Args:
        sample_dnw: uint8[4, 16, W].
        directions: D of them.

    Returns:
        float32[D, 8, 16], from distance 1 to 2 and from 1 to 8.
    """
    margin, (columns, rows) = _DISTANCES[-1], _TILES_XY
    width = (sample_dnw.shape[2] - 2 * margin) // columns * columns
    # All in one array: a call of OpenCV costs more than what it does to a few rows.
    there_nw = np.concatenate([
        sample_dnw[index * down, :, margin + right * distance:][:, :width]
        for right, down in directions for index, distance in enumerate(_DISTANCES) if index])
    here_nw = cv2.repeat(sample_dnw[0, :, margin:margin + width], len(there_nw) // _ROWS, 1)
    difference_nw = cv2.absdiff(there_nw, here_nw)
    squares = _tiled(cv2.multiply(difference_nw, difference_nw, dtype=cv2.CV_32F), columns,
                     rows * len(there_nw) // _ROWS).reshape(len(directions), -1, rows, columns)
    gains_dltt = squares[:, 1:] - squares[:, :1]
    return gains_dltt[:, 0], gains_dltt[:, 1]


def _tiled(values_nw: NDArray[Any], columns: int, rows: int) -> NDArray[Any]:
    """Average over tiles: float32[N, W] to float32[rows, columns]."""
    tiled: NDArray[Any] = cv2.resize(values_nw, (columns, rows), interpolation=cv2.INTER_AREA)
    return tiled


def _flat_share(fine_dtt: Float32Array, bright_grey: float) -> float:
    least_grey2 = max(_LEAST_DETAIL_GREY2, _DETAIL_GREY2 * min(1, bright_grey / _DAYLIGHT_GREY))
    # Absolute values: in an interlaced picture the rows next to each other differ the most.
    flat_tt: BoolArray = np.abs(fine_dtt).max(axis=0) < least_grey2
    return float(flat_tt.mean())


def _sharpness(fine_dtt: Float32Array, coarse_dtt: Float32Array) -> float:
    """
    Give the share of the contrast over eight pixels that lies between one and two of them.

    Of the direction in which it is least: shaken pictures are sharp across the movement.
    """
    columns, rows = _REGIONS_XY
    both = np.concatenate([fine_dtt, coarse_dtt]).reshape(-1, _TILES_XY[0])
    fine_dr, coarse_dr = _tiled(both, columns, 2 * len(fine_dtt) * rows).reshape(
        2, len(fine_dtt), -1).tolist()
    found = []
    for fine_r, coarse_r in zip(fine_dr, coarse_dr, strict=True):
        ratios = sorted(abs(fine) / coarse for fine, coarse in zip(fine_r, coarse_r, strict=True)
                        if coarse > _CONTRAST_GREY2)
        if len(ratios) >= _LEAST_REGIONS:
            found.append(ratios[int(_SHARPEST * len(ratios))])
    return min(found, default=math.nan)


class ImageMonitor:
    """
    Watches the pictures of one camera. For one thread.

    Attributes:
        measures: of the latest picture, None before the first.
    """

    def __init__(self, config: ImageMonitorConfig) -> None:
        """Begin with nothing known."""
        self._config = config
        self.measures: ImageMeasures | None = None
        self._stamp_ns = 0
        self._raw_stamp_ns: int | None = None
        self._repeats = 0
        self._told: set[ImageProblem] = set()
        # When what is seen began to differ from what is told.
        self._since_ns: dict[ImageProblem, int] = {}
        self._directions = _UPRIGHT
        self._before: ImageMeasures | None = None
        # What the latest pictures are compared with, and the time of the first that was the same.
        self._rows_nw: Uint8Array | None = None
        self._means_tt: Float32Array | None = None
        self._same_since_ns = self._still_since_ns = 0

    def configure(self, config: ImageMonitorConfig) -> None:
        """Use other thresholds from the next picture on; what is told stays told until then."""
        self._config = config

    def check(self, frame: Frame, moving: bool = False) -> tuple[ImageProblem, ...]:
        """
        Look at the next picture.

        Args:
            frame: its stamp tells the time; small steps back count as no step, large ones as a
                reset of time, after which problems have to persist anew.
            moving: the vehicle is known to drive, so that a picture cannot stay the same.

        Returns:
            The problems that have persisted, in the order of the enumeration; empty for none.
        """
        self._take_time(frame.stamp_ns)
        sample_dnw = _sample(frame.image_hw3)
        self.measures = self._measured(sample_dnw)
        found = self._seen(self.measures)
        if self._is_frozen(sample_dnw[0], moving):
            found.add(ImageProblem.FROZEN)
        # Nearly always there is nothing to do.
        if found or self._told or self._since_ns:
            for problem in ImageProblem:
                self._persist(problem, problem in found)
        return tuple(sorted(self._told, key=_ORDER.index))

    def _measured(self, sample_dnw: Uint8Array) -> ImageMeasures:
        """Measure in two directions, and take the other two from the picture before."""
        measures = _measures(sample_dnw, self._directions)
        self._directions = _ASKEW if self._directions is _UPRIGHT else _UPRIGHT
        before, self._before = self._before or measures, measures
        # Prefer any number to NaN. The larger share is nearly always that of rows and columns,
        # whose distances are shorter: taken alone, the share would change with every picture.
        return replace(measures, sharpness=float(np.fmin(measures.sharpness, before.sharpness)),
                       flat_share=float(np.fmax(measures.flat_share, before.flat_share)))

    def _take_time(self, stamp_ns: int) -> None:
        if self._stamp_ns - stamp_ns > _RESET_NS:
            self._stamp_ns = stamp_ns
            self._told.clear()
            self._since_ns.clear()
            self._rows_nw = self._means_tt = None
            self._before = None
        self._repeats = self._repeats + 1 if stamp_ns == self._raw_stamp_ns else 1
        self._raw_stamp_ns = stamp_ns
        self._stamp_ns = max(stamp_ns, self._stamp_ns)

    def _seen(self, measures: ImageMeasures) -> set[ImageProblem]:
        """Give the one problem that explains a picture; a black one is flat and blurred, too."""
        config = self._config
        # Comparisons with NaN are False: what cannot be measured is not blamed.
        if measures.bright_grey < config.black_grey:
            return {ImageProblem.BLACK}
        if measures.saturated_share > config.over_exposed_share:
            return {ImageProblem.OVER_EXPOSED}
        if measures.flat_share > config.covered_share:
            return {ImageProblem.COVERED}
        if measures.sharpness < config.blurred_sharpness:
            return {ImageProblem.BLURRED}
        return set()

    def _is_frozen(self, rows_nw: Uint8Array, moving: bool) -> bool:
        config, now_ns = self._config, self._stamp_ns
        if self._rows_nw is None or not np.array_equal(rows_nw, self._rows_nw):
            self._rows_nw, self._same_since_ns = rows_nw, now_ns
        means_tt = _tiled(rows_nw.astype(np.float32), *_TILES_XY) if moving else None
        if (means_tt is None or self._means_tt is None
                or np.abs(means_tt - self._means_tt).mean() >= config.still_grey):
            self._means_tt, self._still_since_ns = means_tt, now_ns
        same_ns = now_ns - min(self._same_since_ns, self._still_since_ns)
        return bool((config.frozen_s and same_ns >= config.frozen_s * 1e9)
                    or 0 < config.frozen_repeats <= self._repeats)

    def _persist(self, problem: ImageProblem, seen: bool) -> None:
        told = problem in self._told
        if seen == told:
            self._since_ns.pop(problem, None)
            return
        since_ns = self._since_ns.setdefault(problem, self._stamp_ns)
        # Frozen pictures have stood for frozen_s already, and a frozen stamp stops this clock.
        at_once = seen and problem is ImageProblem.FROZEN
        if at_once or self._stamp_ns - since_ns >= self._config.persist_s * 1e9:
            del self._since_ns[problem]
            if seen:
                self._told.add(problem)
            else:
                self._told.discard(problem)
