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

"""What the classes of labels mean for a detector of pedestrians, whoever named them."""

from __future__ import annotations

from collections.abc import Iterable
import re

from ped_perception.core.errors import SourceError

# COCO, Caltech and Open Images say person, KITTI, nuScenes and Autoware pedestrian.
PEOPLE = ('person', 'pedestrian')
# People whom a detector may find or not, and places where nobody was labelled: of KITTI, Caltech,
# CityPersons, EuroCity Persons and of label tools.
_IGNORED = frozenset({
    'dontcare', 'ignore', 'ignored', 'ignoreregion', 'ignoreregions', 'crowd', 'group', 'people',
    'personfa', 'personsitting', 'sittingperson', 'rider', 'cyclist', 'bicyclist',
    'motorcyclist'})


class LabelClasses:
    """
    Tells who counts; capitals, spaces and punctuation of names do not matter.

    Attributes:
        person: the class that counts, '' for ``person`` and ``pedestrian``.
    """

    def __init__(self, person: str = '') -> None:
        """Take the class that counts, '' for the usual ones."""
        self.person = person
        self._counted = frozenset({_plain(person)} if person else PEOPLE)

    def role(self, name: str) -> bool | None:
        """Give True for a class that counts, False for one that is ignored, None for others."""
        plain = _plain(name)
        if plain in self._counted:
            return True
        return False if plain in _IGNORED else None

    def check(self, where: str, names: Iterable[str]) -> None:
        """
        Refuse labels in which nobody can count.

        Args:
            where: the labels are, for the message.
            names: of all their classes.

        Raises:
            SourceError: there are classes, and none of them counts.
        """
        known = sorted(set(names))
        if known and not any(self.role(name) for name in known):
            wanted = self.person or ' or '.join(PEOPLE)
            raise SourceError(f'{where} has nobody of class {wanted}, only: {", ".join(known)}. '
                              f'Choose the class that counts with --class.')


def _plain(name: str) -> str:
    return re.sub(r'[\W_]+', '', name).lower()
