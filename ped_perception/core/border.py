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

"""Boxes that the border of the picture cuts off, and how wide the people in them are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from ped_perception.core.types import BoolArray, Float32Array, Float64Array

BoxArray = TypeVar('BoxArray', Float32Array, Float64Array)

# Mean ratio of width to height of upright pedestrians' boxes: Dollar et al., "Pedestrian
# detection: an evaluation of the state of the art", PAMI 2012.
_ASPECT = 0.41
# A box that comes this close to the border is cut off by it: detectors round, trackers smooth.
_BORDER_PX = 2.0


@dataclass(frozen=True, eq=False)
class Cuts:
    """Which borders of the picture cut a box: bool[T] each."""

    left_t: BoolArray
    top_t: BoolArray
    right_t: BoolArray
    bottom_t: BoolArray

    @staticmethod
    def of(boxes_t4: BoxArray, size_hw: tuple[int, int]) -> Cuts:
        """Compare boxes with the borders; boxes of a tracker may reach beyond."""
        x1_t, y1_t, x2_t, y2_t = boxes_t4.T
        return Cuts(x1_t <= _BORDER_PX, y1_t <= _BORDER_PX, x2_t >= size_hw[1] - _BORDER_PX,
                    y2_t >= size_hw[0] - _BORDER_PX)


def whole_boxes(boxes_t4: BoxArray, cut: Cuts) -> BoxArray:
    """
    Widen the boxes of people whom a side of the picture cuts off, judged from the inner edge.

    What is seen of somebody who walks into the picture grows by the width of a person within
    half a second: that is no speed, and no other person.

    Args:
        boxes_t4: ``x1 y1 x2 y2`` in pixels.
        cut: of these boxes; one cut on both sides stays as it is.

    Returns:
        another array; beyond the border for people of whom too little is seen.
    """
    whole_t4 = boxes_t4.copy()
    x1_t, y1_t, x2_t, y2_t = boxes_t4.T
    width_t = _ASPECT * (y2_t - y1_t)
    np.minimum(x1_t, x2_t - width_t, out=whole_t4[:, 0], where=cut.left_t & ~cut.right_t)
    np.maximum(x2_t, x1_t + width_t, out=whole_t4[:, 2], where=cut.right_t & ~cut.left_t)
    return whole_t4
