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
Pulls the pictures worth labelling out of a drive, with what was found in them as first labels.

The source is read twice: everything is looked at, with the pipeline and the tracker that drive;
then the chosen pictures are written, those of a JPEG recording as the camera made them. What is
remembered in between are some hundred bytes a picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.detections import detections_from_candidates
from ped_perception.core.errors import ConfigError, ImageError, SourceError
from ped_perception.core.native import Pixels
from ped_perception.core.perception import Perception, PerceptionConfig
from ped_perception.core.pipeline import Backend, BackendInfo
from ped_perception.core.stamps import AgeConfig, StampGuard, StampVerdict
from ped_perception.core.types import Candidates, Detections, Frame, Uint8Array, View
from ped_perception.core.views import HORIZON
from ped_perception.evaluation.harvest_files import Harvest, HarvestConfig, write_harvest
from ped_perception.evaluation.selection import selected, Selection
from ped_perception.evaluation.worth import (
    chosen,
    Glimpse,
    LEAST_VALUES,
    look_of,
    note_scores,
    note_views,
    TrackWatch,
)
from ped_perception.sources import Source, SourceFrame


def harvest(source: Source, output: Path, selection: Selection, backend_config: BackendConfig,
            config: PerceptionConfig, age: AgeConfig, how: HarvestConfig,
            progress: Callable[[], object] = lambda: None) -> Harvest:
    """
    Harvest a source with any number of cameras.

    Args:
        source: a recording, a video or a folder of pictures.
        output: gets ``images/``, ``labels.json`` (COCO) and ``harvest.json``; must not exist.
        selection: which pictures to choose from.
        backend_config: what runs the network.
        config: everything else.
        age: tells time that was set back from pictures out of order.
        how: how much.
        progress: called after each picture that was looked at.

    Raises:
        PedPerceptionError: the source, the network or the configuration is unusable; nothing is
            left behind.
    """
    if source.is_live:
        raise ConfigError(f'{source.name} is live, and cannot be read twice. Record it first.')
    if output.exists():
        raise ConfigError(f'{output} exists already, and nothing is overwritten. Remove it, or '
                          f'give another name.')
    with (open_backend(backend_config, len(config.detector.views)) as backend,
          Perception(listening := ListeningBackend(backend), config) as perception):
        later = Later(age, perception.reset)
        glimpses, undecodable = _looked_over(
            (picture for picture in selected(source, selection) if later.takes(picture[1])),
            listening, perception, config, progress)
        if not glimpses:
            raise SourceError(f'None of the {undecodable} pictures of {source.name} can be '
                              f'decoded.')
        picks = chosen(glimpses, how.count, round(how.min_gap_s * 1e9))
        done = Harvest(backend.info, len(glimpses), undecodable, later.disordered, source.skipped,
                       _worth(glimpses), sorted(picks, key=lambda pick: pick.number))
        write_harvest(source, output, selection, perception.pipeline, done, how)
    return done


def _looked_over(frames: Iterable[tuple[int, SourceFrame]], backend: ListeningBackend,
                 perception: Perception, config: PerceptionConfig,
                 progress: Callable[[], object]) -> tuple[list[Glimpse], int]:
    """Look at all pictures; give what is to be remembered, and how many could not be read."""
    glimpses: list[Glimpse] = []
    undecodable = 0
    watches: dict[str, TrackWatch] = defaultdict(TrackWatch)
    threshold = config.detector.score_threshold
    for number, taken in frames:
        try:
            frame = taken.frame()
        except ImageError:
            undecodable += 1
            continue
        (seen,) = perception.step([frame])
        glimpse = Glimpse(number, frame.camera, frame.stamp_ns, look_of(frame.image_hw3))
        note_scores(glimpse, seen.detections, threshold)
        note_views(glimpse, _by_view(frame, backend, config), threshold)
        watches[frame.camera].take(glimpse, seen.tracks)
        glimpses.append(glimpse)
        progress()
    return glimpses, undecodable


class Later:
    """
    Takes the pictures that are later than the one before of their camera.

    Attributes:
        disordered: number of those that it did not take.
    """

    def __init__(self, age: AgeConfig, forget_everybody: Callable[[], None]) -> None:
        """Begin; ``forget_everybody`` is called when time was set back."""
        # A recording has no age; order and repetitions count all the same.
        self._age, self._forget_everybody = replace(age, max_frame_age_s=0.0), forget_everybody
        self._guards: dict[str, StampGuard] = defaultdict(StampGuard)
        self.disordered = 0

    def takes(self, taken: SourceFrame) -> bool:
        """Judge the next picture by its stamp."""
        guard = self._guards[taken.camera]
        jumps = guard.jumps
        verdict = guard.judge(taken.stamp_ns, taken.stamp_ns, self._age)
        self.disordered += verdict is not StampVerdict.FINE
        if guard.jumps > jumps:
            self._forget_everybody()
            for known in self._guards.values():
                known.reset()
        return verdict is StampVerdict.FINE


def _by_view(frame: Frame, backend: ListeningBackend, config: PerceptionConfig,
             ) -> list[tuple[str, float, Detections]]:
    """Give what each view of the newest picture shows, before they are merged."""
    detector, candidates = config.detector, backend.candidates
    # Where nothing is known of the mounting of a camera there is no horizon.
    names = [text for text in detector.views if text != HORIZON]
    return [(name, view.scale_xy[1], detections_from_candidates(
        frame, candidates, [slot], [view], nms_iou=detector.nms_iou,
        score_threshold=min(detector.score_threshold, config.tracker.low_score),
        min_height_px=detector.min_height_px, max_detections=detector.max_detections))
        for slot, (name, view) in enumerate(zip(names, backend.views, strict=True))]


def _worth(glimpses: Sequence[Glimpse]) -> dict[str, int]:
    return {reason: sum(reason in glimpse.values and glimpse.values[reason].value >= least
                        for glimpse in glimpses)
            for reason, least in LEAST_VALUES.items() if reason != 'different'}


class ListeningBackend:
    """
    A backend that tells what it was asked last and what it found: each view by itself.

    Attributes:
        views: of the slots of the last inference.
        candidates: of the last inference, valid until the next.
    """

    def __init__(self, backend: Backend) -> None:
        """Take a backend, which the caller closes."""
        self._backend = backend
        self._filled: dict[int, View] = {}
        self.views: list[View] = []
        # The first inference allocates.
        self.candidates: Candidates = backend.infer(backend.info.max_batch)

    @property
    def info(self) -> BackendInfo:
        """What runs here."""
        return self._backend.info

    @property
    def batch_nhw3(self) -> Uint8Array:
        """The batch buffer."""
        return self._backend.batch_nhw3

    @property
    def native_layouts(self) -> frozenset[str]:
        """What need not be decoded."""
        return self._backend.native_layouts

    def fill(self, slot: int, pixels: Pixels, view: View) -> None:
        """Crop, scale and pad a picture into one slot."""
        self._filled[slot] = view
        self._backend.fill(slot, pixels, view)

    def infer(self, count: int) -> Candidates:
        """Run the network on the first ``count`` slots."""
        self.views = [self._filled[slot] for slot in range(count)]
        self.candidates = self._backend.infer(count)
        return self.candidates

    def close(self) -> None:
        """Close the backend."""
        self._backend.close()

    def __enter__(self) -> ListeningBackend:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close the backend."""
        self.close()
