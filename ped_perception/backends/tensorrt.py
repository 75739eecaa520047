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
TensorRT on an NVIDIA GPU: TensorRT 10, TensorRT 11 and TensorRT-RTX through pycuda.

The only file that knows pycuda. Nothing in pycuda up to 2026.1 captures CUDA graphs, so none is
replayed here: work is queued anew for every batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
import threading
import traceback
from types import TracebackType
from typing import Any

import numpy as np
from ped_perception.backends.config import BackendConfig
from ped_perception.backends.gpu_filler import GpuFiller
from ped_perception.backends.graph_io import (
    check_batch,
    check_count,
    graph_shape_from_io,
    INPUT,
    OUTPUTS,
)
from ped_perception.backends.held import Held
from ped_perception.backends.plan_io import admitted_plan, io_of_engine
from ped_perception.core.errors import BackendError, EngineMismatchError, import_extra
from ped_perception.core.native import bgr_from_pixels, Pixels
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.types import Candidates, Uint8Array, View
from ped_perception.core.views import write_view
from ped_perception.engine.flavors import Library
from ped_perception.engine.gpu import Gpu
from ped_perception.engine.listening import make_log, start
from ped_perception.engine.manifest import LoadedPlan, Recipe

MIB = 1 << 20
ERRORS_KEPT = 5


class TensorRtBackend:
    """
    Runs a plan. The thread that opens it owns its CUDA context and must use and close it.

    Everything on the GPU and every page-locked buffer is allocated when it is opened, and freed
    in reverse order when it is closed, the context last. Only the buffers of ``preprocess: gpu``
    grow, with the largest picture seen.
    """

    def __init__(self, plan: Path, config: BackendConfig, max_batch: int) -> None:
        """
        Load a plan; see :func:`ped_perception.backends.open_graph` for the arguments.

        Raises:
            MissingExtraError: pycuda or TensorRT is not installed.
            EngineMismatchError: the plan is damaged, or not for this machine or this request.
            BackendError: there is no such GPU, or CUDA or TensorRT refuses.
        """
        loaded, library, gpu = admitted_plan(plan, config)
        check_batch(max_batch)
        self._drv: Any = import_extra('pycuda.driver', library.flavor.extra)
        self._thread = threading.get_ident()
        self._problem = ''
        self._held = Held()
        self._filler: GpuFiller | None = None
        self._on_gpu: set[int] = set()
        self._log = make_log(library.trt, keep=ERRORS_KEPT)
        try:
            self._take_gpu(config.device)
            self._load(loaded, library, max_batch)
            self._allocate(max_batch)
            if config.preprocess == 'gpu':
                self._filler = GpuFiller(self._drv, self._held, gpu.capability,
                                         allow_build=config.allow_build)
            self._info = self._describe(loaded.manifest.recipe, library, gpu, max_batch)
        except BaseException as error:
            # Also of what Ctrl-C interrupts: the next one to load finds the GPU empty. The frames
            # that failed still name what is to be freed.
            traceback.clear_frames(error.__traceback__)
            with suppress(self._drv.Error):
                self._held.release_all()
            if isinstance(error, (self._drv.Error, _RefusedError)):
                raise BackendError(f'{plan} cannot be loaded on {gpu}: {error}. If the memory of '
                                   'the GPU is full, end what else uses it.') from error
            raise

    # --- opening -----------------------------------------------------------------------------

    def _take_gpu(self, index: int) -> None:
        """Make the primary context, which all libraries of a process share, current here."""
        self._drv.init()
        context = self._drv.Device(index).retain_primary_context()
        context.push()
        # Not detach(): it would end the context, and with it the batch buffer, under whoever
        # still holds that. Dropping the last reference releases it.
        self._held.take('context', context, lambda held: held.pop())
        self._held.take('stream', self._drv.Stream())
        # An event that blocks, because the stream's own synchronise spins: that core is for the
        # camera drivers.
        flags = self._drv.event_flags
        for name in ('done', 'uploaded'):
            self._held.take(name, self._drv.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING))

    def _load(self, loaded: LoadedPlan, library: Library, max_batch: int) -> None:
        runtime = self._held.take('runtime', start(library.trt.Runtime, self._log))
        engine = runtime.deserialize_cuda_engine(loaded.data)
        if engine is None:
            raise self._refusal('TensorRT does not take the plan')
        self._held.take('engine', engine)
        self._shape = graph_shape_from_io(loaded.path, *io_of_engine(library.trt, engine))
        low, _, high = (int(shape[0]) for shape in engine.get_tensor_profile_shape(INPUT, 0))
        if max_batch > high:
            raise EngineMismatchError(
                f'{loaded.path} takes batches of {low} to {high}, not of {max_batch}. Build one '
                f'that does: ped_engine build {loaded.manifest.recipe.name} '
                f'--batch 1,{max_batch},{max_batch}')
        self._least = low
        execution = engine.create_execution_context()
        if execution is None:
            raise self._refusal('TensorRT cannot make an execution context')
        self._held.take('execution', execution)

    def _allocate(self, max_batch: int) -> None:
        """Allocate host and device buffers and tell TensorRT where they are."""
        slots = max(max_batch, self._least)
        top_k = self._shape.top_k
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            INPUT: ((slots, *self._shape.network_hw, 3), np.uint8),
            OUTPUTS[0]: ((slots, top_k, 4), np.float32), OUTPUTS[1]: ((slots, top_k), np.float32)}
        for name, (shape, dtype) in shapes.items():
            host = self._held.take(f'{name} host', self._drv.pagelocked_empty(shape, dtype))
            host[:] = 0
            device = self._held.take_memory(name, self._drv, host.nbytes)
            if not self._held['execution'].set_tensor_address(name, device):
                raise self._refusal(f'TensorRT does not take the address of {name}')
        # What the caller gets is ordinary memory: it outlives this backend if he keeps it.
        self._boxes_nk4 = np.zeros((max_batch, top_k, 4), np.float32)
        self._scores_nk = np.zeros((max_batch, top_k), np.float32)

    def _describe(self, recipe: Recipe, library: Library, gpu: Gpu,
                  max_batch: int) -> BackendInfo:
        free, total = self._drv.mem_get_info()
        activations = self._held['engine'].device_memory_size_v2
        return BackendInfo(
            'tensorrt', recipe.name, recipe.precision, self._shape.network_hw, max_batch,
            self._shape.top_k,
            f'{gpu}, {library}, {-(-activations // MIB)} MiB for activations, '
            f'{(total - free) // MIB} of {total // MIB} MiB of GPU memory in use by all')

    # --- running -----------------------------------------------------------------------------

    @property
    def info(self) -> BackendInfo:
        """What runs here."""
        return self._info

    @property
    def batch_nhw3(self) -> Uint8Array:
        """The batch buffer, uint8[max_batch, h, w, 3] BGR, writable, page-locked."""
        self._check_open()
        batch: Uint8Array = self._held[f'{INPUT} host'][:self._info.max_batch]
        return batch

    @property
    def native_layouts(self) -> frozenset[str]:
        """Those that the kernels of the letterbox read; see ``core.pipeline.Backend``."""
        return frozenset() if self._filler is None else self._filler.native_layouts

    def fill(self, slot: int, pixels: Pixels, view: View) -> None:
        """Write a view of a picture into a slot; see ``core.pipeline.Backend``."""
        self._check_open()
        check_count(slot + 1, self._info.max_batch)
        if self._filler is None:
            write_view(bgr_from_pixels(pixels), view, self.batch_nhw3[slot])
            return
        network_hw = self._shape.network_hw
        address = int(self._held[INPUT]) + slot * 3 * network_hw[0] * network_hw[1]
        with self._reporting(f'The letterbox failed on slot {slot}'):
            self._filler.fill(address, network_hw, pixels, view)
        self._on_gpu.add(slot)

    def infer(self, count: int) -> Candidates:
        """Run the first ``count`` slots; see ``core.pipeline.Backend``."""
        self._check_open()
        check_count(count, self._info.max_batch)
        with self._reporting(f'TensorRT failed on a batch of {count}'):
            # Slots beyond count fill a plan up that takes no smaller batch.
            self._run(max(count, self._least))
        results = (self._boxes_nk4[:count], self._scores_nk[:count])
        for name, result in zip(OUTPUTS, results, strict=True):
            np.copyto(result, self._held[f'{name} host'][:count])
        return Candidates(*results)

    def _run(self, count: int) -> None:
        stream, execution = self._held['stream'], self._held['execution']
        batch = self._held[f'{INPUT} host']
        images, slot_bytes = int(self._held[INPUT]), batch[0].nbytes
        for first, last in _runs_without(self._on_gpu, count):
            self._drv.memcpy_htod_async(images + first * slot_bytes, batch[first:last], stream)
        # A slot filled on the GPU counts for one inference, as the caller fills it for each.
        self._forget_filled()
        if not execution.set_input_shape(INPUT, (count, *batch.shape[1:])):
            raise self._refusal('it does not take the shape')
        if not execution.execute_async_v3(stream.handle):
            raise self._refusal('it does not start')
        for name in OUTPUTS:
            self._drv.memcpy_dtoh_async(self._held[f'{name} host'][:count],
                                        int(self._held[name]), stream)
        self._held['done'].record(stream)
        self._held['done'].synchronize()

    def _forget_filled(self) -> None:
        self._on_gpu.clear()
        if self._filler is not None:
            self._filler.forget()

    # --- failing and closing -----------------------------------------------------------------

    def _check_open(self) -> None:
        if not self._held:
            raise BackendError('The backend is closed; open a new one.')

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise BackendError('A TensorRT backend belongs to the thread that opened it, because '
                               'its CUDA context does. Open, use and close it in one thread.')

    @contextmanager
    def _reporting(self, failure: str) -> Iterator[None]:
        """
        Turn what CUDA and TensorRT refuse into a BackendError that says what still works.

        After some errors CUDA refuses everything else in the process: whether this is one is
        found out by waiting for the stream, which also ends what was queued before the failure.
        """
        self._check_open()
        self._check_thread()
        if self._problem:
            raise BackendError(f'The backend cannot be used any more. {self._problem}')
        try:
            yield
        except (self._drv.Error, _RefusedError) as error:
            # Whoever keeps the error must not keep, through its frames, what close() is to free.
            traceback.clear_frames(error.__traceback__)
            self._forget_filled()
            advice = 'The batch is lost, the backend stays usable.'
            try:
                self._held['stream'].synchronize()
            except self._drv.Error:
                advice = 'CUDA cannot go on in this process: restart it.'
                self._problem = f'{failure}: {error}. {advice}'
            raise BackendError(f'{failure}: {error}. {advice}') from error

    def _refusal(self, what: str) -> _RefusedError:
        said = '; '.join(self._log.errors) or 'it gives no reason'
        self._log.errors.clear()
        return _RefusedError(f'{what} ({said})')

    def close(self) -> None:
        """
        Release everything; closing twice is harmless.

        Raises:
            BackendError: in another thread than the one that opened it; nothing is released.
        """
        if not self._held:
            return
        self._check_thread()
        # What CUDA says here it has said before, or nobody can do anything about it.
        with suppress(self._drv.Error):
            self._held['stream'].synchronize()
        with suppress(self._drv.Error):
            self._held.release_all()

    def __enter__(self) -> TensorRtBackend:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()


class _RefusedError(Exception):
    """TensorRT said no; it returns that instead of raising."""


def _runs_without(excluded: set[int], count: int) -> Iterator[tuple[int, int]]:
    """Give the runs (first, after last) of the numbers below count that are not excluded."""
    first = 0
    for end in [*sorted(number for number in excluded if number < count), count]:
        if first < end:
            yield first, end
        first = end + 1
