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


"""COCO labels and results (Lin et al., "Microsoft COCO: Common Objects in Context", 2014)."""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.core.types import Detections
from ped_perception.evaluation.mot import Labels

# Names of the category that is a pedestrian, the first one present counts.
_NAMES = ('person', 'pedestrian')
PERSON = 1


def labels_from_coco_file(path: Path) -> tuple[dict[str, Labels], dict[str, int]]:
    """
    Read the people of a COCO annotation file.

    Boxes of crowds (``iscrowd``) and those marked ``ignore`` are not counted. With one category
    only, whatever its name, that one is taken.

    Returns:
        labels, and the file's own ids of the pictures, both by file name.

    Raises:
        SourceError: a part is missing or not of that form.
        OSError: the file cannot be read.
        json.JSONDecodeError: it is no JSON.
    """
    content = json.loads(path.read_text(encoding='utf-8'))
    try:
        categories = {str(entry['name']): int(entry['id']) for entry in content['categories']}
        wanted = next((categories[name] for name in _NAMES if name in categories),
                      next(iter(categories.values())) if len(categories) == 1 else None)
        if wanted is None:
            raise SourceError(f'{path} has no category {" or ".join(_NAMES)}, only: '
                              f'{", ".join(categories) or "none"}.')
        names = {int(entry['id']): Path(str(entry['file_name'])).name
                 for entry in content['images']}
        rows: dict[int, list[tuple[int, list[float], bool]]] = {key: [] for key in names}
        for entry in content['annotations']:
            if int(entry['category_id']) == wanted:
                counted = not (entry.get('iscrowd', 0) or entry.get('ignore', 0))
                box = [float(value) for value in entry['bbox']]
                rows[int(entry['image_id'])].append((int(entry['id']), box, counted))
        labels = {names[key]: _labels(found) for key, found in rows.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f'{path} is no COCO annotation file: {type(error).__name__} '
                          f'({error}).') from error
    return labels, {name: key for key, name in names.items()}


def _labels(rows: list[tuple[int, list[float], bool]]) -> Labels:
    boxes_n4 = np.array([box for _, box, _ in rows], np.float64).reshape(-1, 4)
    boxes_n4[:, 2:] += boxes_n4[:, :2]
    return Labels(np.array([key for key, _, _ in rows], np.int64), boxes_n4,
                  np.array([counted for _, _, counted in rows], np.bool_))


def results_of(detections: Detections, image_id: int | str) -> list[Mapping[str, Any]]:
    """Write the detections of a picture as COCO results."""
    return [{'image_id': image_id, 'category_id': PERSON, 'score': round(score, 5),
             'bbox': [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]}
            for (x1, y1, x2, y2), score in zip(
                detections.boxes_n4.tolist(), detections.scores_n.tolist(), strict=True)]
