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

"""Which pictures two runs have in common: figures of different pictures are not compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ped_perception.core.errors import ConfigError
from ped_perception.evaluation.results import ResultPicture, Results


@dataclass(frozen=True, eq=False)
class Pairing:
    """
    The pictures that two runs are compared over.

    Attributes:
        pictures: of the first run and of the second, in the order of the first.
        whole: whether that is all pictures of both.
        note: what was left out, '' where nothing was.
    """

    pictures: tuple[tuple[ResultPicture, ResultPicture], ...]
    whole: bool
    note: str


def paired(a: Results, b: Results, overlap: bool) -> Pairing:
    """
    Find the pictures of two runs that belong together.

    Args:
        a: the first run.
        b: the second run.
        overlap: leave out pictures that only one run looked at or whose labels differ.

    Raises:
        ConfigError: there are such pictures and ``overlap`` is not set, or no labelled picture
            is left.
    """
    of_b = {picture.image_id: picture for picture in b.pictures}
    common = [(picture, of_b[picture.image_id]) for picture in a.pictures
              if picture.image_id in of_b]
    same = [pair for pair in common if _labelled_alike(*pair)]
    alone_a, alone_b = len(a.pictures) - len(common), len(b.pictures) - len(common)
    relabelled = len(common) - len(same)
    whole = not (alone_a or alone_b or relabelled)
    said = (f'{len(same)} pictures are in both with the same labels; {alone_a} are only in '
            f'{a.folder}, {alone_b} only in {b.folder}, and {relabelled} in both have other '
            f'labels or another size')
    if not any(picture.labels is not None for picture, _ in same):
        raise ConfigError(f'The runs have no labelled picture in common: {said}. Run both over '
                          f'the same pictures with the same labels.')
    if not whole and not overlap:
        raise ConfigError(f'The runs are not over the same pictures and labels: {said}. Run both '
                          f'over the same, or compare those {len(same)} with --overlap.')
    return Pairing(tuple(same), whole, '' if whole else f'Only the overlap is compared: {said}.')


def _labelled_alike(a: ResultPicture, b: ResultPicture) -> bool:
    if a.detections.source_hw != b.detections.source_hw:
        return False
    if a.labels is None or b.labels is None:
        return a.labels is b.labels
    first, second = a.scored_labels, b.scored_labels
    return (np.array_equal(first.boxes_n4, second.boxes_n4)
            and np.array_equal(first.counted_n, second.counted_n))
