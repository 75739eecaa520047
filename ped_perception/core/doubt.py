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

"""How far to distrust a detection: factors on its noise that say what a score alone does not."""

from __future__ import annotations

import numpy as np
from ped_perception.core.association import Pairs
from ped_perception.core.types import BoolArray, Float32Array, Float64Array, Int64Array

# Measured on the shipped model: boxes scored 0.7 and more stray by the noise of the
# configuration, those around 0.45 twice, those around 0.2 three times as much.
_GOOD_SCORE, _SCORE_SLOPE = 0.75, 4.0
# A detection that might as well be a lost person nearby says little about the one it was given.
_SHARED_OVERLAP, _SHARED_DOUBT = 0.3, 4.0
# Boxes in a crowd take in parts of the neighbours: so much more noise for a full overlap.
_CROWD_SLOPE = 3.0
# Squared distances of true pairs are 4 on average. What is further off than this is no Gaussian
# noise but another outline (a sign in front, two people in a box) and moves its track less.
_USUAL_DISTANCE = 6.0


def crowds(pairs: Pairs, confirmed_t: BoolArray, track_n: Int64Array,
           ) -> tuple[Float64Array, BoolArray]:
    """
    Tell which detections somebody else may have a part in.

    Args:
        pairs: of tracks and detections that overlap.
        confirmed_t: which tracks are confirmed; no others count.
        track_n: row of the track that each detection was given to, -1 for none.

    Returns:
        for each detection the largest overlap with a track that is not its own, and whether a
        track without a detection overlaps it so far that it may be the one seen.
    """
    others = pairs[confirmed_t.take(pairs.rows_p) & (track_n.take(pairs.columns_p)
                                                     != pairs.rows_p)]
    columns_p, overlap_p = others.columns_p, others.overlap_p
    crowd_n = np.zeros(len(track_n))
    np.maximum.at(crowd_n, columns_p, overlap_p)
    lost_t = np.ones(len(confirmed_t), np.bool_)
    lost_t[track_n[track_n >= 0]] = False
    shared_n = np.zeros(len(track_n), np.bool_)
    shared_n[columns_p[lost_t.take(others.rows_p) & (overlap_p >= _SHARED_OVERLAP)]] = True
    return crowd_n, shared_n


def doubts(scores_m: Float32Array, crowd_m: Float64Array, shared_m: BoolArray,
           distance_m: Float64Array) -> Float64Array:
    """
    Give the factor on the noise of each detection that was given to a track.

    Args:
        scores_m: of the detections.
        crowd_m: see :func:`crowds`.
        shared_m: see :func:`crowds`.
        distance_m: squared Mahalanobis distances of the pairs.

    Returns:
        float64[M], 1 for no doubt.
    """
    doubts_m = 1 + _SCORE_SLOPE * np.maximum(_GOOD_SCORE - scores_m.astype(np.float64), 0)
    doubts_m *= 1 + _CROWD_SLOPE * crowd_m
    doubts_m[shared_m] *= _SHARED_DOUBT
    doubts_m *= np.sqrt(np.maximum(distance_m / _USUAL_DISTANCE, 1))
    return doubts_m
