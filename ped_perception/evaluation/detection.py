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

"""Detection metrics: AP by pycocotools, what it lacks by :mod:`.miss_rate`."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import io
import itertools
from typing import Any

import numpy as np
from ped_perception.core.errors import import_extra
from ped_perception.core.types import Detections, Float64Array
from ped_perception.evaluation.ground_score import DISTANCE_EDGES_M
from ped_perception.evaluation.miss_rate import Curve, Found, matched, Setting, SETTINGS
from ped_perception.evaluation.mot import Labels, NO_REGIONS
from ped_perception.evaluation.reliability import score_calibration

# Heights of people in pixels: far to near.
HEIGHT_EDGES_PX = (0, 50, 100, 200, 400, 100_000)
PRECISIONS = (0.85, 0.95)
EVERYBODY = Setting('everybody', 0.0)
# pycocotools looks at no more boxes of a picture.
_MOST_BOXES = 100
# A distance that no range has: of who is at an unknown one.
_NOWHERE_M = 1e6


class DetectionScore:
    """Collects the pictures of a set and gives its metrics."""

    def __init__(self) -> None:
        """
        Begin a set.

        Raises:
            MissingExtraError: pycocotools is not installed.
        """
        self._coco: Any = import_extra('pycocotools.coco', 'evaluation')
        self._eval: Any = import_extra('pycocotools.cocoeval', 'evaluation')
        self._annotations: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []
        self._found: dict[str, list[Found]] = {
            setting.name: [] for setting in (*SETTINGS, EVERYBODY)}
        self._pictures = 0
        self._has_distances, self._has_depths = False, True

    def update(self, labels: Labels, detections: Detections,
               regions_r4: Float64Array = NO_REGIONS, depths_n: Float64Array | None = None,
               ) -> None:
        """
        Take in the next picture.

        Args:
            labels: of it.
            detections: in it.
            regions_r4: float64[R, 4], where people are not labelled.
            depths_n: float64[N], how far away each detection is in metres, NaN for somewhere;
                None where that is not known.
        """
        boxes_n4 = detections.boxes_n4.astype(np.float64)
        scores_n = detections.scores_n.astype(np.float64)
        for setting in (*SETTINGS, EVERYBODY):
            self._found[setting.name].append(
                matched(labels, boxes_n4, scores_n, regions_r4, setting))
        boxes = np.concatenate([labels.boxes_n4, regions_r4])
        counted = np.append(labels.counted_n, np.zeros(len(regions_r4), np.bool_))
        label_depths = np.append(labels.positions_n3[:, 2], np.full(len(regions_r4), np.nan))
        self._has_distances |= bool(np.isfinite(label_depths).any())
        self._has_depths &= depths_n is not None
        if depths_n is None:
            depths_n = np.full(len(boxes_n4), np.nan)
        for box, counts, depth_m in zip(boxes.tolist(), counted.tolist(), label_depths.tolist(),
                                        strict=True):
            self._annotations.append({
                **_entry(self._pictures, box, depth_m), 'id': len(self._annotations) + 1,
                'iscrowd': int(not counts)})
        for box, score, depth_m in zip(boxes_n4.tolist(), scores_n.tolist(), depths_n.tolist(),
                                       strict=True):
            self._results.append({**_entry(self._pictures, box, depth_m), 'score': score,
                                  'id': len(self._results) + 1})
        self._pictures += 1

    def result(self) -> dict[str, Any]:
        """
        Compute the metrics of what was taken in.

        Returns:
            by name: shares in 0..1, None where nothing defines them; ``ap_by_distance`` only
            where distances of people are labelled, and those of detections known.
        """
        evaluation = self.evaluated()
        everybody = self._found[EVERYBODY.name]
        curve = Curve.of(everybody)
        fixed = {}
        for precision in PRECISIONS:
            recall, score = curve.at_precision(precision)
            fixed[f'{precision:g}'] = {'recall': _or_none(recall), 'score': score}
        return {
            'pictures': self._pictures, 'people': sum(found.people for found in everybody),
            'ap50': _precision(evaluation, 0, 0), 'ap': _precision(evaluation, None, 0),
            'ap_by_height': _rows(evaluation, HEIGHT_EDGES_PX, 'px'),
            **({'ap_by_distance': _rows(
                self.evaluated('depth', DISTANCE_EDGES_M), DISTANCE_EDGES_M, 'm')}
               if self._has_distances and self._has_depths else {}),
            'recall_at_precision': fixed,
            'log_average_miss_rate': {
                setting.name: _or_none(Curve.of(self._found[setting.name]).log_average_miss_rate()
                                       ) for setting in SETTINGS},
            'score_calibration': score_calibration(everybody)}

    def evaluated(self, by: str = 'height', edges: Sequence[float] = HEIGHT_EDGES_PX) -> Any:
        """
        Let pycocotools match what was taken in; gives its COCOeval after ``accumulate``.

        Its first range of areas is everybody, the others are between neighbouring edges.

        Args:
            by: 'height' in pixels or 'depth' in metres.
            edges: of the ranges, which cost as much as everybody each; empty for none.
        """
        # Its ranges are of areas; ours are squares of heights or depths.
        sized = [[{**entry, 'area': entry[by] ** 2} for entry in entries]
                 for entries in (self._annotations, self._results)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth, found = self._coco.COCO(), self._coco.COCO()
            images = [{'id': number} for number in range(self._pictures)]
            for part, entries in zip((truth, found), sized, strict=True):
                part.dataset = {'images': images, 'annotations': entries,
                                'categories': [{'id': 1}]}
                part.createIndex()
            evaluation = self._eval.COCOeval(truth, found, 'bbox')
            # Its ranges have both of their ends: who is on an edge must be in one of them only.
            evaluation.params.areaRng = [
                (0.0, np.inf), *((float(low) ** 2, np.nextafter(float(high) ** 2, 0.0))
                                 for low, high in itertools.pairwise(edges))]
            evaluation.params.areaRngLbl = [
                str(index) for index in range(len(evaluation.params.areaRng))]
            evaluation.params.maxDets = [_MOST_BOXES]
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation


def _entry(picture: int, box: list[float], depth_m: float) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {'image_id': picture, 'category_id': 1, 'bbox': [x1, y1, x2 - x1, y2 - y1],
            'height': y2 - y1, 'depth': depth_m if np.isfinite(depth_m) else _NOWHERE_M}


def _rows(evaluation: Any, edges: Sequence[float], unit: str) -> list[dict[str, Any]]:
    """Give AP between neighbouring edges, and how many people that is over."""
    rows = []
    for index, (low, high) in enumerate(itertools.pairwise(edges), 1):
        ignored = [np.asarray(entry['gtIgnore']) for entry in evaluation.evalImgs[
            index * len(evaluation.params.imgIds):(index + 1) * len(evaluation.params.imgIds)]
            if entry is not None]
        rows.append({f'from_{unit}': low, f'to_{unit}': high,
                     'people': sum(int((flags_n == 0).sum()) for flags_n in ignored),
                     'ap50': _precision(evaluation, 0, index),
                     'ap': _precision(evaluation, None, index)})
    return rows


def _precision(evaluation: Any, threshold: int | None, heights: int) -> float | None:
    """Give the mean precision over recalls, at one IoU threshold or over all of them."""
    # [thresholds, recalls, categories, ranges, numbers of boxes]; -1 without any label.
    values = evaluation.eval['precision'][:, :, 0, heights, 0]
    chosen = values if threshold is None else values[threshold]
    chosen = chosen[chosen > -1]
    return float(chosen.mean()) if chosen.size else None


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
