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

"""Calibration files as ROS's camera_calibration writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ped_perception.core.errors import CalibrationError
from ped_perception.sources.frames import Calibration
import yaml


def calibration_from_yaml(address: str) -> Calibration:
    """
    Read a calibration.

    Args:
        address: path of the file, also written ``file:///…`` as in ``camera_info_url``.

    Raises:
        CalibrationError: the file cannot be read, or a part of it is missing or malformed.
    """
    path = Path(address.removeprefix('file://')).expanduser()
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise CalibrationError(
            f'The calibration {path} cannot be read: {error.strerror}.') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CalibrationError(
            f"The calibration {path} is not YAML as camera_calibration writes it (OpenCV's "
            f'FileStorage is another format): {error}') from error
    if not isinstance(content, dict):
        raise CalibrationError(f'The calibration {path} is empty or no table of values.')
    try:
        return _calibration_from_content(content)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f'{error} is missing' if isinstance(error, KeyError) else str(error)
        raise CalibrationError(
            f'The calibration {path} is not usable: {reason}. It needs image_width, image_height, '
            f'camera_matrix, distortion_model, distortion_coefficients, rectification_matrix and '
            f'projection_matrix as camera_calibration writes them.') from error


def _calibration_from_content(content: dict[str, Any]) -> Calibration:
    size_hw = int(content['image_height']), int(content['image_width'])
    if min(size_hw) < 1:
        raise ValueError(f'the size is {size_hw[1]}x{size_hw[0]}')
    return Calibration(
        size_hw=size_hw, distortion_model=str(content['distortion_model']),
        d=_numbers(content, 'distortion_coefficients', None),
        k=_numbers(content, 'camera_matrix', 9), r=_numbers(content, 'rectification_matrix', 9),
        p=_numbers(content, 'projection_matrix', 12))


def _numbers(content: dict[str, Any], key: str, count: int | None) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in content[key]['data'])
    if count is not None and len(numbers) != count:
        raise ValueError(f'{key} has {len(numbers)} numbers instead of {count}')
    return numbers
