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
Measure what an overloaded node gives up: the table of engines/README.md.

For developers, with the recorded data sets beside the project. The labelled street is followed
with the detections of the large network, of the small one, and with none where a picture was
dropped. A dropped picture counts as one in which nobody is found, because that is what a planner
has of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
import itertools
from pathlib import Path

from ped_perception.backends import BackendConfig
from ped_perception.cli.evaluate_camera import EvaluatedCamera, no_calibrations
from ped_perception.core.follow import Follower
from ped_perception.core.perception import PerceptionConfig
from ped_perception.core.pipeline import DetectorConfig
from ped_perception.core.types import Frame
from ped_perception.evaluation.looking import Recording
from ped_perception.evaluation.metrics import tracking_of
from ped_perception.evaluation.reading_labels import read_labels
from ped_perception.evaluation.run import Run, run_over
from ped_perception.evaluation.selection import selection_from_text
from ped_perception.replay.camera import NoSurroundings
from ped_perception.ros.settings import settings_from_values
from ped_perception.sources import open_source

TWO, ONE, SMALL, DROPPED = 'two views', 'one view', 'small network', 'dropped'
NETWORKS = {TWO: ('640x384', ('whole', 'whole@0.65')), ONE: ('640x384', ('whole',)),
            SMALL: ('416x256', ('whole',))}
# What happens to the pictures, again and again.
PATTERNS = ((TWO,), (ONE,), (ONE, ONE, SMALL), (ONE, SMALL), (ONE, SMALL, SMALL), (SMALL,),
            (ONE, ONE, ONE, ONE, DROPPED), (ONE, ONE, DROPPED), (ONE, DROPPED))


def seen_by(folder: Path, size: str, views: tuple[str, ...], frames: dict[int, Frame]) -> Run:
    """Look at the labelled part of the street, and keep its pictures."""
    camera = EvaluatedCamera('camera', settings_from_values({'views': list(views)}),
                             NoSurroundings(), no_calibrations)
    with open_source(folder / 'vtest.avi') as source:
        return run_over(
            [Recording('', source, read_labels(folder / 'gt' / 'gt.txt'), camera)], len(views),
            selection_from_text('1-219'), BackendConfig(network_size=size),
            PerceptionConfig(DetectorConfig(views=views)),
            watch=lambda taken, sight, looked: frames.update({looked.number: sight.upright}))


def followed(runs: Mapping[str, Run], frames: Mapping[int, Frame], pattern: tuple[str, ...],
             ) -> Run:
    """Follow everybody again, picture by picture with what the pattern leaves of it."""
    config = PerceptionConfig()
    follower = Follower(config.tracker, config.ground, config.ground_filter)
    again = Run(runs[ONE].info)
    for index, how in enumerate(itertools.islice(itertools.cycle(pattern), len(frames))):
        looked = runs[ONE if how == DROPPED else how].looked[index]
        frame = frames[looked.number]
        if how == DROPPED:
            nobody = Follower(config.tracker, config.ground, config.ground_filter)
            tracks = nobody.step(frame, looked.detections.from_score(2.0)).tracks
        else:
            detections = looked.detections.from_score(config.tracker.low_score)
            tracks = follower.step(frame, detections).tracks
        again.looked.append(replace(looked, tracks=tracks))
    return again


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path, help='folder of the recorded data sets')
    folder = parser.parse_args().data / 'pets09_s2l1'
    frames: dict[int, Frame] = {}
    runs = {name: seen_by(folder, size, views, frames)
            for name, (size, views) in NETWORKS.items()}
    print('| pictures, again and again | recall | precision | IDF1 | MOTA |\n|' + '---|' * 5)
    for pattern in PATTERNS:
        score = tracking_of(followed(runs, frames, pattern))
        cells = [score[name] for name in ('recall', 'precision', 'idf1', 'mota')]
        print(f'| {", ".join(pattern)} | '
              f'{" | ".join(f"{100 * cell:.1f}" for cell in cells if cell is not None)} |')


if __name__ == '__main__':
    main()
