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

"""Every form a camera's picture arrives in, to BGR: ``raw`` and ``compressed`` in one place."""

from ped_perception.core.compressed import bgr_from_compressed, size_hw_from_compressed
from ped_perception.core.raw import bgr_from_raw, known_encodings, pixels_from_raw, raw_from_bgr

__all__ = ['bgr_from_compressed', 'bgr_from_raw', 'known_encodings', 'pixels_from_raw',
           'raw_from_bgr', 'size_hw_from_compressed']
