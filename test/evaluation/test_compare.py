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

"""Comparisons: over the same pictures only, judged by what chance would do, shown as pictures."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
from ped_perception.cli.evaluate import main
from ped_perception.core.errors import ConfigError
from ped_perception.evaluation.compare import compare, FEWEST_PICTURES
from ped_perception.evaluation.comparison_summary import (
    json_of,
    rounded,
    set_differently,
    verdict_of,
)
from ped_perception.evaluation.conditions import condition_from_text
from ped_perception.evaluation.mistakes import judged, worst_false_positives, worst_misses
from ped_perception.evaluation.overlays import drawn, MISSED_COLOUR, part_around, RIGHT_COLOUR
import pytest
from result_folders import example_runs, folder_of, labels_of, looked_at, person, SIZE_HW

pytest.importorskip('motmetrics')
pytest.importorskip('pycocotools')


def pictures(count, missed=(), score=0.9, first=1, name=False, height=100.0):
    """Give pictures with one person each, who is missed in some."""
    return [looked_at(number, labels_of(person(50, height=height)),
                      [] if number in missed else [person(52, height=height)],
                      [] if number in missed else [score - 0.001 * number],
                      f'{number:03d}.png' if name else '')
            for number in range(first, first + count)]


def changes_of(comparison):
    return {change.figure.name: change for change in comparison.changes}


@pytest.fixture
def few_draws(monkeypatch):
    """Draw the pictures a hundred times only, where it is not chance that is tested."""
    monkeypatch.setattr('ped_perception.evaluation.compare.DRAWS', 100)


def test_a_run_is_the_same_as_itself(tmp_path):
    run = folder_of(tmp_path / 'a', pictures(20, missed={3}))
    comparison = compare(run, run)
    assert comparison.identical
    assert {change.verdict for change in comparison.changes} == {'same'}
    assert comparison.worst(5) == comparison.best(5) == []
    verdict = verdict_of(comparison, [])
    assert verdict.good
    assert 'bit by bit' in verdict.text


@pytest.mark.usefixtures('few_draws')
def test_figures_are_those_of_metrics_json(tmp_path):
    a, b = example_runs(tmp_path)
    changes = changes_of(compare(a, b))
    for results, side in ((a, 'a'), (b, 'b')):
        detection = results.metrics['detection']
        for name, share in (('AP50', detection['ap50']), ('AP', detection['ap']),
                            ('MR_ALL', detection['log_average_miss_rate']['all']),
                            ('IDF1', results.metrics['tracking']['idf1'])):
            assert getattr(changes[name], side) == pytest.approx(100 * share, abs=0.01)
    # 1 of 40 people missed in the first, 4 in the second; 1 and 3 ghosts in 20 pictures.
    assert (changes['RECALL'].a, changes['RECALL'].b) == (97.5, 90.0)
    assert (changes['FPPI'].a, changes['FPPI'].b) == pytest.approx((0.05, 0.15))


@pytest.mark.parametrize(('missed', 'verdict', 'why'), [
    (range(1, 13), 'worse', 'twelve of forty more: chance does not do that'),
    ({7}, 'within chance', 'one more: drawn again it may not be there')])
def test_what_chance_can_do_is_not_called_worse(tmp_path, missed, verdict, why):
    a = folder_of(tmp_path / 'a', pictures(40, name=True))
    b = folder_of(tmp_path / 'b', pictures(40, missed=set(missed), name=True))
    change = changes_of(compare(a, b))['RECALL']
    assert change.verdict == verdict, why
    assert change.interval[0] <= change.difference <= change.interval[1]
    assert changes_of(compare(b, a))['RECALL'].verdict == verdict.replace('worse', 'better')


def test_a_few_pictures_say_nothing_of_others(tmp_path):
    a = folder_of(tmp_path / 'a', pictures(FEWEST_PICTURES - 1))
    b = folder_of(tmp_path / 'b', pictures(FEWEST_PICTURES - 1, missed={1, 2, 3}))
    comparison = compare(a, b)
    assert {change.interval for change in comparison.changes} == {None}
    assert changes_of(comparison)['RECALL'].verdict == ''
    assert any('no intervals' in note for note in comparison.notes)


def test_without_anybody_there_are_no_shares_but_false_positives(tmp_path):
    nobody = [looked_at(number, labels_of(), [person(50)], [0.9]) for number in range(1, 21)]
    a, b = (folder_of(tmp_path / letter, nobody) for letter in 'ab')
    changes = changes_of(compare(a, b))
    assert changes['RECALL'].a is changes['AP50'].b is None
    assert changes['FPPI'].a == 1


@pytest.mark.parametrize(('second', 'says', 'why'), [
    (lambda: pictures(15), '5 are only in', 'a part only'),
    (lambda: pictures(20, height=80.0), '20 in both have other', 'other labels'),
    (lambda: pictures(20, first=101), 'no labelled picture in common', 'other pictures'),
    (lambda: pictures(20, name=True), 'no labelled picture in common', 'other names')])
def test_runs_over_other_pictures_are_not_compared(tmp_path, second, says, why):
    a, b = folder_of(tmp_path / 'a', pictures(20)), folder_of(tmp_path / 'b', second())
    with pytest.raises(ConfigError, match=says):
        compare(a, b)


@pytest.mark.usefixtures('few_draws')
def test_the_overlap_is_compared_when_asked_for_and_said(tmp_path):
    a = folder_of(tmp_path / 'a', pictures(20), identities=True)
    b = folder_of(tmp_path / 'b', pictures(15), identities=True)
    comparison = compare(a, b, overlap=True)
    assert len(comparison.pictures) == 15
    assert 'only in' in comparison.notes[0]
    assert 'IDF1' not in changes_of(comparison), 'of the whole run only'
    with pytest.raises(ConfigError, match='IDF1 is not defined'):
        condition_from_text('IDF1<0').is_met(comparison.changes)


def test_what_was_set_differently_is_named_and_only_that(tmp_path):
    a = folder_of(tmp_path / 'a', pictures(12))
    b = folder_of(tmp_path / 'b', pictures(12), threshold=0.6)
    assert set_differently(a, b) == [('score_threshold', '0.5', '0.6')]


def test_a_threshold_that_moved_is_seen_in_what_is_published(tmp_path):
    a = folder_of(tmp_path / 'a', pictures(20, score=0.56), threshold=0.5)
    b = folder_of(tmp_path / 'b', pictures(20, score=0.56), threshold=0.55)
    changes = changes_of(compare(a, b))
    assert changes['AP50'].verdict == 'same', 'curves do not know thresholds'
    assert changes['RECALL'].verdict == 'worse'


@pytest.mark.usefixtures('few_draws')
def test_neighbours_of_a_video_are_shown_once_and_photographs_each(tmp_path):
    missed = {11, 12, 13, 30}
    for name, shown in ((False, [11, 30]), (True, [11, 12, 13, 30])):
        a = folder_of(tmp_path / f'a{name}', pictures(40, name=name))
        b = folder_of(tmp_path / f'b{name}', pictures(40, missed=missed, name=name))
        worst = compare(a, b).worst(9)
        assert sorted(change.a.picture.number for change in worst) == shown
        assert [change.more_misses for change in worst] == [1] * len(shown)


@pytest.mark.usefixtures('few_draws')
def test_json_has_every_picture_and_condition(tmp_path):
    comparison = compare(*example_runs(tmp_path))
    condition = condition_from_text('RECALL<-1')
    content = json_of(comparison, {condition: condition.is_met(comparison.changes)})
    assert content['conditions'] == [{'condition': 'RECALL<-1', 'met': True}]
    assert content['good'] is False
    assert [row['worse_by'] for row in content['pictures']][3:9] == [0, 1, 1, 1, 1, 1]
    assert content['pictures'][4]['name'] == '05.png'


@pytest.mark.parametrize(('value', 'sign', 'text'), [
    (None, False, '-'), (7.0, False, '7'), (-0.001, True, '+0.00'), (12.34, True, '+12.3'),
    (-0.125, True, '-0.12'), (0.0, True, '+0')])
def test_values_are_written_with_the_digits_that_matter(value, sign, text):
    assert rounded(value, sign) == text


def test_the_worst_misses_are_the_tallest_with_nothing_near(tmp_path):
    tall, near, small = person(20, 10, 200), person(150, 10, 220), person(260, 100, 50)
    beside = [near[0] + 35, near[1], near[2] + 35, near[3]]
    run = folder_of(tmp_path, [
        looked_at(1, labels_of(tall), [], [], 'a.png'),
        looked_at(2, labels_of(near), [beside], [0.9], 'b.png'),
        looked_at(3, labels_of(small), [], [], 'c.png'),
        looked_at(4, labels_of(tall, counted=[False]), [], [], 'd.png')])
    pictures_j = [judged(picture, 0.5) for picture in run.pictures]
    worst = worst_misses(pictures_j, 9, sequence=False)
    assert [mistake.judged.picture.name for mistake in worst] == ['a.png', 'c.png', 'b.png']
    assert [mistake.is_near for mistake in worst] == [False, False, True]
    assert len(worst_misses(pictures_j, 1, sequence=False)) == 1
    ghost, = worst_false_positives(pictures_j, 9, sequence=False)
    assert ghost.box_xyxy.tolist() == pytest.approx(beside)
    assert ghost.is_near


def test_boxes_are_coloured_by_what_became_of_them(tmp_path):
    run = folder_of(tmp_path, [looked_at(1, labels_of(person(40), person(200)), [person(40)],
                                         [0.9])])
    grey_hw3 = np.full((*SIZE_HW, 3), 128, np.uint8)
    image_hw3 = drawn(grey_hw3, judged(run.pictures[0], 0.5))
    assert (grey_hw3 == 128).all()
    assert tuple(image_hw3[110, 40]) == RIGHT_COLOUR
    assert tuple(image_hw3[110, 200]) == MISSED_COLOUR


@pytest.mark.parametrize(('box', 'why'), [
    ([150, 100, 170, 150], 'in the midst'), ([0, 0, 20, 50], 'in a corner'),
    ([1900, 1030, 1920, 1080], 'in the other one'), ([0, 0, 1920, 1080], 'all of it'),
    ([-30, 500, 40, 700], 'beyond the edge')])
def test_the_part_that_is_shown_holds_the_box(box, why):
    rows, columns = part_around(np.array([box], np.float64), (1080, 1920))
    assert 0 <= rows.start <= max(box[1], 0) < min(box[3], 1080) <= rows.stop <= 1080, why
    assert 0 <= columns.start <= max(box[0], 0) < min(box[2], 1920) <= columns.stop <= 1920, why


def test_without_boxes_it_is_the_whole_picture():
    assert part_around(np.zeros((0, 4)), (20, 30)) == (slice(0, 20), slice(0, 30))


def other_sizes(folder):
    for path in folder.iterdir():
        cv2.imwrite(str(path), np.zeros((40, 50, 3), np.uint8))


@pytest.mark.usefixtures('few_draws')
@pytest.mark.parametrize(('change', 'says', 'why'), [
    (shutil.rmtree, 'not at', 'moved away'),
    (lambda folder: (folder / '01.png').unlink(), 'now it is', 'one is gone'),
    (lambda folder: [path.unlink() for path in list(folder.iterdir())[3:]], '', 'most are'),
    (other_sizes, 'now it is 50x40', 'scaled'),
    (lambda folder: (folder / '05.png').write_bytes(b'none'), '05.png', 'damaged')])
def test_without_its_pictures_a_comparison_is_made(tmp_path, capsys, change, says, why):
    example_runs(tmp_path)
    change(tmp_path / 'pictures')
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'b'), '-o',
                 str(tmp_path / 'out')]) == 0, why
    said = capsys.readouterr().out
    assert 'no pictures in the report' in said
    assert says in said
    assert '05.png: 0 -> 1 missed' in said
    page = (tmp_path / 'out' / 'report.html').read_text()
    assert '<img' not in page
    assert '05.png' in page


@pytest.mark.usefixtures('few_draws')
def test_pictures_that_were_moved_are_found_where_the_user_says(tmp_path, capsys):
    example_runs(tmp_path)
    (tmp_path / 'pictures').rename(tmp_path / 'moved')
    assert main(['compare', str(tmp_path / 'a'), str(tmp_path / 'b'), '-o', str(tmp_path / 'out'),
                 '--source', str(tmp_path / 'moved')]) == 0
    assert 'no pictures' not in capsys.readouterr().out
    assert '<img' in (tmp_path / 'out' / 'report.html').read_text()


@pytest.mark.usefixtures('few_draws')
@pytest.mark.parametrize(('arguments', 'says', 'why'), [
    (['nowhere', 'B'], 'nowhere', 'no such folder'),
    (['A', 'pictures'], 'holds no results', 'a folder of another kind'),
    (['A', 'B', '--fail-if', 'HOTA<-1', '--overlap', '-o', 'OUT'], 'HOTA',
     'a metric that the runs do not have'),
    (['A', 'B', '-o', 'A'], 'is the folder of a run', 'a report would be overwritten')])
def test_bad_input_is_one_line_and_exit_code_1(tmp_path, capsys, arguments, says, why):
    for letter in 'AB':
        folder_of(tmp_path / letter, pictures(12))
    (tmp_path / 'pictures').mkdir()
    places = {word: str(tmp_path / word) for word in ('nowhere', 'pictures', 'A', 'B', 'OUT')}
    assert main(['compare', *(places.get(word, word) for word in arguments)]) == 1, why
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.startswith('ped_evaluate: ')
    assert said.err.count('\n') == 1
    assert not (tmp_path / 'A' / 'report.html').exists()
