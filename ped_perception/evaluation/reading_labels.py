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

"""Find out what form labels have, and read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ped_perception.core.errors import ConfigError, SourceError
from ped_perception.core.types import Float64Array
from ped_perception.evaluation.coco import labels_from_coco_file
from ped_perception.evaluation.label_files import IGNORE_FILE, label_files, lines_of
from ped_perception.evaluation.labelled import LabelledPictures
from ped_perception.evaluation.labels_kitti import (
    CALIBRATIONS,
    labels_from_kitti_folder,
    looks_like_kitti,
)
from ped_perception.evaluation.labels_topic import labels_from_topic
from ped_perception.evaluation.labels_yolo import labels_from_yolo_folder
from ped_perception.evaluation.mot import ignore_regions_from_file, labels_from_mot_file

TOPIC = 'topic:'
# As the MOTChallenge lays out a sequence.
_SEQUENCE_FILES = (Path('gt.txt'), Path('gt/gt.txt'))


@dataclass(frozen=True)
class LabelOptions:
    """
    How labels are read.

    Attributes:
        form: of :data:`FORMS`, '' to find out.
        person: class that counts, '' for the usual ones.
        ignore: rectangles ``x,y,w,h`` without labels; None for ``ignore_regions.txt`` beside the
            labels, where there is one.
    """

    form: str = ''
    person: str = ''
    ignore: Path | None = None


def read_labels(place: str | Path, options: LabelOptions = LabelOptions(),
                bag: Path | None = None) -> LabelledPictures:
    """
    Read labels.

    Args:
        place: a COCO json, a MOTChallenge text file or folder of a sequence, a folder of YOLO or
            KITTI files, or ``topic:NAME`` of the recording itself.
        options: how.
        bag: the recording, for a topic.

    Raises:
        SourceError: nothing is there, or it cannot be read or is not of its form.
        ConfigError: an option does not fit.
        MissingExtraError: rosbags is not installed.
    """
    text = str(place)
    if text.startswith(TOPIC):
        if bag is None:
            raise ConfigError(f'Labels {text} are for rosbag2 recordings. Give a file or folder.')
        found, has_identities = labels_from_topic(bag, text.removeprefix(TOPIC), options.person)
        return LabelledPictures('topic', text, _regions(options.ignore), has_identities,
                                by_stamp=found)
    path = _of_sequence(Path(place))
    form = options.form or _form_of(path)
    if form not in FORMS:
        raise ConfigError(f'There is no form of labels {form!r}. Known are: {", ".join(FORMS)}.')
    if path.is_dir() != (form in _FOLDER_FORMS):
        wanted = 'a folder of files' if form in _FOLDER_FORMS else 'a file'
        raise SourceError(f'Labels of the form {form} are {wanted}, {path} is not.')
    beside = (path if path.is_dir() else path.parent) / IGNORE_FILE
    ignore = options.ignore or (beside if beside.is_file() else None)
    return FORMS[form](path, options.person, _regions(ignore))


def kitti_calibrations(place: str | Path) -> Path | None:
    """Give the folder of calibrations beside a folder of KITTI labels, None without."""
    folder = Path(place).absolute().parent / CALIBRATIONS
    return folder if folder.is_dir() and label_files_are_kitti(Path(place)) else None


def label_files_are_kitti(folder: Path) -> bool:
    """Tell whether a folder has KITTI's labels, by its first line."""
    if folder.is_dir():
        for path in label_files(folder):
            for _, line in lines_of(path):
                return looks_like_kitti(line.split())
    return False


def _of_sequence(path: Path) -> Path:
    """Give the file of labels in the folder of a sequence, the path itself elsewhere."""
    if not path.exists():
        raise SourceError(f'Labels {path} cannot be read: there is no such file or folder '
                          f'(looked up from {Path.cwd()}).')
    return next((path / file for file in _SEQUENCE_FILES if (path / file).is_file()), path)


def _form_of(path: Path) -> str:
    if path.is_dir():
        tables = sorted(file.name for file in path.glob('*.json'))
        if tables:
            raise SourceError(f'The folder {path} holds {", ".join(tables[:3])}. Give that file, '
                              f'or say what its text files are with --label-format.')
        return 'kitti' if label_files_are_kitti(path) else 'yolo'
    known = {'.json': 'coco', '.txt': 'mot'}
    if path.suffix.lower() not in known:
        raise SourceError(f'Labels {path} are of no known format: give a COCO .json, a '
                          f'MOTChallenge .txt, a folder of YOLO or KITTI files, or topic:NAME.')
    form = known[path.suffix.lower()]
    if form == 'mot':
        for _, line in lines_of(path):
            if ',' not in line and not line.lstrip().startswith('#'):
                raise SourceError(f'Labels {path} have no commas, so they are not of the '
                                  f'MOTChallenge. For YOLO and KITTI, with a file for each '
                                  f'picture, give the folder: {path.absolute().parent}.')
            break
    return form


def _regions(path: Path | None) -> Float64Array:
    return np.zeros((0, 4)) if path is None else ignore_regions_from_file(path)


def _read_coco(path: Path, person: str, regions_r4: Float64Array) -> LabelledPictures:
    found = labels_from_coco_file(path, person)
    return LabelledPictures(
        'coco', str(path), regions_r4, found.has_identities, by_name=found.labels,
        image_ids=found.image_ids, sizes_hw=found.sizes_hw)


def _read_mot(path: Path, person: str, regions_r4: Float64Array) -> LabelledPictures:
    if person:
        raise ConfigError(f'Labels of the MOTChallenge have no names of classes: leave out '
                          f'--class {person}.')
    return LabelledPictures('mot', str(path), regions_r4, True,
                            by_number=labels_from_mot_file(path))


def _read_yolo(path: Path, person: str, regions_r4: Float64Array) -> LabelledPictures:
    return LabelledPictures('yolo', str(path), regions_r4, as_shares=True,
                            by_name=labels_from_yolo_folder(path, person))


def _read_kitti(path: Path, person: str, regions_r4: Float64Array) -> LabelledPictures:
    return LabelledPictures(
        'kitti', str(path), regions_r4,
        by_name=labels_from_kitti_folder(path, person, kitti_calibrations(path)))


FORMS: dict[str, Callable[[Path, str, Float64Array], LabelledPictures]] = {
    'coco': _read_coco, 'mot': _read_mot, 'yolo': _read_yolo, 'kitti': _read_kitti}
_FOLDER_FORMS = ('yolo', 'kitti')
