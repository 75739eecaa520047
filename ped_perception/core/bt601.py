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

"""YUV as nearly every camera has it, ITU-R BT.601 in limited range, for ``cv2.transform``."""

from __future__ import annotations

import numpy as np
from ped_perception.core.types import Float64Array


def _yuv_matrices() -> tuple[Float64Array, Float64Array]:
    """Give BGR to YUV and back as [3, 4] affine matrices, ITU-R BT.601, limited range."""
    red, blue = 0.299, 0.114
    luma = np.array([blue, 1 - red - blue, red])
    blueness = (np.array([1, 0, 0]) - luma) / (2 * (1 - blue))
    redness = (np.array([0, 0, 1]) - luma) / (2 * (1 - red))
    matrix = np.stack([luma * 219, blueness * 224, redness * 224]) / 255
    offset = np.array([16, 128, 128])
    inverse = np.linalg.inv(matrix)
    return np.column_stack([matrix, offset]), np.column_stack([inverse, -inverse @ offset])


YUV_FROM_BGR, BGR_FROM_YUV = _yuv_matrices()
