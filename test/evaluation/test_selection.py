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

"""Which pictures are looked at."""

from __future__ import annotations

from ped_perception.core.errors import ConfigError, SourceError
from ped_perception.evaluation.selection import selected, selection_from_text
import pytest


class Numbers:
    """A source whose pictures are their numbers."""

    name = 'numbers'

    def __init__(self, count):
        self._count = count

    def __iter__(self):
        """Give the numbers."""
        return iter(range(1, self._count + 1))


@pytest.mark.parametrize(('text', 'expected', 'why'), [
    ('', [1, 2, 3, 4, 5, 6, 7], 'all'),
    ('2-4', [2, 3, 4], 'both ends are in'),
    ('2-6:2', [2, 4, 6], 'steps count from the first'),
    ('5-', [5, 6, 7], 'to the end'),
    ('3', [3], 'one'),
    ('1-2, 6-', [1, 2, 6, 7], 'several'),
])
def test_selections(text, expected, why):
    taken = list(selected(Numbers(7), selection_from_text(text)))
    assert taken == [(number, number) for number in expected]


@pytest.mark.parametrize('text', ['a', '0-3', '4-2', '1-5:0', '-3', '1--2', '1-2:'])
def test_nonsense_is_refused_with_the_form_to_write(text):
    with pytest.raises(ConfigError, match='selects no pictures'):
        selection_from_text(text)


@pytest.mark.parametrize('drop', [-0.1, 1.0, float('nan')])
def test_impossible_shares_are_refused(drop):
    with pytest.raises(ConfigError, match='share'):
        selection_from_text('', drop)


def test_a_source_that_ends_too_early_is_an_error():
    with pytest.raises(SourceError, match='ends with picture 7'):
        list(selected(Numbers(7), selection_from_text('1-8')))


def test_dropping_is_random_and_repeatable():
    def taken(seed):
        return [number for number, _ in selected(Numbers(1000), selection_from_text('', 0.3, seed))
                ]
    assert taken(1) == taken(1)
    assert taken(1) != taken(2)
    assert 650 < len(taken(1)) < 750


def test_nothing_is_read_beyond_the_last():
    source = iter(selected(Numbers(7), selection_from_text('1-2')))
    assert [number for number, _ in source] == [1, 2]
