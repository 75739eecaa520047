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

"""What became of the published detections of a picture: who was missed, what was nobody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.association import overlaps_from_boxes
from ped_perception.core.types import Detections, Float64Array, Int64Array
from ped_perception.evaluation.detection import EVERYBODY
from ped_perception.evaluation.miss_rate import Found, matched
from ped_perception.evaluation.results import ResultPicture

# Overlap from which two boxes are at the same place: in a video one mistake is made again and
# again, and is given once.
_SAME_PLACE = 0.3
# From here on a detection is near a person, though too far off to count.
_NEAR = 0.2


@dataclass(frozen=True, eq=False)
class Judged:
    """
    A labelled picture, at the score from which its run publishes.

    Attributes:
        picture: what was found in it.
        published: the detections from that score on.
        found: what became of them, whatever the height of the people.
    """

    picture: ResultPicture
    published: Detections
    found: Found

    @property
    def people_p4(self) -> Float64Array:
        """float64[P, 4], boxes of the people who count."""
        labels = self.picture.scored_labels
        return labels.boxes_n4[labels.counted_n]

    @property
    def missed_m4(self) -> Float64Array:
        """float64[M, 4], boxes of those without a detection."""
        return np.delete(self.people_p4, self.found.person_n[self.found.person_n >= 0], axis=0)

    @property
    def right_rows(self) -> Int64Array:
        """int64, which published detections are of a person who counts."""
        return np.sort(self.found.row_n[self.found.person_n >= 0])

    @property
    def false_rows(self) -> Int64Array:
        """int64, which are of nobody; the others are where nothing counts."""
        return np.sort(self.found.row_n[self.found.person_n < 0])

    def false_boxes(self) -> list[tuple[Float64Array, float]]:
        """Give box and score of each detection of nobody."""
        return [(self.published.boxes_n4[row].astype(np.float64),
                 float(self.published.scores_n[row])) for row in self.false_rows.tolist()]

    @property
    def misses(self) -> int:
        """Number of people without a detection."""
        return self.found.people - int((self.found.person_n >= 0).sum())

    @property
    def false_positives(self) -> int:
        """Number of detections of nobody."""
        return int((self.found.person_n < 0).sum())


@dataclass(frozen=True, eq=False)
class Mistake:
    """
    One person who was missed, or one detection of nobody.

    Attributes:
        judged: the picture.
        box_xyxy: in pixels of the picture.
        weight: how bad it is: height of the person in pixels, or score of the detection.
        overlap: with the nearest detection, or the nearest person who counts: below 0.5.
    """

    judged: Judged
    box_xyxy: Float64Array
    weight: float
    overlap: float

    @property
    def is_near(self) -> bool:
        """Whether it is a box beside a person rather than a person or a box alone."""
        return self.overlap >= _NEAR


def judged(picture: ResultPicture, score: float) -> Judged:
    """Match what is published of a picture, from a score on, with its labels."""
    published = picture.detections.from_score(score)
    return Judged(picture, published, matched(
        picture.scored_labels, published.boxes_n4.astype(np.float64),
        published.scores_n.astype(np.float64), np.zeros((0, 4)), EVERYBODY))


def worst_misses(pictures: Sequence[Judged], count: int, sequence: bool) -> list[Mistake]:
    """
    Give people who were missed: first those with no detection near, of these the tallest.

    Args:
        pictures: to look in; one person is given of each.
        count: most to give.
        sequence: the pictures follow one another; what is at the same place is given once.
    """
    return _worst((Mistake(one, box_xyxy, float(box_xyxy[3] - box_xyxy[1]),
                           _overlap(box_xyxy, one.published.boxes_n4))
                   for one in pictures for box_xyxy in one.missed_m4), count, sequence)


def worst_false_positives(pictures: Sequence[Judged], count: int, sequence: bool,
                          ) -> list[Mistake]:
    """
    Give detections of nobody: first those with no person near, of these the highest scores.

    Args:
        pictures: to look in; one detection is given of each.
        count: most to give.
        sequence: the pictures follow one another; what is at the same place is given once.
    """
    return _worst((Mistake(one, box_xyxy, score, _overlap(box_xyxy, one.people_p4))
                   for one in pictures for box_xyxy, score in one.false_boxes()), count, sequence)


def _worst(mistakes: Iterable[Mistake], count: int, sequence: bool) -> list[Mistake]:
    chosen: list[Mistake] = []
    for mistake in sorted(mistakes, key=lambda one: (one.is_near, -one.weight)):
        if len(chosen) == count:
            break
        if not any(mistake.judged is other.judged or (sequence and _is_same_place(mistake, other))
                   for other in chosen):
            chosen.append(mistake)
    return chosen


def _is_same_place(a: Mistake, b: Mistake) -> bool:
    return (a.judged.picture.recording == b.judged.picture.recording
            and _overlap(a.box_xyxy, b.box_xyxy[None]) >= _SAME_PLACE)


def _overlap(box_xyxy: Float64Array, boxes_n4: NDArray[np.floating]) -> float:
    """Give the largest intersection over union with some boxes, 0 without any."""
    return float(overlaps_from_boxes(box_xyxy[None], boxes_n4.astype(np.float64))
                 .max(initial=0.0))
