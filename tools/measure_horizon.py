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
Measure what the view ``horizon`` finds on the nuScenes sample: a table of engines/README.md.

For developers, with the recorded data sets beside the project. The labels are boxes of whole
people, some of them hidden, so that not all can be found; what counts is the difference.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path

import cv2
import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.camera import camera_model_from_calibration
from ped_perception.core.detections import intersections
from ped_perception.core.horizon import horizon_crop, HorizonConfig
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.types import Float32Array, Frame, Int64Array, Uint8Array
from ped_perception.core.views import Region, specs_from_texts, ViewSpec

# Hidden legs make the overlap of a good box small.
MATCH_IOU = 0.4
HEIGHT_EDGES_PX = (0.0, 50.0, 80.0, 1000.0)
CHOICES = (('whole',), ('whole', 'whole@0.65'), ('whole', 'horizon'),
           ('whole', 'whole@0.65', 'horizon'))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='folder nuscenes6 of the recorded data')
    folder = parser.parse_args().folder
    cameras = json.loads((folder / 'cameras.json').read_text())
    labels = json.loads((folder / 'instances.json').read_text())
    print('| views | found, below 50 px | 50 to 80 px | above 80 px | boxes at nobody |')
    print('|---|---|---|---|---|')
    with open_backend(BackendConfig(precision='fp32', backend='openvino'), 3) as backend:
        pipeline = Pipeline(backend, DetectorConfig())
        for texts in CHOICES:
            found: Int64Array = np.zeros(3, np.int64)
            people: Int64Array = np.zeros(3, np.int64)
            wrong = 0
            for image in labels['images']:
                camera = cameras[image['camera']]
                image_hw3 = np.asarray(cv2.imread(str(
                    folder / 'images' / image['file_name'])), np.uint8)
                views = specs_from_texts(texts, horizon_xyxy=region_of(
                    camera, backend.info.network_hw))
                mine = [label for label in labels['annotations']
                        if label['image_id'] == image['id'] and not label['iscrowd']]
                boxes_n4 = np.array([[x, y, x + w, y + h] for x, y, w, h in
                                     (label['bbox'] for label in mine)], np.float32)
                more_found, more_people, more_wrong = counted(
                    pipeline, image_hw3, views, boxes_n4.reshape(-1, 4))
                found += more_found
                people += more_people
                wrong += more_wrong
            cells = [f'{f} of {n}' for f, n in zip(found, people, strict=True)]
            print(f'| {" + ".join(texts)} | {" | ".join(cells)} | {wrong} |')


def region_of(camera: dict[str, object], network_hw: tuple[int, int]) -> Region | None:
    """Place the band of far pedestrians of one camera."""
    model = camera_model_from_calibration(
        size_hw=(int(str(camera['height'])), int(str(camera['width']))),
        k_9=np.ravel(np.array(camera['K'], float)).tolist(), distortion_model='none', d_k=[])
    crop = horizon_crop(model, np.array(camera['cam2ego'], float), network_hw, HorizonConfig())
    if crop is None:
        return None
    height, width = model.size_hw
    return crop[0] / width, crop[1] / height, crop[2] / width, crop[3] / height


def counted(pipeline: Pipeline, image_hw3: Uint8Array, views: Sequence[ViewSpec],
            boxes_m4: Float32Array) -> tuple[Int64Array, Int64Array, int]:
    """Count found people and all people by height, and boxes at nobody."""
    (seen,), _ = pipeline.step([Frame('camera', 1, '', image_hw3)], [views])
    shared_mn = intersections(boxes_m4, seen.boxes_n4)
    area_m, area_n = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
                      for boxes in (boxes_m4, seen.boxes_n4))
    iou_mn = shared_mn / (area_m[:, None] + area_n - shared_mn)
    hit_m = iou_mn.max(axis=1, initial=0) >= MATCH_IOU
    heights_m = boxes_m4[:, 3] - boxes_m4[:, 1]
    found, _ = np.histogram(heights_m[hit_m], HEIGHT_EDGES_PX)
    people, _ = np.histogram(heights_m, HEIGHT_EDGES_PX)
    return found, people, int((iou_mn.max(axis=0, initial=0) < 0.1).sum())


if __name__ == '__main__':
    main()
