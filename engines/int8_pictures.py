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
Collect the calibration pictures of the shipped INT8 graphs from Debian's opencv-doc package.

Usage: python3 engines/int8_pictures.py EXAMPLES_DATA OUTPUT_FOLDER, then
ped_engine import nanodet_g --size 640x384 --precision int8 --calibrate OUTPUT_FOLDER.

EXAMPLES_DATA is usr/share/doc/opencv-doc/examples/data of the package, version 4.6.0+dfsg-12.
"""

from __future__ import annotations

from pathlib import Path
import shutil
import sys

import cv2

PHOTOGRAPHS = (
    'aero1.jpg', 'aloeL.jpg', 'basketball1.png', 'basketball2.png', 'board.jpg',
    'building.jpg', 'butterfly.jpg', 'chicky_512.png', 'fruits.jpg', 'graf1.png', 'home.jpg',
    'left02.jpg', 'left05.jpg', 'left06.jpg', 'left07.jpg', 'left13.jpg', 'leuvenA.jpg',
    'licenseplate_motion.jpg', 'messi5.jpg', 'right04.jpg', 'right06.jpg', 'right07.jpg',
    'rubberwhale1.png', 'smarties.png', 'squirrel_cls.jpg', 'starry_night.jpg', 'stuff.jpg')
VIDEO = 'vtest.avi'
# The tests measure on the frames before.
FIRST_FRAME = 240
FRAME_STEP = 6


def main(source: Path, output: Path) -> int:
    """Write the pictures; returns how many."""
    output.mkdir(parents=True, exist_ok=True)
    for name in PHOTOGRAPHS:
        shutil.copyfile(source / name, output / name)
    video = cv2.VideoCapture(str(source / VIDEO))
    count, index = len(PHOTOGRAPHS), 0
    while (read := video.read())[0]:
        if index >= FIRST_FRAME and (index - FIRST_FRAME) % FRAME_STEP == 0:
            cv2.imwrite(str(output / f'vtest-{index:04d}.png'), read[1])
            count += 1
        index += 1
    return count


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(main(Path(sys.argv[1]), Path(sys.argv[2])), 'pictures')
