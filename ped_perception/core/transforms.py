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

"""
Rigid transforms between named frames over time, as ``/tf`` and ``/tf_static`` tell them.

The rules are those of tf2: a tree of frames, each with one parent; transforms that move are
interpolated at the time asked for; nothing is extrapolated beyond a stated tolerance. It is
written here because tf2's own buffer needs an installed ROS, and positions must be computed by
the same code everywhere.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from ped_perception.core.errors import TransformError
from ped_perception.core.types import Float64Array
from scipy.spatial.transform import Rotation, Slerp

_KEPT_NS = 10_000_000_000


@dataclass(eq=False)
class _Link:
    """The way from a frame to its parent, one entry for each stamp, oldest first."""

    parent: str
    is_static: bool
    stamps_ns: list[int] = field(default_factory=list)
    poses_44: list[Float64Array] = field(default_factory=list)


class TransformBuffer:
    """
    Remembers transforms for ten seconds and chains them.

    One thread puts; another may look up.
    """

    def __init__(self) -> None:
        """Begin without a frame."""
        self._links: dict[str, _Link] = {}

    def put(self, parent: str, child: str, stamp_ns: int, parent_from_child_44: Float64Array, *,
            is_static: bool = False) -> None:
        """
        Take a transform.

        A stamp more than the remembered time before the newest one means that time was set back:
        what was known of this link is forgotten.

        Args:
            parent: frame that the transform leads into.
            child: frame that it leads from.
            stamp_ns: ROS time; without meaning for a static one.
            parent_from_child_44: float64[4, 4], metres.
            is_static: it holds for all times.

        Raises:
            TransformError: not finite, or a frame without a name.
        """
        if not (parent and child) or parent == child:
            raise TransformError(f'A transform must lead from one named frame to another, not '
                                 f'from {child!r} to {parent!r}.')
        if not np.isfinite(parent_from_child_44).all():
            raise TransformError(f'The transform from {child} to {parent} is not finite.')
        known = self._links.get(child)
        link = _Link(parent, is_static)
        if known is not None and known.parent == parent and not (is_static or known.is_static):
            newest_ns = known.stamps_ns[-1]
            if stamp_ns > newest_ns - _KEPT_NS:
                first = bisect_left(known.stamps_ns, max(newest_ns, stamp_ns) - _KEPT_NS)
                link.stamps_ns = known.stamps_ns[first:]
                link.poses_44 = known.poses_44[first:]
        place = bisect_left(link.stamps_ns, stamp_ns)
        same = place < len(link.stamps_ns) and link.stamps_ns[place] == stamp_ns
        link.stamps_ns[place:place + same] = [stamp_ns]
        link.poses_44[place:place + same] = [parent_from_child_44]
        # A new link replaces the old one at once: the other thread sees one of the two.
        self._links[child] = link

    def lookup(self, target: str, source: str, stamp_ns: int, tolerance_s: float) -> Float64Array:
        """
        Give the transform from one frame to another at a time.

        Args:
            target: frame that the transform leads into.
            source: frame that it leads from.
            stamp_ns: ROS time.
            tolerance_s: how far the time may lie outside of what is known.

        Returns:
            float64[4, 4], ``target_from_source``.

        Raises:
            TransformError: the frames are not connected, or not at that time.
        """
        above_target, above_source = self._upwards(target), self._upwards(source)
        # Frames above the one that joins the two need not be known at that time.
        joint = next((frame for frame in above_source if frame in above_target), None)
        if joint is None:
            known = ', '.join(sorted(self._links)) or 'none at all'
            raise TransformError(
                f'There is no transform from {source} to {target}. Publish it on /tf_static, or '
                f'set the mounting parameters of the camera. Frames with a parent: {known}.')
        target_from_source_44: Float64Array = (
            np.linalg.inv(self._climbed(target, joint, stamp_ns, tolerance_s))
            @ self._climbed(source, joint, stamp_ns, tolerance_s))
        return target_from_source_44

    def _upwards(self, frame: str) -> list[str]:
        """Name a frame and all above it."""
        frames = [frame]
        while (link := self._links.get(frames[-1])) is not None:
            if link.parent in frames:
                raise TransformError(f'The frames above {frame} form a loop. Each frame may have '
                                     f'one parent, and none may be above itself.')
            frames.append(link.parent)
        return frames

    def _climbed(self, frame: str, top: str, stamp_ns: int, tolerance_s: float) -> Float64Array:
        """Chain the links from a frame to one above it."""
        pose_44: Float64Array = np.eye(4)
        while frame != top:
            link = self._links[frame]
            pose_44 = _pose_at(link, frame, stamp_ns, tolerance_s) @ pose_44
            frame = link.parent
        return pose_44


def _pose_at(link: _Link, frame: str, stamp_ns: int, tolerance_s: float) -> Float64Array:
    stamps_ns, poses_44 = link.stamps_ns, link.poses_44
    if link.is_static:
        return poses_44[-1]
    late_s = max(stamp_ns - stamps_ns[-1], stamps_ns[0] - stamp_ns) / 1e9
    if late_s > tolerance_s:
        raise TransformError(
            f'The transform from {frame} to {link.parent} is not known at the time of the '
            f'picture: it lies {late_s:.3f} s '
            f'{"after" if stamp_ns > stamps_ns[-1] else "before"} what is known. Publish it '
            f'sooner, or on /tf_static if it does not move.')
    place = bisect_left(stamps_ns, stamp_ns)
    if place in (0, len(stamps_ns)) or stamps_ns[place] == stamp_ns:
        return poses_44[min(place, len(stamps_ns) - 1)]
    before_44, after_44 = poses_44[place - 1], poses_44[place]
    share = (stamp_ns - stamps_ns[place - 1]) / (stamps_ns[place] - stamps_ns[place - 1])
    pose_44: Float64Array = (1 - share) * before_44 + share * after_44
    turns = Rotation.from_matrix(np.stack([before_44[:3, :3], after_44[:3, :3]]))
    pose_44[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    return pose_44


def pose_from_quaternion(xyz_m: tuple[float, float, float],
                         xyzw: tuple[float, float, float, float]) -> Float64Array:
    """
    Build a transform from a translation and a quaternion.

    Args:
        xyz_m: translation in metres.
        xyzw: quaternion in the order of geometry_msgs; its length does not matter.

    Returns:
        float64[4, 4].

    Raises:
        TransformError: the quaternion has no length, or something is not finite.
    """
    if not np.isfinite([*xyz_m, *xyzw]).all() or not 0 < np.linalg.norm(xyzw) < np.inf:
        raise TransformError(f'Translation {xyz_m} and quaternion {xyzw} are no transform.')
    pose_44: Float64Array = np.eye(4)
    pose_44[:3, :3] = Rotation.from_quat(xyzw).as_matrix()
    pose_44[:3, 3] = xyz_m
    return pose_44


def base_from_optical(xyz_m: tuple[float, ...], rpy_deg: tuple[float, ...]) -> Float64Array:
    """
    Build the mounting of a camera from position and angles.

    Args:
        xyz_m: of the camera in base_link.
        rpy_deg: roll, pitch and yaw of its body, whose x axis looks where the camera looks; all
            zero looks straight ahead, a positive pitch looks down (REP 103).

    Returns:
        float64[4, 4], from the optical frame (z forward, x right, y down) to base_link.

    Raises:
        TransformError: not three numbers each, or not finite.
    """
    if len(xyz_m) != 3 or len(rpy_deg) != 3 or not np.isfinite([*xyz_m, *rpy_deg]).all():
        raise TransformError(f'The mounting of a camera is x, y, z in metres and roll, pitch, yaw '
                             f'in degrees, not {list(xyz_m)} and {list(rpy_deg)}.')
    body_from_optical_33 = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    pose_44: Float64Array = np.eye(4)
    pose_44[:3, :3] = (Rotation.from_euler('xyz', rpy_deg, degrees=True).as_matrix()
                       @ body_from_optical_33)
    pose_44[:3, 3] = xyz_m
    return pose_44
