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

"""``ped_evaluate harvest``: pictures worth labelling, out of a drive."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from ped_perception.cli.arguments import positive
from ped_perception.cli.evaluate_settings import add_settings, perception_of, settings_of
from ped_perception.core.errors import ConfigError
from ped_perception.evaluation.harvest import harvest
from ped_perception.evaluation.harvest_files import HarvestConfig, IMAGES_NAME, LABELS_NAME
from ped_perception.evaluation.looking import disorder_note
from ped_perception.evaluation.selection import selection_from_text
from ped_perception.sources import open_source
from tqdm import tqdm


def add_harvest(commands: Any) -> None:
    """Add the command to the subparsers of ``ped_evaluate``."""
    usual = HarvestConfig()
    parser = commands.add_parser(
        'harvest', help='pull pictures worth labelling out of a drive',
        description='Looks at a drive as the node does and chooses pictures where the detector '
                    'contradicts itself: people lost and found again or there for a moment '
                    '(flicker), seen in one view of the picture only (views), scores near the '
                    'threshold (unsure) or jumping (unstable); and some that look different from '
                    'all others. Writes images/, harvest.json, and labels.json (COCO) with what '
                    'was found, for a labelling tool.')
    parser.add_argument('source', metavar='SOURCE',
                        help='rosbag2 recording with any number of cameras, video, or folder of '
                             'pictures')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='DIR',
                        help='new folder for pictures and labels')
    parser.add_argument('--count', type=positive, default=usual.count, metavar='N',
                        help='most pictures (default: %(default)s)')
    parser.add_argument('--min-gap', type=float, default=usual.min_gap_s, metavar='S',
                        help='least time between two pictures of a camera (default: %(default)s)')
    parser.add_argument('--frames', default='', metavar='SELECTION',
                        help='pictures to choose from: 1-219, 1-219:2 for every second one, 500-')
    parser.add_argument('--topic', action='append', default=[],
                        help='image topic of a recording (default: all); may be repeated')
    parser.add_argument('--rate', type=float, default=0.0, metavar='HZ',
                        help='how fast the pictures of a folder were taken')
    add_settings(parser)
    parser.add_argument('--quiet', action='store_true', help='print the summary only')
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    ignored = [text for text in options.set if text.split('.')[0] in settings.cameras]
    if ignored:
        raise ConfigError(f'All cameras of a recording are looked at alike here: {ignored[0]} '
                          f'would change nothing. Leave it out.')
    selection = selection_from_text(options.frames)
    how = HarvestConfig(options.count, options.min_gap)
    with open_source(options.source, topics=options.topic, rate_hz=options.rate) as source, \
            tqdm(total=selection.last or source.frame_count, unit=' pictures',
                 disable=options.quiet, mininterval=0.5) as bar:
        done = harvest(source, options.output, selection, settings.backend,
                       perception_of(settings), settings.age, how, bar.update)
    if done.disordered:
        print(f'note: {disorder_note(done.disordered, options.source)}')
    reasons = Counter(pick.reason for pick in done.picks)
    print(f'{options.output}: {len(done.picks)} of {done.looked_at} pictures, for '
          f'{", ".join(f"{reason} {count}" for reason, count in reasons.most_common())}; '
          f'{done.people} people found in them')
    print(f'check the labels of {options.output / LABELS_NAME} with a labelling tool; then: '
          f'ped_evaluate run {options.output / IMAGES_NAME} --labels '
          f'{options.output / LABELS_NAME} -o RESULT')
    return 0
