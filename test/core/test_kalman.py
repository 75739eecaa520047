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

"""The filter of boxes: exact in time, never over-confident, never broken by odd numbers."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from ped_perception.core import kalman
import pytest

MODEL = kalman.MotionModel(speed=0.7, speed_memory_s=5.0, growth=0.3, growth_memory_s=0.5,
                           centre_noise=0.05, width_noise=0.15, height_noise=0.06)
BOX = np.array([[100.0, 50.0, 140.0, 150.0]])
STEPS_S = st.floats(0.0, 5.0)


def measured(*boxes):
    """Measure boxes given as corners."""
    return kalman.measurements_from_boxes(np.array(boxes, float).reshape(-1, 4))


def correct(states, measured_t4, doubt=1.0):
    """Correct all states with the same doubt."""
    return kalman.corrected(states, measured_t4, MODEL, np.full(len(states), doubt))


def assert_equal_states(first, second, rtol=1e-9):
    """Compare every array of two states."""
    for entry in fields(first):
        np.testing.assert_allclose(getattr(first, entry.name), getattr(second, entry.name),
                                   rtol=rtol, atol=1e-9, err_msg=entry.name)


def moving(speed_px_s, steps=30, dt_s=0.1):
    """Follow a box that goes to the right at a steady speed."""
    states = kalman.started(measured(*BOX), MODEL)
    for k in range(1, steps + 1):
        states = kalman.predicted(states, dt_s, MODEL)
        states = correct(states, measured(BOX[0] + [speed_px_s * k * dt_s, 0] * 2))
    return states


def assert_positive_definite(states):
    """Check every two by two covariance."""
    assert (states.var_t4 > 0).all()
    assert (states.rate_var_t4 > 0).all()
    assert (states.var_t4 * states.rate_var_t4 > states.cross_t4 ** 2).all()


def test_boxes_survive_the_way_into_the_state_and_back():
    states = kalman.started(measured(BOX[0], [0, 0, 30, 20]), MODEL)
    np.testing.assert_allclose(states.boxes_t4, [BOX[0], [0, 0, 30, 20]], atol=1e-9)
    np.testing.assert_allclose(states.sizes_2t.T, [[40, 100], [30, 20]])


def test_the_first_sigmas_are_the_detector_s_in_pixels():
    sigmas = kalman.started(measured(*BOX), MODEL).sigmas_t4[0]
    np.testing.assert_allclose(sigmas, [5.0, 5.0, 0.15 * 40, 0.06 * 100])


def test_a_steady_speed_is_learnt_and_carried_on():
    states = moving(40.0)
    assert states.rate_t4[0, 0] == pytest.approx(40.0, rel=0.05)
    ahead = kalman.predicted(states, 0.5, MODEL)
    assert ahead.position_t4[0, 0] - states.position_t4[0, 0] == pytest.approx(20, rel=0.1)


def test_an_approach_shows_in_the_growth():
    states = kalman.started(measured(*BOX), MODEL)
    for k in range(1, 21):
        states = kalman.predicted(states, 0.1, MODEL)
        half = np.array([20, 50]) * np.exp(0.03 * k)
        states = correct(states, measured(np.r_[120 - half[0], 100 - half[1],
                                                120 + half[0], 100 + half[1]]))
    # Growth is forgotten quickly, so it is learnt in part; the height must not lag for that.
    assert 0.15 < states.rate_t4[0, 3] < 0.3
    assert states.sizes_2t[1, 0] == pytest.approx(100 * np.exp(0.6), rel=0.03)


@given(STEPS_S, STEPS_S)
def test_two_steps_are_one_long_step(first_s, second_s):
    start = moving(40.0, steps=5)
    # The noise is scaled by the height at the beginning of a step: hold the height.
    start.rate_t4[:, 3] = 0
    start.cross_t4[:, 3] = 0
    twice = kalman.predicted(kalman.predicted(start, first_s, MODEL), second_s, MODEL)
    assert_equal_states(twice, kalman.predicted(start, first_s + second_s, MODEL), rtol=1e-6)


def test_no_time_changes_nothing():
    states = moving(40.0)
    assert_equal_states(kalman.predicted(states, 0.0, MODEL), states)


def test_without_sight_uncertainty_grows_to_the_spread_of_pedestrians():
    states = moving(40.0)
    sigma_y = [kalman.predicted(states, dt, MODEL).sigmas_t4[0, 1] for dt in (0, 0.2, 1, 3)]
    assert sigma_y == sorted(sigma_y)
    forgotten = kalman.predicted(states, 500.0, MODEL)
    assert np.sqrt(forgotten.rate_var_t4[0, 0]) == pytest.approx(0.7 * 100, rel=0.05)
    assert forgotten.rate_t4[0, 0] == pytest.approx(0, abs=1e-6)


def test_a_doubtful_box_pulls_less_and_teaches_less():
    states = kalman.predicted(moving(0.0), 0.1, MODEL)
    aside = measured(BOX[0] + [10, 0, 10, 0])
    trusted, doubted = correct(states, aside), correct(states, aside, doubt=4.0)
    assert 100 < doubted.boxes_t4[0, 0] < trusted.boxes_t4[0, 0] < 110
    assert doubted.sigmas_t4[0, 0] > trusted.sigmas_t4[0, 0]


def test_the_filter_is_the_textbook_s():
    """One column against the matrix form of the Kalman filter."""
    states = kalman.predicted(moving(40.0, steps=3), 0.1, MODEL)
    covariance = np.array([[states.var_t4[0, 0], states.cross_t4[0, 0]],
                           [states.cross_t4[0, 0], states.rate_var_t4[0, 0]]])
    noise = (0.05 * states.sizes_2t[1, 0]) ** 2
    look = np.array([[1.0, 0.0]])
    gain = covariance @ look.T / (look @ covariance @ look.T + noise)
    expected = covariance - gain @ look @ covariance
    after = correct(states, measured(BOX[0] + [30, 0, 30, 0]))
    miss = 150 - states.position_t4[0, 0]
    assert after.position_t4[0, 0] == pytest.approx(states.position_t4[0, 0]
                                                    + gain[0, 0] * miss)
    assert after.rate_t4[0, 0] == pytest.approx(states.rate_t4[0, 0] + gain[1, 0] * miss)
    np.testing.assert_allclose(
        [after.var_t4[0, 0], after.cross_t4[0, 0], after.rate_var_t4[0, 0]],
        [expected[0, 0], expected[0, 1], expected[1, 1]])


def test_errors_are_as_large_as_the_sigmas_say():
    """Simulated people: the squared error in sigmas is one on average (NEES)."""
    rng = np.random.default_rng(5)
    count, dt_s = 2000, 0.1
    truth = np.zeros(count)
    speed = rng.normal(0, 70, count)
    states = kalman.started(np.tile(measured(*BOX), (count, 1)), MODEL)
    keep = np.exp(-dt_s / 5)
    for _ in range(15):
        # 20 small steps make the simulated motion nearly continuous.
        for _ in range(20):
            truth += speed * dt_s / 20
            speed = speed * keep ** 0.05 + rng.normal(
                0, 70 * np.sqrt(1 - keep ** 0.1), count)
        states = kalman.predicted(states, dt_s, MODEL)
        seen = np.tile(measured(*BOX), (count, 1))
        seen[:, 0] += truth + rng.normal(0, 5, count)
        states = correct(states, seen)
    error = (states.position_t4[:, 0] - 120 - truth) ** 2 / states.var_t4[:, 0]
    assert error.mean() == pytest.approx(1, abs=0.15)
    rate_error = (states.rate_t4[:, 0] - speed) ** 2 / states.rate_var_t4[:, 0]
    assert rate_error.mean() == pytest.approx(1, abs=0.15)


def test_distance_counts_sigmas():
    states = kalman.started(measured(*BOX), MODEL)
    # Two independent errors of 5 px: the state's own and the detection's.
    distance = kalman.squared_distances(
        states, measured(BOX[0], BOX[0] + [np.sqrt(50), 0] * 2), np.array([0, 0]),
        np.array([0, 1]), MODEL)
    np.testing.assert_allclose(distance, [0, 1], atol=1e-12)


@pytest.mark.parametrize('dt_s', [-0.1, np.nan, np.inf])
def test_time_only_goes_on(dt_s):
    with pytest.raises(ValueError, match='dt_s'):
        kalman.predicted(moving(0.0, steps=1), dt_s, MODEL)


@given(st.lists(st.tuples(STEPS_S, st.floats(-3000, 3000), st.floats(-3000, 3000),
                          st.floats(0, 3000), st.floats(0, 3000), st.floats(1, 20)),
                min_size=1, max_size=12))
def test_covariances_stay_positive_definite(story):
    states = kalman.started(measured(*BOX), MODEL)
    for dt_s, x, y, width, height, doubt in story:
        states = kalman.predicted(states, dt_s, MODEL)
        assert_positive_definite(states)
        states = correct(states, measured([x, y, x + width, y + height]), doubt)
        assert_positive_definite(states)
        assert np.isfinite(states.boxes_t4).all()


def similarity(scale=1.0, turn_rad=0.0, shift=(0.0, 0.0)):
    """Make a homography of a similarity."""
    cos, sin = scale * np.cos(turn_rad), scale * np.sin(turn_rad)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [0, 0, 1.0]])


def test_a_shift_of_the_picture_shifts_boxes_and_nothing_else():
    states = moving(40.0)
    shifted = kalman.warped(states, similarity(shift=(7, -3)))
    np.testing.assert_allclose(shifted.boxes_t4, states.boxes_t4 + [7, -3, 7, -3])
    for name in ('rate_t4', 'var_t4', 'cross_t4', 'rate_var_t4'):
        np.testing.assert_allclose(getattr(shifted, name), getattr(states, name))


def test_an_enlarged_picture_enlarges_boxes_speeds_and_sigmas():
    states = moving(40.0)
    larger = kalman.warped(states, similarity(scale=2))
    np.testing.assert_allclose(larger.boxes_t4, states.boxes_t4 * 2)
    np.testing.assert_allclose(larger.sigmas_t4, states.sigmas_t4 * 2)
    np.testing.assert_allclose(larger.rate_t4[:, :2], states.rate_t4[:, :2] * 2)


def test_a_quarter_turn_turns_the_speed_and_swaps_the_variances():
    states = moving(40.0)
    states.var_t4[:, 0] *= 9
    turned = kalman.warped(states, similarity(turn_rad=np.pi / 2))
    np.testing.assert_allclose(turned.rate_t4[0, :2], [0, states.rate_t4[0, 0]], atol=1e-9)
    np.testing.assert_allclose(turned.var_t4[0, :2], states.var_t4[0, 1::-1])


@given(st.floats(0.5, 2), st.floats(-1, 1), st.floats(-300, 300), st.floats(-1e-4, 1e-4))
def test_warps_move_points_as_a_homography_does(scale, turn_rad, shift, tilt):
    homography = similarity(scale, turn_rad, (shift, -shift))
    homography[2, 0] = tilt
    states = moving(40.0)
    after = kalman.warped(states, homography)
    assert_positive_definite(after)
    # The speed is the difference of two images of nearby points.
    points = states.position_t4[0, :2] + np.array([[0, 0], states.rate_t4[0, :2] * 1e-4])
    images = np.c_[points, [1, 1]] @ homography.T
    images = images[:, :2] / images[:, 2:]
    np.testing.assert_allclose(after.position_t4[0, :2], images[0], atol=1e-6)
    np.testing.assert_allclose(after.rate_t4[0, :2], (images[1] - images[0]) / 1e-4,
                               rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(('homography', 'why'), [
    (np.array([[1, 0, 0], [0, 1, 0], [-1 / 120, 0, 1.0]]), 'the box lies on its horizon'),
    (np.array([[1, 0, 0], [0, 1, 0], [-1.0, 0, 1.0]]), 'the box lies behind the camera'),
    (np.diag([-1.0, 1.0, 1.0]), 'a mirror'),
    (np.diag([0.0, 0.0, 1.0]), 'everything falls into one point'),
])
def test_a_warp_that_cannot_be_is_not_applied(homography, why):
    states = kalman.started(measured(*BOX), MODEL)
    assert_equal_states(kalman.warped(states, homography), states)
