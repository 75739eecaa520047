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

"""People followed on the ground: velocities, honest uncertainty, one id for one person."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.ground import ground_positions
from ped_perception.core.ground_filter import GroundFilter, GroundFilterConfig
from ped_perception.core.ground_motion import EgoMotion, MotionState, moved_points
from ped_perception.core.ground_ranges import GroundConfig
from ped_perception.core.ground_types import GroundPositions, GroundReason, GroundTracks
import pytest
from scenes import nuscenes_views

CONFIG = GroundFilterConfig()
SECOND = 1_000_000_000
NOISE_M = 0.2


def seen(xy: Sequence[Sequence[float]], time_s: float, *, camera: str = 'front',
         ids: Sequence[int] | None = None, lasting_m: float = 0.0, noise_m: float = NOISE_M,
         reason: GroundReason = GroundReason.AGREED, is_seen: bool | Sequence[bool] = True,
         age_s: float | Sequence[float] = 0.0) -> GroundPositions:
    """Make positions with round ellipses."""
    count = len(xy)
    noise_t22 = np.tile(np.eye(2) * noise_m ** 2, (count, 1, 1))
    xy_t2 = np.array(xy, float).reshape(-1, 2)
    if reason >= GroundReason.ABOVE_HORIZON:
        xy_t2, noise_t22 = xy_t2 * np.nan, noise_t22 * np.nan
    return GroundPositions(
        camera=camera, stamp_ns=round(time_s * SECOND),
        ids_t=np.arange(1, count + 1) if ids is None else np.array(ids, np.int64),
        scores_t=np.full(count, 0.8, np.float32), ages_s_t=np.full(count, age_s, np.float32),
        seen_t=np.full(count, is_seen, np.bool_),
        xy_t2=xy_t2, cov_t22=noise_t22 + np.eye(2) * lasting_m ** 2, noise_t22=noise_t22,
        heights_t=np.full(count, 1.7), reason_t=np.full(count, reason, np.uint8))


def walk(people: GroundFilter, times_s: Sequence[float], start: Sequence[float],
         velocity: Sequence[float], *, seed: int = 1) -> GroundTracks:
    """Show one walking person with noise at the times given."""
    random = np.random.default_rng(seed)
    ego = EgoMotion(0.0, 0.0)
    for time_s in times_s:
        xy = np.array(start) + np.array(velocity) * time_s + random.normal(size=2) * NOISE_M
        tracks = people.update(seen([xy], time_s), ego)
    return tracks


@pytest.mark.parametrize(('why', 'times_s'), [
    ('10 Hz', np.arange(0, 3, 0.1)),
    ('every second picture dropped', np.arange(0, 3, 0.2)),
    ('irregular', np.sort(np.random.default_rng(3).uniform(0, 3, 25))),
])
def test_velocity_comes_out_in_m_s_at_any_rate(why: str, times_s: np.ndarray) -> None:
    off_sigmas = []
    for seed in range(12):
        tracks = walk(GroundFilter(CONFIG), times_s, (12, -4), (-0.5, 1.3), seed=seed)
        off = tracks.velocity_t2[0] - (-0.5, 1.3)
        assert np.linalg.norm(off) < 0.9
        off_sigmas.append(off @ np.linalg.solve(tracks.velocity_cov_t22[0], off))
    # Mean of a chi-square of two degrees of freedom is 2; a steady walker stays below.
    assert 0.2 < np.mean(off_sigmas) < 3


def test_a_step_is_the_same_in_one_piece_or_in_two() -> None:
    once, twice = (MotionState.start(np.array([[5.0], [1]]), np.eye(2)[..., None], 1.5)
                   for _ in range(2))
    for state in (once, twice):
        state.v_2m[:, 0] = (1.0, -0.3)
    ego = EgoMotion(9.0, 0.4)
    once.predict(0.2, 1.0)
    once.move_frame(ego, 0.2)
    for _ in range(2):
        twice.predict(0.1, 1.0)
        twice.move_frame(ego, 0.1)
    for name in ('x_2m', 'v_2m', 'xx_22m', 'xv_22m', 'vv_22m'):
        np.testing.assert_allclose(getattr(once, name), getattr(twice, name), atol=2e-2)
    # Without the vehicle the pieces agree exactly, not nearly.
    for state, steps in ((once, 1), (twice, 4)):
        state.x_2m[:], state.xx_22m[:], state.xv_22m[:] = 0, np.eye(2)[..., None], 0
        state.v_2m[:], state.vv_22m[:] = 1, np.eye(2)[..., None]
        for _ in range(steps):
            state.predict(0.4 / steps, 1.0)
    np.testing.assert_allclose(once.xx_22m, twice.xx_22m)
    np.testing.assert_allclose(once.xv_22m, twice.xv_22m)


@pytest.mark.parametrize('left_m_s', [0.0, 1.5])
def test_fixed_points_move_on_an_arc(left_m_s: float) -> None:
    """Against many small steps."""
    ego, points_m2 = EgoMotion(8.0, 0.5, left_m_s), np.array([[20.0, 3.0], [-5, -1]])
    stepped_m2 = points_m2
    for _ in range(1000):
        angle = 0.5 / 1000
        back_22 = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        stepped_m2 = (stepped_m2 - (8.0 / 1000, left_m_s / 1000)) @ back_22.T
    np.testing.assert_allclose(moved_points(points_m2, ego, 1.0), stepped_m2, atol=0.01)


def drive_past(people: GroundFilter, ego: EgoMotion, steps: Sequence[int],
               told: bool) -> GroundTracks:
    """Drive past somebody who stands at (30, 4) when the first picture is taken."""
    for step in steps:
        xy_12 = moved_points(np.array([[30.0, 4.0]]), ego, 0.1 * step)
        tracks = people.update(seen(xy_12.tolist(), 0.1 * step), ego if told else None)
    return tracks


@pytest.mark.parametrize(('why', 'ego'), [
    ('on a bend', EgoMotion(8.0, 0.2)),
    ('a robot on omnidirectional wheels', EgoMotion(0.5, 0.2, 3.0)),
])
def test_with_odometry_someone_standing_stands(why: str, ego: EgoMotion) -> None:
    tracks = drive_past(GroundFilter(CONFIG), ego, range(20), told=True)
    assert tracks.over_ground
    assert np.linalg.norm(tracks.velocity_t2[0]) < 0.05
    blind = drive_past(GroundFilter(CONFIG), ego, range(20), told=False)
    assert not blind.over_ground
    # Without it he comes towards us on a curve; a filter of straight motion lags behind a little.
    x, y = blind.xy_t2[0]
    np.testing.assert_allclose(
        blind.velocity_t2[0], [-ego.speed_m_s + 0.2 * y, -ego.left_m_s - 0.2 * x], atol=0.7)


@pytest.mark.parametrize('ego', [EgoMotion(8.0, 0.2), EgoMotion(5.0, 0.2, -5.0)])
def test_velocities_stay_true_when_odometry_comes_and_goes(ego: EgoMotion) -> None:
    people = GroundFilter(CONFIG)
    drive_past(people, ego, range(20), told=False)
    assert np.linalg.norm(drive_past(people, ego, [20], told=True).velocity_t2[0]) < 0.5
    x, y = (again := drive_past(people, ego, [21], told=False)).xy_t2[0]
    np.testing.assert_allclose(
        again.velocity_t2[0], [-ego.speed_m_s + 0.2 * y, -ego.left_m_s - 0.2 * x], atol=0.7)


def test_what_lasts_is_not_averaged_away() -> None:
    people = GroundFilter(CONFIG)
    first = people.update(seen([(20, 0)], 0.0, lasting_m=1.5))
    for step in range(1, 60):
        tracks = people.update(seen([(20, 0)], step * 0.05, lasting_m=1.5))
    sigma_m = np.sqrt(tracks.cov_t22[0, 0, 0])
    assert 1.5 < sigma_m < 1.53 < np.sqrt(first.cov_t22[0, 0, 0] + 1)


@pytest.mark.parametrize(('why', 'ego', 'steps', 'sigma_m_s'), [
    ('fast, straight at him', EgoMotion(12.0, 0.0), 20, (0.9, 1.6)),
    ('on a bend', EgoMotion(8.0, 0.3), 20, (0.5, 1.2)),
    ('turning on the spot: he stays as wrong as he is', EgoMotion(0.0, 0.5), 20, (0.1, 0.45)),
    ('standing', EgoMotion(0.0, 0.0), 20, (0.1, 0.45)),
])
def test_an_error_that_lasts_looks_like_a_velocity_to_who_drives(
        why: str, ego: EgoMotion, steps: int, sigma_m_s: tuple[float, float]) -> None:
    """Somebody who stands, a tenth nearer than he seems, must not walk for sure."""
    people = GroundFilter(CONFIG)
    for step in range(steps):
        truth_12 = moved_points(np.array([[40.0, 3.0]]), ego, 0.1 * step)
        tracks = people.update(seen(1.1 * truth_12, 0.1 * step, noise_m=0.05,
                                    lasting_m=0.1 * float(np.linalg.norm(truth_12))), ego)
    velocity_2, cov_22 = tracks.velocity_t2[0], tracks.velocity_cov_t22[0]
    assert velocity_2 @ np.linalg.solve(cov_22, velocity_2) < 5.991
    assert sigma_m_s[0] < np.sqrt(np.linalg.eigvalsh(cov_22)[-1]) < sigma_m_s[1]


def test_two_cameras_that_err_against_each_other_see_one_person_while_driving() -> None:
    """Their speeds of him differ as their distances do, by what lasts."""
    people, ego = GroundFilter(CONFIG), EgoMotion(12.0, 0.0)
    for step in range(32):
        truth = np.array([[55.0 - 1.2 * step, 2.0]])
        lasting_m = 0.07 * float(truth[0, 0])
        for camera, share in (('front', 0.93), ('narrow', 1.07)):
            tracks = people.update(seen(share * truth, 0.1 * step, camera=camera, noise_m=0.05,
                                        lasting_m=lasting_m), ego)
        if step == 0:
            assert len(tracks) == 2
    assert len(tracks) == 1


def test_a_measurement_of_another_kind_counts_with_all_its_uncertainty() -> None:
    """Otherwise a person whose feet appear would seem to leap with a speed of metres a second."""
    people = GroundFilter(CONFIG)
    for step in range(20):
        people.update(seen([(20, 0)], step * 0.1, lasting_m=1.5, reason=GroundReason.AGREED))
    tracks = people.update(
        seen([(18, 0)], 2.0, lasting_m=1.5, reason=GroundReason.HEIGHT_ONLY))
    assert abs(tracks.velocity_t2[0, 0]) < 0.6


def test_stamps_that_go_back_start_anew_with_new_ids() -> None:
    people = GroundFilter(CONFIG)
    before = people.update(seen([(10, 0), (12, 3)], 50.0)).ids_t.tolist()
    after = people.update(seen([(10, 0), (12, 3)], 10.0))
    assert after.stamp_ns == 10 * SECOND
    assert not set(before) & set(after.ids_t.tolist())
    assert after.valid_t.all()
    # Another camera, still before the jump, is ahead; it must not block the first for good.
    people.update(seen([(9, 0)], 50.1, camera='left'))
    assert people.update(seen([(10, 0)], 10.1)).valid_t.any()


def test_a_frozen_stamp_is_no_new_measurement() -> None:
    people = GroundFilter(CONFIG)
    first = people.update(seen([(10, 0)], 1.0))
    for _ in range(50):
        again = people.update(seen([(10, 0)], 1.0))
    np.testing.assert_array_equal(again.cov_t22, first.cov_t22)


def test_a_track_that_ended_is_predicted_for_a_while_then_gone() -> None:
    people = GroundFilter(CONFIG)
    times_s = np.arange(0, 2, 0.1)
    ids = walk(people, times_s, (10, 0), (0, 1.2)).ids_t.tolist()
    ego = EgoMotion(0.0, 0.0)
    gone = people.update(seen([], 2.4), ego)
    assert gone.ids_t.tolist() == ids
    assert gone.predicted_t.tolist() == [True]
    assert gone.sources_t == ((),)
    assert gone.xy_t2[0, 1] == pytest.approx(1.2 * 2.4, abs=0.5)
    assert len(people.update(seen([], 2.95), ego)) == 0


def test_boxes_that_the_tracker_predicted_do_not_move_anybody() -> None:
    people = GroundFilter(CONFIG)
    people.update(seen([(10, 0)], 0.0))
    tracks = people.update(seen([(11, 0)], 0.1, is_seen=False))
    assert tracks.predicted_t.tolist() == [True]
    assert tracks.xy_t2[0, 0] == pytest.approx(10)
    lost = people.update(seen([(11, 0)], 1.2, is_seen=False))
    assert lost.valid_t.tolist() == [False]
    assert lost.reason_t.tolist() == [GroundReason.LOST]
    assert np.isnan(lost.xy_t2).all()


def test_who_has_no_position_is_listed_with_the_reason() -> None:
    people = GroundFilter(CONFIG)
    tracks = people.update(seen([(0, 0)], 0.0, reason=GroundReason.NO_TRANSFORM, ids=[77]))
    assert tracks.sources_t == ((('front', 77),),)
    assert tracks.reason_t.tolist() == [GroundReason.NO_TRANSFORM]
    assert tracks.valid_t.tolist() == [False]
    placed = people.update(seen([(9, 0)], 0.1, ids=[77]))
    assert placed.valid_t.tolist() == [True]
    assert placed.ids_t.tolist() == tracks.ids_t.tolist()


def test_a_pedestrian_in_two_cameras_comes_out_once() -> None:
    people = GroundFilter(CONFIG)
    for step in range(5):
        front = people.update(seen([(10, -6), (15, 2)], 0.1 * step))
        right = people.update(seen([(10.3, -6.1)], 0.1 * step + 0.03, camera='right', ids=[41]))
    assert front.ids_t.tolist() == right.ids_t.tolist()
    assert len(right) == 2
    assert right.sources_t[0] == (('front', 1), ('right', 41))
    assert right.xy_t2[0, 0] == pytest.approx(10.15, abs=0.16)


@pytest.mark.parametrize(('why', 'right'), [
    ('two side by side', [(10, -6), (10, -7.2)]),
    ('in the other order', [(10, -7.2), (10, -6)]),
])
def test_two_people_in_two_cameras_stay_two(why: str, right: list[tuple[float, float]]) -> None:
    people = GroundFilter(CONFIG)
    for step in range(5):
        people.update(seen([(10, -6), (10, -7.2)], 0.1 * step, lasting_m=0.3))
        tracks = people.update(seen(right, 0.1 * step + 0.03, camera='right', lasting_m=0.3))
    assert len(tracks) == 2
    partner = 1 if right[0] == (10, -6) else 2
    assert tracks.sources_t[0] == (('front', 1), ('right', partner))


def test_the_id_goes_along_from_one_camera_into_the_next() -> None:
    people = GroundFilter(CONFIG)
    for step in range(10):
        before = people.update(seen([(8, -2 - 0.12 * step)], 0.1 * step))
    people.update(seen([], 1.0))
    after = people.update(seen([(8, -3.5)], 1.3, camera='right', ids=[5]))
    assert after.ids_t.tolist() == before.ids_t.tolist()
    assert after.sources_t == ((('right', 5),),)


def test_people_who_meet_do_not_become_one() -> None:
    """They pass through one place, but not with one velocity."""
    people, random, ego = GroundFilter(CONFIG), np.random.default_rng(2), EgoMotion(0.0, 0.0)
    for step in range(40):
        y = 2.8 - 0.14 * step
        noise = random.normal(scale=0.1, size=2)
        people.update(seen([(10, y + noise[0])], 0.1 * step), ego)
        tracks = people.update(seen([(10, -y + noise[1])], 0.1 * step + 0.05, camera='right'), ego)
        assert len(tracks) == 2


def test_one_who_looked_like_two_becomes_one_and_keeps_the_older_id() -> None:
    """A body cut off at the border of the second picture is misplaced at first."""
    people = GroundFilter(CONFIG)
    first = people.update(seen([(10, 0)], 0.0)).ids_t[0]
    counts = []
    for step in range(16):
        people.update(seen([(10, 0)], 0.1 * step + 0.1))
        y = max(0.0, 2.0 - 0.5 * step)
        tracks = people.update(seen([(10, y)], 0.1 * step + 0.12, camera='right'))
        counts.append(len(tracks))
    assert counts[0] == 2
    assert counts[-1] == 1
    assert tracks.ids_t[0] == first


@pytest.mark.parametrize(('why', 'cameras', 'place', 'age_s', 'is_one'), [
    ('the tracker lost him and found him again', (), (10, 0), 0.2, True),
    ('another camera saw him all the time', ('right',), (10, 0), 0.2, True),
    ('he is somebody else, at another place', (), (10, 5), 0.2, False),
    ('somebody else, whom the other camera does not see', ('right',), (10, 5), 0.2, False),
    ('somebody else: both were in the last picture of the first', (), (10, 0), 0.3, False),
    ('both were in many pictures', ('right',), (10, 0), 1.0, False),
])
def test_a_track_that_is_lost_stops_no_later_one_from_being_him(
        why: str, cameras: Sequence[str], place: tuple[float, float], age_s: float,
        is_one: bool) -> None:
    """Track 1 is seen for the last time 0.3 s before track 2 is told for the first time."""
    people, ego = GroundFilter(CONFIG), EgoMotion(0.0, 0.0)

    def others_see(time_s: float) -> None:
        for camera in cameras:
            people.update(seen([(10, 0)], time_s + 0.02, camera=camera, ids=[41]), ego)

    for step in range(10):
        (first,) = people.update(seen([(10, 0)], 0.1 * step), ego).ids_t
        others_see(0.1 * step)
    for step in (10, 11):
        people.update(seen([(10, 0)], 0.1 * step, is_seen=False), ego)
        others_see(0.1 * step)
    # The tracker goes on predicting track 1 for a while.
    for step in range(12, 18):
        tracks = people.update(seen([(10, 0), place], 0.1 * step, is_seen=[False, True],
                                    age_s=age_s + 0.1 * (step - 12)), ego)
        assert (tracks.ids_t.tolist() == [first]) == is_one
        others_see(0.1 * step)
    sources = dict(zip(tracks.ids_t.tolist(), tracks.sources_t, strict=True))
    seen_by_others = {(camera, 41) for camera in cameras}
    if is_one:
        assert set(sources[first]) == {('front', 2), *seen_by_others}
    else:
        assert set(sources[first]) == {('front', 1), *seen_by_others}
        assert len(sources) == 2
    # Whatever was taken for one: both seen are two, and the tracker may forget either.
    both = people.update(seen([(10, 0), place], 1.8, is_seen=True), ego)
    assert {source for source in both.sources_t for source in source} >= {
        ('front', 1), ('front', 2)}
    assert len(both) == 2
    assert len(people.update(seen([], 4.0), ego)) == 0


def test_of_two_links_the_one_that_is_seen_remains() -> None:
    """The older pedestrian has the later track."""
    people, ego = GroundFilter(CONFIG), EgoMotion(0.0, 0.0)
    (first,) = people.update(seen([(10, 0)], 0.0, camera='right', ids=[41]), ego).ids_t
    assert len(people.update(seen([(10, 1.6)], 0.1, ids=[6]), ego)) == 2
    for step in range(2, 11):
        tracks = people.update(seen([(10, 1.6), (10, 0)], 0.1 * step, ids=[6, 7],
                                    is_seen=[False, True]), ego)
        people.update(seen([], 0.1 * step + 0.02, camera='right'), ego)
    assert tracks.ids_t.tolist() == [first]
    assert tracks.sources_t == ((('front', 7),),)
    assert not tracks.predicted_t.any()


pictures_of_a_crowd = st.lists(st.tuples(
    st.sampled_from(['front', 'right']), st.sets(st.integers(0, 3)),
    st.lists(st.floats(-0.5, 0.5), min_size=4, max_size=4)), max_size=30)


@settings(max_examples=100, deadline=None)
@given(pictures=pictures_of_a_crowd)
def test_no_pedestrian_is_two_tracks_that_one_camera_saw_in_one_picture(pictures: list) -> None:
    """Four tracks at nearly one place come and go; the tracker never forgets one."""
    people, begun_s = GroundFilter(CONFIG), {'front': {}, 'right': {}}
    together: set[tuple[str, int, int]] = set()
    was: dict[tuple[int, str], int] = {}
    for number, (camera, seen_now, y) in enumerate(pictures):
        time_s = 0.1 * number
        begun_s[camera] = dict.fromkeys(sorted(seen_now), time_s) | begun_s[camera]
        listed = list(begun_s[camera])
        together |= {(camera, one, two) for one in seen_now for two in seen_now}
        tracks = people.update(seen(
            [(10, y[track]) for track in listed], time_s, ids=listed, camera=camera,
            is_seen=[track in seen_now for track in listed],
            age_s=[time_s - begun_s[camera][track] for track in listed]))
        links = {(person, name): track for person, sources in zip(
            tracks.ids_t.tolist(), tracks.sources_t, strict=True) for name, track in sources}
        assert len(links) == sum(map(len, tracks.sources_t)), 'two links of one camera'
        assert {(camera, track) for track in seen_now} <= {
            (name, track) for (_, name), track in links.items()}
        for (person, name), track in links.items():
            before = was.get((person, name), track)
            assert before == track or (name, before, track) not in together
        was = links


def test_tracks_that_part_are_two_people_again() -> None:
    people = GroundFilter(CONFIG)
    for step in range(4):
        people.update(seen([(10, 0)], 0.1 * step))
        together = people.update(seen([(10, 0)], 0.1 * step + 0.05, camera='right'))
    assert len(together) == 1
    for step in range(4, 9):
        people.update(seen([(10, 0)], 0.1 * step))
        tracks = people.update(seen([(10, 5)], 0.1 * step + 0.05, camera='right'))
    assert len(tracks) == 2
    np.testing.assert_allclose(tracks.xy_t2, [(10, 0), (10, 5)], atol=0.2)


def test_one_wrong_position_is_ignored_and_many_are_believed() -> None:
    people = GroundFilter(CONFIG)
    ego = EgoMotion(0.0, 0.0)
    for step in range(10):
        people.update(seen([(10, 0)], 0.1 * step), ego)
    once = people.update(seen([(30, 0)], 1.0), ego)
    assert once.xy_t2[0, 0] == pytest.approx(10, abs=0.1)
    assert once.predicted_t.tolist() == [True]
    for step in range(3):
        moved = people.update(seen([(30, 0)], 1.1 + 0.1 * step), ego)
    assert moved.xy_t2[0, 0] == pytest.approx(30, abs=0.1)
    assert moved.ids_t.tolist() == once.ids_t.tolist()


def test_a_camera_that_falls_silent_leaves_nobody_behind() -> None:
    people = GroundFilter(CONFIG)
    people.update(seen([(-10, 0)], 0.0, camera='rear'))
    for step in range(30):
        tracks = people.update(seen([(10, 0)], 0.1 * step))
    assert tracks.sources_t == ((('front', 1),),)


def test_who_was_close_to_whom_is_forgotten_with_them() -> None:
    """Pairs that nobody looks at again would be looked through at every picture."""
    people, ego = GroundFilter(CONFIG), EgoMotion(0.0, 0.0)
    for step in range(10):
        people.update(seen([(10, 0)], 0.1 * step, lasting_m=0.3), ego)
        people.update(seen([(10, 1.7 if step < 8 else 0.8)], 0.1 * step + 0.02, camera='right',
                           lasting_m=0.3), ego)
    assert people._close, 'two who come close'
    assert len(people.update(seen([], 5.0, camera='rear'), ego)) == 0
    people.update(seen([], 5.1, camera='rear'), ego)
    assert not people._close


def test_a_late_picture_is_carried_forward() -> None:
    """Two cameras see one walker; the second is always 0.3 s behind."""
    people, ego = GroundFilter(CONFIG), EgoMotion(0.0, 0.0)
    for step in range(40):
        time_s = 0.1 * step
        people.update(seen([(10, 1.5 * time_s)], time_s), ego)
        late_s = time_s - 0.3
        tracks = people.update(seen([(10, 1.5 * late_s)], late_s, camera='left'), ego)
    assert tracks.stamp_ns == round(3.9 * SECOND)
    assert len(tracks) == 1
    assert tracks.xy_t2[0, 1] == pytest.approx(1.5 * 3.9, abs=0.05)


def test_what_lasts_turns_with_the_vehicle() -> None:
    """Uncertain along the ray when seen ahead; after a quarter turn to the left, at the right."""
    people, ego = GroundFilter(CONFIG), EgoMotion(0.0, np.pi / 2 / 0.8)
    found = seen([(20, 0)], 0.0, noise_m=0.01)
    long_t22 = found.noise_t22 + np.diag([4.0, 0.01])
    people.update(GroundPositions(**{**vars(found), 'cov_t22': long_t22}), ego)
    tracks = people.update(seen([], 0.8, camera='left'), ego)
    np.testing.assert_allclose(tracks.xy_t2[0], [0, -20], atol=1e-9)
    grown_m2 = tracks.cov_t22[0].diagonal() - tracks.cov_t22[0].diagonal().min()
    np.testing.assert_allclose(grown_m2, [0, 3.99], atol=0.01)


def test_outliers_now_and_then_do_not_add_up() -> None:
    people, ego = GroundFilter(CONFIG), EgoMotion(0.0, 0.0)
    for step in range(24):
        wrong = step > 10 and step % 3 == 0
        tracks = people.update(seen([(30 if wrong else 10, 0)], 0.1 * step), ego)
        assert tracks.xy_t2[0, 0] == pytest.approx(10, abs=0.2)


def test_prediction_makes_up_for_latency_and_says_so() -> None:
    people = GroundFilter(CONFIG)
    now = walk(people, np.arange(0, 3, 0.1), (10, 0), (0, 1.5))
    later = people.predicted_to(now.stamp_ns + 200_000_000)
    assert later.stamp_ns == now.stamp_ns + 200_000_000
    assert later.predicted_t.all()
    assert not now.predicted_t.any()
    np.testing.assert_allclose(later.xy_t2, now.xy_t2 + 0.2 * now.velocity_t2)
    assert np.linalg.eigvalsh(later.cov_t22[0] - now.cov_t22[0]).min() > 0
    np.testing.assert_array_equal(people.predicted_to(now.stamp_ns).xy_t2, now.xy_t2)
    assert len(GroundFilter(CONFIG).predicted_to(5)) == 0


def test_real_people_in_two_real_cameras_are_paired_as_their_labels_are() -> None:
    """Six people of a crowd 40 m away are in both pictures; places come from the boxes alone."""
    views = {view.camera: view for view in nuscenes_views()}
    people = GroundFilter(CONFIG)
    for stamp_ns in range(0, 5 * SECOND // 10, SECOND // 10):
        for name in ('CAM_FRONT', 'CAM_FRONT_RIGHT'):
            view = views[name]
            found = ground_positions(view.tracks, view.model, view.base_from_camera_44,
                                     GroundConfig())
            fields = {**vars(found), 'stamp_ns': stamp_ns}
            tracks = people.update(GroundPositions(**fields))
    apart_tt = np.linalg.norm(
        views['CAM_FRONT'].truth_t2[:, None] - views['CAM_FRONT_RIGHT'].truth_t2, axis=2)
    a, b = np.nonzero(apart_tt < 0.15)
    wanted = {(('CAM_FRONT', int(views['CAM_FRONT'].tracks.ids_t[i])),
               ('CAM_FRONT_RIGHT', int(views['CAM_FRONT_RIGHT'].tracks.ids_t[j])))
              for i, j in zip(a, b, strict=True)}
    paired = {source for source in tracks.sources_t if len(source) == 2}
    assert len(wanted) == 6
    assert paired == wanted


updates = st.lists(st.tuples(
    st.sampled_from(['front', 'left', 'right']), st.floats(-0.7, 1.2),
    st.dictionaries(st.integers(1, 5), st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
                    max_size=4),
    st.sampled_from([GroundReason.AGREED, GroundReason.FEET_CUT, GroundReason.ABOVE_HORIZON]),
    st.sampled_from([None, EgoMotion(10.0, 0.3), EgoMotion(0.0, 0.0)])), max_size=25)


@settings(max_examples=60, deadline=None)
@given(updates=updates)
def test_whatever_comes_ids_are_never_reused_and_ellipses_stay_ellipses(updates: list) -> None:
    people, time_s, highest, alive = GroundFilter(CONFIG), 100.0, 0, set()
    stamps_ns: dict[str, int] = {}
    for camera, step_s, placed, reason, ego in updates:
        time_s += step_s
        stamp_ns = round(time_s * SECOND)
        is_new, stamps_ns[camera] = stamps_ns.get(camera) != stamp_ns, stamp_ns
        tracks = people.update(seen(list(placed.values()), time_s, camera=camera,
                                    ids=list(placed), reason=reason, lasting_m=0.4), ego)
        ids = tracks.ids_t.tolist()
        assert ids == sorted(set(ids))
        assert all(number in alive or number > highest for number in ids)
        highest, alive = max([highest, *ids]), set(ids)
        sources = [source for sources in tracks.sources_t for source in sources]
        assert len(sources) == len(set(sources))
        if is_new:
            assert {(camera, number) for number in placed} <= set(sources)
        valid_t = tracks.valid_t
        assert (np.isfinite(tracks.xy_t2).all(axis=1) == valid_t).all()
        for cov_22 in [*tracks.cov_t22[valid_t], *tracks.velocity_cov_t22[valid_t]]:
            assert np.linalg.eigvalsh(cov_22).min() > 0
    # Nothing is left behind when everybody has gone.
    for camera in ('front', 'left', 'right'):
        people.update(seen([], time_s + 10, camera=camera))
    assert len(people.update(seen([], time_s + 12))) == 0


@pytest.mark.parametrize(('speed_m_s', 'faster', 'why'), [
    (0.0, False, 'standing, what a camera sees may stay as it is'),
    (1.0, False, 'creeping, odometry is not exact'),
    (2.0, True, 'driving'),
    (-2.0, True, 'backwards, too'),
])
def test_a_driving_vehicle_is_told_from_a_creeping_one(speed_m_s, faster, why):
    assert EgoMotion(speed_m_s, 0.0).is_faster_than_walking is faster, why
    assert EgoMotion(0.0, 0.0, speed_m_s).is_faster_than_walking is faster, f'{why}, sideways'
