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
What makes a picture worth the work of labelling it, and which of many to take.

Where a detector contradicts itself, it is wrong at least once: that is where labels teach most
(uncertainty and disagreement sampling, Settles, "Active Learning Literature Survey", 2009), and
it shows without any labels. What looks like what was taken already teaches less; a share of the
pictures is taken for being different only, against what the detector is wrong about and sure of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.core.association import overlaps_from_boxes
from ped_perception.core.types import Detections, Float64Array, Tracks, Uint8Array

# Reason -> least value, 0..1, from which a picture is taken for it; in the order of turns.
LEAST_VALUES = {'flicker': 0.3, 'views': 0.3, 'unsure': 0.8, 'unstable': 0.2, 'different': 0.05}

# Scores this near to the threshold of publication could as well have been on its other side.
_MARGIN = 0.12
# Two views that saw the same person overlap at least so much.
_SAME_IOU = 0.4
# A view cannot be blamed for people smaller than this in the network input, its pixels.
_VISIBLE_PX = 28.0
# People do not come and go in less.
_BRIEF_NS = 1_000_000_000
# Share of the picture along its edges where they do.
_EDGE = 0.03
_LOOK_SIDE = 8
# Even a picture that looks like another one keeps this share of its value: a fixed camera shows
# nothing else.
_LEAST_NOVELTY = 0.3


@dataclass(frozen=True)
class Value:
    """How much a picture is worth for one reason, 0..1, and why in words."""

    value: float
    why: str


@dataclass(eq=False)
class Glimpse:
    """
    What is remembered of a picture that was looked at.

    Attributes:
        number: of the picture in its source, from 1.
        camera: that took it.
        stamp_ns: of the picture.
        look_d: uint8[D], small copy of it, see :func:`look_of`.
        values: worth by reason, without those that it has not; the best of each reason.
    """

    number: int
    camera: str
    stamp_ns: int
    look_d: Uint8Array
    values: dict[str, Value] = field(default_factory=dict)

    def note(self, reason: str, value: float, why: str) -> None:
        """Remember a worth where it is more than what is known."""
        if value > 0 and (reason not in self.values or value > self.values[reason].value):
            self.values[reason] = Value(min(float(value), 1.0), why)


@dataclass(frozen=True)
class Pick:
    """A picture that was chosen, for what it was, and why in words."""

    number: int
    reason: str
    why: str


def look_of(image_hw3: Uint8Array) -> Uint8Array:
    """Make a picture so small that only its light and its layout are left: uint8[192]."""
    small_hw3 = cv2.resize(image_hw3, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA)
    look_d: Uint8Array = np.asarray(small_hw3, np.uint8).ravel()
    return look_d


def note_scores(glimpse: Glimpse, detections: Detections, threshold: float) -> None:
    """
    Note scores that are neither high nor low.

    Args:
        glimpse: of the picture.
        detections: in it, also from below the threshold.
        threshold: smallest score of a published detection.
    """
    scores_n = detections.scores_n.astype(np.float64)
    near_n = np.clip(1 - np.abs(scores_n - threshold) / _MARGIN, 0, 1)
    nearest = np.argsort(-near_n, kind='stable')[:3]
    told = ', '.join(f'{score:.2f}' for score in scores_n[nearest[near_n[nearest] > 0]])
    count = np.count_nonzero(near_n)
    glimpse.note('unsure', 1 - float(np.prod(1 - near_n)),
                 f'{count} scores near the threshold of {threshold:.2f}: {told}')


def note_views(glimpse: Glimpse, seen: Sequence[tuple[str, float, Detections]],
               threshold: float) -> None:
    """
    Note people that one view saw and another did not, not even as unsure.

    Args:
        glimpse: of the picture.
        seen: by each view: what it is called, its pixels of the network input for one of the
            picture, and what was found in it, also below the threshold, in pixels of the picture.
        threshold: smallest score of a published detection.
    """
    for name, _, sure in seen:
        count = int((sure.scores_n >= threshold).sum())
        for other, scale, blind in seen:
            if other == name:
                continue
            overlap_nm = overlaps_from_boxes(sure.boxes_n4[:count], blind.boxes_n4)
            height_n = (sure.boxes_n4[:count, 3] - sure.boxes_n4[:count, 1]) * scale
            missed_n = (overlap_nm.max(axis=1, initial=0) < _SAME_IOU) & (height_n >= _VISIBLE_PX)
            # Scores come sorted.
            for row in np.flatnonzero(missed_n)[:1].tolist():
                score = float(sure.scores_n[row])
                glimpse.note('views', score, f'view {name} shows somebody with a score of '
                                             f'{score:.2f}, view {other} nobody there')


@dataclass(eq=False)
class _Life:
    """A track up to now: where it was seen, and where it was only predicted since."""

    begin_ns: int
    seen_ns: int
    score: float
    best: float
    at_edge: bool
    seen: list[Glimpse] = field(default_factory=list)
    missed: list[Glimpse] = field(default_factory=list)


class TrackWatch:
    """Follows the tracks of one camera, and notes where they flicker; told picture by picture."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lives: dict[int, _Life] = {}
        self._stamp_ns: int | None = None

    def take(self, glimpse: Glimpse, tracks: Tracks) -> None:
        """
        Take in the tracks of the next picture.

        Args:
            glimpse: of the picture; notes go there, and to those of pictures before.
            tracks: all of the camera, predicted and unconfirmed ones too.
        """
        if self._stamp_ns is not None and glimpse.stamp_ns < self._stamp_ns:
            # Time was set back, and everybody was forgotten: nobody vanished.
            self._lives.clear()
        self._stamp_ns = glimpse.stamp_ns
        edge_t = _touches_edge(tracks)
        for row, identity in enumerate(tracks.ids_t.tolist()):
            if tracks.detections_t[row] >= 0:
                self._seen(glimpse, identity, float(tracks.scores_t[row]), bool(edge_t[row]))
            elif tracks.confirmed_t[row]:
                self._lives[identity].missed.append(glimpse)
        for identity in self._lives.keys() - set(tracks.ids_t.tolist()):
            _note_end(identity, self._lives.pop(identity))

    def _seen(self, glimpse: Glimpse, identity: int, score: float, at_edge: bool) -> None:
        life = self._lives.get(identity)
        if life is None:
            life = self._lives[identity] = _Life(
                glimpse.stamp_ns, glimpse.stamp_ns, score, score, at_edge)
        elif life.missed:
            gap_s = (glimpse.stamp_ns - life.seen_ns) / 1e9
            for missed in life.missed:
                missed.note('flicker', min(score, life.score), f'person {identity} was lost for '
                            f'{gap_s:.1f} s and found again')
            life.missed.clear()
        else:
            glimpse.note('unstable', abs(score - life.score), f'the score of person {identity} '
                         f'went from {life.score:.2f} to {score:.2f}')
        life.seen_ns, life.score, life.best = glimpse.stamp_ns, score, max(score, life.best)
        life.at_edge |= at_edge
        if glimpse.stamp_ns - life.begin_ns <= _BRIEF_NS:
            life.seen.append(glimpse)


def _note_end(identity: int, life: _Life) -> None:
    """Note a track that was there for a moment, in the midst of the picture."""
    lasted_ns = life.seen_ns - life.begin_ns
    if lasted_ns < _BRIEF_NS and not life.at_edge:
        how_long = f'for {lasted_ns / 1e9:.1f} s' if lasted_ns else 'in one picture'
        for glimpse in life.seen:
            glimpse.note('flicker', life.best, f'person {identity} was there {how_long} only')


def _touches_edge(tracks: Tracks) -> NDArray[np.bool_]:
    height, width = tracks.source_hw
    margin_2 = np.array([width, height]) * _EDGE
    outside_t2 = ((tracks.boxes_t4[:, :2] < margin_2)
                  | (tracks.boxes_t4[:, 2:] > np.array([width, height]) - margin_2))
    return outside_t2[:, 0] | outside_t2[:, 1]


def chosen(glimpses: Sequence[Glimpse], count: int, min_gap_ns: int) -> list[Pick]:
    """
    Choose pictures: the reasons take turns, and each takes the best that is left.

    The best is worth much and looks unlike everything that was chosen before it.

    Args:
        glimpses: of all pictures.
        count: most pictures.
        min_gap_ns: least time between two of a camera.

    Returns:
        In the order in which they were chosen; fewer where there are not as many. The same for
        the same pictures, always.
    """
    if not glimpses:
        return []
    novelty = _Novelty(np.stack([glimpse.look_d for glimpse in glimpses]))
    stamp_n = np.array([glimpse.stamp_ns for glimpse in glimpses], np.int64)
    camera_n = np.unique([glimpse.camera for glimpse in glimpses], return_inverse=True)[1]
    value_rn = {reason: np.array([glimpse.values[reason].value if reason in glimpse.values else 0.0
                                  for glimpse in glimpses]) for reason in LEAST_VALUES}
    free_n = np.ones(len(glimpses), np.bool_)
    picks: list[Pick] = []
    before = -1
    while len(picks) < count and len(picks) > before:
        before = len(picks)
        for reason, least in LEAST_VALUES.items():
            new_n = novelty.share_n
            value_n = new_n if reason == 'different' else value_rn[reason]
            worth_n = value_n * np.maximum(new_n, _LEAST_NOVELTY)
            worth_n[~free_n | (value_n < least)] = -1.0
            row = int(np.argmax(worth_n))
            if worth_n[row] < 0 or len(picks) == count:
                continue
            near_n = np.abs(stamp_n - stamp_n[row]) < min_gap_ns
            free_n[near_n & (camera_n == camera_n[row])] = False
            free_n[row] = False
            novelty.take(row)
            picks.append(Pick(glimpses[row].number, reason, _why(glimpses[row], reason)))
    return picks


def _why(glimpse: Glimpse, reason: str) -> str:
    """Give the words for a reason, and those for the others that it would have been taken for."""
    texts = [glimpse.values[name].why for name, least in LEAST_VALUES.items()
             if name in glimpse.values and glimpse.values[name].value >= least]
    if reason in glimpse.values:
        texts.remove(glimpse.values[reason].why)
        texts.insert(0, glimpse.values[reason].why)
    else:
        texts.insert(0, 'unlike those chosen before it')
    return '; '.join(texts)


class _Novelty:
    """
    How unlike the chosen ones each picture is.

    Attributes:
        share_n: float64[N] in 0..1, 1 for as unlike as two pictures of this source commonly are.
    """

    def __init__(self, look_nd: Uint8Array) -> None:
        """Take the looks of all pictures."""
        self._look_nd = look_nd
        self._nearest_n: Float64Array = np.full(len(look_nd), np.inf)
        # From the middle of all: half of what two commonly differ by, roughly.
        middle_d = np.median(look_nd, axis=0)
        self._common = 2 * float(np.median(np.abs(look_nd - middle_d).mean(axis=1)))
        self.share_n: Float64Array = np.ones(len(look_nd))

    def take(self, row: int) -> None:
        """Count a picture among the chosen."""
        away_nd = np.abs(self._look_nd.astype(np.int16) - self._look_nd[row])
        self._nearest_n = np.minimum(self._nearest_n, away_nd.mean(axis=1))
        # Grey levels: where nothing changes, the noise of the camera is nothing new.
        self.share_n = np.minimum(self._nearest_n / max(self._common, 1.0), 1.0)
