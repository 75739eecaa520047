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

"""From frames to detections: views, batches, inference, merging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import time
from types import TracebackType
from typing import Protocol

import numpy as np
from ped_perception.core.config import param
from ped_perception.core.detections import detections_from_candidates
from ped_perception.core.errors import BackendError, ConfigError
from ped_perception.core.native import Pixels
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

    @property
    def native_layouts(self) -> frozenset[str]:
        """Layouts of ``core.native`` that are cropped and scaled without being decoded."""

    def fill(self, slot: int, pixels: Pixels, view: View) -> None:
        """
        Crop, scale and pad a picture into one slot, on the CPU or where the network runs.

        Args:
            slot: of the batch.
            pixels: uint8[H, W, 3] BGR, or in any native layout, which is decoded where
                ``native_layouts`` lacks it; of the size the view was placed for. Read only
                until this returns.
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
        'slot), a region left,top,right,bottom in fractions, or horizon: the band of far '
        'pedestrians at native resolution, for cameras whose calibration and mounting are known.')
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

    def plus(self, other: StageTimes) -> StageTimes:
        """Add the times of another step."""
        return StageTimes(self.views_s + other.views_s, self.infer_s + other.infer_s,
                          self.postprocess_s + other.postprocess_s)


class Pipeline:
    """
    Turns frames into detections with one backend.

    Used by the thread that owns the backend. Frames of one step share batches, so that N
    cameras cost one inference each as long as their views fit the batch.
    """

    def __init__(self, backend: Backend, config: DetectorConfig, least_score: float = 1.0,
                 small: Backend | None = None) -> None:
        """
        Take a backend, which the caller closes, and check the configuration.

        Args:
            backend: loaded.
            config: what to do with a picture.
            least_score: detections are given from this score on where it is less than
                ``config.score_threshold``: trackers can use what is too unsure to be published.
            small: the same network for a smaller input, for :meth:`step` in a hurry.

        Raises:
            ConfigError: see :meth:`configure`.
        """
        self._backend, self._small = backend, small
        self._least_score = least_score
        self.configure(config)

    def configure(self, config: DetectorConfig) -> None:
        """
        Take another configuration from the next step on.

        Raises:
            ConfigError: a view cannot be read, or the views of one picture do not fit the
                batch; the old configuration stays.
        """
        specs = specs_from_texts(config.views)
        if len(config.views) > self._backend.info.max_batch:
            raise ConfigError(
                f'{len(config.views)} views of a picture do not fit a batch of '
                f'{self._backend.info.max_batch}: open the backend with more slots.')
        self._view_specs = specs
        self._config = config

    @property
    def info(self) -> BackendInfo:
        """What runs the network."""
        return self._backend.info

    @property
    def native_layouts(self) -> frozenset[str]:
        """Layouts of ``core.native`` that need not be decoded for the backend."""
        return self._backend.native_layouts

    def take_backends(self, backend: Backend, small: Backend | None) -> None:
        """Go on with other backends for the same network; the old ones are not touched."""
        self._backend, self._small = backend, small

    @property
    def config(self) -> DetectorConfig:
        """What is done with a picture now."""
        return self._config

    def step(self, frames: Sequence[Frame], views: Sequence[Sequence[ViewSpec]] | None = None,
             small: bool = False) -> tuple[tuple[Detections, ...], StageTimes]:
        """
        Detect pedestrians in some frames.

        Args:
            frames: of any cameras and sizes.
            views: of each frame, at least one and no more than fit a batch; None for those of
                the configuration.
            small: let the small network look, if there is one.

        Returns:
            The detections of each frame, in the same order, and the time of each stage.

        Raises:
            BackendError: the inference failed; the frames are lost, the pipeline stays usable.
        """
        backend = self._small if small and self._small is not None else self._backend
        network_hw = backend.info.network_hw
        placed = [[place_view(spec, frame.source_hw, network_hw)
                   for spec in (self._view_specs if views is None else views[index])]
                  for index, frame in enumerate(frames)]
        detections: list[Detections] = []
        total = StageTimes(0.0, 0.0, 0.0)
        for first, end in batches([len(of_frame) for of_frame in placed],
                                  backend.info.max_batch):
            found, times = self._step_batch(backend, frames[first:end], placed[first:end])
            detections += found
            total = total.plus(times)
        return tuple(detections), total

    def _step_batch(self, backend: Backend, frames: Sequence[Frame],
                    views: Sequence[Sequence[View]]) -> tuple[list[Detections], StageTimes]:
        start = time.perf_counter()
        slots, slot = [], 0
        for frame, of_frame in zip(frames, views, strict=True):
            slots.append(range(slot, slot + len(of_frame)))
            for view in of_frame:
                backend.fill(slot, frame.pixels, view)
                slot += 1
        filled = time.perf_counter()
        candidates = backend.infer(slot)
        inferred = time.perf_counter()
        config = self._config
        least_score = min(config.score_threshold, self._least_score)
        _refuse_nonsense(candidates, slot, least_score)
        detections = [
            detections_from_candidates(
                frame, candidates, slots[index], views[index], score_threshold=least_score,
                nms_iou=config.nms_iou, min_height_px=config.min_height_px,
                max_detections=config.max_detections)
            for index, frame in enumerate(frames)]
        done = time.perf_counter()
        return detections, StageTimes(filled - start, inferred - filled, done - inferred)


def _refuse_nonsense(candidates: Candidates, count: int, least_score: float) -> None:
    """
    Raise BackendError where a network that has gone wrong found "nobody".

    No threshold lets NaN pass, so that it would be published as an empty street.
    """
    scores_nk, boxes_nk4 = candidates.scores_nk[:count], candidates.boxes_nk4[:count]
    if not (np.isfinite(scores_nk).all()
            and np.isfinite(boxes_nk4[scores_nk >= least_score]).all()):
        raise BackendError('The network answers with what are no numbers. The device may be '
                           'faulty, or the arithmetic overflows: see ped_engine verify')


def batches(counts: Sequence[int], capacity: int) -> Iterator[tuple[int, int]]:
    """
    Put frames into batches in their order, each frame with all its views into one.

    Args:
        counts: views of each frame.
        capacity: most slots of a batch.

    Yields:
        First frame of a batch and the one after its last.

    Raises:
        ValueError: a frame has more views than a batch has slots.
    """
    first, filled = 0, 0
    for index, count in enumerate(counts):
        if count > capacity:
            raise ValueError(f'{count} views of one frame do not fit a batch of {capacity}')
        if filled + count > capacity:
            yield first, index
            first, filled = index, 0
        filled += count
    if filled:
        yield first, len(counts)
