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

"""Candidates of all views of a picture become its pedestrians, each once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
from ped_perception.core.detections import (
    detections_from_candidates,
    intersections,
    suppress_duplicates,
)
from ped_perception.core.types import Candidates, Frame
from ped_perception.core.views import place_view, ViewSpec
import pytest

SOURCE_HW = (200, 400)
WHOLE = ViewSpec()
LEFT = ViewSpec((0.0, 0.0, 0.5, 1.0))
RIGHT = ViewSpec((0.5, 0.0, 1.0, 1.0))


def detect(rows_per_view, specs, *, network_hw=(100, 200), score_threshold=0.3, nms_iou=0.5,
           **options):
    """Run boxes given in SOURCE pixels as (x1, y1, x2, y2, score) through their views."""
    frame = Frame('front', 7, 'optical', np.zeros((*SOURCE_HW, 3), np.uint8))
    views = [place_view(spec, SOURCE_HW, network_hw) for spec in specs]
    top_k = max(1, *(len(rows) for rows in rows_per_view))
    boxes_nk4 = np.zeros((len(views), top_k, 4), np.float32)
    scores_nk = np.zeros((len(views), top_k), np.float32)
    for slot, (rows, view) in enumerate(zip(rows_per_view, views, strict=True)):
        for k, row in enumerate(sorted(rows, key=lambda row: -row[4])):
            boxes_nk4[slot, k] = ((np.array(row[:4]) - view.crop_xyxy[:2] * 2)
                                  * (view.scale_xy * 2) + view.pad_xy * 2)
            scores_nk[slot, k] = row[4]
    return detections_from_candidates(
        frame, Candidates(boxes_nk4, scores_nk), range(len(views)), views,
        score_threshold=score_threshold, nms_iou=nms_iou, **options)


PERSON = (100, 50, 140, 150)


@pytest.mark.parametrize(('views', 'expected', 'why'), [
    ([[(*PERSON, 0.9)]], [PERSON], 'one person, one box'),
    ([[(*PERSON, 0.9), (102, 52, 143, 149, 0.8)]], [PERSON], 'the second box is the same person'),
    ([[(*PERSON, 0.9), (130, 50, 170, 150, 0.8)]], [PERSON, (130, 50, 170, 150)],
     'two people side by side stay two'),
    ([[(*PERSON, 0.29)]], [], 'below the threshold'),
    ([[(*PERSON, 0.3)]], [PERSON], 'at the threshold'),
    ([[(380, 150, 420, 230, 0.9)]], [(380, 150, 400, 200)], 'clipped to the picture'),
    ([[(410, 50, 440, 150, 0.9)]], [], 'wholly outside the picture'),
    ([[(140, 50, 100, 150, 0.9)]], [], 'turned inside out'),
    ([[(*PERSON, float('nan'))]], [], 'a score that is no number'),
])
def test_one_view(views, expected, why):
    found = detect(views, [WHOLE])
    assert np.allclose(found.boxes_n4, np.array(expected).reshape(-1, 4), atol=1e-3), why


@pytest.mark.parametrize(('whole', 'left', 'right', 'expected', 'why'), [
    ([(*PERSON, 0.6)], [(*PERSON, 0.9)], [], [(PERSON, 0.9)],
     'seen whole by two views: the better one'),
    ([(180, 50, 220, 150, 0.5)], [(180, 50, 200, 150, 0.9)], [],
     [((180, 50, 220, 150), 0.9)],
     'half a person yields to the whole one whatever the scores, and makes it surer'),
    ([(180, 50, 220, 150, 0.5)], [(180, 50, 200, 150, 0.9)], [(200, 50, 220, 150, 0.8)],
     [((180, 50, 220, 150), 0.9)], 'both halves yield'),
    ([], [(180, 50, 200, 150, 0.9)], [], [((180, 50, 200, 150), 0.9)],
     'half a person that nobody saw whole is still a person'),
    ([(20, 50, 60, 150, 0.5)], [(180, 50, 200, 150, 0.9)], [],
     [((180, 50, 200, 150), 0.9), ((20, 50, 60, 150), 0.5)],
     'a whole person elsewhere is no reason to drop half a person'),
    ([(0, 50, 30, 150, 0.6)], [(0, 50, 15, 150, 0.9)], [],
     [((0, 50, 15, 150), 0.9), ((0, 50, 30, 150), 0.6)],
     'the edge of the picture is no edge of the crop: a narrow person there is not cut'),
])
def test_views_are_merged(whole, left, right, expected, why):
    found = detect([whole, left, right], [WHOLE, LEFT, RIGHT], nms_iou=0.7)
    assert np.allclose(found.boxes_n4, [box for box, _ in expected], atol=1e-2), why
    assert np.allclose(found.scores_n, [score for _, score in expected]), why


def test_what_identifies_the_picture_is_kept():
    found = detect([[(*PERSON, 0.9)]], [WHOLE])
    assert (found.camera, found.stamp_ns, found.frame_id, found.source_hw) == (
        'front', 7, 'optical', SOURCE_HW)


def test_limits():
    rows = [(x, 50, x + 20, 150, 0.9 - x / 1000) for x in range(0, 400, 40)]
    assert len(detect([rows], [WHOLE])) == 10
    best = detect([rows], [WHOLE], max_detections=3)
    assert np.allclose(best.boxes_n4[:, 0], [0, 40, 80], atol=1e-3)
    assert len(detect([rows], [WHOLE], min_height_px=101)) == 0
    assert len(detect([rows], [WHOLE], min_height_px=99)) == 10


def test_the_result_owns_its_memory():
    # Candidates are a backend's buffers, overwritten by the next inference.
    frame = Frame('front', 7, 'optical', np.zeros((100, 200, 3), np.uint8))
    boxes = np.array([[[10, 10, 50, 90]]], np.float32)
    scores = np.array([[0.9]], np.float32)
    found = detections_from_candidates(
        frame, Candidates(boxes, scores), [0], [place_view(WHOLE, (100, 200), (100, 200))],
        score_threshold=0.3, nms_iou=0.5)
    boxes[:], scores[:] = 0, 0
    assert np.allclose(found.boxes_n4, [[10, 10, 50, 90]])
    assert np.allclose(found.scores_n, [0.9])


boxes_strategy = hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.just(4)),
                            elements=st.floats(0, 100, width=32)).map(
    lambda b: np.concatenate([np.minimum(b[:, :2], b[:, 2:]), np.maximum(b[:, :2], b[:, 2:]) + 1],
                             axis=1))


@settings(deadline=None)
@given(boxes_strategy, st.integers(0, 2**32 - 1), st.floats(0.1, 0.9))
def test_suppression_against_its_definition(boxes_n4, seed, nms_iou):
    """Kept boxes do not overlap; each suppressed one has a better kept one over it."""
    scores_n = np.random.default_rng(seed).random(len(boxes_n4)).astype(np.float32)
    kept, kept_scores_n = suppress_duplicates(
        boxes_n4, scores_n, np.zeros(len(boxes_n4), bool), nms_iou)
    assert np.array_equal(kept_scores_n, scores_n[kept])
    inter = intersections(boxes_n4, boxes_n4)
    area = np.diagonal(inter)
    iou = inter / (area[:, None] + area[None] - inter)
    assert np.all(np.diff(scores_n[kept]) <= 0)
    for i in range(len(boxes_n4)):
        better = [j for j in kept if j != i and scores_n[j] >= scores_n[i]
                  and iou[i, j] > nms_iou - 1e-5]
        if i in kept:
            assert not [j for j in kept if j != i and iou[i, j] > nms_iou + 1e-5]
        else:
            assert better


def test_a_whole_box_that_replaces_a_cut_one_is_as_sure_as_the_surer():
    # The whole picture sees a small, unsure person; the crop half of it, surely.
    boxes_n4 = np.array([[10, 10, 50, 110], [10, 10, 30, 110], [200, 10, 240, 110]], np.float32)
    scores_n = np.array([0.25, 0.8, 0.5], np.float32)
    kept, scores_m = suppress_duplicates(boxes_n4, scores_n, np.array([False, True, False]), 0.5)
    assert kept.tolist() == [0, 2]
    assert scores_m.tolist() == pytest.approx([0.8, 0.5])
    assert scores_n[0] == np.float32(0.25), 'the scores given are left as they are'
