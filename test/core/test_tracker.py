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

"""Tracks keep their people: through gaps, crossings, jumping clocks and empty pictures."""

from __future__ import annotations

from dataclasses import replace
import itertools

import cv2
from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.appearance import (
    likenesses,
    look_distances,
    LOOK_SIZE,
    looks_from_boxes,
    unknown_looks,
)
from ped_perception.core.association import assigned, assigned_pairs, overlaps_from_boxes
from ped_perception.core.config import config_from_mapping, specs_of
from ped_perception.core.tracker import Tracker
from ped_perception.core.tracker_config import TrackerConfig
from ped_perception.core.types import Detections
import pytest
from scipy.optimize import linear_sum_assignment

HW = (400, 600)
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def detections(time_s, *rows):
    """Make the detections of one picture from (x1, y1, x2, y2, score) rows."""
    array = np.array(rows, np.float32).reshape(-1, 5)
    array = array[np.argsort(-array[:, 4], kind='stable')]
    return Detections('front', START + round(time_s * SECOND), 'optical', HW,
                      array[:, :4].copy(), array[:, 4].copy())


def person(x, y=200.0, height=100.0, score=0.9):
    """Make one detection from its centre and height."""
    return (x - height / 5, y - height / 2, x + height / 5, y + height / 2, score)


def tracker(**values):
    """Make a tracker with ids from 1."""
    return Tracker(TrackerConfig(**values), itertools.count(1))


def walk(follower, times_s, speed_px_s=50.0, start=100.0):
    """Let one person walk to the right; give the last tracks."""
    for time_s in times_s:
        tracks = follower.step(detections(time_s, person(start + speed_px_s * time_s)))
    return tracks


def every(period_s, count):
    """Give times at a steady rate."""
    return [k * period_s for k in range(count)]


@pytest.mark.parametrize(('times_s', 'why'), [
    (every(1 / 30, 40), 'a fast camera'),
    (every(0.25, 8), 'a slow camera'),
    ([0, 0.03, 0.2, 0.21, 0.5, 0.53, 0.9, 1.0], 'an irregular one'),
    ([0, 0.1, 0.2, 0.2, 0.2, 0.3], 'stamps that repeat'),
    ([0, 0.1, 0.2, 0.3, 2.2, 2.3], 'a gap in the stream, shorter than forget_s'),
])
def test_one_person_keeps_one_id(times_s, why):
    tracks = walk(tracker(), times_s)
    assert tracks.ids_t.tolist() == [1]
    assert tracks.confirmed_t.all()
    assert not tracks.predicted_t.any()
    assert tracks.ages_s_t[0] == pytest.approx(times_s[-1], abs=1e-4)


def test_the_record_says_what_was_seen():
    follower = tracker()
    walk(follower, every(0.1, 20))
    tracks = follower.step(detections(2.0, person(400, score=0.95), person(200, score=0.8)))
    assert tracks.camera == 'front'
    assert tracks.frame_id == 'optical'
    assert tracks.stamp_ns == START + 2 * SECOND
    assert tracks.source_hw == HW
    assert tracks.ids_t.tolist() == [1, 2]
    assert tracks.detections_t.tolist() == [1, 0], 'rows of the detections, best score first'
    np.testing.assert_allclose(tracks.scores_t, [0.8, 0.95])
    np.testing.assert_allclose(tracks.velocities_t2[0], [50, 0], atol=3)
    np.testing.assert_allclose(tracks.boxes_t4[0], person(200)[:4], atol=3)
    assert tracks.sigmas_t4[0, 0] < tracks.sigmas_t4[1, 0], 'an old acquaintance is surer'


def test_confirmation_takes_time_not_frames():
    fast, slow = tracker(confirm_s=0.2), tracker(confirm_s=0.2)
    confirmed = [bool(walk(fast, [time_s]).confirmed_t[0]) for time_s in every(0.05, 6)]
    assert confirmed == [False] * 4 + [True] * 2
    assert [bool(walk(slow, [time_s]).confirmed_t[0]) for time_s in (0, 0.25)] == [False, True]
    assert walk(tracker(confirm_s=0.0), [0]).confirmed_t.all()


@pytest.mark.parametrize('period_s', [0.04, 0.1, 0.25])
def test_a_lost_person_is_predicted_and_then_dropped_in_time(period_s):
    follower = tracker(forget_s=1.0)
    walk(follower, every(0.1, 10))
    time_s, seen_until = 0.9, 0.9
    while True:
        time_s += period_s
        tracks = follower.step(detections(time_s))
        if not len(tracks):
            break
        assert tracks.predicted_t.all()
        assert tracks.unseen_s_t[0] == pytest.approx(time_s - seen_until, abs=1e-4)
        assert tracks.boxes_t4[0, 0] == pytest.approx(80 + 50 * time_s, abs=10)
    assert 1.0 < time_s - seen_until <= 1.0 + period_s + 1e-6


def test_an_unconfirmed_track_is_dropped_sooner():
    follower = tracker(confirm_s=0.5, forget_new_s=0.15)
    follower.step(detections(0, person(100)))
    assert len(follower.step(detections(0.1))) == 1
    assert len(follower.step(detections(0.2))) == 0


@pytest.mark.parametrize('leaving', [False, True], ids=['walks in', 'walks out'])
@pytest.mark.parametrize('period_s', [1 / 30, 0.2])
def test_who_crosses_a_side_of_the_picture_is_one_person_of_a_steady_speed(leaving, period_s):
    # What is seen of him grows from 5 px to 40 px within less than a second.
    follower, width = tracker(), HW[1]
    speed_px_s, start = (50.0, width - 100.0) if leaving else (-50.0, width + 15.0)
    ids, speeds = set(), []
    for time_s in every(period_s, round(2.1 / period_s)):
        x1, y1, x2, y2, score = person(start + speed_px_s * time_s)
        tracks = follower.step(detections(time_s, (x1, y1, min(x2, width), y2, score)))
        ids |= set(tracks.ids_t.tolist())
        speeds.append(float(tracks.velocities_t2[0, 0]))
    assert ids == {1}
    np.testing.assert_allclose(speeds[len(speeds) // 2:], speed_px_s, atol=12)


def test_a_prediction_does_not_linger_outside_the_picture():
    follower = tracker()
    tracks = walk(follower, every(0.1, 10), speed_px_s=250.0, start=350.0)
    assert len(tracks) == 1
    for time_s in (1.0, 1.1, 1.2):
        tracks = follower.step(detections(time_s))
    assert len(tracks) == 0


def test_uncertainty_grows_while_unseen():
    follower = tracker()
    seen = walk(follower, every(0.1, 10)).sigmas_t4[0]
    later = follower.step(detections(1.5)).sigmas_t4[0]
    assert (later > seen).all()


@pytest.mark.parametrize(('score', 'continues', 'begins', 'why'), [
    (0.9, True, True, 'sure'),
    (0.47, True, False, 'sure enough to choose first, not to begin'),
    (0.3, True, False, 'unsure: continues only'),
    (0.1, False, False, 'below low_score: ignored'),
])
def test_scores_decide_what_a_detection_may_do(score, continues, begins, why):
    follower = tracker()
    walk(follower, every(0.1, 10))
    tracks = follower.step(detections(1.0, person(150, score=score)))
    assert (not tracks.predicted_t[0]) is continues
    assert len(tracker().step(detections(0, person(150, score=score)))) == int(begins)


def test_unsure_detections_do_not_continue_unconfirmed_tracks():
    follower = tracker(confirm_s=0.5)
    follower.step(detections(0, person(100)))
    assert follower.step(detections(0.1, person(100, score=0.3))).predicted_t.all()


def test_a_sure_detection_beats_a_nearer_unsure_one():
    follower = tracker()
    walk(follower, every(0.1, 10), speed_px_s=0)
    tracks = follower.step(detections(1.0, person(100, score=0.3), person(108, score=0.8)))
    assert tracks.ids_t.tolist() == [1]
    assert tracks.scores_t[0] == pytest.approx(0.8)


def test_an_unsure_box_moves_its_track_less():
    moved = []
    for score in (0.9, 0.25):
        follower = tracker()
        walk(follower, every(0.1, 10), speed_px_s=0)
        moved.append(follower.step(detections(1.0, person(110, score=score))).boxes_t4[0, 0])
    assert 80 < moved[1] < moved[0] - 1


def test_two_people_who_cross_keep_their_ids():
    follower = tracker()
    for time_s in every(0.1, 31):
        rows = [person(100 + 100 * time_s, 200, score=0.9), person(400 - 100 * time_s, 215,
                                                                   score=0.8)]
        tracks = follower.step(detections(time_s, *rows))
    assert tracks.ids_t.tolist() == [1, 2]
    assert tracks.boxes_t4[0, 0] > 300 > tracks.boxes_t4[1, 0]


def test_one_box_for_two_people_does_not_stop_the_one_who_gets_it():
    """While they are hidden behind each other the box may be anybody's."""
    speeds = []
    for other_x in (182.0, 400.0):
        follower = tracker()
        for time_s in every(0.1, 15):
            follower.step(detections(time_s, person(100 + 50 * time_s),
                                     person(other_x, score=0.8)))
        # It stays behind where the first person should be, between the two.
        tracks = follower.step(detections(1.5, person(164)))
        assert tracks.detections_t.tolist() == [0, -1]
        speeds.append(tracks.velocities_t2[0, 0])
    assert speeds[0] > speeds[1] + 2


def painted(*people):
    """Paint coloured people into a picture: (x, colour)."""
    image = np.full((*HW, 3), 128, np.uint8)
    for x, colour in people:
        x1, y1, x2, y2 = (int(value) for value in person(x)[:4])
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, -1)
    return image


RED, BLUE, GREEN = (20, 20, 220), (220, 20, 20), (20, 220, 20)
WHITE = (220, 220, 220)


@pytest.mark.parametrize(('colour', 'same', 'why'), [
    (RED, True, 'it looks the same and could have got there'),
    (BLUE, False, 'somebody else steps out'),
])
def test_who_comes_back_is_known_by_colours(colour, same, why):
    follower = tracker(ego_motion=False)
    for time_s in every(0.1, 10):
        follower.step(detections(time_s, person(100)), painted((100, RED)))
    follower.step(detections(1.0), painted())
    # So far away that the boxes do not overlap: only the looks can tell.
    tracks = follower.step(detections(2.0, person(145)), painted((145, colour)))
    assert (tracks.ids_t[tracks.detections_t >= 0].tolist() == [1]) is same


def test_nobody_comes_back_without_a_picture():
    follower = tracker()
    for time_s in every(0.1, 10):
        follower.step(detections(time_s, person(100)))
    follower.step(detections(1.0))
    assert 2 in follower.step(detections(2.0, person(145))).ids_t


def test_colours_decide_between_two_who_stand_close():
    follower = tracker(ego_motion=False)
    for time_s in every(0.1, 10):
        follower.step(detections(time_s, person(100), person(142, score=0.8)),
                      painted((100, RED), (142, BLUE)))
    # Both moved to the right by half a width: by position they would be shifted by one.
    tracks = follower.step(detections(1.1, person(122), person(164, score=0.8)),
                           painted((122, RED), (164, BLUE)))
    assert tracks.ids_t.tolist() == [1, 2]
    assert tracks.detections_t.tolist() == [0, 1]


def test_a_track_keeps_its_good_detection_rather_than_help_a_lost_neighbour():
    """Giving it away would make two poor pairs of one good one: everybody shifts by one."""
    follower = tracker(ego_motion=False)
    for time_s in every(0.1, 10):
        follower.step(detections(time_s, person(100), person(124, score=0.8)),
                      painted((100, RED), (124, BLUE)))
    # The second is hidden; somebody new stands beside the first, on the other side.
    tracks = follower.step(detections(1.0, person(101), person(71, score=0.8)),
                           painted((101, RED), (71, GREEN)))
    assert tracks.detections_t.tolist() == [0, -1, 1]


def test_colours_are_not_learned_from_a_box_that_a_hidden_person_may_be_in():
    follower = tracker(ego_motion=False, look_memory_s=0.1)
    for time_s in every(0.1, 10):
        follower.step(detections(time_s, person(100), person(142, score=0.8)),
                      painted((100, RED), (142, BLUE)))
    # The second is still there by all that is known, but only one box is found, over both.
    for time_s in (1.0, 1.1, 1.2):
        follower.step(detections(time_s, person(115)), painted((115, BLUE)))
    tracks = follower.step(detections(1.3, person(110), person(152, score=0.8)),
                           painted((110, RED), (152, BLUE)))
    assert tracks.ids_t.tolist() == [1, 2]
    assert tracks.detections_t.tolist() == [0, 1]


def test_a_person_does_not_become_another_who_looks_different():
    """Who goes behind a sign is not the one who steps out of there."""
    follower = tracker(ego_motion=False)
    for time_s in every(0.1, 10):
        follower.step(detections(time_s, person(100), person(136, score=0.8)),
                      painted((100, RED), (136, BLUE)))
    # Somebody in green steps out between them, some red behind his feet.
    image = painted((112, GREEN))
    image[225:, :125] = RED
    tracks = follower.step(detections(1.0, person(112)), image)
    assert tracks.ids_t.tolist() == [1, 2, 3]
    assert tracks.predicted_t.tolist() == [True, True, False]


def test_a_change_of_light_loses_nobody_who_stands_alone():
    """A tunnel, or the exposure of the camera: everybody has other colours at once."""
    follower = tracker(ego_motion=False)
    for time_s in every(0.1, 10):
        follower.step(detections(time_s, person(100), person(300, score=0.8)),
                      painted((100, RED), (300, BLUE)))
    tracks = follower.step(detections(1.0, person(102), person(302, score=0.8)),
                           painted((102, (60, 60, 60)), (302, (200, 200, 200))))
    assert tracks.ids_t.tolist() == [1, 2]
    assert not tracks.predicted_t.any()


@pytest.mark.parametrize(('seen', 'same', 'why'), [
    ((RED,) * 9 + (GREEN,) * 6, True, 'half a second behind a green sign is not a second person'),
    ((RED,) * 3 + (GREEN, BLUE, WHITE) * 4, False, 'of four looks the oldest is forgotten'),
])
def test_several_looks_of_a_person_are_remembered(seen, same, why):
    follower = tracker(ego_motion=False)
    for number, colour in enumerate(seen):
        follower.step(detections(number / 10, person(100)), painted((100, colour)))
    last_s = len(seen) / 10
    follower.step(detections(last_s), painted())
    tracks = follower.step(detections(last_s + 1, person(145)), painted((145, RED)))
    assert (tracks.ids_t[tracks.detections_t >= 0].tolist() == [1]) is same


def test_a_box_in_a_crowd_moves_its_track_less():
    """It takes in part of the neighbour."""
    moved = []
    for neighbour in (125.0, 350.0):
        follower = tracker()
        for time_s in every(0.1, 10):
            follower.step(detections(time_s, person(100), person(neighbour, score=0.8)))
        tracks = follower.step(detections(1.0, person(103), person(neighbour, score=0.8)))
        moved.append(tracks.boxes_t4[0, 0] - 80)
    assert 0 < moved[0] < 0.8 * moved[1]


def test_another_outline_moves_a_track_less_than_its_distance_says():
    """A sign in front of a body makes a box that is no measurement of the person."""
    shares = []
    for shift in (2.0, 24.0):
        follower = tracker()
        walk(follower, every(0.1, 10), speed_px_s=0)
        tracks = follower.step(detections(1.0, person(100 + shift)))
        shares.append((tracks.boxes_t4[0, 0] - 80) / shift)
    assert shares[1] < 0.8 * shares[0]


@pytest.mark.parametrize(('first', 'second', 'apart', 'why'), [
    ((60, 60, 60), (60, 60, 60), (0, 0), 'the same'),
    ((60, 60, 60), (64, 62, 60), (0, 0.5), 'noise of the camera'),
    ((80, 80, 110), (110, 80, 80), (0.9, 1), 'greyish red and greyish blue'),
    ((30, 30, 30), (200, 200, 200), (0.9, 1), 'black and white'),
])
def test_muted_colours_are_told_apart(first, second, apart, why):
    looks = [looks_from_boxes(np.full((*HW, 3), colour, np.uint8),
                              np.array([person(100)[:4]], np.float32)).looks_nd[0]
             for colour in (first, second)]
    assert apart[0] - 1e-6 <= 1 - looks[0] @ looks[1] <= apart[1] + 1e-6


def test_looks_are_of_length_one_and_tell_the_halves_apart():
    image = np.zeros((*HW, 3), np.uint8)
    image[:200] = RED
    image[200:] = BLUE
    boxes = np.array([person(100)[:4], person(300)[:4], person(100, 100)[:4],
                      [-50, -50, -10, -10], [590, 300, 700, 500]], np.float32)
    looks = looks_from_boxes(image, boxes).looks_nd
    assert looks.shape == (5, LOOK_SIZE)
    np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(looks @ looks.T, [
        [1, 1, 0.5, 0.5, 0.5], [1, 1, 0.5, 0.5, 0.5], [0.5, 0.5, 1, 1, 0],
        [0.5, 0.5, 1, 1, 0], [0.5, 0.5, 0, 0, 1]], atol=1e-6)


def test_looks_are_the_same_in_a_picture_that_is_part_of_a_larger_one():
    wide = np.random.default_rng(0).integers(0, 255, (HW[0], 900, 3), dtype=np.uint8)
    part = wide[:, 100:700]
    boxes = np.array([person(100)[:4], person(590)[:4]], np.float32)
    np.testing.assert_array_equal(looks_from_boxes(part, boxes).looks_nd,
                                  looks_from_boxes(part.copy(), boxes).looks_nd)


def test_likenesses_are_the_products_of_all_that_is_remembered_with_what_is_seen():
    rng = np.random.default_rng(4)
    image = rng.integers(0, 255, (*HW, 3), dtype=np.uint8)
    boxes = np.array([person(x)[:4] for x in (60, 200, 340)], np.float32)
    seen = looks_from_boxes(image, boxes)
    remembered = rng.random((4, 2, LOOK_SIZE)).astype(np.float32)
    counts = np.array([0, 1, 2, 2])
    remembered[np.arange(2) >= counts[:, None]] = 0
    rows, columns = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    like = likenesses(remembered, counts, seen, rows, columns)
    np.testing.assert_allclose(like, np.einsum(
        'pkd,pd->kp', remembered[rows], seen.looks_nd[columns]), rtol=1e-5)
    away = look_distances(like, rows > 0)
    np.testing.assert_allclose(away, np.where(rows > 0, 1 - like.max(axis=0), 0), atol=1e-6)
    assert not likenesses(remembered, counts, unknown_looks(3), rows, columns).any(), 'no picture'


def test_a_swing_of_the_camera_is_taken_out():
    """Everything jumps by 60 px: without the homography the boxes do not even overlap."""
    shift = np.array([[1, 0, 60], [0, 1, 0], [0, 0, 1.0]])
    for homography, ids in ((shift, [1]), (None, [1, 2])):
        follower = tracker()
        walk(follower, every(0.1, 10), speed_px_s=0)
        tracks = follower.step(detections(1.0, person(160)), None, homography)
        assert tracks.ids_t.tolist() == ids
    assert tracks.velocities_t2[0, 0] == pytest.approx(0, abs=1)


def test_a_swing_of_the_camera_is_seen_in_the_picture():
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 255, (20, 40, 3)).astype(np.uint8),
                      (1000, 400), interpolation=cv2.INTER_NEAREST)
    for estimated, ids in ((True, [1]), (False, [1, 2])):
        follower = tracker(ego_motion=estimated, look_weight=0.0)
        for time_s in every(0.1, 10):
            follower.step(detections(time_s, person(100)), wide[:, 60:660])
        tracks = follower.step(detections(1.0, person(160)), wide[:, :600])
        assert tracks.ids_t.tolist() == ids


def test_an_empty_road_costs_no_search_and_a_swing_after_it_is_seen(monkeypatch):
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 255, (20, 40, 3)).astype(np.uint8),
                      (1000, 400), interpolation=cv2.INTER_NEAREST)
    follower = tracker(look_weight=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(cv2, 'calcOpticalFlowPyrLK', None)
        for time_s in every(0.1, 5):
            follower.step(detections(time_s), wide[:, 60:660])
        follower.step(detections(0.5, person(100)), wide[:, 60:660])
    # The picture in which he came is the one that the next is compared with.
    tracks = follower.step(detections(0.6, person(160)), wide[:, :600])
    assert tracks.ids_t.tolist() == [1]


def test_a_clock_that_goes_back_begins_anew_with_new_ids():
    follower = tracker()
    walk(follower, every(0.1, 10))
    tracks = follower.step(detections(0.0, person(100)))
    assert tracks.ids_t.tolist() == [2]
    assert tracks.ages_s_t[0] == 0
    assert follower.resets == 1
    assert walk(follower, [0.1, 0.2, 0.3]).ids_t.tolist() == [2]


def test_nobody_is_known_after_a_long_gap():
    follower = tracker(forget_s=1.0)
    walk(follower, every(0.1, 10), speed_px_s=0)
    assert follower.step(detections(1000.0, person(100))).ids_t.tolist() == [2]
    assert follower.resets == 0


def test_cameras_share_the_source_of_ids():
    ids = itertools.count(1)
    front, rear = Tracker(TrackerConfig(), ids), Tracker(TrackerConfig(), ids)
    seen = [follower.step(detections(0, person(x))).ids_t.tolist()
            for follower, x in ((front, 100), (rear, 100), (front, 300))]
    assert seen == [[1], [2], [1, 3]]


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r'\(400, 600\)'):
        tracker().step(detections(0, person(100)), np.zeros((600, 400, 3), np.uint8))


@pytest.mark.parametrize(('cost', 'allowed', 'pairs', 'why'), [
    ([[1, 2], [2, 4]], [[1, 1], [1, 1]], [(0, 1), (1, 0)], 'greedy would pay 5, the best is 4'),
    ([[1, 9], [9, 1]], [[1, 1], [1, 0]], [(0, 1), (1, 0)], 'as many pairs as allowed come first'),
    ([[1, 9], [2, 9]], [[1, 0], [1, 0]], [(0, 0)], 'one column for two rows: the cheaper'),
    ([[1, 1]], [[0, 0]], [], 'nothing is allowed'),
])
def test_assignment(cost, allowed, pairs, why):
    rows, columns = assigned(np.array(cost, float), np.array(allowed, bool))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == pairs


@pytest.mark.parametrize(('cost', 'pairs', 'why'), [
    ([[1, 9], [9, 1]], [(0, 0), (1, 1)], 'both are cheap'),
    ([[1, 9], [9, 5]], [(0, 0)], 'a pair that costs as much as none is none'),
    ([[0, 4], [4, 9]], [(0, 0)], 'two dear pairs cost more than a cheap one and none'),
    ([[3.5, 4], [4, 9]], [(0, 1), (1, 0)], 'they would not'),
])
def test_assignment_with_a_price_for_a_pair_fewer(cost, pairs, why):
    rows, columns = np.nonzero(np.ones((2, 2)))
    chosen = assigned_pairs(rows, columns, np.array(cost, float).ravel(), 5.0)
    assert list(zip(rows[chosen].tolist(), columns[chosen].tolist(), strict=True)) == pairs


@given(st.integers(0, 10 ** 6), st.integers(1, 30), st.integers(1, 30), st.floats(0, 1),
       st.sampled_from([1, 9]))
@example(0, 30, 30, 0.5, 9)
@example(1, 30, 30, 0.2, 1)
def test_leaving_the_clear_cases_to_nobody_changes_no_assignment(seed, count, other, density,
                                                                 digits):
    """Against the solver on the whole matrix; with one digit many pairs cost the same."""
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 3, (count, other)).round(digits)
    allowed = rng.random((count, other)) < density
    for limit in (2.0, 1e6):
        whole = np.where(allowed, np.minimum(cost, limit), limit)
        rows, columns = np.nonzero(allowed)
        chosen = assigned_pairs(rows, columns, cost[allowed], limit)
        assert len(set(rows[chosen])) == len(set(columns[chosen])) == len(chosen)
        missing = min(count, other) - len(chosen)
        assert cost[allowed][chosen].sum() + missing * limit == pytest.approx(
            whole[linear_sum_assignment(whole)].sum())


@pytest.mark.parametrize(('first', 'second', 'overlap', 'why'), [
    ([0, 0, 10, 20], [0, 0, 10, 20], 1.0, 'the same box'),
    ([0, 0, 10, 20], [5, 0, 15, 20], 1 / 3, 'half of each'),
    ([0, 0, 10, 20], [10, 0, 20, 20], 0.0, 'they touch'),
    ([0, 0, 10, 20], [20, 30, 40, 50], 0.0, 'apart in both directions'),
    ([5, 5, 5, 5], [5, 5, 5, 5], 0.0, 'two empty boxes: no division by zero'),
])
def test_overlaps(first, second, overlap, why):
    boxes = np.array([first, second], np.float32)
    np.testing.assert_allclose(overlaps_from_boxes(boxes[:1], boxes[1:]), [[overlap]])


def test_overlaps_of_many_boxes_are_those_of_each_two():
    rng = np.random.default_rng(7)
    corners = rng.uniform(0, 200, (30, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 60, (30, 2))], axis=1)
    boxes[3], boxes[11, 2:], boxes[19] = (0, 0, 300, 10), boxes[11, :2] - 5, np.nan
    overlaps = overlaps_from_boxes(boxes, boxes[::-1])
    each = [[overlaps_from_boxes(one[None], other[None])[0, 0] for other in boxes[::-1]]
            for one in boxes]
    np.testing.assert_array_equal(overlaps, each)
    assert (overlaps > 0).sum() > 60, 'the others are found beside a box of no numbers'


def test_the_defaults_are_within_their_own_limits():
    defaults = {spec.name: spec.default for spec in specs_of(TrackerConfig)}
    assert config_from_mapping(TrackerConfig, defaults) == TrackerConfig()


ROWS = st.tuples(st.floats(-50, 650), st.floats(-50, 450), st.floats(0, 400), st.floats(0, 1))
STEPS_NS = st.integers(-3 * SECOND, 3 * SECOND)
PICTURES = st.lists(st.tuples(STEPS_NS, st.lists(ROWS, max_size=5)), max_size=15)


def play(story):
    """Play a story of (time step, rows) with two cameras in turn; give all tracks."""
    ids = itertools.count(1)
    followers = [Tracker(TrackerConfig(), ids), Tracker(TrackerConfig(), ids)]
    played, stamp_ns = [], START
    for turn, (step_ns, rows) in enumerate(story):
        stamp_ns += step_ns
        picture = replace(detections(0.0, *(person(*row) for row in rows)), stamp_ns=stamp_ns)
        played.append((turn % 2, len(rows), followers[turn % 2].step(picture)))
    return played


@settings(max_examples=150, deadline=None)
@given(PICTURES)
def test_whatever_comes_ids_are_never_reused_and_numbers_stay_finite(story):
    owner, gone, last_ns = {}, set(), {}
    for camera, count, tracks in play(story):
        ids = tracks.ids_t.tolist()
        assert ids == sorted(set(ids))
        assert not gone & set(ids), 'an id came back'
        if tracks.stamp_ns < last_ns.get(camera, tracks.stamp_ns):
            assert all(key not in owner for key in ids), 'a track survived time going back'
        assert all(owner.setdefault(key, camera) == camera for key in ids)
        gone |= {key for key, whose in owner.items() if whose == camera} - set(ids)
        last_ns[camera] = tracks.stamp_ns
        seen = tracks.detections_t[tracks.detections_t >= 0].tolist()
        assert len(seen) == len(set(seen)), 'a detection has two tracks'
        assert all(row < count for row in seen)
        for name in ('boxes_t4', 'velocities_t2', 'sigmas_t4', 'ages_s_t', 'unseen_s_t'):
            assert np.isfinite(getattr(tracks, name)).all(), name
        assert (tracks.sigmas_t4 > 0).all()
        assert (tracks.unseen_s_t[tracks.predicted_t] >= 0).all()
        assert (tracks.unseen_s_t[~tracks.predicted_t] == 0).all()


@settings(max_examples=25, deadline=None)
@given(PICTURES)
def test_the_same_story_gives_the_same_tracks(story):
    for (_, _, first), (_, _, second) in zip(play(story), play(story), strict=True):
        for name in ('ids_t', 'boxes_t4', 'detections_t', 'confirmed_t', 'sigmas_t4'):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_looking_ahead_changes_nothing_but_when_the_work_is_done():
    wide = np.random.default_rng(3).integers(0, 256, (400, 760, 3), np.uint8)
    wide = np.repeat(np.repeat(wide[::10, ::10], 10, axis=0), 10, axis=1)
    shifts = [0, 20, 40, 30, 60, 80]
    results = []
    for ahead in (False, True):
        follower = tracker()
        for number, shift in enumerate(shifts):
            image = np.ascontiguousarray(wide[:, shift:shift + 600])
            if ahead:
                follower.look_ahead(image)
            tracks = follower.step(detections(number / 10, person(300 - shift)), image)
        results.append(tracks.boxes_t4)
    assert np.array_equal(*results)
    assert len(results[0]) == 1


def test_a_picture_that_was_never_stepped_on_counts_for_the_movement():
    wide = np.random.default_rng(3).integers(0, 256, (400, 760, 3), np.uint8)
    wide = np.repeat(np.repeat(wide[::10, ::10], 10, axis=0), 10, axis=1)
    follower = tracker()
    for number in range(3):
        follower.step(detections(number / 10, person(300)), wide[:, :600])
    # The inference failed on this one.
    follower.look_ahead(wide[:, 60:660])
    tracks = follower.step(detections(0.4), np.ascontiguousarray(wide[:, 120:720]))
    assert tracks.boxes_t4[0, 0] == pytest.approx(person(300)[0] - 120, abs=8)
