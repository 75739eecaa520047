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

"""Chains of transforms over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.errors import TransformError
from ped_perception.core.transforms import (
    base_from_optical,
    pose_from_quaternion,
    TransformBuffer,
)
import pytest
from scipy.spatial.transform import Rotation

S = 1_000_000_000


def pose(x=0.0, yaw_deg=0.0):
    """Shift along x, then turn about z."""
    pose_44 = np.eye(4)
    pose_44[:3, :3] = Rotation.from_euler('z', yaw_deg, degrees=True).as_matrix()
    pose_44[0, 3] = x
    return pose_44


def moving():
    """Give a camera on a turntable on a vehicle in a map."""
    buffer = TransformBuffer()
    buffer.put('base_link', 'table', 0, pose(1.0), is_static=True)
    for second in range(4):
        buffer.put('table', 'camera', second * S, pose(0.0, 30.0 * second))
        buffer.put('map', 'base_link', second * S, pose(10.0 * second))
    return buffer


@pytest.mark.parametrize(('target', 'source', 'time_s', 'x', 'yaw_deg', 'why'), [
    ('base_link', 'camera', 1.0, 1.0, 30.0, 'at a known time'),
    ('base_link', 'camera', 1.5, 1.0, 45.0, 'between two, the shorter way round'),
    ('camera', 'base_link', 0.0, -1.0, 0.0, 'downwards'),
    ('map', 'camera', 2.5, 26.0, 75.0, 'through two links that move'),
    ('base_link', 'table', 99.0, 1.0, 0.0, 'static ones hold for all times'),
    ('base_link', 'camera', 3.05, 1.0, 90.0, 'within the tolerance the newest is taken'),
    ('camera', 'camera', 1.0, 0.0, 0.0, 'the frame itself'),
])
def test_lookup(target, source, time_s, x, yaw_deg, why):
    found = moving().lookup(target, source, round(time_s * S), 0.1)
    turned = Rotation.from_matrix(found[:3, :3]).as_euler('xyz', degrees=True)
    assert np.allclose(turned, [0, 0, yaw_deg], atol=1e-9), why
    assert found[0, 3] == pytest.approx(x), why


@pytest.mark.parametrize(('target', 'source', 'time_s', 'fragment', 'why'), [
    ('base_link', 'camera', 3.2, '0.200 s after', 'TF is late'),
    ('base_link', 'camera', -0.2, '0.200 s before', 'TF began later'),
    ('base_link', 'lidar', 1.0, 'from lidar to base_link', 'nobody knows the frame'),
    ('lidar', 'camera', 1.0, 'table', 'the frames that are known are named'),
])
def test_what_is_not_known_is_said(target, source, time_s, fragment, why):
    with pytest.raises(TransformError, match=fragment):
        moving().lookup(target, source, round(time_s * S), 0.1)


def test_a_link_above_the_target_needs_not_to_be_known():
    buffer = moving()
    buffer.put('earth', 'map', 50 * S, pose(5.0))
    assert buffer.lookup('base_link', 'camera', S, 0.0)[0, 3] == 1.0


def test_a_loop_is_found():
    buffer = TransformBuffer()
    buffer.put('a', 'b', 0, pose(), is_static=True)
    buffer.put('b', 'a', 0, pose(), is_static=True)
    with pytest.raises(TransformError, match='loop'):
        buffer.lookup('c', 'a', 0, 0.0)


def test_time_that_is_set_back_forgets_what_was():
    buffer = TransformBuffer()
    buffer.put('base_link', 'camera', 100 * S, pose(1.0))
    buffer.put('base_link', 'camera', 5 * S, pose(2.0))
    assert buffer.lookup('base_link', 'camera', 5 * S, 0.0)[0, 3] == 2.0
    with pytest.raises(TransformError):
        buffer.lookup('base_link', 'camera', 100 * S, 0.1)


def test_late_news_is_sorted_in_and_a_second_word_on_a_time_holds():
    buffer = TransformBuffer()
    for time_s, x in ((1, 1.0), (3, 3.0), (2, 7.0), (3, 4.0)):
        buffer.put('base_link', 'camera', time_s * S, pose(x))
    assert [buffer.lookup('base_link', 'camera', t * S, 0.0)[0, 3] for t in (1, 2, 3)] == [
        1.0, 7.0, 4.0]


def test_memory_is_bounded():
    buffer = TransformBuffer()
    for step in range(3000):
        buffer.put('base_link', 'camera', step * S // 100, pose(1.0))
    with pytest.raises(TransformError):
        buffer.lookup('base_link', 'camera', 15 * S, 0.1)
    assert len(buffer._links['camera'].stamps_ns) <= 1002


@pytest.mark.parametrize(('parent', 'child', 'matrix'), [
    ('', 'camera', np.eye(4)), ('a', 'a', np.eye(4)), ('a', 'b', np.full((4, 4), np.nan))])
def test_nonsense_is_refused(parent, child, matrix):
    with pytest.raises(TransformError):
        TransformBuffer().put(parent, child, 0, matrix)


@given(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 1e-3))
def test_a_quaternion_of_any_length_gives_a_rotation(xyzw):
    turn_33 = pose_from_quaternion((1.0, 2.0, 3.0), xyzw)[:3, :3]
    assert np.allclose(turn_33 @ turn_33.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn_33) == pytest.approx(1.0)


@pytest.mark.parametrize('xyzw', [
    (0.0, 0.0, 0.0, 0.0), (np.nan, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 1e-200),
    (0.0, 0.0, 0.0, 1e200)])
def test_no_rotation_is_refused(xyzw):
    with pytest.raises(TransformError):
        pose_from_quaternion((0.0, 0.0, 0.0), xyzw)


@pytest.mark.parametrize(('rpy_deg', 'optical', 'base', 'why'), [
    ((0.0, 0.0, 0.0), (0, 0, 1), (1, 0, 0), 'the optical axis looks ahead'),
    ((0.0, 0.0, 0.0), (1, 0, 0), (0, -1, 0), 'right in the picture is right of the vehicle'),
    ((0.0, 0.0, 90.0), (0, 0, 1), (0, 1, 0), 'a camera that looks to the left'),
    ((0.0, 90.0, 0.0), (0, 0, 1), (0, 0, -1), 'a positive pitch looks down'),
    ((180.0, 0.0, 0.0), (0, 1, 0), (0, 0, 1), 'mounted upside down: down in it is up'),
])
def test_mounting_by_angles(rpy_deg, optical, base, why):
    pose_44 = base_from_optical((1.0, 2.0, 3.0), rpy_deg)
    assert np.allclose(pose_44[:3, :3] @ optical, base, atol=1e-12), why
    assert pose_44[:3, 3].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(('xyz', 'rpy'), [((1.0, 2.0), (0.0, 0.0, 0.0)),
                                          ((1.0, 2.0, np.inf), (0.0, 0.0, 0.0))])
def test_half_a_mounting_is_refused(xyz, rpy):
    with pytest.raises(TransformError, match='roll, pitch, yaw'):
        base_from_optical(xyz, rpy)
