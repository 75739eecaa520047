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

"""The page of a run says what its files say, and leaves out what they do not."""

from __future__ import annotations

from dataclasses import replace
import re

import numpy as np
from ped_perception.evaluation.charts import WIDTH
from ped_perception.evaluation.curves import miss_rate_chart, precision_chart
from ped_perception.evaluation.detection_section import ground_section
from ped_perception.evaluation.ground_score import ground_errors, Placed
from ped_perception.evaluation.lanes import Lane, Lanes, lay_out_lanes, Span
from ped_perception.evaluation.report import html_from_report
from ped_perception.evaluation.run_report import report_of_run
from ped_perception.evaluation.track_lanes import track_lanes
import pytest
from result_folders import example_runs, folder_of, labels_of, looked_at, person, picture_folder

pytest.importorskip('motmetrics')
pytest.importorskip('pycocotools')

GROUND = [{'from_m': 0, 'to_m': 10, 'people': 4, 'placed': 3, 'median_m': 0.21, 'p95_m': 0.84,
           'median_share': 0.03, 'inside_95': 0.93},
          {'from_m': 10, 'to_m': 20, 'people': 0, 'placed': 0, 'median_m': None, 'p95_m': None,
           'median_share': None, 'inside_95': None},
          {'from_m': 0, 'to_m': 1000, 'people': 4, 'placed': 3, 'median_m': 0.21, 'p95_m': 0.84,
           'median_share': 0.03, 'inside_95': 0.93}]


def titles(report):
    return [section.title for section in report.sections]


def test_everything_that_a_run_has_is_on_its_page(tmp_path):
    results = example_runs(tmp_path)[0]
    html = html_from_report(report_of_run(results))
    for text in ('39 of 40 labelled people', 'Precision over recall', 'Miss rate over',
                 'AP at IoU 0.5 by height', 'What scores mean', 'Labelled people over time',
                 '03.png: 100 px tall', '04.png: score 0.70', 'Time of a picture', 'nanodet_g',
                 'score_threshold', 'numpy'):
        assert text in html
    assert html.count('<img') == 2, 'one missed, one of nobody'
    for absent in ('by distance', 'ellipse', 'To know'):
        assert absent not in html


def test_what_only_some_runs_have_is_shown_where_it_is(tmp_path):
    pictures = picture_folder(tmp_path / 'pictures', ['a.png'])
    results = folder_of(tmp_path / 'a', [looked_at(1, labels_of(person(50)), [person(51)], [0.9],
                                                   'a.png')], source=pictures,
                        ground_error=GROUND, notes=['the camera is assumed <level>'])
    results.metrics['detection']['ap_by_distance'] = [
        {'from_m': 0, 'to_m': 10, 'people': 3, 'ap50': 0.875, 'ap': 0.5},
        {'from_m': 80, 'to_m': 1000, 'people': 1, 'ap50': None, 'ap': None}]
    report = report_of_run(results)
    html = html_from_report(report)
    for text in ('0 to 10 m (3)', '87.5 %', 'from 80 m (1)', 'Where people stand', '0.21 m',
                 'ellipse', '93.0 %', 'the camera is assumed &lt;level&gt;'):
        assert text in html
    assert 'Tracks' not in titles(report), 'nobody was followed'
    assert 'Where it is wrong' not in titles(report), 'nothing is'
    assert '10 to 20 m' not in html, 'nobody was there'


def test_a_run_without_people_has_a_page(tmp_path):
    results = folder_of(tmp_path / 'a', [looked_at(1, labels_of(), [], [])])
    report = report_of_run(results)
    assert 'How good detections are' not in titles(report)
    assert '0 of 0 labelled people are found' in report.verdict
    assert 'How fast' in titles(report)
    html_from_report(report)


def test_errors_on_the_ground_are_by_distance_and_the_last_row_is_over_all():
    truth_m2 = np.array([[5.0, 0.0], [12.0, 0.0], [13.0, 0.0]])
    found_m2 = truth_m2 + [[1.0, 0.0], [0.0, 0.0], [np.nan, 0.0]]
    placed = Placed(truth_m2, found_m2, np.array([np.eye(2)] * 3), truth_m2[:, 0])
    table, = ground_section({'ground_error': ground_errors([placed])}).blocks
    assert [row[:4] for row in table.rows] == [
        ('0 to 10 m', '1', '1', '1.00 m'), ('10 to 20 m', '2', '1', '0.00 m'),
        ('all', '3', '2', '0.50 m')]
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_without_its_pictures_a_page_names_them(tmp_path):
    results = folder_of(tmp_path / 'a', [looked_at(1, labels_of(person(50)), [], [], 'a.png')],
                        source=tmp_path / 'gone')
    html = html_from_report(report_of_run(results))
    assert f'not at {tmp_path / "gone"}' in html
    assert 'a.png</th><td>100 px tall' in html
    assert '<img' not in html


def test_of_several_trackers_each_has_a_column(tmp_path):
    tracking = {'idf1': 0.5, 'mota': None, 'id_switches': 3.0}
    results = folder_of(tmp_path / 'a', [looked_at(1, labels_of(), [], [])],
                        trackers={'ped_perception': tracking, 'other': {**tracking, 'idf1': 0.25}})
    html = html_from_report(report_of_run(results))
    row = re.search(r'idf1</th><td>50.0</td><td>25.0</td>', html)
    assert row
    assert 'id switches</th><td>3</td><td>3</td>' in html


def test_curves_go_through_what_is_published(tmp_path):
    results = example_runs(tmp_path)[0]
    chart = precision_chart({'': results})
    (label, recall), = chart.marks.items()
    assert label == 'published from score 0.5'
    assert recall == pytest.approx(39 / 40)
    line, = chart.lines
    assert max(line.x_n) == pytest.approx(39 / 40)
    rates = miss_rate_chart({'': results}).lines[0]
    assert rates.x_n[0] == pytest.approx(0.001)
    assert min(rates.y_n) == pytest.approx(1 / 40)
    assert max(rates.x_n) == pytest.approx(1 / 20)
    both = precision_chart({'A': results, 'B': results})
    assert [line.label for line in both.lines] == ['A', 'B']
    assert len(both.marks) == 2


def test_lanes_stand_where_the_pictures_are():
    laid_out = lay_out_lanes(Lanes('t', 'picture', (
        Lane('one', (Span(0, 50, True, 'first'), Span(50, 50.001, False, 'short'))),
        Lane('two', (Span(0, 100, True, 'all'),), ((50, 'changed'),))), (0, 100)))
    first, short, whole = laid_out.spans
    left, right = laid_out.left, laid_out.right
    assert (first[0], first[0] + first[2]) == pytest.approx((left, (left + right) / 2), abs=0.2)
    assert short[2] >= 1, 'still seen'
    assert (whole[0], whole[0] + whole[2]) == pytest.approx((left, right), abs=0.2)
    assert right < WIDTH
    assert whole[1] > first[1] + first[3], 'below the other'
    assert laid_out.marks[0][0] == pytest.approx((left + right) / 2, abs=0.2)
    assert [text for _, text in laid_out.labels] == ['one', 'two']


def test_a_lane_tells_who_followed_a_person_and_when_nobody_did(tmp_path):
    lanes = track_lanes(example_runs(tmp_path)[0])
    one = next(lane for lane in lanes.lanes if lane.label == 'person 1')
    assert [(span.begin, span.end, span.good) for span in one.spans] == [
        (1, 3, True), (3, 4, False), (4, 10, True), (10, 21, True)]
    assert one.marks == ((10, 'track 6 instead of 5'),)
    assert 'track 5' in one.spans[0].tip
    two = next(lane for lane in lanes.lanes if lane.label == 'person 2')
    assert [span.good for span in two.spans] == [False]


def test_without_identities_there_is_a_lane_for_each_track(tmp_path):
    results = folder_of(tmp_path / 'a', [
        looked_at(number, None if number > 1 else labels_of(), [], [],
                  track_ids=[1] if number != 3 else [2], track_boxes=[person(50)])
        for number in (1, 2, 3, 4)])
    lanes = {lane.label: [(span.begin, span.end) for span in lane.spans]
             for lane in track_lanes(results).lanes}
    assert lanes == {'track 1': [(1, 3), (4, 5)], 'track 2': [(3, 4)]}


def test_people_of_two_recordings_are_not_one(tmp_path):
    names = ('1.png', '2.png')
    (tmp_path / 'drives').mkdir()
    for recording in ('monday', 'tuesday'):
        picture_folder(tmp_path / 'drives' / recording, names)
    looked = [replace(looked_at(number, labels_of(person(50), ids=[7]), [], [], name),
                      recording=recording, image_id=f'{recording}/{name}')
              for recording in ('monday', 'tuesday') for number, name in enumerate(names, 1)]
    row = {'topic': '', 'pictures': {'labelled': 2}, 'detection': {
        'people': 2, 'ap50': 0.0, 'log_average_miss_rate': {'reasonable': 1.0}}}
    results = folder_of(tmp_path / 'a', looked, identities=True,
                        source=tmp_path / 'drives', recordings=[
                            {'name': 'monday', **row}, {'name': 'tuesday', **row}])
    lanes = track_lanes(results)
    assert [(lane.label, [(span.begin, span.end) for span in lane.spans])
            for lane in lanes.lanes] == [('person 7', [(1, 3)]), ('person 7', [(3, 5)])]
    assert 'recordings' in lanes.x_label
    assert lanes.lanes[1].spans[0].tip.startswith('tuesday')
    assert np.isfinite(lay_out_lanes(lanes).height)
    report = report_of_run(results)
    assert 'Recordings' in titles(report)
    shown = [picture.caption for section in report.sections for block in section.blocks
             if block.kind == 'pictures' for picture in block.pictures]
    assert shown == ['monday, 1.png: 100 px tall', 'tuesday, 1.png: 100 px tall']
