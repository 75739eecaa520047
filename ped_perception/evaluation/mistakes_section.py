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

"""Where a run is wrong, as pictures: the part of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.mistakes import (
    Judged,
    Mistake,
    worst_false_positives,
    worst_misses,
)
from ped_perception.evaluation.overlays import drawn, LEGEND, part_around
from ped_perception.evaluation.reopening import pictures_if_there
from ped_perception.evaluation.report import (
    Block,
    picture_from_image,
    Pictures,
    Section,
    Table,
)
from ped_perception.evaluation.results import Results

_SHOWN = 6
_WIDTH_PX = 480


def mistakes_section(results: Results, pictures: Sequence[Judged]) -> Section:
    """Show the worst misses and false positives; without blocks where nothing is wrong."""
    missed = worst_misses(pictures, _SHOWN, results.is_sequence)
    false = worst_false_positives(pictures, _SHOWN, results.is_sequence)
    images, problem = pictures_if_there(
        results, [one.judged.picture for one in (*missed, *false)])
    blocks = []
    for title, mistakes, text, beside in (
            ('Missed, tallest first', missed, '{:.0f} px tall', 'a detection beside'),
            ('Detections of nobody, highest score first', false, 'score {:.2f}',
             'a label beside')):
        if mistakes:
            blocks.append(_block(title, [(one, _caption(one, text, beside)) for one in mistakes],
                                 images))
    once = ('What is wrong at the same place again is shown once.' if results.is_sequence
            else 'One of each picture.')
    return Section('Where it is wrong', f'{problem or LEGEND} People and detections with nothing '
                   f'near come first. {once}', tuple(blocks))


def _caption(one: Mistake, text: str, beside: str) -> str:
    near = f', {beside} it overlaps by {one.overlap:.2f}' if one.is_near else ''
    return f'{text.format(one.weight)}{near}'


def _block(title: str, mistakes: Sequence[tuple[Mistake, str]],
           images: Mapping[int | str, Uint8Array]) -> Block:
    if not images:
        return Table(title, tuple((one.judged.picture.title, caption)
                                  for one, caption in mistakes))
    return Pictures(title, tuple(picture_from_image(
        drawn(images[one.judged.picture.image_id], one.judged)[
            part_around(one.box_xyxy[None], one.judged.published.source_hw)],
        f'{one.judged.picture.title}: {caption}', _WIDTH_PX) for one, caption in mistakes),
        small=True)
