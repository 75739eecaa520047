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

"""What the backends that run on the CPU have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

from ped_perception.core.native import bgr_from_pixels, Pixels
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.types import Candidates, Uint8Array, View
from ped_perception.core.views import write_view


class CpuBackend(ABC):
    """A batch buffer in ordinary memory, filled by the CPU; ``infer`` is the runtime's."""

    def __init__(self, info: BackendInfo, batch_nhw3: Uint8Array) -> None:
        """
        Take over what was loaded.

        Args:
            info: what runs here.
            batch_nhw3: uint8[info.max_batch, h, w, 3].
        """
        self._info, self._batch_nhw3 = info, batch_nhw3

    @property
    def info(self) -> BackendInfo:
        """What runs here."""
        return self._info

    @property
    def batch_nhw3(self) -> Uint8Array:
        """The batch buffer, uint8[max_batch, h, w, 3] BGR, writable."""
        return self._batch_nhw3

    @property
    def native_layouts(self) -> frozenset[str]:
        """None: OpenCV scales BGR; see ``core.pipeline.Backend``."""
        return frozenset()

    def fill(self, slot: int, pixels: Pixels, view: View) -> None:
        """Write a view of a picture into a slot; see ``core.pipeline.Backend``."""
        write_view(bgr_from_pixels(pixels), view, self._batch_nhw3[slot])

    @abstractmethod
    def infer(self, count: int) -> Candidates:
        """Run the first ``count`` slots; see ``core.pipeline.Backend``."""

    @abstractmethod
    def close(self) -> None:
        """Release the network; closing twice is harmless."""

    def __enter__(self) -> CpuBackend:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()
