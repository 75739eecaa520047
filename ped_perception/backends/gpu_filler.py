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

"""Slots filled on the GPU: the picture is uploaded, a kernel crops, scales and pads it."""

from __future__ import annotations

from typing import Any

import numpy as np
from ped_perception.backends.gpu_letterbox import (
    ARGUMENTS,
    BLOCK,
    ensure_kernels,
    KERNELS,
    launch_arguments,
    launch_grid,
)
from ped_perception.backends.held import Held
from ped_perception.core.types import Uint8Array, View


class GpuFiller:
    """
    Queues the letterbox of the GPU; used in the thread of the CUDA context.

    Its buffers grow with the largest picture seen; after that nothing is allocated.
    """

    def __init__(self, drv: Any, held: Held, capability: str, *, allow_build: bool) -> None:
        """
        Load the kernel.

        Args:
            drv: the module pycuda.driver.
            held: takes what is allocated here; has 'stream' and the event 'uploaded'.
            capability: of the GPU, as 'sm_87'.
            allow_build: the kernel may be compiled if it is not there.

        Raises:
            BackendError: it is not there and may not or cannot be compiled.
        """
        self._drv, self._held = drv, held
        path = ensure_kernels(capability, allow_build=allow_build)
        module = held.take('module', drv.module_from_file(str(path)))
        kernel = module.get_function(KERNELS['bgr8'])
        kernel.prepare(ARGUMENTS)
        held.take('kernel', kernel)

    def fill(self, pixels: int, network_hw: tuple[int, int], image_hw3: Uint8Array,
             view: View) -> None:
        """
        Upload the crop and queue the kernel; the stream keeps it before the inference.

        Args:
            pixels: address of the slot on the GPU.
            network_hw: height and width of the slot.
            image_hw3: uint8[H, W, 3] BGR; read only until this returns.
            view: where the slot looks.
        """
        x1, y1, x2, y2 = view.crop_xyxy
        crop = image_hw3[y1:y2, x1:x2]
        # The copy queued last still reads the staging buffer.
        self._held['uploaded'].synchronize()
        if 'staging' not in self._held or self._held['staging'].nbytes < crop.nbytes:
            self._grow(crop.nbytes)
        staging = self._held['staging'][:crop.nbytes]
        np.copyto(staging.reshape(crop.shape), crop)
        picture, stream = int(self._held['picture']), self._held['stream']
        self._drv.memcpy_htod_async(picture, staging, stream)
        self._held['uploaded'].record(stream)
        self._held['kernel'].prepared_async_call(
            launch_grid(network_hw), BLOCK, stream, *launch_arguments(
                picture, 3 * (x2 - x1), y2 - y1, (0, 0, x2 - x1, y2 - y1), pixels, network_hw,
                view))

    def _grow(self, size: int) -> None:
        """Make room for a larger picture, after all that reads the old room is done."""
        self._held['stream'].synchronize()
        for name in ('picture', 'staging'):
            self._held.release(name)
        self._held.take('staging', self._drv.pagelocked_empty(size, np.uint8))
        self._held.take_memory('picture', self._drv, size)
