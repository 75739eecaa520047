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
Measure network sizes, precisions and views on labelled pictures: the table of engines/README.md.

For developers, with the recorded data sets beside the project. Every row runs the product's own
pipeline; AP and AP50 are pycocotools', recall by height is taken at the score where the pooled
precision of the set is 0.85.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import dataclass
import io
import itertools
import json
from pathlib import Path
import time

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.config import text_from_size_hw
from ped_perception.core.detections import intersections
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.types import Frame, Uint8Array
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

PRECISION = 0.85
MATCH_IOU = 0.5
# Heights of a person relative to the picture's: far to very near.
HEIGHT_EDGES = (0.0, 0.1, 0.2, 0.4, 0.7, 10.0)
LOWEST_SCORE = 0.02

CHOICES = (
    ('416x256', 'fp32', ('whole',)),
    ('416x256', 'fp32', ('whole', '0,0.15,0.6,0.85', '0.4,0.15,1,0.85')),
    ('640x384', 'fp32', ('whole',)),
    ('640x384', 'fp32', ('whole', 'whole@0.65')),
    ('640x384', 'int8', ('whole',)),
    ('640x384', 'int8', ('whole', 'whole@0.5')),
    ('640x384', 'int8', ('whole', 'whole@0.65')),
    ('640x384', 'int8', ('whole', 'whole@0.8')),
    ('640x384', 'int8', ('whole', 'whole@0.65', '0.25,0.25,0.75,0.75')),
)


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture with its people; boxes are x1 y1 x2 y2 in pixels."""

    image_hw3: Uint8Array
    people_n4: NDArray[np.float32]
    ignored_n4: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in one picture."""

    boxes_n4: NDArray[np.float32]
    scores_n: NDArray[np.float32]


def corners(boxes: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Turn x y w h into x1 y1 x2 y2."""
    array_n4 = np.array(boxes, np.float32).reshape(-1, 4)
    return np.concatenate([array_n4[:, :2], array_n4[:, :2] + array_n4[:, 2:]], axis=1)


def coco_pictures(folder: Path, images: Path, split: str | None) -> Iterator[Labelled]:
    """Read a set with COCO labels; a split of None takes all."""
    labels = json.loads((folder / 'instances.json').read_text())
    for entry in labels['images']:
        if split is None or entry.get('split') == split:
            people = [a for a in labels['annotations'] if a['image_id'] == entry['id']]
            image_hw3 = cv2.imread(str(images / entry['file_name']),
                                   cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            assert image_hw3 is not None, entry['file_name']
            yield Labelled(image_hw3.astype(np.uint8, copy=False),
                           corners([a['bbox'] for a in people if not a['iscrowd']]),
                           corners([a['bbox'] for a in people if a['iscrowd']]))


def pets_pictures(folder: Path) -> Iterator[Labelled]:
    """Read the labelled frames of the street video."""
    rows = np.loadtxt(folder / 'gt' / 'gt.txt', delimiter=',')
    ignored = np.loadtxt(folder / 'gt' / 'ignore_regions.txt', delimiter=',')
    video = cv2.VideoCapture(str(folder / 'vtest.avi'))
    for number in range(1, int(rows[:, 0].max()) + 1):
        found, image_hw3 = video.read()
        assert found
        here = rows[rows[:, 0] == number]
        yield Labelled(image_hw3.astype(np.uint8, copy=False),
                       corners(here[here[:, 6] == 1, 2:6].tolist()),
                       corners([*here[here[:, 6] == 0, 2:6].tolist(), *ignored.tolist()]))


def run(pictures: Sequence[Labelled], pipeline: Pipeline) -> tuple[list[Found], float]:
    """Detect in all pictures; also give the median milliseconds a picture."""
    found, times_s = [], []
    for number, picture in enumerate(pictures):
        start_s = time.perf_counter()
        (detections,), _ = pipeline.step([Frame('camera', number, '', picture.image_hw3)])
        times_s.append(time.perf_counter() - start_s)
        found.append(Found(detections.boxes_n4, detections.scores_n))
    return found, float(np.median(times_s)) * 1e3


def average_precisions(pictures: Sequence[Labelled], found: Sequence[Found]
                       ) -> tuple[float, float]:
    """Give AP50 and AP in percent, by pycocotools."""
    annotations: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for number, (picture, result) in enumerate(zip(pictures, found, strict=True)):
        for boxes_n4, is_ignored in ((picture.people_n4, 0), (picture.ignored_n4, 1)):
            for x1, y1, x2, y2 in boxes_n4.tolist():
                annotations.append({
                    'id': len(annotations) + 1, 'image_id': number, 'category_id': 1,
                    'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': is_ignored})
        for (x1, y1, x2, y2), score in zip(
                result.boxes_n4.tolist(), result.scores_n.tolist(), strict=True):
            results.append({'image_id': number, 'category_id': 1, 'score': score,
                            'bbox': [x1, y1, x2 - x1, y2 - y1]})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {'images': [{'id': i} for i in range(len(pictures))],
                         'annotations': annotations, 'categories': [{'id': 1}]}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1]) * 100, float(evaluation.stats[0]) * 100


def matches(picture: Labelled, result: Found) -> list[tuple[float, int]]:
    """Give score and index of the person matched (-1 for none) of each box that counts."""
    rows: list[tuple[float, int]] = []
    taken = np.zeros(len(picture.people_n4), np.bool_)
    area_n = np.prod(result.boxes_n4[:, 2:] - result.boxes_n4[:, :2], axis=1)
    inter_nm = intersections(result.boxes_n4, picture.people_n4)
    area_m = np.prod(picture.people_n4[:, 2:] - picture.people_n4[:, :2], axis=1)
    iou_nm = inter_nm / (area_n[:, None] + area_m - inter_nm)
    ignored_n = (intersections(result.boxes_n4, picture.ignored_n4)
                 > 0.5 * area_n[:, None]).any(axis=1)
    for i, score in enumerate(result.scores_n.tolist()):
        free_m = np.where(taken, 0.0, iou_nm[i])
        if len(free_m) and free_m.max() >= MATCH_IOU:
            taken[free_m.argmax()] = True
            rows.append((score, int(free_m.argmax())))
        elif not ignored_n[i]:
            rows.append((score, -1))
    return rows


def recall_by_height(pictures: Sequence[Labelled], found: Sequence[Found], precision: float
                     ) -> tuple[float, float, list[tuple[float, int]]]:
    """Give the score of a precision, recall there, and recall and number of people by height."""
    rows: list[tuple[float, int]] = []
    heights: list[float] = []
    for picture, result in zip(pictures, found, strict=True):
        first = len(heights)
        heights += ((picture.people_n4[:, 3] - picture.people_n4[:, 1])
                    / picture.image_hw3.shape[0]).tolist()
        rows += [(score, first + person if person >= 0 else -1)
                 for score, person in matches(picture, result)]
    rows.sort(key=lambda row: -row[0])
    right = np.array([person >= 0 for _, person in rows])
    precisions = right.cumsum() / np.arange(1, len(right) + 1)
    passing = np.nonzero(precisions >= precision)[0]
    kept = int(passing[-1]) + 1 if len(passing) else 0
    seen = np.zeros(len(heights), np.bool_)
    seen[[person for _, person in rows[:kept] if person >= 0]] = True
    height_n = np.array(heights)
    bins = []
    for low, high in itertools.pairwise(HEIGHT_EDGES):
        inside = (height_n >= low) & (height_n < high)
        bins.append((float(seen[inside].mean()) if inside.any() else float('nan'),
                     int(inside.sum())))
    return rows[kept - 1][0] if kept else 1.0, float(seen.mean()), bins


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path, help='folder of the recorded data sets')
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--choice', nargs=3, action='append',
                        metavar=('SIZE', 'PRECISION', 'VIEWS'),
                        help='a row, as 576x352 int8 whole+whole@0.65, instead of those of the '
                             'table; int8 of other sizes is made with ped_engine import')
    arguments = parser.parse_args()
    choices = CHOICES if arguments.choice is None else [
        (size, precision, tuple(views.split('+'))) for size, precision, views in arguments.choice]
    data: Path = arguments.data
    coco = data / 'coco200'
    sets = {
        'COCO val': list(coco_pictures(coco, coco / 'images', 'val2017')),
        'COCO all': list(coco_pictures(coco, coco / 'images', None)),
        'PETS': list(pets_pictures(data / 'pets09_s2l1')),
        'nuScenes': list(coco_pictures(data / 'nuscenes6', data / 'nuscenes6' / 'images', None)),
        'KITTI': list(coco_pictures(data / 'kitti3', data / 'kitti3', None)),
    }
    print('| set | network | views | AP50 | AP | score | recall | <0.1 | 0.1-0.2 | 0.2-0.4 | '
          '0.4-0.7 | >0.7 | ms |\n|' + '---|' * 13)
    for name, pictures in sets.items():
        for size, precision, views in choices:
            config = BackendConfig(network_size=size, precision=precision,
                                   backend=arguments.backend)
            with open_backend(config, len(views)) as backend:
                pipeline = Pipeline(backend, DetectorConfig(
                    views=views, score_threshold=LOWEST_SCORE))
                found, milliseconds = run(pictures, pipeline)
                shown = f'{text_from_size_hw(backend.info.network_hw)} {backend.info.precision}'
            ap50, ap = average_precisions(pictures, found)
            score, recall, bins = recall_by_height(pictures, found, PRECISION)
            cells = ' | '.join(f'{100 * value:.1f} ({count})' if count else '–'
                               for value, count in bins)
            print(f'| {name} | {shown} | {" + ".join(views)} | {ap50:.1f} | {ap:.1f} | '
                  f'{score:.2f} | {100 * recall:.1f} | {cells} | {milliseconds:.0f} |', flush=True)


if __name__ == '__main__':
    main()
