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

Looks at a few rows only, and at twice as many of a picture that these do not show to be fine
beyond doubt: ``core.image_measures``.

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

from dataclasses import dataclass
import enum

import numpy as np
from ped_perception.core.config import param
from ped_perception.core.image_measures import (
    ASKEW,
    FEW_ROWS,
    ImageMeasures,
    measures_of_sample,
    sample_of,
    tiled,
    TILES_XY,
    UPRIGHT,
)
from ped_perception.core.native import Pixels
from ped_perception.core.types import Float32Array, Frame, Uint8Array


class ImageProblem(enum.Enum):
    """What is wrong with the pictures of a camera; the value is for people to read."""

    FROZEN = 'frozen: the picture or its stamp does not change'
    BLACK = 'black: the lens is capped, or there is no light'
    OVER_EXPOSED = 'over-exposed: most of the picture is white'
    COVERED = 'covered: no detail in most of the picture'
    BLURRED = 'blurred: out of focus, wet, dirty or shaken'


_ORDER = tuple(ImageProblem)

# As near to a threshold as this, few rows are not enough to judge a picture by.
_NEAR = 1.5


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
        self._repeats = 0
        self._told: set[ImageProblem] = set()
        # When what is seen began to differ from what is told.
        self._since_ns: dict[ImageProblem, int] = {}
        self._directions = UPRIGHT
        self._before: ImageMeasures | None = None
        # What the latest pictures are compared with, and the time of the first that was the same.
        self._content = b''
        self._means_tt: Float32Array | None = None
        self._same_since_ns = self._still_since_ns = 0

    def configure(self, config: ImageMonitorConfig) -> None:
        """Use other thresholds from the next picture on; what is told stays told until then."""
        self._config = config

    def check(self, frame: Frame, moving: bool = False) -> tuple[ImageProblem, ...]:
        """
        Look at the next picture.

        Args:
            frame: its stamp tells the time. One that goes back means that time was set, after
                which problems have to persist anew: pictures out of order are for
                :class:`~ped_perception.core.stamps.StampGuard` to leave out.
            moving: the vehicle is known to drive, so that a picture cannot stay the same.

        Returns:
            The problems that have persisted, in the order of the enumeration; empty for none.
        """
        self._take_time(frame.stamp_ns)
        sample_dnw = sample_of(frame.pixels, FEW_ROWS)
        self.measures = self._measured(frame.pixels, sample_dnw)
        found = self._seen(self.measures)
        if self._is_frozen(sample_dnw, moving):
            found.add(ImageProblem.FROZEN)
        # Nearly always there is nothing to do.
        if found or self._told or self._since_ns:
            for problem in ImageProblem:
                self._persist(problem, problem in found)
        return tuple(sorted(self._told, key=_ORDER.index))

    def _measured(self, pixels: Pixels, sample_dnw: Uint8Array) -> ImageMeasures:
        """Measure in two directions, and take the other two from the picture before."""
        measures = measures_of_sample(sample_dnw, self._directions)
        if not self._is_surely_fine(measures):
            measures = measures_of_sample(sample_of(pixels), self._directions)
        self._directions = ASKEW if self._directions is UPRIGHT else UPRIGHT
        before, self._before = self._before or measures, measures
        # Prefer any number to NaN. The larger share is nearly always that of rows and columns,
        # whose distances are shorter: taken alone, the share would change with every picture.
        return ImageMeasures(measures.bright_grey, measures.saturated_share,
                             float(np.fmax(measures.flat_share, before.flat_share)),
                             float(np.fmin(measures.sharpness, before.sharpness)))

    def _is_surely_fine(self, measures: ImageMeasures) -> bool:
        config = self._config
        return (measures.bright_grey > _NEAR * config.black_grey
                and _NEAR * measures.saturated_share < config.over_exposed_share
                and _NEAR * measures.flat_share < config.covered_share
                and measures.sharpness > _NEAR * config.blurred_sharpness)

    def _take_time(self, stamp_ns: int) -> None:
        if stamp_ns < self._stamp_ns:
            self._told.clear()
            self._since_ns.clear()
            self._content, self._means_tt = b'', None
            self._before = None
        self._repeats = self._repeats + 1 if stamp_ns == self._stamp_ns else 1
        self._stamp_ns = stamp_ns

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

    def _is_frozen(self, sample_dnw: Uint8Array, moving: bool) -> bool:
        config, now_ns = self._config, self._stamp_ns
        content = sample_dnw.tobytes()
        if content != self._content:
            self._content, self._same_since_ns = content, now_ns
        means_tt = _tile_means(sample_dnw) if moving else None
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


def _tile_means(sample_dnw: Uint8Array) -> Float32Array:
    """Average the brightness of tiles, float32[8, 16], over the rows below each other, too."""
    columns, rows = TILES_XY
    means: Float32Array = tiled(
        sample_dnw.astype(np.float32).reshape(-1, sample_dnw.shape[2]), columns,
        len(sample_dnw) * rows).reshape(-1, rows, columns).mean(axis=0)
    return means
