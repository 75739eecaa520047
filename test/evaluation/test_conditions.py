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

"""Conditions: what is written is what is checked, and what cannot be checked does not pass."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ped_perception.core.errors import ConfigError
from ped_perception.evaluation.conditions import Condition, condition_from_text
from ped_perception.evaluation.figures import Change, FIGURES
import pytest

BY_NAME = {figure.name: figure for figure in FIGURES}


@pytest.mark.parametrize(('text', 'expected', 'why'), [
    ('AP50<-0.5', Condition('AP50', '<', -0.5), 'as the help writes it'),
    (' ap50 <= -.5 ', Condition('AP50', '<=', -0.5), 'spaces and case'),
    ('RECALL@0.95<-1', Condition('RECALL@0.95', '<', -1.0), 'a name with a number'),
    ('MR_ALL>+2', Condition('MR_ALL', '>', 2.0), 'a sign'),
    ('P95>=3.', Condition('P95', '>=', 3.0), 'a point')])
def test_conditions_are_read(text, expected, why):
    assert condition_from_text(text) == expected, why


@pytest.mark.parametrize(('text', 'says', 'why'), [
    ('AP60<-0.5', 'AP50', 'no such metric: the known ones are named'),
    ('AP50', 'METRIC OP VALUE', 'no bound'), ('AP50=-0.5', 'METRIC OP VALUE', 'no bound'),
    ('AP50<', 'METRIC OP VALUE', 'no value'), ('', 'METRIC OP VALUE', 'nothing'),
    ('AP50<-0.5%', 'METRIC OP VALUE', 'a unit'), ('AP50<nan', 'METRIC OP VALUE', 'no number'),
    ('AP50<-0.5,AP<1', 'METRIC OP VALUE', 'two at once')])
def test_what_is_no_condition_is_refused(text, says, why):
    with pytest.raises(ConfigError, match=says):
        condition_from_text(text)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        condition = condition_from_text(text)
    except ConfigError:
        return
    assert condition_from_text(str(condition)) == condition


@given(st.sampled_from(FIGURES), st.sampled_from(['<', '<=', '>', '>=']),
       st.floats(-1e6, 1e6).map(lambda value: float(f'{value:.4f}')))
def test_what_is_written_is_read_again(figure, comparison, limit):
    text = f'{figure.name}{comparison}{limit:.4f}'
    assert condition_from_text(text) == Condition(figure.name, comparison, limit)


@pytest.mark.parametrize(('text', 'met', 'why'), [
    ('AP50<-0.5', True, 'fell by more'), ('AP50<-2', False, 'fell by just that'),
    ('AP50<=-2', True, 'or equal'), ('AP50>-3', True, 'above'), ('AP50>=1', False, 'not above')])
def test_conditions_are_on_the_second_less_the_first(text, met, why):
    changes = [Change(BY_NAME['AP50'], 70.0, 68.0, None)]
    assert condition_from_text(text).is_met(changes) is met, why


@pytest.mark.parametrize('changes', [[], [Change(BY_NAME['HOTA'], 50.0, None, None)]],
                         ids=['absent', 'in one run only'])
def test_what_the_runs_do_not_have_does_not_pass(changes):
    changes = [*changes, Change(BY_NAME['AP50'], 1.0, 1.0, None)]
    with pytest.raises(ConfigError, match=r'HOTA is not defined in both runs.*AP50'):
        condition_from_text('HOTA<-1').is_met(changes)


@pytest.mark.parametrize(('name', 'a', 'b', 'interval', 'verdict', 'why'), [
    ('AP50', 70, 68, (-3, -1), 'worse', 'less is worse'),
    ('AP50', 68, 70, (1, 3), 'better', 'more is better'),
    ('MR_ALL', 30, 28, (-3, -1), 'better', 'of a miss rate less is better'),
    ('FPPI', 0.1, 0.4, (0.2, 0.4), 'worse', 'of false positives more is worse'),
    ('AP50', 70, 68, (-4, 1), 'within chance', 'the interval holds 0'),
    ('AP50', 70, 68, (-4, 0), 'within chance', 'with its ends'),
    ('AP50', 70, 70, (0, 0), 'same', 'nothing moves'),
    ('AP50', 70, 70, (-1, 1), 'within chance', 'equal in sum, not in the pictures'),
    ('SWITCHES', 7, 7, None, 'same', 'equal'), ('SWITCHES', 7, 9, None, '', 'no interval'),
    ('HOTA', None, 50, None, '', 'one run does not have it')])
def test_verdicts(name, a, b, interval, verdict, why):
    interval = None if interval is None else tuple(map(float, interval))
    assert Change(BY_NAME[name], a, b, interval).verdict == verdict, why
