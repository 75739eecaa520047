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
from ped_perception.core.native import NativePixels, Pixels
from ped_perception.core.types import Uint8Array, View


class GpuFiller:
    """
    Queues the letterbox of the GPU; used in the thread of the CUDA context.

    Its buffers grow with the largest picture seen; after that nothing is allocated. A picture in
    the layout of the camera crosses the bus once, however many slots look at it.

    Attributes:
        native_layouts: that are taken as they are.
    """

    native_layouts: frozenset[str] = frozenset(KERNELS) - {'bgr8'}

    def __init__(self, drv: Any, held: Held, capability: str, *, allow_build: bool) -> None:
        """
        Load the kernels.

        Args:
            drv: the module pycuda.driver.
            held: takes what is allocated here; has 'stream' and the event 'uploaded'.
            capability: of the GPU, as 'sm_87'.
            allow_build: the kernels may be compiled if they are not there.

        Raises:
            BackendError: they are not there and may not or cannot be compiled.
        """
        self._drv, self._held = drv, held
        path = ensure_kernels(capability, allow_build=allow_build)
        module = held.take('module', drv.module_from_file(str(path)))
        for layout, name in KERNELS.items():
            kernel = module.get_function(name)
            kernel.prepare(ARGUMENTS)
            held.take(f'kernel {layout}', kernel)
        self._uploaded: NativePixels | None = None

    def fill(self, slot: int, network_hw: tuple[int, int], pixels: Pixels, view: View) -> None:
        """
        Upload what is not there yet and queue the kernel; the stream keeps the order.

        Args:
            slot: its address on the GPU.
            network_hw: height and width of the slot.
            pixels: uint8[H, W, 3] BGR, of which the crop is uploaded, or in a native layout, which
                is uploaded whole; read only until this returns.
            view: where the slot looks.
        """
        if isinstance(pixels, NativePixels):
            if pixels is not self._uploaded:
                self._upload(pixels.rows_rs)
                self._uploaded = pixels
            layout, pitch, height = pixels.layout, pixels.rows_rs.shape[1], pixels.size_hw[0]
            crop_xyxy = view.crop_xyxy
        else:
            x1, y1, x2, y2 = view.crop_xyxy
            self._upload(pixels[y1:y2, x1:x2])
            layout, pitch, height = 'bgr8', 3 * (x2 - x1), y2 - y1
            crop_xyxy = (0, 0, x2 - x1, y2 - y1)
        self._held[f'kernel {layout}'].prepared_async_call(
            launch_grid(network_hw), BLOCK, self._held['stream'], *launch_arguments(
                int(self._held['picture']), pitch, height, crop_xyxy, slot, network_hw, view))

    def forget(self) -> None:
        """Let go of the picture uploaded last; it is uploaded anew if it comes again."""
        self._uploaded = None

    def _upload(self, data: Uint8Array) -> None:
        """Queue the copy of some rows to the GPU, without gaps between them."""
        self.forget()
        # The copy queued last still reads the staging buffer.
        self._held['uploaded'].synchronize()
        if 'staging' not in self._held or self._held['staging'].nbytes < data.nbytes:
            self._grow(data.nbytes)
        staging = self._held['staging'][:data.nbytes]
        np.copyto(staging.reshape(data.shape), data)
        stream = self._held['stream']
        self._drv.memcpy_htod_async(int(self._held['picture']), staging, stream)
        self._held['uploaded'].record(stream)

    def _grow(self, size: int) -> None:
        """Make room for a larger picture, after all that reads the old room is done."""
        self._held['stream'].synchronize()
        for name in ('picture', 'staging'):
            self._held.release(name)
        self._held.take('staging', self._drv.pagelocked_empty(size, np.uint8))
        self._held.take_memory('picture', self._drv, size)
