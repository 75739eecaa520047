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

"""Who comes into the vehicle's way, against arithmetic that fits on one line."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from ped_perception.core import corridor
from ped_perception.core.corridor import (
    conflicts_of,
    CorridorConfig,
    Danger,
    danger_of,
    path_coordinates,
)
from ped_perception.core.ground_motion import EgoMotion, moved_points
import pytest
from surroundings import ground_tracks

# Bumper 4 m ahead of base_link, 1 m to either side.
OUTLINE = CorridorConfig(half_width_m=1.0, front_m=4.0, rear_m=1.0, horizon_s=6.0, step_s=0.05,
                         sigmas=1.0)
SURE = np.eye(2) * 1e-12


def time_to(xy: Sequence[float], velocity: Sequence[float], speed: float, yaw_rate: float = 0.0,
            cov_22: np.ndarray = SURE) -> float:
    conflicts = conflicts_of(np.array([xy], float), np.array([velocity], float), cov_22[None],
                             EgoMotion(speed, yaw_rate), OUTLINE)
    return float(conflicts.time_s_t[0])


@pytest.mark.parametrize(('why', 'xy', 'velocity', 'speed', 'time_s'), [
    ('standing in the way: (24 - 4) / 10', (24, 0), (0, 0), 10, 2.0),
    ('walking away at 2: (24 - 4) / (10 - 2)', (24, 0.5), (2, 0), 10, 2.5),
    ('walking towards us: (24 - 4) / (10 + 2)', (24, 0.5), (-2, 0), 10, 20 / 12),
    ('stands beside the corridor', (24, 1.2), (0, 0), 10, np.inf),
    ('steps in before we are there: bumper at 2 s', (24, -3), (0, 1.5), 10, 2.0),
    ('steps in late, into our side: 2.5 m at 1 m/s', (24, -3.5), (0, 1), 9, 2.5),
    ('steps in when we have passed: 5 m at 1 m/s', (24, -6), (0, 1), 10, np.inf),
    ('has crossed before we come: out after 2 m', (44, -1), (0, 2), 10, np.inf),
    ('is in the outline now', (3, 0.5), (0, 0), 10, 0.0),
    ('is behind us', (-5, 0), (0, 0), 10, np.inf),
    ('runs into us from behind: 4 m at 6 - 4', (-5, 0), (6, 0), 4, 2.0),
    ('we stand, he walks into us: 4 m at 1 m/s', (2, 5), (0, -1), 0, 4.0),
    ('we back up: (10 - 1) / 3', (-10, 0), (0, 0), -3, 3.0),
    ('further than we look: 96 / 10', (100, 0), (0, 0), 10, np.inf),
])
def test_time_to_collision_on_a_straight_path(
        why: str, xy: tuple[float, float], velocity: tuple[float, float], speed: float,
        time_s: float) -> None:
    # The steps of the search round up, by no more than one.
    got = time_to(xy, velocity, speed)
    assert got == time_s or time_s - 1e-9 <= got <= time_s + 0.05 + 1e-9


def test_a_bend_sweeps_its_inside_and_spares_what_lies_straight_ahead() -> None:
    """Radius 20 m to the left: after a quarter of the circle we are at (20, 20)."""
    on_path = (20 * np.sin(1.2), 20 - 20 * np.cos(1.2))
    assert time_to(on_path, (0, 0), 10, 0.5) == pytest.approx((20 * 1.2 - 4) / 10, abs=0.06)
    assert time_to((24, 0), (0, 0), 10, 0.5) == np.inf
    mirrored = (on_path[0], -on_path[1])
    assert time_to(mirrored, (0, 0), 10, -0.5) == time_to(on_path, (0, 0), 10, 0.5)
    assert time_to(mirrored, (0, 0), 10, 0.5) == np.inf


def test_on_a_tight_bend_the_outer_front_corner_swings_out() -> None:
    """Radius 6 m: the corner at (4, -1) sweeps a circle of 8.06 m, a metre outside of the path."""
    assert np.hypot(6 + 1, 4) == pytest.approx(8.06, abs=0.01)
    for distance_m, hit in ((7.5, True), (7.9, True), (8.15, False)):
        xy = (distance_m * np.sin(1.2), 6 - distance_m * np.cos(1.2))
        assert np.isfinite(time_to(xy, (0, 0), 3, 0.5)) == hit, distance_m
    # Its inner rear end stays on the path: nothing is swept inside of 5 m.
    inside = (4.9 * np.sin(1.2), 6 - 4.9 * np.cos(1.2))
    assert time_to(inside, (0, 0), 3, 0.5) == np.inf


def test_a_vehicle_that_moves_or_turns_aside_meets_who_stands_there() -> None:
    beside = np.array([[2.0, 4.0]])
    for ego, time_s in ((EgoMotion(0.0, 0.0, 1.0), 3.0), (EgoMotion(0.0, 0.0, -1.0), np.inf),
                        (EgoMotion(0.0, 0.5, 0.0), 1.4)):
        (found_s,) = conflicts_of(beside * (1.0, 1.0 if ego.left_m_s else 0.75), beside * 0,
                                  SURE[None], ego, OUTLINE).time_s_t
        assert found_s == pytest.approx(time_s, abs=0.06)


def test_uncertainty_makes_pedestrians_larger_in_the_direction_it_has() -> None:
    wide, long = np.diag([1e-12, 0.25]), np.diag([4.0, 1e-12])
    assert time_to((24, 1.4), (0, 0), 10) == np.inf
    assert time_to((24, 1.4), (0, 0), 10, cov_22=wide) == pytest.approx(2.0, abs=0.051)
    assert time_to((24, 1.4), (0, 0), 10, cov_22=long) == np.inf
    assert time_to((24, 0), (0, 0), 10, cov_22=long) == pytest.approx(1.8, abs=0.051)


def test_gap_and_offset_are_those_of_now() -> None:
    conflicts = conflicts_of(
        np.array([[24.0, 0.5], [24, 3], [2, 0.9], [np.nan, np.nan]]), np.zeros((4, 2)),
        np.tile(SURE, (4, 1, 1)), EgoMotion(10.0, 0.0), OUTLINE)
    np.testing.assert_allclose(conflicts.gap_m_t, [20, 20, -2, np.nan])
    np.testing.assert_allclose(conflicts.offset_m_t, [0.5, 3, 0.9, np.nan])
    assert conflicts.inside_t.tolist() == [True, False, False, False]
    # Somebody without a position is not somebody who is not in the way.
    assert np.isnan(conflicts.time_s_t).tolist() == [False, False, False, True]


@pytest.mark.parametrize('number', [np.nan, np.inf, -1.0])
def test_whose_uncertainty_is_no_number_is_not_out_of_the_way(number: float) -> None:
    assert np.isnan(time_to((24, 0), (0, 0), 10, cov_22=np.diag([number, number])))
    assert np.isnan(time_to((24, 0), (np.nan, 0), 10))


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2 ** 32 - 1), speed=st.floats(-15, 15), left=st.floats(-2, 2),
       yaw_rate=st.floats(-1.5, 1.5), horizon=st.floats(0.1, 10), size=st.floats(0.1, 10))
def test_who_is_left_out_beforehand_would_never_have_been_met(
        seed: int, speed: float, left: float, yaw_rate: float, horizon: float,
        size: float) -> None:
    rng = np.random.default_rng(seed)
    people = 200
    xy_t2 = rng.normal(0, 25, (people, 2))
    velocity_t2 = rng.normal(0, 3, (people, 2))
    half_t22 = rng.normal(0, rng.uniform(0, 2), (people, 2, 2))
    cov_t22 = half_t22 @ half_t22.swapaxes(1, 2)
    # What is not known, and what is no covariance.
    xy_t2[0], velocity_t2[1], cov_t22[2], cov_t22[3] = np.nan, np.inf, np.nan, -1
    cov_t22[4] = [[1.0, 2.0], [2.0, -1.0]]
    config = CorridorConfig(half_width_m=size, front_m=2 * size, rear_m=size, horizon_s=horizon)
    ego = EgoMotion(speed, yaw_rate, left)
    swift = conflicts_of(xy_t2, velocity_t2, cov_t22, ego, config)
    with mock.patch.object(corridor, '_may_meet', lambda xy_t2, velocity_t2, cov_t22, times_s_ks,
                           *_: np.ones((len(times_s_ks), people), np.bool_)):
        thorough = conflicts_of(xy_t2, velocity_t2, cov_t22, ego, config)
    np.testing.assert_array_equal(swift.time_s_t, thorough.time_s_t)


def test_nobody_is_in_nobodys_way() -> None:
    none = conflicts_of(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2, 2)),
                        EgoMotion(5.0, 0.0), OUTLINE)
    assert len(none.time_s_t) == 0


@settings(max_examples=150, deadline=None)
@given(curvature=st.floats(-0.1, 0.1), along=st.floats(-25, 25), offset=st.floats(-5, 5))
def test_path_coordinates_are_those_of_the_driven_path(
        curvature: float, along: float, offset: float) -> None:
    """Drive the path, step aside, and ask where that is."""
    turn = curvature * along
    chord = along * np.sinc(turn / 2 / np.pi)
    left = np.array([-np.sin(turn), np.cos(turn)])
    point_2 = chord * np.array([np.cos(turn / 2), np.sin(turn / 2)]) + offset * left
    got_along, got_offset, left_2 = path_coordinates(point_2, curvature)
    # Circles of more than 1000 km count as straight, which is wrong by less than a millimetre.
    assert got_along == pytest.approx(along, abs=1e-3)
    assert got_offset == pytest.approx(offset, abs=1e-3)
    np.testing.assert_allclose(left_2, left, atol=1e-4)
    # The filter moves base_link along the same circle.
    there_12 = moved_points(point_2[None], EgoMotion(1.0, curvature), along)
    np.testing.assert_allclose(there_12, [[0, offset]], atol=1e-6)


@pytest.mark.parametrize(('why', 'xy', 'velocity', 'danger'), [
    ('nobody is there', [], [], Danger(np.inf)),
    ('he stands beside the way', [(24, 5)], [(0, 0)], Danger(np.inf)),
    ('nobody knows where he stands', [None], [(0, 0)], Danger(np.inf)),
    ('one stands in it, seen by two cameras', [(24, 5), (24, 0)], [(0, 0), (0, 0)],
     Danger(2.0, frozenset({'front', 'left'}))),
    ('the first of two counts, the cameras of both', [(24, 0), (14, 0), None],
     [(0, 0)] * 3, Danger(1.0, frozenset({'front', 'left', 'right'}))),
])
def test_danger_is_the_first_who_comes_into_the_way_and_who_sees_it(
        why: str, xy: list[tuple[float, float] | None], velocity: list[tuple[float, float]],
        danger: Danger) -> None:
    seen_by = [(('right', 1),), (('front', 2), ('left', 3)), (('rear', 4),)]
    everybody = ground_tracks(xy, velocity=velocity, sources=seen_by[:len(xy)], cov_22=SURE)
    found = danger_of(everybody, EgoMotion(10.0, 0.0), OUTLINE)
    assert found.cameras == danger.cameras, why
    assert found.soonest_s == pytest.approx(danger.soonest_s, abs=0.051), why
