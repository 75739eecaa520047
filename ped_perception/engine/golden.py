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
The golden self-test: a loaded network must find known pedestrians where they are.

It goes the way of camera pictures, in batches and through the letterbox of the backend, so it
finds what no checksum can: red and blue exchanged, a wrong normalisation, slots mixed up, the plan
of another model, float16 that collapsed.
The pictures and what float32 finds in them are shipped (``engines/golden``); other models are
held against what their own float32 graph finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from ped_perception.core.detections import detections_from_candidates
from ped_perception.core.errors import EngineMismatchError, ModelError
from ped_perception.core.pipeline import Backend
from ped_perception.core.types import Detections, Float32Array, Frame, Uint8Array
from ped_perception.core.views import place_view, ViewSpec
from ped_perception.engine.catalogue import engines_folders
from ped_perception.engine.matching import overlaps

FOLDER = 'golden'
EXPECTED_FILE = 'expected.json'
PICTURE_SUFFIXES = ('.jpg', '.png')
CONFIDENT = 0.5         # the score of a pedestrian that must be found
PLAUSIBLE = 0.25        # what is expected at all; nothing else may be confident
LOWEST = 0.05
NMS_IOU = 0.5
KNOWN_BY = ('nanodet_g', (384, 640))    # its boxes are where the pedestrians are

# Boxes float32[M, 5] (xyxy in px of the picture, score), best first, by name of the picture.
Expected: TypeAlias = Mapping[str, Float32Array]


@dataclass(frozen=True)
class Closeness:
    """How far a box and its score may be from what is expected."""

    iou: float
    score: float


# Measured on the shipped model: the letterbox of the GPU, a grey level off here and there, moves a
# score by 0.005, rounding to float16 by 0.0005, INT8 by 0.016; another normalisation moves some by
# 0.025 or more, exchanged colours by 0.1.
CLOSENESS = {'fp32': Closeness(0.95, 0.01), 'fp16': Closeness(0.95, 0.01),
             'bf16': Closeness(0.9, 0.03), 'int8': Closeness(0.85, 0.06)}


@dataclass(frozen=True)
class GoldenReport:
    """
    What the self-test saw.

    Attributes:
        model, precision, backend: what was tested.
        expected: pedestrians that had to be found.
        found: how many of them were.
        worst_iou: smallest overlap with a found one.
        worst_score_shift: largest change of its score.
        problems: what is wrong, one sentence each; none: all is well.
        cause: what that looks like, if it looks like something.
    """

    model: str
    precision: str
    backend: str
    expected: int
    found: int
    worst_iou: float
    worst_score_shift: float
    problems: tuple[str, ...]
    cause: str = ''

    def __str__(self) -> str:
        return (f'{self.model} {self.precision} in {self.backend}: {self.found} of '
                f'{self.expected} known pedestrians found, IoU at least {self.worst_iou:.3f}, '
                f'scores within {self.worst_score_shift:.3f}')

    def refuse(self) -> None:
        """
        Raise if anything is wrong.

        Raises:
            EngineMismatchError: with the problems and the probable cause.
        """
        if self.problems:
            raise EngineMismatchError(
                f'The self-test failed: {"; ".join(self.problems)}. {self.cause} Do not drive '
                'with this engine; build it again: ped_engine build')


def golden_pictures() -> dict[str, Uint8Array]:
    """
    Read the shipped pictures: uint8[H, W, 3] BGR by name.

    Raises:
        ModelError: they are not there or damaged.
    """
    folder = _folder()
    pictures = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in PICTURE_SUFFIXES:
            continue
        image_hw3 = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image_hw3 is None:
            raise ModelError(f'{path} is damaged. Install the package again.')
        pictures[path.name] = np.asarray(image_hw3, np.uint8)
    return pictures


def shipped_expectation(model: str, network_hw: tuple[int, int]) -> Expected | None:
    """
    Read what a model must find; None if nothing is shipped for it at that size.

    Raises:
        ModelError: the file is damaged.
    """
    path = _folder() / EXPECTED_FILE
    try:
        models = json.loads(path.read_text(encoding='utf-8'))
        rows = models.get(model, {}).get(f'{network_hw[1]}x{network_hw[0]}')
        return None if rows is None else {
            name: np.array(boxes, np.float32).reshape(-1, 5) for name, boxes in rows.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f'{path} is damaged ({error}). Install the package again.') from error


def count_known(backend: Backend) -> tuple[int, int]:
    """
    Look for the known pedestrians with a model for which nothing is shipped.

    Its own float32 graph cannot tell whether it was imported as it was trained; these can.

    Returns:
        How many of them it finds with a score of at least ``PLAUSIBLE``, and how many there are.
    """
    known = shipped_expectation(*KNOWN_BY) or {}
    seen = _detect(backend, golden_pictures()).detections
    found, every = 0, 0
    for name, boxes_m5 in known.items():
        must_m4 = boxes_m5[boxes_m5[:, 4] >= CONFIDENT, :4]
        boxes_n4 = seen[name].boxes_n4[seen[name].scores_n >= PLAUSIBLE]
        nearest = overlaps(must_m4, boxes_n4).max(axis=1, initial=0.0)
        found += int(np.count_nonzero(nearest >= NMS_IOU))
        every += len(must_m4)
    return found, every


def expectation_from(backend: Backend) -> Expected:
    """Make an expectation of what a trusted backend finds: the float32 graph on the CPU."""
    found = {}
    for name, detections in _detect(backend, golden_pictures()).detections.items():
        boxes_m5 = np.column_stack([detections.boxes_n4, detections.scores_n])
        found[name] = boxes_m5[detections.scores_n >= PLAUSIBLE].astype(np.float32)
    return found


def run_golden(backend: Backend, model: str, expected: Expected | None = None) -> GoldenReport:
    """
    Run the self-test through a loaded network; its slots are overwritten.

    Args:
        backend: as it will be used.
        model: name of the model it should be.
        expected: what it must find; None takes what is shipped.

    Raises:
        ModelError: nothing is known about what this model must find; say it in ``expected``.
        BackendError: an inference failed.
    """
    info = backend.info
    if expected is None:
        expected = shipped_expectation(model, info.network_hw)
    if expected is None:
        raise ModelError(
            f'No golden boxes are shipped for {model} at {info.network_hw[1]}x'
            f'{info.network_hw[0]}; compare it with its float32 graph: ped_engine verify {model}')
    closeness = CLOSENESS[info.precision]
    every = golden_pictures()
    pictures = {name: every[name] for name in expected}
    seen = _detect(backend, pictures)
    results = [_compare(name, expected[name], seen.detections[name], closeness)
               for name in expected]
    problems = tuple(problem for result in results for problem in result.problems)
    return GoldenReport(
        model, info.precision, info.backend, sum(result.expected for result in results),
        sum(result.found for result in results), min(result.iou for result in results),
        max(result.score_shift for result in results), problems,
        _cause(backend, expected, seen, pictures, closeness) if problems else '')


@dataclass(frozen=True, eq=False)
class _Seen:
    detections: Mapping[str, Detections]
    is_finite: bool


@dataclass(frozen=True)
class _Result:
    expected: int
    found: int
    iou: float
    score_shift: float
    problems: tuple[str, ...]


def _compare(name: str, expected_m5: Float32Array, found: Detections,
             closeness: Closeness) -> _Result:
    """Hold the boxes of one picture against the expected ones."""
    must_m5 = expected_m5[expected_m5[:, 4] >= CONFIDENT]
    iou_mn = overlaps(must_m5[:, :4], found.boxes_n4)
    problems, shifts, ious = [], [0.0], [1.0]
    for index, (*box, score) in enumerate(must_m5.tolist()):
        best = int(iou_mn[index].argmax()) if len(found.scores_n) else -1
        where = f'{name}: the pedestrian at ({box[0]:.0f}, {box[1]:.0f}), score {score:.2f},'
        if best < 0 or iou_mn[index, best] < NMS_IOU:
            problems.append(f'{where} is not found')
            continue
        ious.append(float(iou_mn[index, best]))
        shifts.append(abs(float(found.scores_n[best]) - score))
        if ious[-1] < closeness.iou:
            problems.append(f'{where} is found elsewhere (IoU {ious[-1]:.2f})')
        if not shifts[-1] <= closeness.score:
            problems.append(f'{where} has the score {found.scores_n[best]:.2f}')
    confident_n4 = found.boxes_n4[found.scores_n >= CONFIDENT + closeness.score]
    strangers = int(np.count_nonzero(
        overlaps(confident_n4, expected_m5[:, :4]).max(axis=1, initial=0.0) < NMS_IOU))
    if strangers:
        problems.append(f'{name}: {strangers} pedestrians are found where none are')
    return _Result(len(must_m5), len(ious) - 1, min(ious), max(shifts), tuple(problems))


def _cause(backend: Backend, expected: Expected, seen: _Seen,
           pictures: Mapping[str, Uint8Array], closeness: Closeness) -> str:
    """Guess what is wrong."""
    found = seen.detections
    if not seen.is_finite:
        return 'Its scores are not numbers: the arithmetic overflows.'
    if not any(len(detections.scores_n) for detections in found.values()):
        return 'It finds nothing at all: the scores have collapsed.'
    swapped = _detect(backend, {name: np.ascontiguousarray(image_hw3[:, :, ::-1])
                                for name, image_hw3 in pictures.items()}).detections
    if not any(_compare(name, expected[name], swapped[name], closeness).problems
               for name in expected):
        return 'With red and blue exchanged it is right: the channel order is wrong.'
    nearest = [overlaps(boxes_m5[boxes_m5[:, 4] >= CONFIDENT, :4], found[name].boxes_n4)
               .max(axis=1, initial=0.0) for name, boxes_m5 in expected.items()]
    if np.median(np.concatenate(nearest)) >= NMS_IOU:
        return ('The places are right and the scores are not: the normalisation or the channel '
                'order differs, or the precision is too low.')
    return 'It is another model, or one for another input size.'


def _detect(backend: Backend, pictures: Mapping[str, Uint8Array]) -> _Seen:
    """Find pedestrians in pictures, in their pixels; as many at once as there are slots."""
    detections, is_finite, names = {}, True, list(pictures)
    for first in range(0, len(names), backend.info.max_batch):
        batch = names[first:first + backend.info.max_batch]
        views = [place_view(ViewSpec(), pictures[name].shape[:2], backend.info.network_hw)
                 for name in batch]
        for slot, (name, view) in enumerate(zip(batch, views, strict=True)):
            backend.fill(slot, pictures[name], view)
        candidates = backend.infer(len(batch))
        is_finite &= bool(np.isfinite(candidates.scores_nk).all())
        for slot, (name, view) in enumerate(zip(batch, views, strict=True)):
            detections[name] = detections_from_candidates(
                Frame(name, 0, '', pictures[name]), candidates, range(slot, slot + 1), [view],
                score_threshold=LOWEST, nms_iou=NMS_IOU)
    return _Seen(detections, is_finite)


def _folder() -> Path:
    for folder in engines_folders():
        if (folder / FOLDER / EXPECTED_FILE).is_file():
            return folder / FOLDER
    raise ModelError('The golden pictures are not there. Install the package again.')
