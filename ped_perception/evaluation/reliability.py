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
Whether scores mean what they say: 70 % of the detections with score 0.7 should be right.

The expected calibration error (Guo et al., "On Calibration of Modern Neural Networks", ICML
2017) over detections (as Küppers et al., "Multivariate Confidence Calibration for Object
Detection", CVPR workshops 2020): right is who was matched with a person from IoU 0.5 on.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools
from typing import Any

import numpy as np
from ped_perception.evaluation.miss_rate import Found

_EDGES = np.arange(11) / 10


def score_calibration(pictures: Sequence[Found]) -> dict[str, Any]:
    """
    Compare the scores of detections with how many of them are right.

    Args:
        pictures: what became of the detections; ignored ones are not among them.

    Returns:
        ``expected_error``: mean difference of score and precision in a bin, weighted by its
        detections, None without any; ``bins`` with ``from_score``, ``to_score``,
        ``detections``, and where there are some their ``mean_score`` and ``precision``.
    """
    score_n = np.concatenate([np.zeros(0), *(found.scores_n for found in pictures)])
    right_n = np.concatenate([np.zeros(0, np.bool_),
                              *(found.person_n >= 0 for found in pictures)])
    # A score of 1 is in the last bin.
    bin_n = np.minimum((score_n * (len(_EDGES) - 1)).astype(np.int64), len(_EDGES) - 2)
    bins: list[dict[str, Any]] = []
    error = 0.0
    for index, (low, high) in enumerate(itertools.pairwise(_EDGES.tolist())):
        here_n = bin_n == index
        count = int(here_n.sum())
        row = {'from_score': low, 'to_score': high, 'detections': count, 'mean_score': None,
               'precision': None}
        if count:
            row['mean_score'] = float(score_n[here_n].mean())
            row['precision'] = float(right_n[here_n].mean())
            error += count * abs(row['mean_score'] - row['precision'])
        bins.append(row)
    return {'expected_error': error / len(score_n) if len(score_n) else None, 'bins': bins}
