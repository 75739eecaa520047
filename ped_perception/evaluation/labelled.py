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
from dataclasses import dataclass, field, replace
import functools
from pathlib import Path
import re

from ped_perception.core.errors import SourceError
from ped_perception.core.types import Float64Array
from ped_perception.evaluation.labels_topic import at_stamp
from ped_perception.evaluation.mot import Labels, NO_LABELS
from ped_perception.sources import SourceFrame

_DIGITS = re.compile(r'\d+')
# Sources without recorded times begin at one second; no source has so many pictures.
_FIRST_STAMP_NS = 10**9


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """
    The labels of a source.

    Attributes:
        form: 'mot', 'coco', 'yolo', 'kitti' or 'topic'.
        place: where they are, for messages.
        ignore_regions_r4: float64[R, 4], where people are not labelled.
        has_identities: whether the same person has the same id in all pictures.
        by_number: labels by the number of the picture, for MOT.
        by_name: labels by the name of the picture, with or without its suffix.
        by_stamp: labels by the stamp of the picture in nanoseconds, for a topic.
        image_ids: the labels' own ids of pictures, by file name.
        sizes_hw: height and width of the pictures that were labelled, by file name.
        as_shares: whether boxes are fractions of the picture instead of pixels.
    """

    form: str
    place: str
    ignore_regions_r4: Float64Array
    has_identities: bool = False
    by_number: Mapping[int, Labels] = field(default_factory=dict)
    by_name: Mapping[str, Labels] = field(default_factory=dict)
    by_stamp: Mapping[int, Labels] = field(default_factory=dict)
    image_ids: Mapping[str, int | str] = field(default_factory=dict)
    sizes_hw: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    as_shares: bool = False

    def of(self, number: int, frame: SourceFrame, source_hw: tuple[int, int]) -> Labels | None:
        """
        Give the labels of a picture; None for one that nobody labelled.

        In a MOT file a picture without a row is one without people, as far as the file goes.

        Args:
            number: of the picture in its source, from 1.
            frame: as the source gave it.
            source_hw: height and width of the picture in pixels.

        Raises:
            SourceError: the labels are for a picture of another size, or it is not clear for
                which picture they are.
        """
        if self.form == 'mot':
            last = max(self.by_number, default=0)
            return self.by_number.get(number, NO_LABELS) if number <= last else None
        if self.form == 'topic':
            return at_stamp(self.by_stamp, frame.stamp_ns)
        key = self._key(number, frame)
        if key is None:
            return None
        labelled_hw = self.sizes_hw.get(key, source_hw)
        if labelled_hw != source_hw:
            raise SourceError(
                f'The labels of {key} in {self.place} are for a picture of {labelled_hw[1]}x'
                f'{labelled_hw[0]}, but this one has {source_hw[1]}x{source_hw[0]} pixels: it was '
                f'scaled or turned. Give the pictures that were labelled.')
        labels = self.by_name[key]
        if self.as_shares:
            height, width = source_hw
            labels = replace(labels, boxes_n4=labels.boxes_n4 * [width, height, width, height])
        return labels

    def image_id(self, number: int, frame: SourceFrame) -> int | str:
        """Give what a picture is called in results: the labels' id, else its name or number."""
        key = self._key(number, frame)
        return self.image_ids.get(key or '', frame.name or number)

    def _key(self, number: int, frame: SourceFrame) -> str | None:
        """Give the name under which a picture is labelled."""
        if frame.name:
            stem = Path(frame.name).stem
            return next((name for name in (frame.name, stem) if name in self.by_name), None)
        numbers = self._names_by_number
        return numbers.get(number, numbers.get(frame.stamp_ns))

    @functools.cached_property
    def _names_by_number(self) -> Mapping[int, str]:
        """
        The names by the last number in them, for pictures that are no files.

        Numbers count pictures from 1; where there is a 0, from 0. Those of a thousand million and
        more are stamps in nanoseconds, as ``ped_evaluate harvest`` names pictures.

        Raises:
            SourceError: names have no number, or the same one.
        """
        found: dict[int, str] = {}
        for name in self.by_name:
            number = last_number(name)
            if number is None or number in found:
                raise SourceError(
                    f'The pictures of this source have no file names, so that labels are found by '
                    f'the number in theirs; {name} in {self.place} has '
                    f'{"none" if number is None else f"that of {found[number]}"}.')
            found[number] = name
        first = 0 if 0 in found else 1
        return {number if number >= _FIRST_STAMP_NS else number - first + 1: name
                for number, name in found.items()}


def last_number(name: str) -> int | None:
    """Give the last number in the name of a file, None where there is none."""
    digits = _DIGITS.findall(Path(name).stem)
    return int(digits[-1]) if digits else None
