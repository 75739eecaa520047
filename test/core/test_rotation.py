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

"""Turned pictures and their boxes."""

from __future__ import annotations

import itertools

import numpy as np
from ped_perception.core.rotation import (
    source_from_upright_boxes,
    source_from_upright_detections,
    source_from_upright_tracks,
    upright_from_source,
)
from ped_perception.core.tracker import Tracker
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections
import pytest


@pytest.mark.parametrize('quarter_turns', [0, 1, 2, 3])
def test_a_box_found_in_the_turned_picture_is_where_it_was_in_the_cameras(quarter_turns):
    source_hw3 = np.zeros((50, 90, 3), np.uint8)
    source_hw3[5:25, 60:70] = 255
    rows, columns = np.nonzero(upright_from_source(source_hw3, quarter_turns)[..., 0])
    upright = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]],
                       np.float32)
    back = source_from_upright_boxes(upright, (50, 90), quarter_turns)
    assert back.tolist() == [[60, 5, 70, 25]]


def test_one_quarter_turn_is_clockwise():
    source_hw3 = np.zeros((2, 3, 3), np.uint8)
    source_hw3[0, 0] = 255
    assert upright_from_source(source_hw3, 1)[0, 1, 0] == 255, 'top left becomes top right'


def test_no_turn_costs_no_copy():
    source_hw3 = np.zeros((2, 3, 3), np.uint8)
    assert upright_from_source(source_hw3, 0) is source_hw3


@pytest.mark.parametrize(('quarter_turns', 'box'), [
    (0, (10, 20, 30, 60)), (1, (20, 20, 60, 40)), (2, (20, 30, 40, 70)), (3, (30, 10, 70, 30))])
def test_detections_and_tracks_come_back_with_the_size_of_the_cameras_picture(
        quarter_turns, box):
    source_hw = (50, 90) if quarter_turns % 2 else (90, 50)
    upright_hw = (90, 50)
    boxes_n4 = np.array([[10, 20, 30, 60]], np.float32)
    upright = Detections('front', 7, 'optical', upright_hw, boxes_n4,
                         np.array([0.9], np.float32))
    found = source_from_upright_detections(upright, source_hw, quarter_turns)
    assert (found.source_hw, found.boxes_n4.tolist()) == (source_hw, [list(box)])
    assert (found.camera, found.stamp_ns, found.scores_n.tolist()) == (
        'front', 7, upright.scores_n.tolist())
    tracks = Tracker(TrackerConfig(), itertools.count(1)).step(upright)
    back = source_from_upright_tracks(tracks, source_hw, quarter_turns)
    assert (back.source_hw, back.ids_t.tolist()) == (source_hw, [1])
    assert np.allclose(back.boxes_t4, [box], atol=1e-3)
