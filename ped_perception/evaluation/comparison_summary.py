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

"""A comparison in a sentence, in what was set differently, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ped_perception.evaluation.compare import Comparison, PictureChange
from ped_perception.evaluation.conditions import Condition
from ped_perception.evaluation.figures import Change
from ped_perception.evaluation.results import Results

# Parts of metrics.json that say how a run came about, and what is written before their names.
_SETUP = {'network': 'network ', 'parameters': '', 'machine': 'machine: ',
          'versions': 'version of '}
_SETUP_KEYS = ('source', 'labels', 'frames', 'drop', 'seed', 'topic', 'config', 'calibration')
# Differs always, and explains times only.
_NOT_SETUP = ('load_average',)


@dataclass(frozen=True)
class Verdict:
    """
    The result of a comparison.

    Attributes:
        text: in a sentence or two.
        good: whether it is one to be content with, None where that is for the reader to say.
    """

    text: str
    good: bool | None


def verdict_of(comparison: Comparison, met: Sequence[Condition],
               conditions: Sequence[Condition] = ()) -> Verdict:
    """
    Judge a comparison.

    Args:
        comparison: see there.
        met: the conditions for a failure that are met.
        conditions: all of them.
    """
    worse, better = (comparison.with_verdict(word) for word in ('worse', 'better'))
    said = []
    if met:
        differences = {change.figure.name: change for change in comparison.changes}
        said.append('Fails: ' + ', '.join(
            f'{condition} ({difference_text(differences[condition.name])})'
            for condition in met) + '.')
    elif conditions:
        said.append(f'Passes {", ".join(map(str, conditions))}.')
    if comparison.identical:
        said.append('All detections are the same, bit by bit.')
    for word, changes in (('Worse', worse), ('Better', better)):
        if changes:
            said.append(f'{word} beyond chance: ' + ', '.join(
                f'{change.figure.name} {difference_text(change)}' for change in changes) + '.')
    if not (worse or better or comparison.identical):
        said.append('No figure moved beyond chance.')
    if met or (worse and not better):
        return Verdict(' '.join(said), False)
    return Verdict(' '.join(said), None if worse else True)


def difference_text(change: Change) -> str:
    """Write a difference with its sign and unit, '-' where there is none."""
    if change.difference is None:
        return '-'
    return f'{rounded(change.difference, sign=True)} {change.figure.unit}'.strip()


def rounded(value: float | None, sign: bool = False) -> str:
    """Write a value with the digits that a reader compares, '-' for None."""
    if value is None:
        return '-'
    digits = 0 if float(value).is_integer() else 1 if abs(value) >= 10 else 2
    # No minus before a zero.
    return f'{round(value, digits) + 0.0:{"+" if sign else ""}.{digits}f}'


def set_differently(a: Results, b: Results) -> list[tuple[str, str, str]]:
    """Give what two runs were made with, where it differs: name, of the first, of the second."""
    first, second = _setup(a.metrics), _setup(b.metrics)
    names = [*first, *(name for name in second if name not in first)]
    return [(name, first.get(name, '-'), second.get(name, '-')) for name in names
            if first.get(name) != second.get(name)]


def setup_text(results: Results) -> str:
    """Say what a run was made with, in a few words."""
    network = results.metrics.get('network') or {}
    return ' '.join(str(network[key]) for key in ('model', 'precision', 'backend')
                    if key in network)


def mistakes_text(change: PictureChange) -> str:
    """Say what changed in a picture."""
    return (f'{change.a.misses} -> {change.b.misses} missed, '
            f'{change.a.false_positives} -> {change.b.false_positives} false positives')


def json_of(comparison: Comparison, conditions: Mapping[Condition, bool]) -> dict[str, Any]:
    """
    Write a comparison in types of JSON.

    Args:
        comparison: see there.
        conditions: for a failure, and whether they are met.
    """
    met = [condition for condition, is_met in conditions.items() if is_met]
    verdict = verdict_of(comparison, met, list(conditions))
    return {
        'a': str(comparison.a.folder), 'b': str(comparison.b.folder),
        'verdict': verdict.text, 'good': verdict.good, 'identical': comparison.identical,
        'conditions': [{'condition': str(condition), 'met': is_met}
                       for condition, is_met in conditions.items()],
        'figures': {change.figure.name: {
            'title': change.figure.title, 'unit': change.figure.unit, 'a': change.a,
            'b': change.b, 'difference': change.difference,
            'interval': None if change.interval is None else list(change.interval),
            'verdict': change.verdict} for change in comparison.changes},
        'pictures': [_json_of_picture(change) for change in comparison.pictures],
        'set_differently': [{'name': name, 'a': first, 'b': second} for name, first, second
                            in set_differently(comparison.a, comparison.b)],
        'notes': list(comparison.notes)}


def _json_of_picture(change: PictureChange) -> dict[str, Any]:
    return {'image_id': change.a.picture.image_id, 'number': change.a.picture.number,
            'name': change.a.picture.name, 'worse_by': change.worse_by,
            **{side: {'misses': one.misses, 'false_positives': one.false_positives}
               for side, one in (('a', change.a), ('b', change.b))}}


def _setup(metrics: Mapping[str, Any]) -> dict[str, str]:
    values = {key: str(metrics[key]) for key in _SETUP_KEYS if key in metrics}
    for part, prefix in _SETUP.items():
        values |= {f'{prefix}{key}': str(value) for key, value in (metrics.get(part) or {}).items()
                   if key not in _NOT_SETUP}
    return values
