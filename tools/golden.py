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
Make the golden pictures and what float32 finds in them (engines/golden).

    python tools/golden.py              # expectations of the models that are there
    python tools/golden.py --pictures   # the pictures, too, from the demo clip

To be run when a shipped model, its graph or the pictures change, and looked at.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
from ped_perception.backends import BackendConfig, open_graph
from ped_perception.core.errors import ModelError
from ped_perception.engine.golden import expectation_from, EXPECTED_FILE
from ped_perception.engine.models import typed_graph

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'engines' / 'golden'
SIZES_HW = {'nanodet_g': ((384, 640), (256, 416), (416, 416), (640, 640)),
            'centernet_mobilenetv3': ((384, 640), (640, 640))}
# Name: frame of the demo clip, then left, top, right, bottom. Far, middle and near people.
PICTURES = {'street.jpg': (200, (0, 0, 768, 432)), 'pair.png': (40, (480, 120, 720, 300)),
            'near.png': (200, (560, 170, 768, 330)), 'crossing.jpg': (280, (0, 0, 768, 432))}
JPEG_QUALITY = 90


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pictures', action='store_true', help='make the pictures anew, too')
    if parser.parse_args().pictures:
        write_pictures()
    path = FOLDER / EXPECTED_FILE
    expected = json.loads(path.read_text()) if path.is_file() else {}
    if not expected:
        path.write_text('{}\n')     # marks the folder for the reader of the pictures
    for model, sizes_hw in SIZES_HW.items():
        try:
            expected[model] = {f'{width}x{height}': expectation(model, (height, width))
                               for height, width in sizes_hw}
        except ModelError as error:
            print(f'{model}: what is there stays. {error}')
    lines = json.dumps(expected, indent=1, sort_keys=True)
    path.write_text(lines + '\n')


def write_pictures() -> None:
    """Cut the pictures out of the demo clip."""
    frames = {}
    clip = cv2.VideoCapture(str(ROOT / 'demo' / 'pets_street.mp4'))
    for index in range(max(index for index, _ in PICTURES.values()) + 1):
        _, frames[index] = clip.read()
    FOLDER.mkdir(exist_ok=True)
    for name, (index, (left, top, right, bottom)) in PICTURES.items():
        cv2.imwrite(str(FOLDER / name), frames[index][top:bottom, left:right],
                    [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if name.endswith('.jpg') else [])


def expectation(model: str, size_hw: tuple[int, int]) -> dict[str, list[list[float]]]:
    """Run the float32 graph: boxes in tenths of a pixel and scores, by picture."""
    config = BackendConfig(model=model, backend='onnxruntime', precision='fp32')
    with open_graph(typed_graph(model, size_hw), config, 1) as backend:
        found = expectation_from(backend)
    return {name: [[*(round(value, 1) for value in row[:4]), round(row[4], 4)]
                   for row in boxes_m5.tolist()] for name, boxes_m5 in found.items()}


if __name__ == '__main__':
    main()
