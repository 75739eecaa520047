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

"""Mosaics: what they hold stays, what they lack is guessed along edges."""

from __future__ import annotations

import cv2
from demo_clip import clip_frame
import numpy as np
from ped_perception.core.demosaic import bgr_from_bayer
from ped_perception.core.raw import raw_from_bgr
import pytest

PATTERNS = {'rggb': cv2.COLOR_BayerBG2BGR, 'bggr': cv2.COLOR_BayerRG2BGR,
            'gbrg': cv2.COLOR_BayerGR2BGR, 'grbg': cv2.COLOR_BayerGB2BGR}


@pytest.fixture(scope='module')
def street_hw3(root):
    """Give the first frame of the shipped clip."""
    return clip_frame(root, 1)


def mosaic_of(image_hw3, pattern):
    return raw_from_bgr(image_hw3, f'bayer_{pattern}8')[0]


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize(('height', 'width'), [(3, 3), (3, 8), (9, 4), (64, 97), (33, 64)])
def test_what_a_mosaic_holds_stays_as_it_is(pattern, height, width):
    image_hw3 = noise(height, width)
    seen_hw3 = bgr_from_bayer(mosaic_of(image_hw3, pattern), pattern)
    assert seen_hw3.shape == image_hw3.shape
    for index, colour in enumerate(pattern):
        y, x = divmod(index, 2)
        held = np.s_[y::2, x::2, 'bgr'.index(colour)]
        np.testing.assert_array_equal(seen_hw3[held], image_hw3[held])


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize('colour', [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255),
                                    (20, 200, 90)])
def test_a_colour_that_is_everywhere_is_seen_everywhere(pattern, colour):
    image_hw3 = np.full((13, 17, 3), colour, np.uint8)
    np.testing.assert_array_equal(bgr_from_bayer(mosaic_of(image_hw3, pattern), pattern),
                                  image_hw3)


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize('axis', [0, 1])
def test_grey_edges_have_no_colour(pattern, axis):
    """Averages of neighbours give fringes as strong as a quarter of the step."""
    image_hw3 = np.full((32, 40, 3), 50, np.uint8)
    np.moveaxis(image_hw3, axis, 0)[15:] = 210
    mosaic_hw = mosaic_of(image_hw3, pattern)
    assert fringes(bgr_from_bayer(mosaic_hw, pattern)) == 0
    assert fringes(cv2.cvtColor(mosaic_hw, PATTERNS[pattern])) >= 40


def fringes(image_hw3):
    """Give the largest difference between the colours of a pixel, borders left out."""
    return int(np.ptp(image_hw3[3:-3, 3:-3].astype(int), axis=2).max())


@pytest.mark.parametrize(('pattern', 'code'), PATTERNS.items())
def test_a_street_is_closer_to_what_it_was_and_not_moved(pattern, code, street_hw3):
    mosaic_hw = mosaic_of(street_hw3, pattern)
    seen_hw3 = bgr_from_bayer(mosaic_hw, pattern)
    fast_hw3 = cv2.cvtColor(mosaic_hw, code)
    assert cv2.PSNR(street_hw3, seen_hw3) > cv2.PSNR(street_hw3, fast_hw3) + 6
    for channel in range(3):
        (right, down), _ = cv2.phaseCorrelate(np.float32(street_hw3[:, :, channel]),
                                              np.float32(seen_hw3[:, :, channel]))
        assert max(abs(right), abs(down)) < 0.15, 'in pixels'
