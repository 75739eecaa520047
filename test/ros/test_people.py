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
From boxes to everybody around the vehicle: six cameras, TF and all, over real DDS.

The scene is scripted, so that the truth is known: somebody walks around the vehicle, seen by one
camera or two. The network is a double that finds white boxes.
"""

from __future__ import annotations

from pathlib import Path
import sys
import time

from geometry_msgs.msg import TransformStamped
import numpy as np
from ped_perception.core.transforms import base_from_optical
from ped_perception.ros.convert import (
    camera_info_from_intrinsics,
    image_from_bgr,
    time_from_stamp_ns,
)
from ped_perception.ros.qos import camera_publisher_qos, transforms_qos
import pytest
from replays import stamp_ns
from ros_peer import ros_peer
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray

pytestmark = pytest.mark.ros

NODE = [sys.executable, Path(__file__).parents[1] / 'support' / 'faulty_detector.py']
YAWS_DEG = {'front': 0, 'front_left': 60, 'rear_left': 120, 'rear': 180, 'rear_right': 240,
            'front_right': 300}
# Small: of large pictures a busy machine loses many on their way.
HW = (180, 320)
MATRIX = np.array([[200.0, 0, 160], [0, 200, 90], [0, 0, 1]])
PEOPLE, UNPLACED = '/ped_detector/pedestrians', '/ped_detector/unplaced'
PERIOD_S = 0.15
# Without an answer for this long nobody listens yet.
GIVE_UP_NS = 1_000_000_000
# The same place in every picture: a background that leaps takes the tracks along.
NOISE_HW3 = np.random.default_rng(0).integers(40, 120, (*HW, 3), np.uint8)


def mounting(yaw_deg):
    """Mount a camera half a metre from the middle, looking outwards."""
    turned = np.radians(yaw_deg)
    return base_from_optical((0.5 * np.cos(turned), 0.5 * np.sin(turned), 1.5),
                             (0.0, 0.0, float(yaw_deg)))


def noise():
    """Give an empty picture, a little unlike the last ones as those of a camera are."""
    return NOISE_HW3 ^ np.uint8(time.time_ns() // 1000 % 8)


def picture(place, base_from_camera_44):
    """Draw a person of 1.7 m as a white box on noise, if he is in the picture."""
    image_hw3 = noise()
    camera_from_base_44 = np.linalg.inv(base_from_camera_44)
    # The box ends at the nearest shoe, which the node knows.
    foot, head = (camera_from_base_44 @ (*place, z, 1.0) for z in (0.0, 1.7))
    if foot[2] > 1.0:
        (u, bottom), (_, top) = ((MATRIX @ point[:3])[:2] / point[2] for point in (foot, head))
        half = 0.2 * (bottom - top)
        left, right = max(0, round(u - half)), min(HW[1], round(u + half))
        if right - left > 3:
            image_hw3[max(0, round(top)):round(bottom), left:right] = 255
    return image_hw3


class Walk:
    """Six cameras around a vehicle that somebody walks around."""

    def __init__(self, peer, cameras=tuple(YAWS_DEG), speed_rad_s=0.15):
        self.peer, self.cameras, self.speed_rad_s = peer, cameras, speed_rad_s
        self.due_ns = time.time_ns()
        self.angles_rad = {self.due_ns: 0.0}
        self.asked_ns = 0
        self.pictures, self.infos = {}, {}
        for name in cameras:
            self.pictures[name] = peer.node.create_publisher(
                Image, f'/{name}/image_raw', camera_publisher_qos())
            self.infos[name] = peer.node.create_publisher(
                CameraInfo, f'/{name}/camera_info', camera_publisher_qos())
            peer.listen(Detection2DArray, f'/ped_detector/{name}/detections')
        self.static = peer.node.create_publisher(
            TFMessage, '/tf_static', transforms_qos(is_static=True))
        self.moving = peer.node.create_publisher(TFMessage, '/tf', transforms_qos(is_static=False))
        for kind, topic in ((Detection3DArray, PEOPLE), (Detection2DArray, UNPLACED),
                            (PointCloud2, '/ped_detector/obstacles'),
                            (MarkerArray, '/ped_detector/markers')):
            peer.listen(kind, topic)

    def step(self, now_ns):
        """Let him walk on, no further at a time than he gets on an idle machine."""
        last_ns = max(self.angles_rad)
        walked_s = min((now_ns - last_ns) / 1e9, 1.5 * PERIOD_S)
        self.angles_rad[now_ns] = self.angles_rad[last_ns] + self.speed_rad_s * walked_s

    def place(self, stamp_ns):
        """Give where he was when a picture was taken."""
        angle = self.angles_rad[stamp_ns]
        return 6 * np.cos(angle), 6 * np.sin(angle)

    def speed_m_s(self):
        """Give how fast he went in the last pictures."""
        stamps_ns = sorted(self.angles_rad)[-8:]
        turned_rad = self.angles_rad[stamps_ns[-1]] - self.angles_rad[stamps_ns[0]]
        return 6 * turned_rad / ((stamps_ns[-1] - stamps_ns[0]) / 1e9)

    def transform(self, name, stamp_ns, yaw_deg=None):
        """Give the mounting of a camera as a message."""
        pose_44 = mounting(YAWS_DEG[name] if yaw_deg is None else yaw_deg)
        message = TransformStamped(child_frame_id=f'{name}_optical')
        message.header.frame_id = 'base_link'
        message.header.stamp = time_from_stamp_ns(stamp_ns)
        moved, turned = message.transform.translation, message.transform.rotation
        moved.x, moved.y, moved.z = pose_44[:3, 3].tolist()
        turned.x, turned.y, turned.z, turned.w = Rotation.from_matrix(
            pose_44[:3, :3]).as_quat().tolist()
        return message

    def mount(self):
        """Publish all mountings on /tf_static."""
        self.static.publish(TFMessage(transforms=[
            self.transform(name, 0) for name in self.cameras]))

    def unanswered(self):
        """Give the cameras whose last picture was not looked at yet."""
        newest = {name: self.newest(f'/ped_detector/{name}/detections') for name in self.cameras}
        return [name for name, message in newest.items()
                if not message or stamp_ns(message) != self.asked_ns]

    def tick(self):
        """
        Publish pictures when it is time for them and the last ones have been looked at.

        A busy machine loses pictures, and a node leaves out those that come too fast. Somebody
        whom nobody looked at for seconds may be anywhere, so lost pictures are sent again.
        """
        now_ns = time.time_ns()
        if now_ns < self.due_ns:
            return
        cameras = self.unanswered()
        if not cameras or now_ns > self.asked_ns + GIVE_UP_NS:
            cameras, self.asked_ns = self.cameras, now_ns
            self.step(now_ns)
        # Half of the period is left for listening, however late it is.
        self.due_ns = max(self.due_ns + round(PERIOD_S * 1e9), now_ns + round(PERIOD_S * 5e8))
        place = self.place(self.asked_ns)
        for name in cameras:
            self.infos[name].publish(camera_info_from_intrinsics(
                HW, self.asked_ns, f'{name}_optical', MATRIX))
            self.pictures[name].publish(image_from_bgr(
                picture(place, mounting(YAWS_DEG[name])), self.asked_ns, f'{name}_optical'))

    def until(self, condition, what):
        """Walk until something is so."""
        def ticked():
            self.tick()
            return condition()
        # On a busy machine he walks slowly.
        self.peer.until(ticked, what, patience_s=180)

    def newest(self, topic):
        """Give the newest message of a topic, None before the first."""
        return self.peer.received[topic][-1] if self.peer.received[topic] else None

    def errors_m(self, message):
        """Give how far everybody in a message is from the truth at its stamp."""
        place = self.place(stamp_ns(message))
        return [float(np.hypot(*(np.array([d.bbox.center.position.x, d.bbox.center.position.y])
                                 - place))) for d in message.detections]


@pytest.fixture
def walk(ros_domain, processes, tmp_path):
    """Start a node for some cameras and give the scene."""
    peers = []

    def start(cameras=tuple(YAWS_DEG), parameters=()):
        names = ','.join(f"'{name}'" for name in cameras)
        processes.start([*NODE, tmp_path / 'flag', '--ros-args', '-p', 'self_test:=skip',
                         '-p', f'cameras:=[{names}]', '-p', "views:=['whole']",
                         '-p', 'max_frame_age_s:=3.0', '-p', 'stale_result_s:=5.0',
                         # Pictures may be that late, and seldom: no reason to forget anybody.
                         '-p', 'ground_filter.max_lag_s:=3.2', '-p', 'ground_filter.coast_s:=3.0',
                         *[word for text in parameters for word in ('-p', text)]],
                        name='detector')
        peers.append(ros_peer(ros_domain))
        return Walk(peers[0].__enter__(), cameras)

    yield start
    for peer in peers:
        peer.__exit__(None, None, None)


def test_somebody_who_walks_around_the_vehicle_keeps_his_id_and_is_where_he_is(walk):
    scene = walk()
    scene.mount()
    people = scene.peer.received[PEOPLE]

    def with_somebody():
        return [message for message in people if message.detections]

    scene.until(with_somebody, 'a person')
    begin_rad = max(scene.angles_rad.values())
    scene.until(lambda: max(scene.angles_rad.values()) > begin_rad + 2.4
                and len(with_somebody()) > 30, 'a walk through the pictures of three cameras')
    settled = with_somebody()[8:]
    assert all(message.header.frame_id == 'base_link' for message in settled)
    # Two cameras see him in between, and he is one person all the same.
    counts = [len(message.detections) for message in settled]
    assert np.mean(np.array(counts) == 1) > 0.9, counts
    errors = [error for message in settled for error in scene.errors_m(message)]
    assert np.median(errors) < 0.4
    assert max(errors) < 1.5
    ids = {detection.id for message in settled for detection in message.detections}
    assert len(ids) <= 2, 'he keeps his id from camera to camera'
    cloud = scene.newest('/ped_detector/obstacles')
    x, y, z, vx, vy = np.frombuffer(bytes(cloud.data), np.float32)[:5]
    assert np.hypot(x, y) == pytest.approx(6.0, abs=1.0)
    assert 0.7 < z < 1.0
    assert np.hypot(vx, vy) == pytest.approx(scene.speed_m_s(), abs=0.6)
    assert {marker.ns for marker in scene.newest('/ped_detector/markers').markers} >= {
        'body', 'id', 'ellipse'}


def names_of(message):
    """Give the reasons in a list of unplaced people."""
    return {result.hypothesis.class_id for detection in message.detections
            for result in detection.results[1:]}


def test_without_a_mounting_people_are_unplaced_until_it_comes(walk):
    scene = walk(['front'])
    scene.speed_rad_s = 0.0
    scene.until(lambda: scene.newest(UNPLACED) and 'no_transform' in names_of(
        scene.newest(UNPLACED)), 'the reason')
    assert not scene.newest(PEOPLE).detections, 'no guess'
    (box,) = {(d.bbox.size_x > 10, d.bbox.size_y > 50, d.header.frame_id)
              for d in scene.newest(UNPLACED).detections}
    assert box == (True, True, 'front_optical')
    scene.mount()
    scene.until(lambda: scene.newest(PEOPLE).detections, 'a position once TF is there')
    scene.until(lambda: not scene.newest(UNPLACED).detections, 'nobody without a position')
    assert scene.errors_m(scene.newest(PEOPLE))[0] < 0.6


def test_late_transforms_give_no_position_and_jumping_ones_the_one_of_their_time(walk):
    # The camera is on a turntable: TF comes with every picture, at the right time or late.
    scene = walk(['front'], ['tf_tolerance_s:=0.05'])
    scene.speed_rad_s = 0.0
    late_ns = {'by': 0}

    def turned():
        stamp_ns = time.time_ns() - late_ns['by']
        scene.moving.publish(TFMessage(transforms=[scene.transform('front', stamp_ns)]))

    def until(condition, what):
        def ticked():
            turned()
            return condition()
        scene.until(ticked, what)

    until(lambda: scene.newest(PEOPLE) and scene.newest(PEOPLE).detections, 'a position')
    assert scene.errors_m(scene.newest(PEOPLE))[0] < 0.6
    late_ns['by'] = 2_000_000_000
    until(lambda: 'no_transform' in names_of(scene.newest(UNPLACED)), 'the reason')
    late_ns['by'] = 0
    until(lambda: scene.newest(PEOPLE).detections and not scene.newest(UNPLACED).detections,
          'a position again')
    # Time of TF jumps back by a minute and comes again: what was known is forgotten, no more.
    late_ns['by'] = 60_000_000_000
    turned()
    late_ns['by'] = 0
    seen = len(scene.peer.received[PEOPLE])
    until(lambda: len(scene.peer.received[PEOPLE]) > seen + 3
          and scene.newest(PEOPLE).detections, 'positions after the jump')
    assert scene.errors_m(scene.newest(PEOPLE))[0] < 0.6


def test_a_camera_on_its_side_with_parameters_for_its_mounting(walk):
    # Rolled clockwise, its picture must be turned clockwise to be upright.
    scene = walk(['front'], ['front.rotation_deg:=90', 'front.mounting_xyz_m:=[0.5, 0.0, 1.5]',
                             'front.mounting_rpy_deg:=[90.0, 0.0, 0.0]'])
    scene.speed_rad_s = 0.0
    on_its_side = base_from_optical((0.5, 0.0, 1.5), (90.0, 0.0, 0.0))

    def tick():
        now_ns = time.time_ns()
        if now_ns >= scene.due_ns:
            scene.due_ns = now_ns + round(PERIOD_S * 1e9)
            scene.step(now_ns)
            place = np.array([*scene.place(now_ns), 0.0, 1.0])
            image_hw3 = noise()
            corners = []
            for z in (0.0, 1.7):
                for side in (-0.34, 0.34):
                    place[1], place[2] = side, z
                    point = np.linalg.inv(on_its_side) @ place
                    corners.append((MATRIX @ point[:3])[:2] / point[2])
            (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
            image_hw3[round(top):round(bottom), round(left):round(right)] = 255
            assert right - left > bottom - top, 'he lies in the picture as it is sent'
            scene.infos['front'].publish(camera_info_from_intrinsics(
                HW, now_ns, 'front_optical', MATRIX))
            scene.pictures['front'].publish(image_from_bgr(image_hw3, now_ns, 'front_optical'))
        return scene.newest(PEOPLE) and scene.newest(PEOPLE).detections

    detections = []
    scene.peer.node.create_subscription(
        Detection2DArray, '/ped_detector/front/detections', detections.append, 10)
    scene.peer.until(tick, 'a position')
    assert scene.errors_m(scene.newest(PEOPLE))[0] < 0.6
    scene.peer.until(lambda: tick() and detections and detections[-1].detections, 'boxes')
    box = detections[-1].detections[0].bbox
    assert box.size_x > box.size_y, 'boxes are in pixels of the picture as it was sent'
