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


"""Labels of any format: which people are where in which picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.core.types import Float64Array
from ped_perception.evaluation.coco import labels_from_coco_file
from ped_perception.evaluation.mot import (
    ignore_regions_from_file,
    Labels,
    labels_from_mot_file,
    NO_LABELS,
)
from ped_perception.sources import SourceFrame

# Beside a MOT file, what was left out of it.
IGNORE_FILE = 'ignore_regions.txt'


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """
    The labels of a source.

    Attributes:
        form: 'mot' or 'coco'.
        by_number: labels by the number of the picture, for videos.
        by_name: labels by file name, for folders; empty when pictures are numbered.
        image_ids: the labels' own numbers of pictures, by file name.
        ignore_regions_r4: float64[R, 4], where people are not labelled.
    """

    form: str
    by_number: Mapping[int, Labels]
    by_name: Mapping[str, Labels]
    image_ids: Mapping[str, int]
    ignore_regions_r4: Float64Array

    @property
    def has_identities(self) -> bool:
        """Tell whether the same person has the same id in all pictures."""
        return self.form == 'mot'

    def of(self, number: int, frame: SourceFrame) -> Labels | None:
        """
        Give the labels of a picture; None for one that nobody labelled.

        In a MOT file a picture without a row is one without people, as far as the file goes.
        """
        if self.by_name:
            return self.by_name.get(frame.name)
        if number > max(self.by_number, default=0):
            return None
        return self.by_number.get(number, NO_LABELS)

    def image_id(self, number: int, frame: SourceFrame) -> int | str:
        """Give what a picture is called in results: the labels' number, else its name."""
        return self.image_ids.get(frame.name, frame.name or number)


def read_labels(path: Path, ignore: Path | None = None) -> LabelledPictures:
    """
    Read labels: a COCO json, or a MOTChallenge text file.

    Args:
        path: of the file; its suffix tells the format.
        ignore: rectangles ``x,y,w,h`` without labels; None for ``ignore_regions.txt`` beside
            the labels, where there is one.

    Raises:
        SourceError: a file cannot be read or is not of the format, or is of none known.
    """
    beside = path.parent / IGNORE_FILE
    regions = ignore if ignore is not None else beside if beside.is_file() else None
    regions_r4 = np.zeros((0, 4)) if regions is None else ignore_regions_from_file(regions)
    if path.suffix == '.txt':
        return LabelledPictures('mot', labels_from_mot_file(path), {}, {}, regions_r4)
    if path.suffix == '.json':
        try:
            by_name, image_ids = labels_from_coco_file(path)
        except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise SourceError(f'Labels {path} cannot be read: {error}.') from error
        return LabelledPictures('coco', {}, by_name, image_ids, regions_r4)
    raise SourceError(f'Labels {path} are of no known format: give a COCO .json or a '
                      f'MOTChallenge .txt file.')
