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

"""Runs what drives on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
import time

import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.backends.process_memory import peak_memory_mb
from ped_perception.core.errors import SourceError
from ped_perception.core.follow import Follower, Mounting
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.pipeline import BackendInfo, Pipeline
from ped_perception.core.types import Detections
from ped_perception.evaluation.detection import EVERYBODY
from ped_perception.evaluation.ground_score import depths_of, Placed, placed_from, positions_of
from ped_perception.evaluation.labelled import last_number
from ped_perception.evaluation.looking import disorder_note, Looked, Recording, Sight
from ped_perception.evaluation.miss_rate import matched
from ped_perception.evaluation.mot import Labels
from ped_perception.evaluation.selection import selected, Selection
from ped_perception.sources import SourceFrame

# Detections from this score on are kept for the curves; the tracker and the publication get
# what their own thresholds let through.
LOWEST_SCORE = 0.02
_LEAST_STAMP = 10**9

# A picture as the source gave it, the same prepared, and what was found in it.
Watch = Callable[[SourceFrame, Sight, Looked], object]


@dataclass(eq=False)
class Run:
    """
    One run over some recordings.

    Attributes:
        info: what ran the network.
        looked: picture by picture, recording after recording.
        undecodable: pictures that could not be read, by recording.
        disordered: pictures that are no later than the one before, by recording; not looked at.
        has_identities: whether the labels of all recordings say who is who.
        notes: what a reader must know.
        peak_memory_mb: of the process, when everything was looked at.
    """

    info: BackendInfo
    looked: list[Looked] = field(default_factory=list)
    undecodable: dict[str, int] = field(default_factory=dict)
    disordered: dict[str, int] = field(default_factory=dict)
    has_identities: bool = True
    notes: list[str] = field(default_factory=list)
    peak_memory_mb: float = 0.0

    def of(self, recording: str) -> Run:
        """Give the part of it that is over one recording."""
        return replace(
            self, looked=[looked for looked in self.looked if looked.recording == recording],
            undecodable={recording: self.undecodable.get(recording, 0)},
            disordered={recording: self.disordered.get(recording, 0)})

    def note(self, text: str) -> None:
        """Remember something once."""
        if text not in self.notes:
            self.notes.append(text)


def run_over(recordings: Iterable[Recording], slots: int, selection: Selection,
             backend_config: BackendConfig, config: PerceptionConfig,
             progress: Callable[[], object] = lambda: None,
             watch: Watch = lambda taken, sight, looked: None) -> Run:
    """
    Look at the selected pictures with the product's own pipeline and tracker.

    Args:
        recordings: one after the other; each begins with nobody, and with ids from 1.
        slots: of a batch.
        selection: which pictures of each.
        backend_config: what runs the network.
        config: everything else.
        progress: called after every picture.
        watch: is told of every picture, before it is let go.

    Raises:
        PedPerceptionError: a source, the network or the configuration is unusable.
    """
    with open_backend(backend_config, slots) as backend:
        pipeline = Pipeline(backend, config.detector, LOWEST_SCORE)
        # The first inference allocates.
        backend.infer(backend.info.max_batch)
        run = Run(pipeline.info)
        for recording in recordings:
            _look_over(recording, selection, pipeline, config, run, progress, watch)
    run.peak_memory_mb = peak_memory_mb()
    return run


def _look_over(recording: Recording, selection: Selection, pipeline: Pipeline,
               config: PerceptionConfig, run: Run, progress: Callable[[], object], watch: Watch,
               ) -> None:
    """Look at one recording."""
    source, labels, before = recording.source, recording.labels, len(run.looked)
    if len(source.cameras) != 1:
        raise SourceError(f'{source.name} has {len(source.cameras)} cameras '
                          f'({", ".join(stream.name for stream in source.cameras)}); one can be '
                          f'evaluated at a time. Choose one with --topic.')
    run.has_identities &= labels.has_identities
    for note in source.notes:
        run.note(note)
    follower = Follower(config.tracker, config.ground, config.ground_filter)
    for number, taken in selected(source, selection):
        if not _is_next(recording, taken, follower):
            run.disordered[recording.name] = run.disordered.get(recording.name, 0) + 1
            continue
        sight = recording.camera.sight(taken, pipeline.info.network_hw)
        if sight is None:
            run.undecodable[recording.name] = run.undecodable.get(recording.name, 0) + 1
            continue
        looked = _look(recording, number, taken, sight, pipeline, follower, config)
        if looked.labels is not None and not isinstance(sight.mounting, Mounting) \
                and np.isfinite(looked.labels.positions_n3[:, 2]).any():
            run.note(f'Positions are labelled, but errors on the ground cannot be told: '
                     f'{sight.problem}.')
        if labels.form == 'mot' and len(run.looked) == before:
            _note_order(looked, run)
        run.looked.append(looked)
        watch(taken, sight, looked)
        progress()
    if recording.name in run.disordered:
        run.note(disorder_note(run.disordered[recording.name], source.name))
    if not any(looked.labels is not None for looked in run.looked[before:]):
        raise SourceError(f'None of the {len(run.looked) - before} pictures of {source.name} is '
                          f'labelled in {labels.place}. Do the labels belong to it?')


def _is_next(recording: Recording, taken: SourceFrame, follower: Follower) -> bool:
    """Tell whether a picture is later than the one before; forget everybody when time was set."""
    camera = recording.camera
    jumps = camera.jumps
    if not camera.is_fine(taken):
        return False
    if camera.jumps > jumps:
        follower.reset()
        camera.forget_times()
    return True


def _note_order(looked: Looked, run: Run) -> None:
    """Say so where the names of files count otherwise than labels without names do."""
    number = last_number(looked.name)
    # Names that are stamps count nothing, and many begin with 0.
    if number is not None and number < _LEAST_STAMP and looked.number - number not in (0, 1):
        run.note(f'Picture {looked.number} is {looked.name}: labels of the MOTChallenge are for '
                 f'the pictures by their order, from 1, whatever their names are.')


def _look(recording: Recording, number: int, taken: SourceFrame, sight: Sight,
          pipeline: Pipeline, follower: Follower, config: PerceptionConfig) -> Looked:
    """Look at one picture."""
    begin_s = time.perf_counter()
    (detections,), _ = pipeline.step([sight.upright], [sight.views])
    seen = follower.step(sight.upright, detections.from_score(config.tracker.low_score),
                         sight.mounting, sight.ego)
    time_s = time.perf_counter() - begin_s
    labels = recording.labels.of(number, taken, sight.source.source_hw)
    depths_n = None if sight.model is None else depths_of(
        detections, sight.model, config.ground.person_height_m)
    looked = Looked(
        number, recording.image_id(number, taken), labels,
        recording.camera.detections(sight, detections),
        recording.camera.tracks(sight, seen.tracks), time_s, taken.name, recording.name,
        recording.labels.ignore_regions_r4, depths_n)
    if (labels is None or not isinstance(sight.mounting, Mounting)
            or not np.isfinite(labels.positions_n3[:, 2]).any()):
        return looked
    return replace(looked, placed=_placed(looked, labels, sight, sight.mounting, detections,
                                          config))


def _placed(looked: Looked, labels: Labels, sight: Sight, mounting: Mounting,
            upright: Detections, config: PerceptionConfig) -> Placed:
    """Place what is published of a picture, and put it beside the labelled positions."""
    threshold = config.detector.score_threshold
    published = looked.detections.from_score(threshold)
    found = matched(labels, published.boxes_n4.astype(np.float64),
                    published.scores_n.astype(np.float64), looked.regions_r4, EVERYBODY)
    right_n = found.person_n >= 0
    people = np.flatnonzero(labels.counted_n)[found.person_n[right_n]]
    xy_n2, cov_n22 = positions_of(upright.from_score(threshold), mounting, config.tracker,
                                  config.ground)
    rows = found.row_n[right_n]
    return placed_from(labels, people.tolist(), mounting.model.turned(-sight.turns),
                       mounting.base_from_camera_44, xy_n2[rows], cov_n22[rows])
