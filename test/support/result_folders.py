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

"""Folders of runs that nobody had to wait for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.types import Detections, Tracks
from ped_perception.evaluation.looking import Looked
from ped_perception.evaluation.metrics import metrics_of
from ped_perception.evaluation.mot import Labels, NO_REGIONS
from ped_perception.evaluation.results import read_results, write_results
from ped_perception.evaluation.run import Run

# Not square, so that exchanged axes show.
SIZE_HW = (240, 320)


def person(x, y=60.0, height=100.0):
    """Give the box of somebody whose feet are left at ``x``."""
    return [x, y, x + 0.4 * height, y + height]


def labels_of(*boxes, ids=None, counted=None):
    """Give labels of some boxes."""
    return Labels(np.array(range(len(boxes)) if ids is None else ids, np.int64),
                  np.array(boxes, np.float64).reshape(-1, 4),
                  np.array([True] * len(boxes) if counted is None else counted, np.bool_))


def looked_at(number, labels, boxes, scores, name='', track_ids=(), track_boxes=(), time_s=0.02):
    """Give what a run found in a picture; tracks are confirmed and seen."""
    order = np.argsort(-np.array(scores, np.float64), kind='stable')
    rows = len(track_ids)
    tracks = Tracks(
        'camera', number * 10**8, '', SIZE_HW, ids_t=np.array(track_ids, np.int64),
        boxes_t4=np.array(track_boxes, np.float32).reshape(-1, 4),
        scores_t=np.full(rows, 0.9, np.float32), ages_s_t=np.ones(rows, np.float32),
        unseen_s_t=np.zeros(rows, np.float32), confirmed_t=np.ones(rows, np.bool_),
        detections_t=np.arange(rows), velocities_t2=np.zeros((rows, 2), np.float32),
        sigmas_t4=np.ones((rows, 4), np.float32))
    return Looked(number, name or number, labels, Detections(
        'camera', number * 10**8, '', SIZE_HW,
        np.array(boxes, np.float32).reshape(-1, 4)[order],
        np.array(scores, np.float32)[order]), tracks, time_s, name)


def folder_of(path: Path, looked, *, source='', regions_r4=NO_REGIONS, identities=False,
              threshold=0.5, **metrics):
    """Write the folder of a run, and read it again."""
    path.mkdir(exist_ok=True)
    run = Run(BackendInfo('openvino', 'nanodet_g', 'fp32', (384, 640), 2, 256, 'CPU'),
              [replace(one, regions_r4=regions_r4) for one in looked],
              has_identities=identities)
    write_results(run, {
        'source': str(source), 'labels': 'labels', 'frames': 'all', 'drop': 0.0, 'seed': 0,
        'topic': '', 'parameters': {'score_threshold': threshold},
        **metrics_of(run), **metrics}, path)
    return read_results(path)


def picture_folder(path: Path, names):
    """Write grey pictures."""
    path.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(path / name), np.full((*SIZE_HW, 3), 128, np.uint8))
    return path


def example_runs(path: Path):
    """Give two runs over a folder of pictures; the second misses more and sees more ghosts."""
    names = [f'{number:02d}.png' for number in range(1, 21)]
    pictures = picture_folder(path / 'pictures', names)
    runs = []
    for letter, missed, ghosts in (('a', (3,), (4,)), ('b', (3, 5, 6, 7), (4, 8, 9))):
        looked = []
        for number, name in enumerate(names, 1):
            people = {1: person(40 + 4 * number), 2: person(180, 90, 60)}
            boxes = [box for key, box in people.items() if key == 2 or number not in missed]
            scores = [0.9 - 0.01 * number] * len(boxes)
            if number in ghosts:
                boxes, scores = [*boxes, person(270, 20, 50)], [*scores, 0.7]
            tracks = {} if number in missed else {5 if number < 10 else 6: people[1]}
            looked.append(looked_at(
                number, labels_of(*people.values(), ids=list(people)), boxes, scores, name,
                list(tracks), list(tracks.values()), 0.02 + 0.001 * number))
        runs.append(folder_of(path / letter, looked, source=pictures, identities=True))
    return runs
