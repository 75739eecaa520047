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
HOTA: how well people are found and kept apart, in one figure.

Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking" (IJCV 2021),
over the overlaps 0.05, 0.1 … 0.95 as there. motmetrics does not have it, and TrackEval, which
has, can be installed neither beside the NumPy of ROS 2 nor beside a headless OpenCV; the tests
hold these figures against those that TrackEval gave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ped_perception.core.types import Float64Array, Int64Array
from scipy.optimize import linear_sum_assignment

_OVERLAPS = np.arange(1, 20) / 20
# An overlap of 0.5 that was computed as 0.49999… is one of 0.5.
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class _Picture:
    """Rows of the people labelled and tracked in one picture, and how much they overlap."""

    rows_n: Int64Array
    rows_t: Int64Array
    overlap_nt: Float64Array


class Hota:
    """Collects the pictures of some sequences and gives their HOTA."""

    def __init__(self) -> None:
        """Begin with no picture."""
        self._people: dict[int, int] = {}
        self._tracks: dict[int, int] = {}
        self._pictures: list[_Picture] = []

    def update(self, people_n: Int64Array, tracks_t: Int64Array, overlap_nt: Float64Array,
               ) -> None:
        """
        Take in the next picture.

        Args:
            people_n: int64[N], ids of the labelled people; those of another sequence differ.
            tracks_t: int64[T], ids of the tracked ones.
            overlap_nt: float64[N, T], intersection over union of each with each.
        """
        self._pictures.append(_Picture(
            _rows(people_n, self._people), _rows(tracks_t, self._tracks), overlap_nt))

    def result(self) -> dict[str, float]:
        """
        Compute the metrics of what was taken in, each the mean over all overlaps.

        Returns:
            ``hota``, ``detection_accuracy`` and ``association_accuracy`` in 0..1.
        """
        lives_g1, lives_1s, alignment_gs = self._alignment()
        # [overlaps, people, tracks]: in how many pictures a pair was matched.
        matches_ags = np.zeros((len(_OVERLAPS), *alignment_gs.shape))
        for picture in self._pictures:
            score_nt = alignment_gs[np.ix_(picture.rows_n, picture.rows_t)] * picture.overlap_nt
            people, tracks = linear_sum_assignment(score_nt, maximize=True)
            right_am = picture.overlap_nt[people, tracks] >= _OVERLAPS[:, None] - _EPSILON
            # Nobody is twice in a picture, so that each place is added to once.
            matches_ags[:, picture.rows_n[people], picture.rows_t[tracks]] += right_am
        right_a = matches_ags.sum(axis=(1, 2))
        every_a = lives_g1.sum() + lives_1s.sum() - right_a
        detection_a = right_a / np.maximum(every_a, 1)
        shared_ags = matches_ags / np.maximum(lives_g1 + lives_1s - matches_ags, 1)
        association_a = (matches_ags * shared_ags).sum(axis=(1, 2)) / np.maximum(right_a, 1)
        return {'hota': float(np.sqrt(detection_a * association_a).mean()),
                'detection_accuracy': float(detection_a.mean()),
                'association_accuracy': float(association_a.mean())}

    def _alignment(self) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Give how many pictures each person and each track is in, and the share in common."""
        lives_g1 = np.zeros((len(self._people), 1))
        lives_1s = np.zeros((1, len(self._tracks)))
        shared_gs = np.zeros((len(self._people), len(self._tracks)))
        for picture in self._pictures:
            overlap_nt = picture.overlap_nt
            union_nt = (overlap_nt.sum(axis=0) + overlap_nt.sum(axis=1, keepdims=True)
                        - overlap_nt)
            shared_gs[np.ix_(picture.rows_n, picture.rows_t)] += np.divide(
                overlap_nt, union_nt, out=np.zeros_like(overlap_nt), where=union_nt > 0)
            lives_g1[picture.rows_n] += 1
            lives_1s[:, picture.rows_t] += 1
        return lives_g1, lives_1s, shared_gs / (lives_g1 + lives_1s - shared_gs)


def _rows(ids_n: Int64Array, known: dict[int, int]) -> Int64Array:
    return np.array([known.setdefault(identity, len(known)) for identity in ids_n.tolist()],
                    np.int64)
