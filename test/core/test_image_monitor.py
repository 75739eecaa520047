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

"""Pictures that show nothing are told from dull ones, in time and on real pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import functools
import itertools

import cv2
from measure_image_monitor import (
    bright,
    defocused,
    dirty,
    draped,
    night,
    noisy,
    pictures_in,
    pictures_of_clip,
    problem_of,
    ROOT,
    shaken,
    SPOILERS,
    taped,
)
import numpy as np
from ped_perception.core.image_measures import (
    FEW_ROWS,
    measures_of,
    measures_of_sample,
    ROWS,
    sample_of,
    UPRIGHT,
)
from ped_perception.core.image_monitor import ImageMonitor, ImageMonitorConfig, ImageProblem
from ped_perception.core.stamps import AgeConfig, StampGuard, StampVerdict
from ped_perception.core.types import Frame
import pytest
from scenes import shared_data

S = 1_000_000_000
PERIOD_NS = S // 20

BLACK, BLURRED, COVERED = ImageProblem.BLACK, ImageProblem.BLURRED, ImageProblem.COVERED
FROZEN, OVER_EXPOSED = ImageProblem.FROZEN, ImageProblem.OVER_EXPOSED

Pictures = Sequence[np.ndarray]


@functools.cache
def demo_pictures() -> Pictures:
    return [*pictures_of_clip(ROOT / 'demo/pets_street.mp4', 60)]


@functools.cache
def vehicle_pictures() -> Pictures:
    return [*itertools.islice(pictures_in(shared_data('nuscenes6') / 'images'), 0, None, 3),
            *itertools.islice(pictures_in(shared_data('kitti3') / 'image_2'), 2)]


PICTURES = pytest.mark.parametrize('pictures', [demo_pictures, vehicle_pictures])


@PICTURES
@pytest.mark.parametrize(('spoiler', 'told'), [
    ('black', {BLACK}),
    ('black, noise of 4', {BLACK}),             # a capped lens is not silent
    ('exposed 8 times too long', {OVER_EXPOSED}),
    ('tape over 70 %', {COVERED}),
    ('tape over all', {COVERED}),
    ('mud over all', {COVERED}),
    # Folds of a cloth have contrast, but nothing sharp: either word is true.
    ('dark cloth', {COVERED, BLURRED}),
    ('light cloth', {COVERED, BLURRED}),
    ('defocus, sigma 3 px', {BLURRED}),
    ('defocus, sigma 6 px', {BLURRED, COVERED}),
    ('defocus, sigma 3 px, noise of 3', {BLURRED}),   # noise is not detail
    ('shaken 16 px sideways', {BLURRED}),
    ('shaken 16 px upwards', {BLURRED}),        # sharp along rows, not along columns
])
def test_spoiled_pictures_are_told(pictures: Callable[[], Pictures], spoiler: str,
                                   told: set[ImageProblem]):
    assert {problem_of(SPOILERS[spoiler](picture)) for picture in pictures()} <= told


@PICTURES
@pytest.mark.parametrize('spoiler', ['as it is', 'noise of 3 grey levels',
                                     'a quarter of the light'])
def test_real_pictures_of_streets_are_fine(pictures: Callable[[], Pictures], spoiler: str):
    assert {problem_of(SPOILERS[spoiler](picture)) for picture in pictures()} == {None}


def test_hardly_any_picture_of_anything_is_blamed():
    pictures = list(pictures_in(shared_data('coco200') / 'images'))
    blamed = [problem for picture in pictures if (problem := problem_of(picture))]
    # Three of things laid out on a smooth ground.
    assert len(blamed) <= 0.015 * len(pictures)
    assert set(blamed) <= {COVERED}


def test_every_picture_of_a_video_is_fine():
    path = shared_data('pets09_s2l1') / 'vtest.avi'
    assert {problem_of(picture) for picture in pictures_of_clip(path, 10)} == {None}


def told_over(pictures: Iterable[np.ndarray], config: ImageMonitorConfig | None = None,
              stamps_ns: Sequence[int] | None = None, moving: bool = False,
              ) -> list[tuple[ImageProblem, ...]]:
    """Show pictures one after the other, 20 in a second, and list what is told after each."""
    monitor = ImageMonitor(config or ImageMonitorConfig())
    return [monitor.check(Frame('front', stamps_ns[index] if stamps_ns else index * PERIOD_NS,
                                'optical', picture), moving)
            for index, picture in enumerate(pictures)]


@pytest.fixture(scope='module')
def clip() -> list[np.ndarray]:
    return [*itertools.islice(pictures_of_clip(ROOT / 'demo/pets_street.mp4', 1), 120)]


def test_a_live_video_is_never_frozen(clip: list[np.ndarray]):
    assert set(told_over(clip)) == {()}


def test_the_same_picture_is_frozen_after_its_time_and_recovers(clip: list[np.ndarray]):
    told = told_over([*clip[:10], *[clip[10]] * 40, *clip[11:51]])
    # The 11th picture is the first of those that are the same.
    assert [index for index, problems in enumerate(told) if problems] == list(range(30, 70))
    assert set(told[30:70]) == {(FROZEN,)}


def test_a_still_scene_before_a_live_sensor_is_not_frozen(clip: list[np.ndarray]):
    still = [noisy(clip[0], 1.0, seed) for seed in range(50)]
    assert set(told_over(still)) == {()}


def test_a_still_scene_is_frozen_where_the_vehicle_moves(clip: list[np.ndarray]):
    still = [noisy(clip[0], 2.0, seed) for seed in range(30)]
    told = told_over(still, moving=True)
    assert told[19:21] == [(), (FROZEN,)]
    # Another vehicle's standstill: the comparison starts when it moves off.
    monitor = ImageMonitor(ImageMonitorConfig())
    for index, picture in enumerate(still):
        assert monitor.check(
            Frame('front', index * PERIOD_NS, 'optical', picture), index >= 15) == ()


def test_driving_is_not_frozen():
    # 2 m/s towards things 40 m away: five percent in a second.
    for picture in vehicle_pictures()[1:3]:
        height, width = picture.shape[:2]
        pictures = [noisy(cv2.warpAffine(picture, cv2.getRotationMatrix2D(
            (width / 2, height / 2), 0, 1.05 ** (index / 20)), (width, height)), 2, index)
            for index in range(22)]
        assert set(told_over(pictures, moving=True)) == {()}


def test_a_stamp_that_stands_is_frozen_whatever_the_picture_shows(clip: list[np.ndarray]):
    told = told_over(clip[:8], stamps_ns=[S] * 8)
    assert told == [()] * 4 + [(FROZEN,)] * 4


def test_pictures_that_come_twice_are_not_frozen(clip: list[np.ndarray]):
    # Two publishers of one topic.
    stamps_ns = [index // 2 * PERIOD_NS for index in range(60)]
    assert set(told_over([clip[index // 2] for index in range(60)], stamps_ns=stamps_ns)) == {()}


@pytest.mark.parametrize(('spoil', 'problem'), [
    (lambda picture: night(picture, 0.01), BLACK),
    (lambda picture: bright(picture, 8), OVER_EXPOSED),
    (lambda picture: taped(picture, 1.0), COVERED),
    (lambda picture: dirty(picture, 1.0), COVERED),
    (lambda picture: draped(picture, 90), COVERED),
    (lambda picture: shaken(defocused(picture, 3), 8, 0), BLURRED),
    # Seen in every second picture only, which look along the diagonals.
    (lambda picture: shaken(picture, 32, 45), BLURRED),
])
def test_a_problem_is_told_when_it_stays_and_withdrawn_when_it_stays_away(
        clip: list[np.ndarray], spoil: Callable[[np.ndarray], np.ndarray],
        problem: ImageProblem):
    base_hw3 = spoil(clip[20])
    spoiled = [noisy(base_hw3, 1.0, seed) for seed in range(1, 41)]
    told = told_over([*clip[:20], *spoiled, *clip[60:100]])
    # Pictures look for blur and detail in two directions, in turn with two others.
    late = problem in (BLURRED, COVERED)
    found = [index for index, problems in enumerate(told) if problems]
    assert 40 <= found[0] <= 40 + late
    assert 79 <= found[-1] <= 79 + late
    assert found == list(range(found[0], found[-1] + 1))
    assert {told[index] for index in found} == {(problem,)}


def test_what_passes_is_not_told(clip: list[np.ndarray]):
    # A tunnel's mouth, a headlight: 0.9 s, twice.
    dark = [night(picture, 0.01) for picture in clip[:18]]
    assert set(told_over([*clip[:5], *dark, clip[30], *dark, *clip[31:50]])) == {()}


def test_a_frozen_black_picture_is_both():
    black = np.zeros((720, 1280, 3), np.uint8)
    assert told_over([black] * 21)[-1] == (FROZEN, BLACK)


def test_a_cover_that_is_seen_in_two_directions_only_is_told(clip: list[np.ndarray]):
    # So small that noise looks like detail along the diagonals.
    small = taped(cv2.resize(clip[0], (208, 160)), 1.0)
    assert COVERED in told_over([small] * 30)[-1]


def test_time_that_goes_back_starts_anew(clip: list[np.ndarray]):
    dark = [night(picture, 0.01) for picture in clip[:30]]
    stamps_ns = [100 * S + index * PERIOD_NS for index in range(30)]
    looped_ns = [S + index * PERIOD_NS for index in range(30)]
    told = told_over([*dark, *dark], stamps_ns=[*stamps_ns, *looped_ns])
    assert [problems == (BLACK,) for problems in told] == ([False] * 20 + [True] * 10) * 2


@pytest.mark.parametrize(('jump_back_s', 'told', 'why'), [
    (0.08, (BLACK,), 'pictures out of order, which nobody looks at'),
    (0.05, (), 'a clock that is set again and again'),
])
def test_what_begins_anew_is_what_counts_as_time_that_was_set(
        clip: list[np.ndarray], jump_back_s: float, told: tuple[ImageProblem, ...], why: str):
    guard, age = StampGuard(), AgeConfig(max_frame_age_s=0.0, jump_back_s=jump_back_s)
    # Every third is 75 ms before the one that came before it.
    stamps_ns = [index * PERIOD_NS - (index % 3 == 2) * (PERIOD_NS + S * 75 // 1000)
                 for index in range(10, 50)]
    fine_ns = [stamp_ns for stamp_ns in stamps_ns
               if guard.judge(stamp_ns, stamp_ns, age) is StampVerdict.FINE]
    dark = [night(picture, 0.01) for picture in clip[:len(fine_ns)]]
    assert told_over(dark, stamps_ns=fine_ns)[-1] == told, why


def test_each_check_can_be_switched_off(clip: list[np.ndarray]):
    off = ImageMonitorConfig(frozen_s=0.0, frozen_repeats=0, still_grey=0.0, black_grey=0.0,
                             over_exposed_share=1.0, covered_share=1.0, blurred_sharpness=0.0)
    for picture in (np.zeros_like(clip[0]), np.full_like(clip[0], 255), defocused(clip[0], 6)):
        assert set(told_over([picture] * 40, off, moving=True)) == {()}
        assert set(told_over([picture] * 40, off, stamps_ns=[S] * 40)) == {()}


def test_thresholds_change_at_run_time(clip: list[np.ndarray]):
    monitor = ImageMonitor(ImageMonitorConfig(persist_s=0.0))
    assert monitor.check(Frame('front', 1, 'optical', clip[0])) == ()
    monitor.configure(ImageMonitorConfig(persist_s=0.0, black_grey=255.0))
    assert monitor.check(Frame('front', 2, 'optical', clip[1])) == (BLACK,)


@pytest.mark.parametrize('size_hw', [(1, 1), (1, 2000), (2000, 1), (23, 24), (15, 3), (720, 20)])
def test_pictures_too_small_for_detail_are_judged_by_brightness(size_hw: tuple[int, int]):
    measures = measures_of(np.zeros((*size_hw, 3), np.uint8))
    assert np.isnan([measures.flat_share, measures.sharpness]).all()
    moving = [np.full((*size_hw, 3), grey, np.uint8) for grey in (0, 90, 180, 250, 250)]
    monitor = ImageMonitor(ImageMonitorConfig(persist_s=0.0))
    told = [monitor.check(Frame('front', S * index, 'optical', picture), moving=True)
            for index, picture in enumerate(moving)]
    assert told == [(BLACK,), (), (), (OVER_EXPOSED,), (FROZEN, OVER_EXPOSED)]


def test_the_size_may_change_at_any_time(clip: list[np.ndarray]):
    sizes_xy = ((640, 480), (1280, 720), (20, 20), (333, 777))
    pictures = [cv2.resize(picture, sizes_xy[index // 7 % 4])
                for index, picture in enumerate(clip[:60])]
    assert set(told_over(pictures, moving=True)) == {()}


def test_what_is_measured():
    image_hw3 = np.zeros((720, 1280, 3), np.uint8)
    image_hw3[:, :680] = 251
    image_hw3[:, :56] = 100
    measures = measures_of(image_hw3)
    assert measures.bright_grey == 251
    assert measures.saturated_share == pytest.approx(624 / 1280)
    # Two upright edges, in the middle of a column of tiles each.
    assert measures.flat_share == pytest.approx(14 / 16)
    # A step is as much after two pixels as it is long: 1 of 7, whatever its height.
    assert measures.sharpness == pytest.approx(1 / 7, rel=0.01)


@pytest.mark.parametrize(('spoiler', 'rows', 'why'), [
    ('as it is', FEW_ROWS, 'far from every threshold'),
    ('defocus, sigma 1.5 px', ROWS, 'nearly blurred'),
    ('tape over 50 %', ROWS, 'nearly covered'),
    ('exposed 8 times too long', ROWS, 'no problem is told because of a few rows'),
])
def test_what_few_rows_leave_in_doubt_is_judged_by_more(clip: list[np.ndarray], spoiler: str,
                                                        rows: int, why: str):
    picture = SPOILERS[spoiler](clip[0])
    monitor = ImageMonitor(ImageMonitorConfig())
    monitor.check(Frame('front', 1, 'optical', picture))
    few, many = (measures_of_sample(sample_of(picture, count), UPRIGHT)
                 for count in (FEW_ROWS, ROWS))
    assert few != many
    assert monitor.measures == (few if rows == FEW_ROWS else many), why


def test_strided_pictures_are_measured_as_their_copies(clip: list[np.ndarray]):
    padded = np.zeros((clip[0].shape[0], clip[0].shape[1] + 13, 3), np.uint8)
    view = padded[:, 5:-8]
    view[:] = clip[0]
    assert measures_of(view) == measures_of(clip[0])
