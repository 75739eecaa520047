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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.core.types import Detections, Float64Array
from ped_perception.evaluation.label_classes import LabelClasses
from ped_perception.evaluation.mot import Labels

PERSON = 1


@dataclass(frozen=True, eq=False)
class CocoLabels:
    """
    The people of an annotation file, by the names of the pictures.

    Attributes:
        labels: of each picture.
        image_ids: the file's own ids.
        sizes_hw: height and width in pixels, where the file has them.
        has_identities: whether everybody who counts has a ``track_id``.
    """

    labels: Mapping[str, Labels]
    image_ids: Mapping[str, int | str]
    sizes_hw: Mapping[str, tuple[int, int]]
    has_identities: bool


def labels_from_coco_file(path: Path, person: str = '') -> CocoLabels:
    """
    Read the people of a COCO annotation file.

    Not counted are boxes of crowds (``iscrowd``), those marked ``ignore``, and those of classes
    that :class:`LabelClasses` ignores. With one category only, whatever its name, that one
    counts. Of an annotation is read who it is (``track_id``), which share of him is visible
    (``visible`` or, as in CityPersons, ``vis_ratio``), and where he stands (``position_m``: x, y,
    z in the optical frame; or ``depth_m``: z alone).

    Args:
        path: of the file.
        person: name of the category that counts, '' for ``person`` and ``pedestrian``.

    Raises:
        SourceError: the file cannot be read, or a part is missing or not of that form.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f'Labels {path} cannot be read: {error}.') from error
    try:
        return _read(path, content, LabelClasses(person))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SourceError(f'{path} is no COCO annotation file: {type(error).__name__} '
                          f'({error}).') from error


def _read(path: Path, content: Any, classes: LabelClasses) -> CocoLabels:
    roles = _roles(path, content['categories'], classes)
    names: dict[Any, str] = {}
    taken: set[str] = set()
    for entry in content['images']:
        name = Path(str(entry['file_name'])).name
        if name in taken:
            raise SourceError(f'{path} has two pictures of the name {name}. Labels are found by '
                              f'it: give each folder of pictures labels of its own.')
        taken.add(name)
        names[entry['id']] = name
    rows: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in names}
    for entry in content['annotations']:
        if entry['image_id'] not in rows:
            raise SourceError(f'{path} has an annotation (id {entry.get("id")}) of picture '
                              f'{entry["image_id"]}, but no such picture.')
        if roles.get(entry['category_id']) is not None:
            rows[entry['image_id']].append(entry)
    counted = [entry for found in rows.values() for entry in found if _counts(entry, roles)]
    has_identities = bool(counted) and all('track_id' in entry for entry in counted)
    return CocoLabels(
        {names[key]: _labels(path, found, roles, has_identities) for key, found in rows.items()},
        {name: key for key, name in names.items()},
        {names[entry['id']]: (int(entry['height']), int(entry['width']))
         for entry in content['images'] if 'height' in entry and 'width' in entry},
        has_identities)


def _roles(path: Path, categories: Sequence[Mapping[str, Any]], classes: LabelClasses,
           ) -> dict[Any, bool | None]:
    """Give what each category means, by its id."""
    if len(categories) == 1 and not classes.person:
        return {categories[0]['id']: True}
    if not categories:
        raise SourceError(f'{path} has no category, so that nobody can count.')
    classes.check(str(path), [str(entry['name']) for entry in categories])
    return {entry['id']: classes.role(str(entry['name'])) for entry in categories}


def _counts(entry: Mapping[str, Any], roles: Mapping[Any, bool | None]) -> bool:
    return bool(roles[entry['category_id']]
                and not (entry.get('iscrowd', 0) or entry.get('ignore', 0)))


def _labels(path: Path, rows: Sequence[Mapping[str, Any]], roles: Mapping[Any, bool | None],
            has_identities: bool) -> Labels:
    boxes_n4 = np.array([[float(value) for value in entry['bbox']] for entry in rows],
                        np.float64).reshape(-1, 4)
    wrong = np.flatnonzero(~(np.isfinite(boxes_n4).all(axis=1) & (boxes_n4[:, 2:] >= 0).all(
        axis=1)))
    if len(wrong):
        raise SourceError(f'The annotation {rows[wrong[0]].get("id")} of {path} has the bbox '
                          f'{rows[wrong[0]]["bbox"]}; it must be x, y, width, height.')
    boxes_n4[:, 2:] += boxes_n4[:, :2]
    # Who does not count may be nobody in particular.
    ids = [int(entry['track_id']) if has_identities and 'track_id' in entry else -1 - row
           for row, entry in enumerate(rows)]
    return Labels(np.array(ids, np.int64), boxes_n4,
                  np.array([_counts(entry, roles) for entry in rows], np.bool_),
                  np.array([_position(entry) for entry in rows], np.float64).reshape(-1, 3),
                  np.array([float(entry.get('visible', entry.get('vis_ratio', 1.0)))
                            for entry in rows], np.float64))


def _position(entry: Mapping[str, Any]) -> Float64Array:
    if 'position_m' in entry:
        return np.array([np.nan if value is None else float(value)
                         for value in entry['position_m']], np.float64).reshape(3)
    return np.array([np.nan, np.nan, float(entry.get('depth_m', np.nan))])


def results_of(detections: Detections, image_id: int | str) -> list[Mapping[str, Any]]:
    """Write the detections of a picture as COCO results."""
    return [{'image_id': image_id, 'category_id': PERSON, 'score': round(score, 5),
             'bbox': [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]}
            for (x1, y1, x2, y2), score in zip(
                detections.boxes_n4.tolist(), detections.scores_n.tolist(), strict=True)]
