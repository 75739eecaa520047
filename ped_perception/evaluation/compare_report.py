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

"""A comparison as a page: figures, pictures that got worse and better, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.compare import Comparison, PictureChange
from ped_perception.evaluation.comparison_summary import (
    difference_text,
    mistakes_text,
    rounded,
    set_differently,
    setup_text,
    Verdict,
)
from ped_perception.evaluation.curves import miss_rate_chart, precision_chart
from ped_perception.evaluation.figures import Change
from ped_perception.evaluation.miss_rate import SETTINGS
from ped_perception.evaluation.overlays import boxes_of, drawn, LEGEND, part_around
from ped_perception.evaluation.reopening import pictures_if_there
from ped_perception.evaluation.report import (
    Block,
    Picture,
    picture_from_image,
    Pictures,
    Report,
    Section,
    Table,
    Tile,
)

_SHOWN = 6
_TILES = ('AP50', 'MR_REASONABLE', 'RECALL', 'PRECISION', 'IDF1', 'P50')
_WIDTH_PX = 640


def report_of_comparison(comparison: Comparison, verdict: Verdict, source: str = '',
                         ) -> tuple[Report, str]:
    """
    Describe the page.

    Args:
        comparison: see there.
        verdict: on it.
        source: where the pictures are now, '' for where the runs had them from.

    Returns:
        the page, and why there are no pictures in it, '' where there are.
    """
    changes = {'worse': comparison.worst(_SHOWN), 'better': comparison.best(_SHOWN)}
    images, problem = pictures_if_there(
        comparison.b, [change.b.picture for word in changes for change in changes[word]], source)
    if problem:
        problem += ' --source says where they are now.'
    a, b = comparison.a, comparison.b
    runs = {'A': a, 'B': b}
    people = sum(change.a.found.people for change in comparison.pictures)
    report = Report(
        title='Two runs compared',
        subtitle=f'A: {a.folder} ({setup_text(a)}). B: {b.folder} ({setup_text(b)}). '
                 f'{len(comparison.pictures)} labelled pictures with {people} people.',
        verdict=verdict.text, good=verdict.good, tiles=_tiles(comparison),
        sections=tuple(filter(None, (
            Section('What changed', 'Differences are B less A, shares in points.', _tables(
                comparison)),
            *(_pictures_section(word, chosen, images, problem)
              for word, chosen in changes.items()),
            Section('Over all thresholds', 'Where the lines are apart the runs differ at any '
                    'threshold; where only the marks are, the threshold moved.',
                    (precision_chart(runs), miss_rate_chart(runs, SETTINGS[:1])))
            if people else None))),
        footer=' '.join(comparison.notes))
    return report, problem


def _tiles(comparison: Comparison) -> tuple[Tile, ...]:
    by_name = {change.figure.name: change for change in comparison.changes}
    return tuple(
        Tile(_title(change), rounded(change.b), '%' if change.figure.unit == 'points'
             else change.figure.unit, f'A {rounded(change.a)}, {difference_text(change)}')
        for change in (by_name[name] for name in _TILES if name in by_name)
        if change.difference is not None)


def _title(change: Change) -> str:
    return change.figure.title[0].upper() + change.figure.title[1:]


def _tables(comparison: Comparison) -> tuple[Block, ...]:
    figures = Table('Figures', tuple(
        (_title(change), change.figure.name, rounded(change.a), rounded(change.b),
         difference_text(change),
         '' if change.interval is None else ' to '.join(
             rounded(end, sign=True) for end in change.interval),
         change.verdict) for change in comparison.changes),
        ('', 'name', 'A', 'B', 'B less A', '95 % interval', ''), wide=True)
    different = set_differently(comparison.a, comparison.b)
    rows = tuple(different) or (('nothing', '', ''),)
    return figures, Table('Set differently', rows, ('', 'A', 'B'), wide=True)


def _pictures_section(word: str, changes: Sequence[PictureChange],
                      images: Mapping[int | str, Uint8Array], problem: str) -> Section | None:
    if not changes:
        return None
    title = f'Pictures that got {word}'
    if problem:
        return Section(title, problem, (Table('Pictures', tuple(
            (change.a.picture.title, mistakes_text(change)) for change in changes), wide=True),))
    return Section(
        title, f'Left A, right B, each at the score from which it publishes. {LEGEND}',
        (Pictures(f'The {word} ones', tuple(
            picture for change in changes
            for picture in _pair(change, images[change.b.picture.image_id]))),))


def _pair(change: PictureChange, image_hw3: Uint8Array) -> tuple[Picture, Picture]:
    # The part in which anything is wrong in either run: that is where they differ.
    a, b = change.a, change.b
    part = part_around(boxes_of(*(boxes for one in (a, b) for boxes in (
        one.missed_m4, one.published.boxes_n4[one.false_rows]))), b.published.source_hw)
    left, right = (
        picture_from_image(drawn(image_hw3, one)[part], f'{letter}, {change.a.picture.title}: '
                           f'{one.misses} missed, {one.false_positives} false positives',
                           _WIDTH_PX) for letter, one in (('A', a), ('B', b)))
    return left, right
