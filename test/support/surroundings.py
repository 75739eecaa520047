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

"""Made-up pedestrians around the vehicle, some of them without a position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ped_perception.core.ground_types import GroundReason, GroundTracks

STAMP_NS = 12_345_678_901
COV_22 = ((0.09, 0.02), (0.02, 0.25))


def ground_tracks(xy: Sequence[tuple[float, float] | None], *,
                  velocity: Sequence[tuple[float, float]] | None = None,
                  ids: Sequence[int] | None = None,
                  reasons: Sequence[GroundReason] | None = None,
                  heights: Sequence[float] | None = None,
                  predicted: Sequence[bool] | None = None,
                  sources: Sequence[tuple[tuple[str, int], ...]] | None = None,
                  cov_22: Sequence[Sequence[float]] = COV_22, over_ground: bool = True,
                  stamp_ns: int = STAMP_NS) -> GroundTracks:
    """Make tracks; None is somebody without a position."""
    count = len(xy)
    valid_t = np.array([place is not None for place in xy], np.bool_)
    nan_t = np.where(valid_t, 1.0, np.nan)
    placed = [place or (0.0, 0.0) for place in xy]
    plain = [GroundReason.AGREED if valid else GroundReason.ABOVE_HORIZON for valid in valid_t]
    return GroundTracks(
        stamp_ns, np.array(ids or range(1, count + 1), np.int64)[:count],
        np.array(placed, np.float64).reshape(-1, 2) * nan_t[:, None],
        np.broadcast_to(np.array(cov_22, np.float64), (count, 2, 2)) * nan_t[:, None, None],
        np.array(velocity or [(0.0, 0.0)] * count, np.float64).reshape(-1, 2) * nan_t[:, None],
        np.broadcast_to(0.04 * np.eye(2), (count, 2, 2)) * nan_t[:, None, None],
        np.array(heights or [1.8] * count, np.float64) * nan_t,
        np.linspace(0.9, 0.5, count, dtype=np.float32), valid_t,
        np.array(predicted or [False] * count, np.bool_),
        np.array(reasons or plain, np.uint8), tuple(sources or [(('front', 1),)] * count),
        over_ground)
