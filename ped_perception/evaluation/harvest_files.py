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

"""What a harvest leaves: the pictures, first labels for a labelling tool, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
import re
import shutil
from typing import Any

import cv2
import numpy as np
from ped_perception.core.errors import ConfigError
from ped_perception.core.pipeline import BackendInfo, Pipeline
from ped_perception.core.types import Detections, Frame, Uint8Array
from ped_perception.evaluation.coco import PERSON
from ped_perception.evaluation.selection import selected, Selection
from ped_perception.evaluation.worth import Pick
from ped_perception.sources import CompressedPicture, DecodedPicture, Source, SourceFrame

LABELS_NAME, SUMMARY_NAME, IMAGES_NAME = 'labels.json', 'harvest.json', 'images'
_PARTIAL = '.partial'
_JPEG_QUALITY = 95
_SUFFIX_OF_MAGIC = {b'\xff\xd8\xff': '.jpg', b'\x89PNG': '.png'}


@dataclass(frozen=True)
class HarvestConfig:
    """
    How much is harvested.

    Attributes:
        count: most pictures.
        min_gap_s: least time between two pictures of a camera, by their stamps.
    """

    count: int = 50
    min_gap_s: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.count < 1:
            raise ConfigError(f'{self.count} pictures are to be harvested; give at least 1.')
        if not 0 <= self.min_gap_s < 1e6:
            raise ConfigError(f'The time between two pictures is {self.min_gap_s:g} s; it must be '
                              f'0 or more.')


@dataclass(eq=False)
class Harvest:
    """
    What was harvested.

    Attributes:
        network: that looked.
        looked_at: number of pictures.
        undecodable: number of pictures that could not be decoded.
        disordered: number of pictures that are no later than the one before of their camera.
        skipped: number of pictures that could not be read at all.
        worth: number of pictures by reason that were worth labelling for it.
        picks: the chosen ones, in the order of the source.
        people: number of first labels.
    """

    network: BackendInfo
    looked_at: int
    undecodable: int
    disordered: int
    skipped: int
    worth: Mapping[str, int]
    picks: Sequence[Pick]
    people: int = 0


def write_harvest(source: Source, output: Path, selection: Selection, pipeline: Pipeline,
                  done: Harvest, how: HarvestConfig) -> None:
    """
    Write the folder; it gets its name when it is whole.

    Args:
        source: that was harvested, read again.
        output: the folder.
        selection: of pictures, the same as before.
        pipeline: that looks at the chosen pictures again, for first labels.
        done: what was chosen; gets the number of labels.
        how: what was asked for.
    """
    partial = output.with_name(output.name + _PARTIAL)
    if partial.exists():
        shutil.rmtree(partial)
    (partial / IMAGES_NAME).mkdir(parents=True)
    try:
        labels = _write_pictures(source, partial / IMAGES_NAME, selection, pipeline, done)
        done.people = len(labels['annotations'])
        (partial / LABELS_NAME).write_text(json.dumps(labels, indent=1) + '\n', encoding='utf-8')
        (partial / SUMMARY_NAME).write_text(
            json.dumps(_summary(source, pipeline, done, how), indent=2) + '\n',
            encoding='utf-8')
        partial.rename(output)
    except BaseException:
        shutil.rmtree(partial)
        raise


def _write_pictures(source: Source, folder: Path, selection: Selection, pipeline: Pipeline,
                    done: Harvest) -> dict[str, Any]:
    """Write the chosen pictures; give their first labels as COCO."""
    picks = {pick.number: pick for pick in done.picks}
    last = max(picks)
    threshold = pipeline.config.score_threshold
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, taken in selected(source, selection):
        if number in picks:
            frame = taken.frame()
            (detections,), _ = pipeline.step([frame])
            height, width = frame.source_hw
            images.append({
                'id': len(images) + 1, 'file_name': _write_picture(folder, taken, frame),
                'width': width, 'height': height, 'camera': frame.camera, 'number': number,
                'stamp_ns': frame.stamp_ns, 'reason': picks[number].reason,
                'why': picks[number].why})
            for entry in _annotations(detections.from_score(threshold), len(images)):
                annotations.append({'id': len(annotations) + 1, **entry})
        if number == last:
            break
    return {'info': {'description': 'Chosen and labelled by ped_evaluate harvest; the labels are '
                                    'what a detector found, and are to be checked.'},
            'images': images, 'annotations': annotations,
            'categories': [{'id': PERSON, 'name': 'person'}]}


def _annotations(detections: Detections, image_id: int) -> list[dict[str, Any]]:
    sides_n2 = detections.boxes_n4[:, 2:] - detections.boxes_n4[:, :2]
    bbox_n4 = np.concatenate([detections.boxes_n4[:, :2], sides_n2], axis=1).astype(np.float64)
    return [{'image_id': image_id, 'category_id': PERSON, 'iscrowd': 0,
             'bbox': [round(value, 2) for value in bbox], 'area': round(bbox[2] * bbox[3], 2),
             'score': round(score, 5)}
            for bbox, score in zip(bbox_n4.tolist(), detections.scores_n.tolist(), strict=True)]


def _write_picture(folder: Path, taken: SourceFrame, frame: Frame) -> str:
    """Write a picture, as it was recorded where that is a file; give its name."""
    stem = Path(taken.name).stem or f'{_plain(frame.camera)}_{frame.stamp_ns}'
    suffix, data = _file_of(taken, frame.image_hw3)
    name, number = stem + suffix, 1
    while (folder / name).exists():
        # A recording that begins again has the same stamps again.
        number += 1
        name = f'{stem}_{number}{suffix}'
    (folder / name).write_bytes(data)
    return name


def _file_of(taken: SourceFrame, image_hw3: Uint8Array) -> tuple[str, bytes]:
    picture = taken.picture
    if isinstance(picture, CompressedPicture):
        data = picture.data.tobytes()
        for magic, suffix in _SUFFIX_OF_MAGIC.items():
            # A PNG of more than eight bits is scaled by what ROS says of it, not by a reader.
            if data.startswith(magic) and np.array_equal(
                    CompressedPicture(picture.data, suffix[1:]).bgr(), image_hw3):
                return suffix, data
    lossy = isinstance(picture, DecodedPicture)
    suffix, options = ('.jpg', [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]) if lossy else (
        '.png', [])
    return suffix, cv2.imencode(suffix, image_hw3, options)[1].tobytes()


def _plain(topic: str) -> str:
    """Make a topic part of a file name: ``/front/image_raw`` becomes ``front_image_raw``."""
    return re.sub(r'\W+', '_', topic.removesuffix('/compressed')).strip('_')


def _summary(source: Source, pipeline: Pipeline, done: Harvest, how: HarvestConfig,
             ) -> dict[str, Any]:
    return {
        'source': source.name, 'asked_for': asdict(how),
        'pictures': {'looked_at': done.looked_at, 'undecodable': done.undecodable,
                     'disordered': done.disordered, 'skipped': done.skipped,
                     'worth_labelling': dict(done.worth), 'chosen': len(done.picks)},
        'chosen_for': dict(sorted(Counter(pick.reason for pick in done.picks).items())),
        'first_labels': done.people, 'detector': asdict(pipeline.config),
        'network': vars(done.network), 'notes': list(source.notes)}
