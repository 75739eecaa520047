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
KITTI object labels (Geiger et al., "Are we ready for autonomous driving?", CVPR 2012).

Pedestrians count; partly and largely hidden ones are what Dollar et al. (PAMI 2012) call
partially and heavily occluded, of whom 65 % and 20 % are seen at least. Sitting people and
cyclists are people whom a detector may find or not, and ``DontCare`` marks where nobody was
labelled: these three are ignored. Everything else is left out. KITTI's own protocol counts a found
cyclist as an error, which is one for a detector that was trained to tell the two apart; ours looks
for people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.core.types import Float64Array
from ped_perception.evaluation.label_classes import LabelClasses
from ped_perception.evaluation.label_files import label_files, lines_of, numbers_of
from ped_perception.evaluation.mot import Labels

# Beside the folder of labels, in the layout of the data set.
CALIBRATIONS = 'calib'
_COLUMNS = 15
_RESULT_COLUMNS, _TRACKING_COLUMNS = 16, 17
# By the second number of a line; 3 is not known.
_VISIBLE = {0.0: 1.0, 1.0: 0.65, 2.0: 0.2}


def labels_from_kitti_folder(folder: Path, person: str = '',
                             calibrations: Path | None = None) -> dict[str, Labels]:
    """
    Read the people of KITTI's ``label_2``.

    Args:
        folder: of the files.
        person: type of object that counts, '' for ``Pedestrian``.
        calibrations: folder ``calib``, where there is one: positions are then those in the camera
            that took the picture; without, in the first grey one, 6 cm beside it.

    Returns:
        labels by the name of the picture without its suffix.

    Raises:
        SourceError: a file cannot be read, or a line is not of that form.
    """
    classes = LabelClasses(person)
    names: set[str] = set()
    found = {}
    for path in label_files(folder):
        moved_3: Float64Array = np.zeros(3)
        if calibrations is not None:
            projection_34 = kitti_projection(calibrations / path.name)
            moved_3 = np.asarray(np.linalg.solve(projection_34[:, :3], projection_34[:, 3]),
                                 np.float64)
        found[path.stem] = _labels_from_file(path, classes, moved_3, names)
    classes.check(f'The folder {folder}', names if person else ())
    return found


def kitti_projection(path: Path) -> Float64Array:
    """
    Read the calibration of the left colour camera, ``P2`` of a file of ``calib``.

    Returns:
        float64[3, 4], from the frame of the first grey camera to pixels.

    Raises:
        SourceError: the file cannot be read or has no usable ``P2``.
    """
    for _, line in lines_of(path):
        name, _, rest = line.partition(':')
        if name.strip() == 'P2':
            numbers = numbers_of(rest.split())
            if numbers is not None and len(numbers) == 12 and numbers[0] > 0:
                return np.array(numbers).reshape(3, 4)
    raise SourceError(f'The calibration {path} has no line "P2:" with the 12 numbers of a '
                      f'projection.')


def looks_like_kitti(words: list[str]) -> bool:
    """Tell whether the words of a line begin as those of KITTI do: with a name, not a number."""
    return bool(words) and numbers_of(words[:1]) is None


def _labels_from_file(path: Path, classes: LabelClasses, moved_3: Float64Array,
                      names: set[str]) -> Labels:
    """Read a file; the types of its objects are added to ``names``."""
    boxes, counted, positions, visible = [], [], [], []
    for number, line in lines_of(path):
        words = line.split()
        values = _values(path, number, line)
        names.add(words[0])
        role = classes.role(words[0])
        if role is not None:
            boxes.append(values[3:7])
            counted.append(role)
            # DontCare is nowhere: -1000 -1000 -1000.
            positions.append(np.array(values[10:13]) + moved_3 if values[12] > 0
                             else np.full(3, np.nan))
            visible.append(_VISIBLE.get(values[1], 1.0))
    return Labels(np.arange(len(boxes)), np.array(boxes, np.float64).reshape(-1, 4),
                  np.array(counted, np.bool_), np.array(positions, np.float64).reshape(-1, 3),
                  np.array(visible, np.float64))


def _values(path: Path, number: int, line: str) -> list[float]:
    """Give the 14 numbers of a line, behind the type."""
    words = line.split()
    values = numbers_of(words[1:])
    if len(words) == _RESULT_COLUMNS and values is not None:
        raise SourceError(f'Line {number} of {path} has 16 columns, the last a score: these are '
                          f'results of a detector, not labels.')
    if len(words) == _TRACKING_COLUMNS:
        raise SourceError(f'Line {number} of {path} has 17 columns, as the labels of KITTI '
                          f'tracking. Give the labels of objects (label_2), or write MOTChallenge '
                          f'gt.txt.')
    if (values is None or len(words) != _COLUMNS or not looks_like_kitti(words)
            or values[5] < values[3] or values[6] < values[4]):
        raise SourceError(f'Line {number} of {path} is {line!r}; it must hold a type and 14 '
                          f'numbers, of them left, top, right, bottom as the 5th to 8th column.')
    return values
