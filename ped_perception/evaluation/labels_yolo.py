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

"""YOLO labels: a text file for each picture, a line ``class x y width height`` for each object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.evaluation.label_classes import LabelClasses
from ped_perception.evaluation.label_files import label_files, lines_of, numbers_of
from ped_perception.evaluation.mot import Labels
import yaml

# Rounding of the tools that write them.
_SLACK = 1e-3
_BOX, _PREDICTION, _LEAST_POLYGON = 5, 6, 7
# Where tools write the names of the classes: a name in each line, or YAML with `names`.
_NAME_LISTS, _NAME_TABLES = ('classes.txt', 'obj.names'), ('data.yaml', 'dataset.yaml')


def labels_from_yolo_folder(folder: Path, person: str = '') -> dict[str, Labels]:
    """
    Read the people of YOLO label files; a polygon counts as the box around it.

    A picture with an empty file has nobody in it; one without a file is not labelled. The format
    itself allows both to mean the former, but a forgotten file would count against the detector.

    Args:
        folder: of the files.
        person: class that counts, by number or name. '' for ``person`` or ``pedestrian`` among
            the names of the classes (``classes.txt``, ``data.yaml``), and for 0 where nobody
            names them.

    Returns:
        labels by the name of the picture without its suffix, boxes as fractions of the picture.

    Raises:
        SourceError: a file cannot be read, a line is not of that form, or no class counts.
    """
    roles = _roles(folder, person)
    return {path.stem: _labels_from_file(path, roles) for path in label_files(folder)}


def _roles(folder: Path, person: str) -> dict[int, bool]:
    """Give the classes that count (True) or are ignored (False), by number."""
    if person.isdecimal():
        return {int(person): True}
    names = class_names(folder)
    classes = LabelClasses(person)
    if not names:
        if person:
            raise SourceError(f'The classes of {folder} have no names: there is no '
                              f'{" and no ".join((*_NAME_LISTS, *_NAME_TABLES))}. Give the number '
                              f'of the class that counts: --class 0.')
        return {0: True}
    classes.check(f'The folder {folder}', names.values())
    roles = {number: classes.role(name) for number, name in names.items()}
    return {number: role for number, role in roles.items() if role is not None}


def class_names(folder: Path) -> dict[int, str]:
    """
    Find the names of the classes: in the folder of the labels, or up to two above it.

    Raises:
        SourceError: a file with names cannot be read.
    """
    for place in (folder, *folder.absolute().parents[:2]):
        for name in _NAME_LISTS:
            if (place / name).is_file():
                return {number: line.strip() for number, (_, line) in enumerate(
                    lines_of(place / name))}
        for name in _NAME_TABLES:
            if (place / name).is_file():
                return _names_from_table(place / name)
    return {}


def _names_from_table(path: Path) -> dict[int, str]:
    try:
        names: Any = yaml.safe_load(path.read_text(encoding='utf-8'))['names']
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError,
            ValueError) as error:
        raise SourceError(f'{path} does not name the classes of the labels: it must be YAML with '
                          f'"names:", a list or numbers with names ({type(error).__name__}: '
                          f'{" ".join(str(error).split())}).') from error


def _labels_from_file(path: Path, roles: dict[int, bool]) -> Labels:
    boxes: list[list[float]] = []
    counted: list[bool] = []
    for number, line in lines_of(path):
        kind, box = _read(path, number, line)
        if kind in roles:
            boxes.append(box)
            counted.append(roles[kind])
    return Labels(np.arange(len(boxes)), np.array(boxes, np.float64).reshape(-1, 4),
                  np.array(counted, np.bool_))


def _read(path: Path, number: int, line: str) -> tuple[int, list[float]]:
    """Give class and corners of an object, as fractions."""
    where = f'Line {number} of {path} is {line!r}'
    values = numbers_of(line.split())
    if values is not None and len(values) == _PREDICTION:
        raise SourceError(f'{where}: six numbers, the last a score. These are results of a '
                          f'detector, not labels.')
    is_polygon = values is not None and len(values) >= _LEAST_POLYGON and len(values) % 2 == 1
    if (values is None or not (len(values) == _BOX or is_polygon) or values[0] < 0
            or values[0] != int(values[0])):
        raise SourceError(f'{where}; it must hold a class and four numbers: centre x, centre y, '
                          f'width, height.')
    if not (min(values[1:]) >= -_SLACK and max(values[1:]) <= 1 + _SLACK):
        raise SourceError(f'{where}; the numbers of a box must be fractions of the picture, 0 to '
                          f'1, not pixels.')
    if is_polygon:
        xs, ys = values[1::2], values[2::2]
        return int(values[0]), [min(xs), min(ys), max(xs), max(ys)]
    x, y, width, height = values[1:]
    return int(values[0]), [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
