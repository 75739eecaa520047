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

"""Six real cameras and a seventh with their calibrations, in every form of recording."""

from __future__ import annotations

import json

import cv2
from doubles import RememberingBackend
import numpy as np
from ped_perception.backends import open_backend
from ped_perception.ros.settings import settings_from_values
import pytest
import recordings
from replays import IMAGE, INFO, JPEG, messages, replayed, rows
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from scipy.spatial.transform import Rotation

pytestmark = pytest.mark.ros

TRANSFORMS = 'tf2_msgs/msg/TFMessage'
RAW, COMPRESSED = '', '/compressed'


@pytest.fixture(scope='module')
def backend():
    """Return the default network, loaded once for all tests."""
    with open_backend(settings_from_values({}).backend, 8) as opened:
        yield RememberingBackend(opened)


@pytest.fixture(scope='module')
def cameras(shared_data):
    """Return file, intrinsic matrix and pose of each camera, the pose None where not known."""
    folder = shared_data / 'nuscenes6'
    known = json.loads((folder / 'cameras.json').read_text())
    found = {name: (folder / 'images' / camera['file_name'], np.array(camera['K']),
                    np.array(camera['cam2ego'])) for name, camera in known.items()}
    calibration = (shared_data / 'kitti3' / 'calib' / '000000.txt').read_text()
    [p2] = [line.split()[1:] for line in calibration.splitlines() if line.startswith('P2:')]
    found['kitti'] = (shared_data / 'kitti3' / 'image_2' / '000000.png',
                      np.array(p2, float).reshape(3, 4)[:, :3], None)
    return found


def transform_message(store, cameras):
    """Build what says where the cameras are mounted."""
    types, transforms = store.types, []
    for name, (_, _, pose_44) in cameras.items():
        if pose_44 is not None:
            x, y, z, w = Rotation.from_matrix(pose_44[:3, :3]).as_quat()
            transforms.append(types['geometry_msgs/msg/TransformStamped'](
                header=recordings.header(0, 'base_link'), child_frame_id=name,
                transform=types['geometry_msgs/msg/Transform'](
                    translation=types['geometry_msgs/msg/Vector3'](*pose_44[:3, 3].tolist()),
                    rotation=types['geometry_msgs/msg/Quaternion'](x, y, z, w))))
    return types[TRANSFORMS](transforms)


def info_message(store, size_hw, k_33, header):
    """Build a CameraInfo of a picture without distortion."""
    return store.types[INFO](
        header=header, height=size_hw[0], width=size_hw[1], distortion_model='plumb_bob',
        d=np.zeros(5), k=k_33.ravel(), r=np.eye(3).ravel(),
        p=np.column_stack([k_33, np.zeros(3)]).ravel(), binning_x=0, binning_y=0,
        roi=store.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False))


def picture_message(store, file, image_hw3, header, transport):
    """Build a raw picture, or the file itself."""
    if transport == COMPRESSED:
        return store.types[JPEG](header=header, format=file.suffix[1:].replace('jpg', 'jpeg'),
                                 data=np.fromfile(file, np.uint8))
    height, width = image_hw3.shape[:2]
    return store.types[IMAGE](header=header, height=height, width=width, encoding='bgr8',
                              is_bigendian=0, step=width * 3, data=image_hw3.ravel())


def write_surround_bag(bag, cameras, *, rounds=1, distribution=Stores.ROS2_HUMBLE,
                       plugin=StoragePlugin.SQLITE3, transport=COMPRESSED,
                       compression=CompressionMode.NONE):
    """Write some rounds of the cameras with their calibrations, and where they are mounted."""
    store = get_typestore(distribution)
    kind = JPEG if transport == COMPRESSED else IMAGE
    writer = Writer(bag, version=8 if distribution == Stores.ROS2_HUMBLE else 9,
                    storage_plugin=plugin)
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        def write(connection, at_ns, message):
            writer.write(connection, at_ns, store.serialize_cdr(message, connection.msgtype))

        static = writer.add_connection('/tf_static', TRANSFORMS, typestore=store)
        write(static, recordings.START_NS, transform_message(store, cameras))
        topics = {name: (
            writer.add_connection(f'/{name}/camera_info', INFO, typestore=store),
            writer.add_connection(f'/{name}/image_raw{transport}', kind, typestore=store))
            for name in cameras}
        images = {name: cv2.imread(str(file)) for name, (file, _, _) in cameras.items()}
        for number in range(rounds):
            for offset, (name, (file, k_33, _)) in enumerate(cameras.items()):
                at_ns = recordings.START_NS + number * 10**8 + offset * 10**6
                header = recordings.header(at_ns, name)
                info, picture = topics[name]
                write(info, at_ns, info_message(store, images[name].shape[:2], k_33, header))
                write(picture, at_ns, picture_message(store, file, images[name], header,
                                                      transport))
    return bag


def found_by(folder, cameras):
    """Give what was found by each camera, picture by picture."""
    return {name: [rows(message) for _, message in messages(
        folder, f'/ped_detector/{name}/detections')] for name in cameras}


def test_people_around_six_cameras_are_placed(cameras, backend, tmp_path):
    """Place people of real pictures by intrinsics and transforms of the recording."""
    bag = write_surround_bag(tmp_path / 'bag', cameras, rounds=4)
    summary = replayed(bag, tmp_path / 'out', backend)
    assert summary.looked_at == 7 * 4
    assert not summary.skipped
    people = messages(tmp_path / 'out', '/ped_detector/pedestrians')[-1][1]
    assert people.header.frame_id == 'base_link'
    assert len(people.detections) >= 3
    for detection in people.detections:
        position = detection.bbox.center.position
        assert 2.0 < np.hypot(position.x, position.y) < 80.0
        assert np.isfinite(detection.results[0].pose.covariance).all()
    # The seventh has a calibration, and nobody knows where it is mounted.
    unplaced = messages(tmp_path / 'out', '/ped_detector/unplaced')[-1][1]
    assert 'no_transform' in {detection.results[1].hypothesis.class_id
                              for detection in unplaced.detections}


@pytest.fixture(scope='module')
def reference(cameras, backend, tmp_path_factory):
    """Return what is found in the pictures of one form of recording."""
    folder = tmp_path_factory.mktemp('reference')
    replayed(write_surround_bag(folder / 'bag', cameras), folder / 'out', backend)
    return found_by(folder / 'out', cameras)


@pytest.mark.parametrize(('distribution', 'plugin', 'transport', 'compression'), [
    # What the recorders write: Humble sqlite3, from Iron on mcap; both can compress either.
    (Stores.ROS2_HUMBLE, StoragePlugin.SQLITE3, RAW, CompressionMode.NONE),
    (Stores.ROS2_HUMBLE, StoragePlugin.MCAP, COMPRESSED, CompressionMode.NONE),
    (Stores.ROS2_HUMBLE, StoragePlugin.SQLITE3, COMPRESSED, CompressionMode.FILE),
    (Stores.ROS2_JAZZY, StoragePlugin.SQLITE3, COMPRESSED, CompressionMode.MESSAGE),
    (Stores.ROS2_JAZZY, StoragePlugin.MCAP, RAW, CompressionMode.NONE),
    (Stores.ROS2_JAZZY, StoragePlugin.MCAP, RAW, CompressionMode.STORAGE),
    (Stores.ROS2_JAZZY, StoragePlugin.MCAP, COMPRESSED, CompressionMode.NONE),
])
def test_every_form_of_recording_gives_the_same(cameras, backend, reference, tmp_path,
                                                distribution, plugin, transport, compression):
    bag = write_surround_bag(
        tmp_path / 'bag', cameras, distribution=distribution, plugin=plugin, transport=transport,
        compression=compression)
    assert replayed(bag, tmp_path / 'out', backend).looked_at == len(cameras)
    assert found_by(tmp_path / 'out', cameras) == reference
    assert sum(len(pictures[0]) for pictures in reference.values()) > 5
