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

"""Whatever encoding a driver sends, the same people are found in it."""

from __future__ import annotations

import cv2
from doubles import RememberingBackend
import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.core.compressed import bgr_from_compressed
from ped_perception.core.detections import intersections
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.raw import bgr_from_raw, known_encodings, raw_from_bgr
from ped_perception.core.types import Frame
import pytest

# Without colour some people are less sure, and boxes move a little.
GREY = {name for name in known_encodings() if name.startswith('mono')}


@pytest.fixture(scope='module')
def street(root):
    """Give frames of the shipped clip with several people, of even size for chroma."""
    video = cv2.VideoCapture(str(root / 'demo' / 'pets_street.mp4'))
    images = [video.read()[1] for _ in range(200)]
    video.release()
    return [np.ascontiguousarray(image_hw3[:432, :768]) for image_hw3 in images[59::35]]


@pytest.fixture(scope='module')
def street_hw3(street):
    """Give the first of the frames, as large as a camera's."""
    return cv2.resize(street[0], (1280, 720))


@pytest.fixture(scope='module')
def detect():
    """Give a function from a picture to its sure boxes."""
    with open_backend(BackendConfig(backend='onnxruntime', precision='fp32'), 1) as backend:
        pipeline = Pipeline(RememberingBackend(backend),
                            DetectorConfig(views=('whole',), score_threshold=0.3))

        def detected(image_hw3):
            (found,), _ = pipeline.step([Frame('camera', 1, 'f', image_hw3)])
            return found

        yield detected


def overlaps(found, expected):
    """Give the best IoU of each expected box."""
    shared = intersections(expected.boxes_n4, found.boxes_n4)
    area = [np.prod(boxes.boxes_n4[:, 2:] - boxes.boxes_n4[:, :2], axis=1)
            for boxes in (expected, found)]
    return (shared / (area[0][:, None] + area[1] - shared)).max(axis=1, initial=0)


def sure(found):
    """Keep those that no rounding can push below the threshold."""
    return found.from_score(0.55)


@pytest.mark.parametrize('encoding', known_encodings())
def test_raw(encoding, street_hw3, detect):
    """
    Find the same people in every encoding.

    Of 151 in 25 such pictures, one box moves below 0.95 in nv12, and up to four do so in a mosaic,
    where JPEG of quality 95 has three.
    """
    height, width = street_hw3.shape[:2]
    data, step = raw_from_bgr(street_hw3, encoding)
    padded = np.zeros((data.shape[0], step + 16), np.uint8)
    padded[:, :step] = data
    wide = encoding in ('nv12', 'nv21', 'nv24', 'i420')
    sent, stride = (data, step) if wide else (padded, step + 16)
    seen_hw3 = bgr_from_raw(sent.ravel(), encoding=encoding, height=height, width=width,
                            step=stride, is_bigendian=False)
    expected, found = sure(detect(street_hw3)), detect(seen_hw3)
    assert len(expected) >= 4
    assert overlaps(found, expected).min() >= (0.75 if encoding in GREY else 0.95)


@pytest.mark.parametrize('encoding', [name for name in known_encodings()
                                      if name.startswith('bayer')])
def test_mosaic(encoding, street, detect):
    """
    Lose nobody, and move boxes as little as JPEG of quality 80 does, also where pixels are few.

    The mean over all people of small pictures, of whose mosaic two thirds are guessed, where the
    average of neighbours has 0.95; of single boxes some moved more, as ``core.demosaic`` tells.
    """
    overlaps_n = []
    for image_hw3 in street:
        data, step = raw_from_bgr(image_hw3, encoding)
        seen_hw3 = bgr_from_raw(data.ravel(), encoding=encoding, height=432, width=768, step=step,
                                is_bigendian=False)
        overlaps_n.extend(overlaps(detect(seen_hw3), sure(detect(image_hw3))))
    assert len(overlaps_n) >= 20
    assert np.mean(overlaps_n) >= 0.965
    assert min(overlaps_n) >= 0.85


@pytest.mark.parametrize(('ending', 'image_format', 'least', 'why'), [
    ('.jpg', 'jpeg', 0.95, 'usb_cam'),
    ('.jpg', 'bgra8; jpeg compressed bgr8', 0.95, 'image_transport of a camera with alpha'),
    ('.png', 'rgb8; png compressed', 0.999, 'image_transport, without loss'),
])
def test_compressed(ending, image_format, least, why, street_hw3, detect):
    payload = cv2.imencode(ending, street_hw3)[1]
    found = detect(bgr_from_compressed(payload, image_format=image_format))
    assert overlaps(found, sure(detect(street_hw3))).min() >= least, why


def test_sixteen_bits_may_be_of_either_order(street_hw3, detect):
    data, step = raw_from_bgr(street_hw3, 'mono16')
    swapped = data.reshape(-1, 2)[:, ::-1].reshape(data.shape)
    height, width = street_hw3.shape[:2]
    images = [bgr_from_raw(bytes_hs.ravel(), encoding='mono16', height=height, width=width,
                           step=step, is_bigendian=is_bigendian)
              for bytes_hs, is_bigendian in ((data, False), (swapped, True))]
    assert np.array_equal(*images)
