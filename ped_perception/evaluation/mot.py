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
Tracking metrics against MOTChallenge labels: MOTA, IDF1, HOTA and their parts.

The protocol is that of the MOTChallenge (Dendorfer et al., "MOTChallenge: A Benchmark for
Single-Camera Multi-Target Tracking", 2020), with ignore regions added, picture by picture:

1. Boxes whose centre lies inside an ignore region are dropped, labelled ones and tracked ones.
2. All labelled boxes that remain, counted and not counted (``conf`` 0), are matched with the
   tracked boxes: as many pairs of IoU >= 0.5 as possible, of those the ones that overlap most.
   A tracked box matched with an uncounted label is dropped, then the uncounted labels are.
3. The rest goes to the metrics: a pair may match from IoU 0.5 on (for HOTA see there). Pictures
   that the tracker did not get are not counted at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.association import assigned, overlaps_from_boxes
from ped_perception.core.errors import import_extra, SourceError
from ped_perception.core.types import BoolArray, Float64Array, Int64Array, read_only
from ped_perception.evaluation.hota import Hota

_MIN_OVERLAP = 0.5
# From here on not every whole number is a float.
_TOO_LARGE = 2.0 ** 53
_COLUMNS_WITH_CLASS, _PEDESTRIAN, _UNCOUNTED_CLASSES = 9, 1, (2, 7, 8, 12)

# name in the result: name in motmetrics
_METRICS = {
    'idf1': 'idf1', 'id_precision': 'idp', 'id_recall': 'idr', 'mota': 'mota',
    'mean_overlap': 'motp', 'precision': 'precision', 'recall': 'recall',
    'id_switches': 'num_switches', 'fragmentations': 'num_fragmentations',
    'false_positives': 'num_false_positives', 'misses': 'num_misses',
    'labelled_boxes': 'num_objects', 'labelled_people': 'num_unique_objects',
    'mostly_tracked': 'mostly_tracked', 'mostly_lost': 'mostly_lost', 'pictures': 'num_frames',
}


@dataclass(frozen=True, eq=False)
class Labels:
    """
    The labelled boxes of one picture.

    Attributes:
        ids_n: int64[N], the same person has the same id in all pictures.
        boxes_n4: float64[N, 4], ``x1 y1 x2 y2`` in pixels.
        counted_n: bool[N]; the others may be found or not, without reward or punishment.
        positions_n3: float64[N, 3], where they stand in the optical frame of the camera: x right,
            y down, z forward, metres. NaN where that is not labelled; of some z alone is known.
            Not given, nothing is.
        visible_n: float64[N] in 0..1, share of each that is not hidden; not given, all is seen.
    """

    ids_n: Int64Array
    boxes_n4: Float64Array
    counted_n: BoolArray
    positions_n3: Float64Array = field(default_factory=lambda: np.zeros((0, 3)))
    visible_n: Float64Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        """Check that the arrays belong together."""
        count = len(self.ids_n)
        if not len(self.positions_n3):
            object.__setattr__(self, 'positions_n3', np.full((count, 3), np.nan))
        if not len(self.visible_n):
            object.__setattr__(self, 'visible_n', np.ones(count))
        for name, dtype, shape in (('ids_n', np.int64, (count,)),
                                   ('boxes_n4', np.float64, (count, 4)),
                                   ('counted_n', np.bool_, (count,)),
                                   ('positions_n3', np.float64, (count, 3)),
                                   ('visible_n', np.float64, (count,))):
            object.__setattr__(self, name, read_only(name, getattr(self, name), dtype, shape))


NO_LABELS = Labels(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, np.bool_))
NO_REGIONS: Float64Array = read_only('NO_REGIONS', np.zeros((0, 4)), np.float64, (0, 4))


def labels_from_mot_file(path: Path) -> dict[int, Labels]:
    """
    Read labels in MOTChallenge form: ``frame,id,x,y,w,h,conf[,class,visibility]``.

    Args:
        path: of ``gt.txt``; frames count from 1, ``conf`` 0 marks boxes that are not counted. With
            nine columns, as from MOT16 on, the eighth is a class: pedestrians (1) count, people
            on vehicles, standing ones, dummies and reflections (2, 7, 8, 12) do not, others are
            left out. With ten columns, as in 2015, it is a coordinate of the world.

    Returns:
        labels by frame number; frames without labels are absent.

    Raises:
        SourceError: the file cannot be read, or a row is not of that form.
    """
    rows_by_frame: dict[int, list[list[float]]] = {}
    for row in _rows_from_csv(path, 7):
        rows = rows_by_frame.setdefault(int(row[0]), [])
        has_class = len(row) == _COLUMNS_WITH_CLASS
        kind = int(row[7]) if has_class and row[7] > 0 else _PEDESTRIAN
        if kind in (_PEDESTRIAN, *_UNCOUNTED_CLASSES):
            visible = row[8] if has_class and 0 <= row[8] <= 1 else 1.0
            rows.append([*row[:6], row[6] if kind == _PEDESTRIAN else 0.0, visible])
    return {frame: _labels_from_rows(np.array(rows).reshape(-1, 8))
            for frame, rows in sorted(rows_by_frame.items())}


def ignore_regions_from_file(path: Path) -> Float64Array:
    """
    Read rectangles in which people are not labelled: a line ``x,y,w,h`` each, ``#`` comments.

    Returns:
        float64[R, 4], ``x1 y1 x2 y2`` in pixels.

    Raises:
        SourceError: the file cannot be read, or a row is not of that form.
    """
    rows = np.array([row[:4] for row in _rows_from_csv(path, 4)]).reshape(-1, 4)
    return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)


class MotScore:
    """
    Collects the pictures of some sequences and gives their metrics.

    Args of :meth:`update` are plain arrays, so that any tracker can be scored.
    """

    def __init__(self) -> None:
        """
        Begin with no picture.

        Raises:
            MissingExtraError: motmetrics is not installed.
        """
        self._motmetrics: Any = import_extra('motmetrics', 'evaluation')
        self._accumulator = self._motmetrics.MOTAccumulator(auto_id=True)
        self._hota = Hota()

    def update(self, labels: Labels, ids_t: Int64Array, boxes_t4: NDArray[np.floating],
               regions_r4: Float64Array = NO_REGIONS) -> None:
        """
        Take in the next picture.

        Args:
            labels: of the picture, :data:`NO_LABELS` when it has none. Ids of another sequence
                differ, and those of tracks do.
            ids_t: int64[T] of the tracked people.
            boxes_t4: their boxes, ``x1 y1 x2 y2`` in pixels.
            regions_r4: float64[R, 4], where people are not labelled, see the protocol of this
                module.
        """
        boxes = np.asarray(boxes_t4, np.float64)
        labelled_n = ~_centres_inside(labels.boxes_n4, regions_r4)
        tracked_t = ~_centres_inside(boxes, regions_r4)
        overlap_nt = overlaps_from_boxes(labels.boxes_n4[labelled_n], boxes[tracked_t])
        counted_n = labels.counted_n[labelled_n]
        rows, columns = assigned(1 - overlap_nt, overlap_nt >= _MIN_OVERLAP)
        kept_t = np.ones(overlap_nt.shape[1], np.bool_)
        kept_t[columns[~counted_n[rows]]] = False
        overlap_nt = overlap_nt[counted_n][:, kept_t]
        # NaN tells motmetrics that a pair may never match.
        distance_nt = np.where(overlap_nt >= _MIN_OVERLAP, 1 - overlap_nt, np.nan)
        people_n = labels.ids_n[labelled_n][counted_n]
        tracks_t = np.asarray(ids_t, np.int64)[tracked_t][kept_t]
        self._accumulator.update(people_n.tolist(), tracks_t.tolist(), distance_nt)
        self._hota.update(people_n, tracks_t, overlap_nt)

    def result(self) -> dict[str, float]:
        """
        Compute the metrics of what was taken in.

        Returns:
            by name: shares in 0..1 (``mota`` may be negative, NaN where nothing defines it),
            the others numbers of boxes, people or pictures.
        """
        host = self._motmetrics.metrics.create()
        values: Mapping[str, float] = host.compute(
            self._accumulator, metrics=list(_METRICS.values()), return_dataframe=False)
        result = {name: float(values[key]) for name, key in _METRICS.items()}
        # motmetrics gives the mean distance, which is one minus the overlap here.
        result['mean_overlap'] = 1 - result['mean_overlap']
        return {**result, **self._hota.result()}


def _rows_from_csv(path: Path, least: int) -> Iterable[list[float]]:
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'Labels {path} cannot be read: {error}.') from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        try:
            row = [float(part) for part in line.split(',')]
        except ValueError:
            row = []
        # Frames and ids are whole numbers that arrays can hold.
        if len(row) < least or not all(abs(value) < _TOO_LARGE for value in row):
            raise SourceError(f'Line {number} of {path} is {line!r}; it must hold {least} or more '
                              f'numbers below 2^53, separated by commas.')
        yield row


def _labels_from_rows(rows_n8: Float64Array) -> Labels:
    corners_n4 = np.concatenate([rows_n8[:, 2:4], rows_n8[:, 2:4] + rows_n8[:, 4:6]], axis=1)
    return Labels(rows_n8[:, 1].astype(np.int64), corners_n4, rows_n8[:, 6] != 0,
                  visible_n=rows_n8[:, 7])


def _centres_inside(boxes_n4: Float64Array, regions_r4: Float64Array) -> BoolArray:
    centre_n12 = ((boxes_n4[:, :2] + boxes_n4[:, 2:]) / 2)[:, None, :]
    inside_nr2: BoolArray = (centre_n12 >= regions_r4[:, :2]) & (centre_n12 < regions_r4[:, 2:])
    inside_n: BoolArray = np.any(np.all(inside_nr2, axis=2), axis=1)
    return inside_n
