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

"""Pictures of the clip that comes with the package: a street with people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def clip_frame(root: Path, number: int = 60) -> np.ndarray:
    """
    Give a frame of the shipped clip; there are several people in it.

    Args:
        root: folder of the project.
        number: of the frame, from 1.
    """
    video = cv2.VideoCapture(str(root / 'demo' / 'pets_street.mp4'))
    for _ in range(number):
        found, image_hw3 = video.read()
    video.release()
    assert found
    return image_hw3
