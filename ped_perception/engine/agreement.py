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
Do two ways to compute a network agree? Measured on pictures, refused when they do not.

A faster arithmetic (bf16, fp16, int8) or another runtime is used only after this: it finds the
pedestrians that the float32 graph finds and no others, in the same places, with the same
scores. Both sides must run on the runtime that will use them: a file that is right in one can
be garbage in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from ped_perception.core.detections import detections_from_candidates
from ped_perception.core.errors import ModelError
from ped_perception.core.pipeline import Backend
from ped_perception.core.types import Detections, Float32Array, Frame, Uint8Array
from ped_perception.core.views import place_view, specs_from_texts, ViewSpec, write_view
from ped_perception.engine.matching import average_precision, partners

VIEWS = ('whole', 'whole@0.65')
CONFIDENT = 0.4         # the score of a pedestrian that must be found by both
PLAUSIBLE = 0.2         # the score at which the other side has found it, too
LOWEST = 0.05           # what counts for average precision
NMS_IOU = 0.5
SAME_IOU = 0.5          # two boxes are one pedestrian
FEWEST_BOXES = 20       # fewer say nothing about the 5 % that matter
AP_IOUS = tuple(np.arange(0.5, 1.0, 0.05).round(2).tolist())


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """
    A picture, and the pedestrians in it where somebody marked them.

    Attributes:
        image_hw3: uint8[H, W, 3] BGR.
        boxes_m4: float32[M, 4] xyxy, pixels of the picture; None: nobody marked them.
    """

    image_hw3: Uint8Array
    boxes_m4: Float32Array | None = None


@dataclass(frozen=True)
class Agreement:
    """
    How well a candidate agrees with a reference. Pixels are those of the network input.

    Attributes:
        reference, candidate: precision and runtime, as read back from them.
        pictures: number of pictures seen, each through all views.
        boxes: confident pedestrians of the reference.
        found: share of them that the candidate finds.
        confirmed: share of the candidate's confident pedestrians that the reference finds; 1
            if it has none.
        iou_p05: overlap of a found box with the reference's, reached by all but 5 % of them.
        shift_px_p50, shift_px_p95, shift_px_p99, shift_px_max: by how much the side of a found
            box moves that moves most; percentiles over the boxes.
        score_shift_p95, score_shift_max: by how much its score changes.
        reference_ap, candidate_ap: average precision at IoU 0.50:0.95 in percent, where
            pictures have labels.
    """

    reference: str
    candidate: str
    pictures: int
    boxes: int
    found: float
    confirmed: float
    iou_p05: float
    shift_px_p50: float
    shift_px_p95: float
    shift_px_p99: float
    shift_px_max: float
    score_shift_p95: float
    score_shift_max: float
    reference_ap: float | None = None
    candidate_ap: float | None = None

    def __str__(self) -> str:
        text = (f'{self.candidate} against {self.reference} on {self.pictures} pictures: '
                f'{self.found:.1%} of {self.boxes} pedestrians found, {self.confirmed:.1%} '
                f'confirmed, IoU {self.iou_p05:.3f} for all but 5 %; '
                f'boxes move {self.shift_px_p50:.2f} px in the median, '
                f'{self.shift_px_p95:.2f} px at 95 %, {self.shift_px_max:.1f} px at most; '
                f'scores {self.score_shift_p95:.3f} at 95 %, {self.score_shift_max:.3f} at most')
        if self.reference_ap is not None and self.candidate_ap is not None:
            text += f'; AP {self.reference_ap:.1f} becomes {self.candidate_ap:.1f}'
        return text

    def figures(self) -> dict[str, float | str]:
        """Give what is known by name, rounded, as manifests and models.toml keep it."""
        return {key: round(value, 4) if isinstance(value, float) else value
                for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Tolerance:
    """
    The worst agreement that is accepted; attributes as in :class:`Agreement`.

    A near pedestrian's box of 300 px moves by more px than a far one's of 30: where rounding
    is coarse, the overlap says more than the largest shift.
    """

    found: float
    confirmed: float
    iou_p05: float
    shift_px_p50: float
    shift_px_p99: float
    score_shift_p95: float
    ap_loss: float

    AT_LEAST = ('found', 'confirmed', 'iou_p05')
    AT_MOST = ('shift_px_p50', 'shift_px_p99', 'score_shift_p95')


# fp32: between runtimes. fp16, bf16: 11 and 8 bits of mantissa. int8: on photographs of people
# at all distances NanoDet's graphs for both runtimes pass; CenterNet's, which loses 4 points of
# AP, does not, not even on the easier pictures of one quiet street.
TOLERANCES = {
    'fp32': Tolerance(0.995, 0.995, 0.99, 0.02, 0.2, 0.002, 0.1),
    'fp16': Tolerance(0.99, 0.99, 0.98, 0.25, 0.5, 0.01, 0.3),
    'bf16': Tolerance(0.97, 0.97, 0.95, 0.5, 4.0, 0.04, 0.5),
    'int8': Tolerance(0.97, 0.97, 0.82, 1.25, 40.0, 0.08, 1.2),
}


def measure(reference: Backend, candidate: Backend, pictures: Iterable[LabelledPicture], *,
            views: Sequence[str] = VIEWS, progress: Callable[[], object] = lambda: None,
            ) -> Agreement:
    """
    Compare what two backends find.

    Args:
        reference: usually the float32 graph; it is the truth here.
        candidate: of the same input size.
        pictures: of any sizes, with people; read once.
        views: of ``core.views``, through which the pictures are seen.
        progress: called after every picture.

    Raises:
        ModelError: the input sizes differ.
        BackendError: an inference failed.
    """
    network_hw = reference.info.network_hw
    if candidate.info.network_hw != network_hw:
        raise ModelError(f'Networks of different input sizes (height, width) cannot be compared: '
                         f'{network_hw} and {candidate.info.network_hw}.')
    specs = specs_from_texts(views)
    pairs, labels, count = [], [], 0
    for picture in pictures:
        for spec in specs:
            image_hw3, boxes_m4 = _seen(picture, spec, network_hw)
            pairs.append((_detect(reference, image_hw3), _detect(candidate, image_hw3)))
            labels.append(boxes_m4)
        count += 1
        progress()
    return _summary(_name(reference), _name(candidate), count, pairs, labels)


def refuse(agreement: Agreement, tolerance: Tolerance, remedy: str) -> None:
    """
    Raise when an agreement is worse than tolerated.

    Args:
        agreement: as measured.
        tolerance: one of ``TOLERANCES``, or one's own.
        remedy: what to do then, a sentence for the message.

    Raises:
        ModelError: with the figures, the tolerances they break and the remedy; also when there
            were too few pedestrians to tell.
    """
    if agreement.boxes < FEWEST_BOXES:
        raise ModelError(
            f'{agreement.reference} finds {agreement.boxes} pedestrians in {agreement.pictures} '
            f'pictures; at least {FEWEST_BOXES} are needed to judge {agreement.candidate}. Give '
            'more pictures with people: ped_engine build or verify with --images FOLDER, import '
            'with a larger --calibrate FOLDER.')
    broken = [f'{name} {getattr(agreement, name):.3g} is below {getattr(tolerance, name):.3g}'
              for name in Tolerance.AT_LEAST
              if not getattr(agreement, name) >= getattr(tolerance, name)]
    broken += [f'{name} {getattr(agreement, name):.3g} is above {getattr(tolerance, name):.3g}'
               for name in Tolerance.AT_MOST
               if not getattr(agreement, name) <= getattr(tolerance, name)]
    if agreement.reference_ap is not None and agreement.candidate_ap is not None:
        loss = agreement.reference_ap - agreement.candidate_ap
        if not loss <= tolerance.ap_loss:
            broken.append(f'AP falls by {loss:.1f}, more than {tolerance.ap_loss:.1f}')
    if broken:
        raise ModelError(f'Refused: {agreement}. {"; ".join(broken)}. {remedy}')


def _seen(picture: LabelledPicture, spec: ViewSpec,
          network_hw: tuple[int, int]) -> tuple[Uint8Array, Float32Array | None]:
    """Give a picture, and its labels, as the network sees them."""
    height, width = picture.image_hw3.shape[:2]
    view = place_view(spec, (height, width), network_hw)
    image_hw3 = np.empty((*network_hw, 3), np.uint8)
    write_view(picture.image_hw3, view, image_hw3)
    if picture.boxes_m4 is None:
        return image_hw3, None
    moved = picture.boxes_m4 - np.array(view.crop_xyxy[:2] * 2, np.float32)
    return image_hw3, (moved * np.array(view.scale_xy * 2, np.float32)
                       + np.array(view.pad_xy * 2, np.float32))


def _detect(backend: Backend, image_hw3: Uint8Array) -> Detections:
    """Find pedestrians in a picture of the network's own size, in its pixels."""
    backend.batch_nhw3[0] = image_hw3
    frame = Frame('agreement', 0, '', image_hw3)
    view = place_view(ViewSpec(), frame.source_hw, frame.source_hw)
    return detections_from_candidates(
        frame, backend.infer(1), range(1), [view], score_threshold=LOWEST, nms_iou=NMS_IOU)


def _shared(ours: Detections, theirs: Detections) -> tuple[int, Float32Array]:
    """
    Compare our confident boxes with what they find.

    Returns:
        The number of our confident boxes, and of each that they find, too: IoU, shift in px,
        shift of the score, float32[N, 3].
    """
    count = int(np.count_nonzero(ours.scores_n >= CONFIDENT))
    plausible = int(np.count_nonzero(theirs.scores_n >= PLAUSIBLE))
    partner_n, overlap_n = partners(
        ours.boxes_n4[:count], theirs.boxes_n4[:plausible], SAME_IOU)
    mine, other = np.nonzero(partner_n >= 0)[0], partner_n[partner_n >= 0]
    shift = np.abs(ours.boxes_n4[mine] - theirs.boxes_n4[other]).max(axis=1)
    change = np.abs(ours.scores_n[mine] - theirs.scores_n[other])
    return count, np.stack([overlap_n[mine], shift, change], axis=1)


def _summary(reference: str, candidate: str, pictures: int,
             pairs: Sequence[tuple[Detections, Detections]],
             labels: Sequence[Float32Array | None]) -> Agreement:
    forth = [_shared(ours, theirs) for ours, theirs in pairs]
    back = [_shared(theirs, ours) for ours, theirs in pairs]
    boxes, confident = (sum(count for count, _ in side) for side in (forth, back))
    shared_n3 = np.concatenate([np.zeros((0, 3), np.float32), *(rows for _, rows in forth)])
    confirmed = sum(len(rows) for _, rows in back) / confident if confident else 1.0
    found = len(shared_n3) / max(boxes, 1)
    if not len(shared_n3):
        # Nothing found is no agreement: its boxes are infinitely far away.
        shared_n3 = np.array([[0.0, np.inf, np.inf]], np.float32)
    overlaps, shifts, changes = shared_n3.T
    # Labelled pictures only, for average precision.
    seen = [(pair, boxes_m4) for pair, boxes_m4 in zip(pairs, labels, strict=True)
            if boxes_m4 is not None]
    precisions = [_ap([pair[side] for pair, _ in seen], [boxes_m4 for _, boxes_m4 in seen])
                  for side in (0, 1)]
    return Agreement(
        reference, candidate, pictures, boxes, found, confirmed, _percentile(overlaps, 5),
        *(_percentile(shifts, share) for share in (50, 95, 99, 100)),
        *(_percentile(changes, share) for share in (95, 100)), *precisions)


def _ap(detections: Sequence[Detections], labels: Sequence[Float32Array]) -> float | None:
    """Average precision at IoU 0.50:0.95 in percent, None where nothing is labelled."""
    found = [(one.boxes_n4, one.scores_n) for one in detections]
    values = [average_precision(found, labels, iou) for iou in AP_IOUS if found]
    return float(np.mean(values)) if values else None


def _percentile(values: Float32Array, share: int) -> float:
    # Between two infinities there is no line to interpolate on.
    return float(np.percentile(values, share)) if len(values) > 1 else float(values[0])


def _name(backend: Backend) -> str:
    return f'{backend.info.model} {backend.info.precision} in {backend.info.backend}'
