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
Write pets_street.mcap, the small recording that ships: ``python demo/make_bag.py``.

The pictures of the clip as JPEG, with a CameraInfo each, as a camera driver records them. The
same versions of OpenCV, its codecs and rosbags write the same bytes.
"""

from __future__ import annotations

from pathlib import Path
import shutil
import tempfile

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

FOLDER = Path(__file__).resolve().parent
CLIP, BAG = FOLDER / 'pets_street.mp4', FOLDER / 'pets_street.mcap'
FRAMES, RATE_HZ, QUALITY = 36, 10, 64
FIRST_STAMP_NS = 1_000_000_000
# A recorder writes a picture some time after it was taken.
WRITTEN_AFTER_NS = 4_000_000
FRAME_ID = 'camera_optical_frame'
# Nobody calibrated this camera. A field of view of 60 degrees is an assumption, good enough to
# see everything at work, and for nothing else.
FIELD_OF_VIEW_RAD = np.deg2rad(60.0)

STORE = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, INFO = 'sensor_msgs/msg/CompressedImage', 'sensor_msgs/msg/CameraInfo'


def header(stamp_ns: int) -> object:
    """Build a std_msgs/Header."""
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    stamp = STORE.types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)
    return STORE.types['std_msgs/msg/Header'](stamp=stamp, frame_id=FRAME_ID)


def camera_info(height: int, width: int, stamp_ns: int) -> object:
    """Build a CameraInfo of the assumed camera."""
    focal = width / 2 / np.tan(FIELD_OF_VIEW_RAD / 2)
    k_33 = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    roi = STORE.types['sensor_msgs/msg/RegionOfInterest'](
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return STORE.types[INFO](
        header=header(stamp_ns), height=height, width=width, distortion_model='plumb_bob',
        d=np.zeros(5), k=k_33.ravel(), r=np.eye(3).ravel(),
        p=np.column_stack([k_33, np.zeros(3)]).ravel(), binning_x=0, binning_y=0, roi=roi)


def write_bag(folder: Path) -> Path:
    """Write the recording into a folder that does not exist; give its file."""
    video = cv2.VideoCapture(str(CLIP))
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection('/camera/image_raw/compressed', IMAGE, typestore=STORE)
        infos = writer.add_connection('/camera/camera_info', INFO, typestore=STORE)
        for index in range(FRAMES):
            found, image_hw3 = video.read()
            if not found:
                raise SystemExit(f'{CLIP} has only {index} frames')
            _, jpeg = cv2.imencode('.jpg', image_hw3, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            stamp_ns = FIRST_STAMP_NS + index * 1_000_000_000 // RATE_HZ
            written_ns = stamp_ns + WRITTEN_AFTER_NS
            info = camera_info(*image_hw3.shape[:2], stamp_ns)
            writer.write(infos, written_ns, STORE.serialize_cdr(info, INFO))
            message = STORE.types[IMAGE](header=header(stamp_ns), data=jpeg.ravel(),
                                         format='bgr8; jpeg compressed bgr8')
            writer.write(images, written_ns, STORE.serialize_cdr(message, IMAGE))
    (file,) = folder.glob('*.mcap')
    return file


def main() -> None:
    """Write the recording beside the clip."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(write_bag(Path(folder) / 'pets_street'), BAG)
    print(f'{BAG.name}: {FRAMES} pictures, {BAG.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
