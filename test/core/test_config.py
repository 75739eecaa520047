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

"""Parameters: declared once, checked everywhere, explained when wrong."""

from __future__ import annotations

from dataclasses import dataclass
import math

from hypothesis import given
from hypothesis import strategies as st
from ped_perception.core.config import (
    config_from_mapping,
    param,
    size_hw_from_text,
    specs_of,
    text_from_size_hw,
)
from ped_perception.core.errors import ConfigError
import pytest


@dataclass(frozen=True)
class Example:
    """One parameter of each kind."""

    flag: bool = param(True, 'A flag.')
    count: int = param(3, 'A count.', minimum=1, maximum=9)
    ratio: float = param(0.5, 'A ratio.', minimum=0.0, maximum=1.0, dynamic=True)
    mode: str = param('a', 'A mode.', choices=('a', 'b'))
    names: tuple[str, ...] = param(('x',), 'Names.')
    weights: tuple[float, ...] = param((1.0,), 'Weights.', unit='m', minimum=0.0, maximum=2.0)


def test_nothing_given_means_the_defaults():
    assert config_from_mapping(Example, {}) == Example()


@pytest.mark.parametrize(('given_value', 'stored', 'why'), [
    ({'ratio': 1}, {'ratio': 1.0}, 'YAML writes a whole double without a point'),
    ({'names': ['p', 'q']}, {'names': ('p', 'q')}, 'ROS gives arrays as lists'),
    ({'weights': [0, 2]}, {'weights': (0.0, 2.0)}, 'elements are converted too'),
    ({'names': []}, {'names': ()}, 'an empty list is a list'),
])
def test_values_are_converted_without_changing_their_meaning(given_value, stored, why):
    assert config_from_mapping(Example, given_value) == Example(**stored), why


@pytest.mark.parametrize(('values', 'fragments', 'why'), [
    ({'cuont': 3}, ['cuont', 'Did you mean front.count?'], 'a misspelt key'),
    ({'zzz': 3}, ['zzz', 'Known are', 'ratio'], 'a key like no other lists them all'),
    ({'count': 3.0}, ['count', 'integer', '3.0'], 'a double is not an integer'),
    ({'count': True}, ['count', 'integer'], 'True is not 1'),
    ({'ratio': 'high'}, ['ratio', 'double', "'high'", 'A ratio.'], 'text is not a number'),
    ({'ratio': math.nan}, ['ratio', 'nan'], 'NaN lies in no range'),
    ({'ratio': 1.01}, ['ratio', '1.01', 'between 0 and 1'], 'above the range'),
    ({'count': 0}, ['count', 'between 1 and 9'], 'below the range'),
    ({'mode': 'c'}, ['mode', "'c'", 'a, b'], 'not one of the choices'),
    ({'names': 'front'}, ['names', 'string array'], 'one name is not a list of letters'),
    ({'weights': [1.0, 3.0]}, ['weights', '3.0 m', '2 m'], 'each element has the range'),
    ({'flag': 1}, ['flag', 'bool'], '1 is not true'),
])
def test_what_is_wrong_is_said(values, fragments, why):
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(Example, values, prefix='front.')
    for fragment in fragments:
        assert fragment in str(caught.value), why
    assert 'front.' in str(caught.value)


def test_every_default_passes_its_own_check():
    # A default out of its range would be refused as soon as somebody writes it in a YAML file.
    from ped_perception.backends import BackendConfig
    from ped_perception.core.pipeline import DetectorConfig
    for config_type in (Example, DetectorConfig, BackendConfig):
        for spec in specs_of(config_type):
            assert spec.check(spec.default, spec.name) == spec.default
            assert spec.description.endswith('.')


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_a_size_is_written_width_first_and_kept_height_first(height, width):
    assert text_from_size_hw((height, width)) == f'{width}x{height}'
    assert size_hw_from_text(f'{width}x{height}') == (height, width)


@pytest.mark.parametrize('text', [
    '640', '640x', 'x384', '640x384x3', '0x384', '-1x3', 'axb', '', '640X384', ' 640x384', '²x3',
    '100000x3'])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match='WIDTHxHEIGHT'):
        size_hw_from_text(text)
