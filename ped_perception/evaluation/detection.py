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

import contextlib
import io
import itertools
from typing import Any

import numpy as np
from ped_perception.core.errors import import_extra
from ped_perception.core.types import Detections, Float64Array
from ped_perception.evaluation.miss_rate import Curve, Found, matched, Setting, SETTINGS
from ped_perception.evaluation.mot import Labels

# Heights of people in pixels: far to near.
HEIGHT_EDGES_PX = (0, 50, 100, 200, 400, 100_000)
PRECISIONS = (0.85, 0.95)
EVERYBODY = Setting('everybody', 0.0)
# pycocotools looks at no more boxes of a picture.
_MOST_BOXES = 100


class DetectionScore:
    """Collects the pictures of a set and gives its metrics."""

    def __init__(self, ignore_regions_r4: Float64Array | None = None) -> None:
        """
        Begin a set.

        Raises:
            MissingExtraError: pycocotools is not installed.
        """
        self._coco: Any = import_extra('pycocotools.coco', 'evaluation')
        self._eval: Any = import_extra('pycocotools.cocoeval', 'evaluation')
        self._regions_r4 = np.zeros((0, 4)) if ignore_regions_r4 is None else ignore_regions_r4
        self._annotations: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []
        self._found: dict[str, list[Found]] = {
            setting.name: [] for setting in (*SETTINGS, EVERYBODY)}
        self._pictures = 0

    def update(self, labels: Labels, detections: Detections) -> None:
        """Take in the next picture."""
        boxes_n4 = detections.boxes_n4.astype(np.float64)
        scores_n = detections.scores_n.astype(np.float64)
        for setting in (*SETTINGS, EVERYBODY):
            self._found[setting.name].append(
                matched(labels, boxes_n4, scores_n, self._regions_r4, setting))
        boxes = np.concatenate([labels.boxes_n4, self._regions_r4])
        counted = np.append(labels.counted_n, np.zeros(len(self._regions_r4), np.bool_))
        for box, counts in zip(boxes.tolist(), counted.tolist(), strict=True):
            self._annotations.append({
                **_entry(self._pictures, box), 'id': len(self._annotations) + 1,
                'iscrowd': int(not counts)})
        for box, score in zip(boxes_n4.tolist(), scores_n.tolist(), strict=True):
            self._results.append({**_entry(self._pictures, box), 'score': score,
                                  'id': len(self._results) + 1})
        self._pictures += 1

    def result(self) -> dict[str, Any]:
        """
        Compute the metrics of what was taken in.

        Returns:
            by name: shares in 0..1, None where nothing defines them.
        """
        evaluation = self.evaluated()
        curve = Curve.of(self._found[EVERYBODY.name])
        fixed = {}
        for precision in PRECISIONS:
            recall, score = curve.at_precision(precision)
            fixed[f'{precision:g}'] = {'recall': _or_none(recall), 'score': score}
        people = sum(found.people for found in self._found[EVERYBODY.name])
        bins = []
        for index, (low, high) in enumerate(itertools.pairwise(HEIGHT_EDGES_PX), 1):
            heights = [((found.heights_p >= low) & (found.heights_p < high)).sum()
                       for found in self._found[EVERYBODY.name]]
            bins.append({'from_px': low, 'to_px': high, 'people': int(sum(heights)),
                         'ap50': _precision(evaluation, 0, index),
                         'ap': _precision(evaluation, None, index)})
        return {
            'pictures': self._pictures, 'people': people,
            'ap50': _precision(evaluation, 0, 0), 'ap': _precision(evaluation, None, 0),
            'ap_by_height': bins, 'recall_at_precision': fixed,
            'log_average_miss_rate': {
                setting.name: _or_none(Curve.of(self._found[setting.name]).log_average_miss_rate()
                                       ) for setting in SETTINGS}}

    def evaluated(self, by_height: bool = True) -> Any:
        """
        Let pycocotools match what was taken in; gives its COCOeval after ``accumulate``.

        Args:
            by_height: its first range of areas is everybody; whether those of
                ``HEIGHT_EDGES_PX`` follow, which cost as much each.
        """
        with contextlib.redirect_stdout(io.StringIO()):
            truth, found = self._coco.COCO(), self._coco.COCO()
            images = [{'id': number} for number in range(self._pictures)]
            for part, entries in ((truth, self._annotations), (found, self._results)):
                part.dataset = {'images': images, 'annotations': entries,
                                'categories': [{'id': 1}]}
                part.createIndex()
            evaluation = self._eval.COCOeval(truth, found, 'bbox')
            # Its ranges are of areas; ours are squares of heights, and so are the areas we gave.
            evaluation.params.areaRng = [
                (0.0, float(HEIGHT_EDGES_PX[-1]) ** 2),
                *((float(low) ** 2, float(high) ** 2)
                  for low, high in itertools.pairwise(HEIGHT_EDGES_PX if by_height else ()))]
            evaluation.params.areaRngLbl = [
                str(index) for index in range(len(evaluation.params.areaRng))]
            evaluation.params.maxDets = [_MOST_BOXES]
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation


def _entry(picture: int, box: list[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {'image_id': picture, 'category_id': 1, 'bbox': [x1, y1, x2 - x1, y2 - y1],
            'area': (y2 - y1) ** 2}


def _precision(evaluation: Any, threshold: int | None, heights: int) -> float | None:
    """Give the mean precision over recalls, at one IoU threshold or over all of them."""
    # [thresholds, recalls, categories, ranges, numbers of boxes]; -1 without any label.
    values = evaluation.eval['precision'][:, :, 0, heights, 0]
    chosen = values if threshold is None else values[threshold]
    chosen = chosen[chosen > -1]
    return float(chosen.mean()) if chosen.size else None


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
