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

"""Calibration files."""

from __future__ import annotations

from ped_perception.core.errors import CalibrationError
from ped_perception.sources.calibration import calibration_from_yaml
import pytest

CONTENT = """
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix: {rows: 3, cols: 3, data: [438.7, 0, 305.5, 0, 437.3, 243.7, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.36, 0.1, 0.001, -0.0005, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [393.6, 0, 322.7, 0, 0, 393.6, 241.0, 0, 0, 0, 1, 0]}
"""


def test_file_of_camera_calibration(tmp_path):
    file = tmp_path / 'ost.yaml'
    file.write_text(CONTENT)
    for address in (str(file), f'file://{file}'):
        calibration = calibration_from_yaml(address)
        assert calibration.size_hw == (480, 640)
        assert calibration.distortion_model == 'plumb_bob'
        assert calibration.d == (-0.36, 0.1, 0.001, -0.0005, 0.0)
        assert (calibration.k[0], calibration.k[4], calibration.k[8]) == (438.7, 437.3, 1.0)
        assert calibration.r[4] == 1.0
        assert (calibration.p[2], calibration.p[10]) == (322.7, 1.0)


@pytest.mark.parametrize(('content', 'message'), [
    (None, 'cannot be read: No such file'),
    ('', 'empty or no table'),
    ('%YAML:1.0\n---\nM1: !!opencv-matrix\n', 'FileStorage is another format'),
    (CONTENT.replace('camera_matrix', 'matrix'), "'camera_matrix' is missing"),
    (CONTENT.replace('0, 0, 1]}\ndis', '0, 1]}\ndis'), 'camera_matrix has 8 numbers'),
    (CONTENT.replace('640', '0'), 'the size is 0x480'),
    (CONTENT.replace('438.7', 'wide'), 'could not convert'),
    (CONTENT.replace('640', '.inf'), 'cannot convert float infinity'),
])
def test_file_that_is_none(tmp_path, content, message):
    file = tmp_path / 'camera.yaml'
    if content is not None:
        file.write_text(content)
    with pytest.raises(CalibrationError, match=message):
        calibration_from_yaml(str(file))
