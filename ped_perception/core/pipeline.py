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
The whole story in one step: frames in, pedestrians out.

The node, the offline replay and the evaluation all run this object, so that what is measured
is what drives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import time
from types import TracebackType
from typing import Protocol

from ped_perception.core.config import param
from ped_perception.core.detections import detections_from_candidates
from ped_perception.core.errors import ConfigError
from ped_perception.core.types import Candidates, Detections, Frame, Uint8Array, View
from ped_perception.core.views import place_view, specs_from_texts, ViewSpec


@dataclass(frozen=True)
class BackendInfo:
    """
    What runs the network, as published in diagnostics and written in reports.

    Attributes:
        backend: 'onnxruntime', 'openvino' or 'tensorrt'.
        model: name of the model.
        precision: of the arithmetic, read back from the runtime: 'fp32', 'bf16', 'fp16', 'int8'.
        network_hw: height and width of the network input in pixels.
        max_batch: most slots of one inference.
        top_k: candidates of each slot.
        device: what it runs on, in words.
    """

    backend: str
    model: str
    precision: str
    network_hw: tuple[int, int]
    max_batch: int
    top_k: int
    device: str


class Backend(Protocol):
    """
    A loaded network with its batch buffer. One thread opens, uses and closes it.

    ``batch_nhw3`` is allocated once; slots are filled before every :meth:`infer`, with
    :meth:`fill` or in place.
    """

    @property
    def info(self) -> BackendInfo:
        """What runs here."""

    @property
    def batch_nhw3(self) -> Uint8Array:
        """The batch buffer, uint8[max_batch, h, w, 3] BGR, writable."""

    def fill(self, slot: int, image_hw3: Uint8Array, view: View) -> None:
        """
        Crop, scale and pad a picture into one slot, on the CPU or where the network runs.

        Args:
            slot: of the batch.
            image_hw3: uint8[H, W, 3] BGR, of the size the view was placed for; read only until
                this returns.
            view: where the slot looks.

        Raises:
            BackendError: what runs the network refuses; slots filled before are lost.
        """

    def infer(self, count: int) -> Candidates:
        """
        Run the network on the first ``count`` slots.

        The arrays given are valid until the next call.

        Raises:
            BackendError: the inference failed, or count is not 1..max_batch.
        """

    def close(self) -> None:
        """Release everything; closing twice is harmless."""

    def __enter__(self) -> Backend:
        """Give itself."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""


@dataclass(frozen=True)
class DetectorConfig:
    """What is done with a picture, apart from running the network."""

    views: tuple[str, ...] = param(
        ('whole', 'whole@0.65'),
        'What each slot of the batch sees of a picture: whole, whole@0.65 (filling 65 % of the '
        'slot), or a region left,top,right,bottom in fractions.')
    score_threshold: float = param(
        0.44, 'Smallest score of a published detection.', minimum=0.01, maximum=1.0, dynamic=True)
    nms_iou: float = param(
        0.5, 'Two boxes that overlap more than this (intersection over union) are one person.',
        minimum=0.05, maximum=0.95, dynamic=True)
    min_height_px: float = param(
        0.0, 'Smallest height of a published box, in pixels of the camera picture.', unit='px',
        minimum=0.0, maximum=10000.0, dynamic=True)
    max_detections: int = param(
        100, 'Most pedestrians published for one picture, the best ones.', minimum=1,
        maximum=1000, dynamic=True)


@dataclass(frozen=True)
class StageTimes:
    """How long the stages of one step took, in seconds, over all its frames."""

    views_s: float
    infer_s: float
    postprocess_s: float


class Pipeline:
    """
    Turns frames into detections with one backend.

    Used by the thread that owns the backend. Frames of one step share batches, so that N
    cameras cost one inference each as long as their views fit the batch.
    """

    def __init__(self, backend: Backend, config: DetectorConfig) -> None:
        """
        Take a backend, which the caller closes, and check the configuration.

        Raises:
            ConfigError: see :meth:`configure`.
        """
        self._backend = backend
        self.configure(config)

    def configure(self, config: DetectorConfig) -> None:
        """
        Take another configuration from the next step on.

        Raises:
            ConfigError: a view cannot be read, or the views of one picture do not fit the
                batch; the old configuration stays.
        """
        specs = specs_from_texts(config.views)
        if len(specs) > self._backend.info.max_batch:
            raise ConfigError(
                f'{len(specs)} views of a picture do not fit a batch of '
                f'{self._backend.info.max_batch}: open the backend with more slots.')
        self._view_specs = specs
        self._config = config

    @property
    def info(self) -> BackendInfo:
        """What runs the network."""
        return self._backend.info

    def step(self, frames: Sequence[Frame], *, all_views: bool = True
             ) -> tuple[tuple[Detections, ...], StageTimes]:
        """
        Detect pedestrians in some frames.

        Args:
            frames: of any cameras and sizes.
            all_views: whether there is time for more than the first view of each frame.

        Returns:
            The detections of each frame, in the same order, and the time of each stage.

        Raises:
            BackendError: the inference failed; the frames are lost, the pipeline stays usable.
        """
        specs = self._view_specs if all_views else self._view_specs[:1]
        per_batch = self._backend.info.max_batch // len(specs)
        detections: list[Detections] = []
        total = StageTimes(0.0, 0.0, 0.0)
        for first in range(0, len(frames), per_batch):
            found, times = self._step_batch(frames[first:first + per_batch], specs)
            detections += found
            total = StageTimes(total.views_s + times.views_s, total.infer_s + times.infer_s,
                               total.postprocess_s + times.postprocess_s)
        return tuple(detections), total

    def _step_batch(self, frames: Sequence[Frame], specs: Sequence[ViewSpec]
                    ) -> tuple[list[Detections], StageTimes]:
        start = time.perf_counter()
        per_frame = len(specs)
        network_hw = self._backend.info.network_hw
        views = [[place_view(spec, frame.source_hw, network_hw) for spec in specs]
                 for frame in frames]
        for index, frame in enumerate(frames):
            for offset, view in enumerate(views[index]):
                self._backend.fill(index * per_frame + offset, frame.image_hw3, view)
        filled = time.perf_counter()
        candidates = self._backend.infer(len(frames) * per_frame)
        inferred = time.perf_counter()
        config = self._config
        detections = [
            detections_from_candidates(
                frame, candidates, range(index * per_frame, (index + 1) * per_frame),
                views[index], score_threshold=config.score_threshold, nms_iou=config.nms_iou,
                min_height_px=config.min_height_px, max_detections=config.max_detections)
            for index, frame in enumerate(frames)]
        done = time.perf_counter()
        return detections, StageTimes(filled - start, inferred - filled, done - inferred)
