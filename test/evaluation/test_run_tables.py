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


"""Tables of a run's page say what metrics.json says."""

from __future__ import annotations

import numpy as np
from ped_perception.evaluation.ground_score import ground_errors, Placed
from ped_perception.evaluation.run_report import report_of_run
from ped_perception.evaluation.run_tables import ground_table
import pytest
from result_folders import folder_of, labels_of, looked_at, person

pytest.importorskip('motmetrics')
pytest.importorskip('pycocotools')


def placed(*rows):
    """Give people from (true x, where they were placed) along a line."""
    truth, found = (np.array([[row[column], 0.0] for row in rows]) for column in (0, 1))
    return Placed(truth, found, np.array([np.eye(2)] * len(rows)), truth[:, 0])


def test_distances_with_people_are_rows_and_the_last_is_over_all():
    table = ground_table(ground_errors([placed((5.0, 6.0), (12.0, 12.0), (13.0, np.nan))]))
    assert [row[:3] for row in table.rows] == [
        ('0 to 10 m', '1', '1'), ('10 to 20 m', '2', '1'), ('all', '3', '2')]
    assert table.rows[0][3:5] == ('1.00 m', '20.0 %')
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_page_has_what_a_run_knows(tmp_path):
    looked = [looked_at(1, labels_of(person(50)), [person(50)], [0.95])]
    detection = {'ap50': 0.5, 'people': 1, 'log_average_miss_rate': {'reasonable': None}}
    results = folder_of(
        tmp_path, looked, identities=True, notes=['10 Hz is assumed.'],
        ground_error=ground_errors([placed((5.0, np.nan))]), memory_mb={'peak': 123.4},
        recordings=[{'name': '', 'detection': detection, 'topic': '',
                     'pictures': {'labelled': 1}}])
    report = report_of_run(results)
    sections = {section.title: section for section in report.sections}
    [ground] = sections['Where they stand'].blocks
    assert ground.rows[-1] == ('all', '1', '0', '-', '-', '-', '-')
    titles = {block.title: block for block in sections['How good detections are'].blocks}
    assert titles['Recordings'].rows == (('', '1', '1', '50.0 %', '-', '-'),)
    [scores] = [block for title, block in titles.items() if title.startswith('Scores')]
    assert scores.rows[-1] == ('0.9 to 1.0', '1', '0.95', '1.00')
    assert '123 MB' in sections['How fast'].lead
    assert ('note', '10 Hz is assumed.') in sections['What ran'].blocks[0].rows
