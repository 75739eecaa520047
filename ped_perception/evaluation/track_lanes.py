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

"""Who was followed when: a lane for each labelled person, or track where nobody has a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import itertools

import numpy as np
from ped_perception.core.association import assigned, overlaps_from_boxes
from ped_perception.evaluation.lanes import Lane, Lanes, Span
from ped_perception.evaluation.mot import NO_LABELS
from ped_perception.evaluation.results import ResultPicture, Results

_MIN_OVERLAP = 0.5
_MOST = 40
# Where nobody followed a person.
_NOBODY = -1
# Whose lane it is: the recording, and the id of the person or the track.
_Key = tuple[str, int]
# Of one of them, picture by picture: place on the axis, and id of the track.
_History = list[tuple[int, int]]


def track_lanes(results: Results) -> Lanes | None:
    """Draw the tracks of a run over its pictures; None where nobody was followed."""
    numbers = [picture.number for picture in results.pictures]
    # Those of several recordings begin again; they are counted through then.
    several = any(a >= b for a, b in itertools.pairwise(numbers))
    places = list(range(1, len(numbers) + 1)) if several else numbers
    of_people = 'tracking' in results.metrics
    histories: dict[_Key, _History] = {}
    for place, picture in zip(places, results.pictures, strict=True):
        for identity, track in (_followed(picture) if of_people else
                                ((track, track) for track in picture.ids_t.tolist())):
            histories.setdefault((picture.recording, identity), []).append((place, track))
    if not histories:
        return None
    following = dict(itertools.pairwise(places))
    longest = sorted(histories, key=lambda key: -len(histories[key]))[:_MOST]
    word = 'person' if of_people else 'track'
    lanes = tuple(_lane(f'{word} {key[1]}', histories[key], following, key[0])
                  for key in sorted(longest, key=lambda key: histories[key][0]))
    left_out = len(histories) - len(longest)
    return Lanes(
        'Labelled people over time' if of_people else 'Tracks over time',
        'picture, all recordings one after the other' if several else 'picture', lanes,
        (float(places[0]), float(places[-1] + 1)), ' '.join(filter(None, (
            'Blue: followed. Red: labelled, but not followed. A black line: from here on another '
            'track follows the same person.' if of_people else '',
            f'The {_MOST} longest; {left_out} more are not shown.' if left_out else ''))))


def _followed(picture: ResultPicture) -> Iterable[tuple[int, int]]:
    """Give the ids of the people who count, and of the tracks that follow them."""
    labels = picture.labels or NO_LABELS
    people_p, boxes_p4 = labels.ids_n[labels.counted_n], labels.boxes_n4[labels.counted_n]
    overlap_pt = overlaps_from_boxes(boxes_p4, picture.boxes_t4)
    rows, columns = assigned(1 - overlap_pt, overlap_pt >= _MIN_OVERLAP)
    tracks_p = np.full(len(people_p), _NOBODY, np.int64)
    tracks_p[rows] = picture.ids_t[columns]
    return zip(people_p.tolist(), tracks_p.tolist(), strict=True)


def _lane(label: str, history: Sequence[tuple[int, int]], following: dict[int, int],
          recording: str) -> Lane:
    spans: list[Span] = []
    marks: list[tuple[float, str]] = []
    begin, last_track = 0, _NOBODY
    said = f'{recording}, {label}' if recording else label
    for index, (place, track) in enumerate(history):
        before = history[index - 1] if index else (None, None)
        if track not in (_NOBODY, last_track):
            if last_track != _NOBODY:
                marks.append((place, f'track {track} instead of {last_track}'))
            last_track = track
        if index and (track != before[1] or following.get(history[index - 1][0]) != place):
            spans.append(_span(said, history[begin:index], following))
            begin = index
    spans.append(_span(said, history[begin:], following))
    return Lane(label, tuple(spans), tuple(marks))


def _span(label: str, part: Sequence[tuple[int, int]], following: dict[int, int]) -> Span:
    first, last, track = part[0][0], part[-1][0], part[0][1]
    who = 'not followed' if track == _NOBODY else f'track {track}'
    return Span(first, following.get(last, last + 1), track != _NOBODY,
                f'{label}, pictures {first} to {last}: {who}')
