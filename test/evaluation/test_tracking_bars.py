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

"""The street video at full rate, at half of it and with dropped pictures: who stays who."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ped_perception.backends import BackendConfig
from ped_perception.cli.evaluate_camera import EvaluatedCamera, no_calibrations
from ped_perception.core.follow import Follower
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.types import Frame
from ped_perception.evaluation.looking import Recording
from ped_perception.evaluation.metrics import compared, tracking_of
from ped_perception.evaluation.reading_labels import read_labels
from ped_perception.evaluation.run import Run, run_over
from ped_perception.evaluation.selection import selected, Selection, selection_from_text
from ped_perception.replay.camera import NoSurroundings
from ped_perception.ros.settings import settings_from_values
from ped_perception.sources import open_source
import pytest

# The video takes minutes where others need the processor too.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
pytest.importorskip('motmetrics')

CONFIG = PerceptionConfig()


@pytest.fixture(scope='module')
def street(shared_data):
    """Look at the labelled part of the video once, with everything at its default."""
    folder = shared_data / 'pets09_s2l1'
    labels = read_labels(folder / 'gt' / 'gt.txt')
    assert len(labels.ignore_regions_r4) > 0
    selection = selection_from_text('1-219')
    camera = EvaluatedCamera('camera', settings_from_values({}), NoSurroundings(),
                             no_calibrations)
    with open_source(folder / 'vtest.avi') as source:
        run = run_over([Recording('', source, labels, camera)], 2, selection, BackendConfig(),
                       CONFIG)
        images = {number: taken.frame().image_hw3 for number, taken in selected(source, selection)}
    return run, images


def followed(street, numbers):
    """Follow the detections of some of the pictures again."""
    run, images = street
    follower = Follower(CONFIG.tracker, CONFIG.ground, CONFIG.ground_filter)
    again = Run(run.info)
    for looked in run.looked:
        if looked.number in numbers:
            frame = Frame('camera', looked.detections.stamp_ns, '', images[looked.number])
            detections = looked.detections.from_score(CONFIG.tracker.low_score)
            again.looked.append(replace(looked, tracks=follower.step(frame, detections).tracks))
    return again, tracking_of(again)


def test_the_street_at_full_rate(street):
    result = tracking_of(street[0])
    assert result['idf1'] >= 0.80
    assert result['mota'] >= 0.70


@pytest.mark.parametrize('selection', ['1-219:2', '2-219:2'])
def test_half_the_rate_loses_little(street, selection):
    full = tracking_of(street[0])['idf1']
    _, half = followed(street, selection_from_text(selection))
    assert half['idf1'] > full - 0.05


def test_irregular_drops_lose_little(street):
    """One pattern decides little, as a single exchange of ids costs points: the mean of some."""
    full = tracking_of(street[0])['idf1']
    found = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        kept = {number for number in range(1, 220) if random.random() >= 0.3}
        found.append(followed(street, kept)[1]['idf1'])
    assert np.mean(found) > full - 0.08
    assert min(found) > 0.7


def test_other_trackers_do_no_better_on_the_same_detections(street):
    pytest.importorskip('norfair')
    pytest.importorskip('supervision')
    rows = compared(street[0], CONFIG)
    assert set(rows) == {'ped_perception', 'supervision ByteTrack', 'norfair'}
    ours = rows.pop('ped_perception')
    for name, other in rows.items():
        assert ours['idf1'] >= other['idf1'], name
        assert ours['mota'] >= other['mota'], name
        # They do follow people; a broken adapter would be easy to beat.
        assert other['mota'] > 0.6, name


def test_dropped_pictures_are_not_scored(street):
    _, result = followed(street, Selection(((1, 100, 1),)))
    assert result['pictures'] == 100
