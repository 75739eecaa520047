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
Spoil real pictures and count what the image monitor says of them: the table of its document.

    .venv/bin/python tools/measure_image_monitor.py ../shared/data

The tests of the monitor spoil their pictures with the same functions.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
import functools
import json
from pathlib import Path
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ped_perception.core.image_measures import measures_of
from ped_perception.core.image_monitor import ImageMonitor, ImageMonitorConfig, ImageProblem
from ped_perception.core.types import Frame
from steps import ROOT

Picture = NDArray[np.uint8]

# Sizes of blur and movement are in pixels of a picture this wide: what the network gets.
WIDTH = 640


def scale_of(picture: Picture) -> float:
    """Give how many pixels of a picture are one of a picture 640 wide."""
    return max(1.0, picture.shape[1] / WIDTH)


def noisy(picture: Picture, sigma: float, seed: int = 0) -> Picture:
    """Add the noise of a sensor, grey as far as the eye can tell."""
    return _picture(picture + np.float32(sigma) * _normal(picture.shape[:2], seed))


@functools.lru_cache(maxsize=48)
def _normal(size_hw: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Give float32[H, W, 1] of a normal distribution; many pictures are spoiled by the same."""
    return np.random.default_rng(seed).standard_normal((*size_hw, 1), np.float32)


def night(picture: Picture, gain: float) -> Picture:
    """Take light away and leave the noise."""
    return noisy(_picture(picture * gain), 2)


def bright(picture: Picture, gain: float) -> Picture:
    """Expose for too long."""
    return _picture(picture * float(gain) + 60)


def defocused(picture: Picture, sigma_px: float) -> Picture:
    """Move the lens out of focus."""
    return _picture(cv2.GaussianBlur(picture, (0, 0), sigma_px * scale_of(picture)))


def shaken(picture: Picture, length_px: int, degrees: float) -> Picture:
    """Move the camera while the shutter is open, in a straight line."""
    length = int(length_px * scale_of(picture)) | 1
    kernel = np.zeros((length, length), np.float32)
    direction = np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
    for along in np.linspace(-(length // 2), length // 2, 4 * length):
        row, column = np.rint(length // 2 + along * direction).astype(int)
        kernel[row, column] = 1
    return _picture(cv2.filter2D(picture, -1, kernel / kernel.sum()))


def taped(picture: Picture, share: float) -> Picture:
    """Stick dark tape over the left of the lens."""
    covered, width = picture.astype(np.float32), round(picture.shape[1] * share)
    covered[:, :width] = 40 + np.linspace(0, 15, width)[:, None]
    return noisy(_picture(covered), 1.5)


def dirty(picture: Picture, share: float) -> Picture:
    """Splash mud on the lens: blots of all sizes, soft at their edges, a little light through."""
    blots = _blots(picture.shape[:2], share, 60, seed=1)[..., None]
    mud = (35, 50, 60) + 15 * _blots(picture.shape[:2], 0.5, 4, seed=2)[..., None]
    height, width = picture.shape[:2]
    light = cv2.resize(cv2.resize(picture, (16, 8), interpolation=cv2.INTER_AREA), (width, height))
    through = 0.85 * mud + 0.15 * light
    return noisy(_picture(picture * (1 - blots) + through * blots), 1.5)


def draped(picture: Picture, grey: float) -> Picture:
    """Hang a cloth over the lens: folds and a weave, far out of focus."""
    height, width = picture.shape[:2]
    folds = grey + 50 * _blots((height, width), 0.5, 6, seed=3)
    weave = 6 * np.sin(np.arange(width) / 5) * np.sin(np.arange(height) / 5)[:, None]
    cloth = cv2.GaussianBlur(folds + weave, (0, 0), 4)
    return noisy(_picture(np.repeat(cloth[..., None], 3, axis=2)), 2)


@functools.lru_cache(maxsize=16)
def _blots(size_hw: tuple[int, ...], share: float, softness: float, seed: int,
           ) -> NDArray[np.float64]:
    height, width = size_hw
    coarse = np.random.default_rng(seed).random((height // 60 + 2, width // 60 + 2))
    field: NDArray[Any] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    blots: NDArray[np.float64] = 1 / (1 + np.exp(
        (field - np.quantile(field, share)) * softness))
    return blots


def _picture(values: NDArray[Any]) -> Picture:
    picture: Picture = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return picture


SPOILERS: dict[str, Callable[[Picture], Picture]] = {
    'as it is': lambda picture: picture,
    'noise of 3 grey levels': lambda picture: noisy(picture, 3),
    'a quarter of the light': lambda picture: night(picture, 0.25),
    'an eighth of the light': lambda picture: night(picture, 0.125),
    'black': lambda picture: _picture(picture * 0.02),
    'black, noise of 4': lambda picture: noisy(_picture(picture * 0.02), 4),
    'exposed 4 times too long': lambda picture: bright(picture, 4),
    'exposed 8 times too long': lambda picture: bright(picture, 8),
    'tape over 50 %': lambda picture: taped(picture, 0.5),
    'tape over 70 %': lambda picture: taped(picture, 0.7),
    'tape over all': lambda picture: taped(picture, 1.0),
    'mud over 80 %': lambda picture: dirty(picture, 0.8),
    'mud over 90 %': lambda picture: dirty(picture, 0.9),
    'mud over all': lambda picture: dirty(picture, 1.0),
    'dark cloth': lambda picture: draped(picture, 90),
    'light cloth': lambda picture: draped(picture, 180),
    'defocus, sigma 1.5 px': lambda picture: defocused(picture, 1.5),
    'defocus, sigma 2 px': lambda picture: defocused(picture, 2),
    'defocus, sigma 3 px': lambda picture: defocused(picture, 3),
    'defocus, sigma 6 px': lambda picture: defocused(picture, 6),
    'defocus, sigma 3 px, noise of 3': lambda picture: noisy(defocused(picture, 3), 3),
    'shaken 8 px sideways': lambda picture: shaken(picture, 8, 0),
    'shaken 16 px sideways': lambda picture: shaken(picture, 16, 0),
    'shaken 8 px upwards': lambda picture: shaken(picture, 8, 90),
    'shaken 16 px upwards': lambda picture: shaken(picture, 16, 90),
    'shaken 32 px askew': lambda picture: shaken(picture, 32, 45),
}


def problem_of(picture: Picture) -> ImageProblem | None:
    """Give what the monitor says of a picture that stays like that, None for nothing wrong."""
    monitor = ImageMonitor(ImageMonitorConfig(persist_s=0.0, frozen_s=0.0))
    # Two pictures: the directions of blur are looked at in turn.
    told = [monitor.check(Frame('camera', stamp_ns, 'optical', picture)) for stamp_ns in (1, 2)][1]
    return told[0] if told else None


def pictures_of_clip(path: Path, every: int) -> Iterator[Picture]:
    """Read every so many pictures of a video."""
    video = cv2.VideoCapture(str(path))
    index = 0
    while video.grab():
        if index % every == 0:
            yield np.asarray(video.retrieve()[1], np.uint8)
        index += 1


def pictures_in(folder: Path) -> Iterator[Picture]:
    """Read all pictures of a folder."""
    for path in sorted([*folder.glob('*.jpg'), *folder.glob('*.png')]):
        yield np.asarray(cv2.imread(str(path)), np.uint8)


def street_pictures(data: Path) -> list[Picture]:
    """Give pictures of streets: nuScenes, KITTI, the golden ones, PETS and the demo."""
    return [*pictures_in(data / 'nuscenes6/images'), *pictures_in(data / 'kitti3/image_2'),
            *pictures_in(ROOT / 'engines/golden'),
            *pictures_of_clip(data / 'pets09_s2l1/vtest.avi', 100),
            *pictures_of_clip(ROOT / 'demo/pets_street.mp4', 60)]


def counted(pictures: list[Picture], spoil: Callable[[Picture], Picture]) -> str:
    """Describe what is said of spoiled pictures."""
    counts = Counter(problem_of(spoil(picture)) for picture in pictures)
    words = [f'{counts[problem] / len(pictures):.1%} {problem.name.lower()}'
             for problem in ImageProblem if counts[problem]]
    return ', '.join(words) or 'nothing'


def milliseconds(size_xy: tuple[int, int], picture: Picture) -> NDArray[np.float64]:
    """Measure the time of the monitor's look at 400 pictures: tenths 1, 5 and 9."""
    shown = [cv2.resize(picture, size_xy), cv2.resize(picture[:, ::-1], size_xy)]
    frames = [Frame('camera', index * 33_000_000, 'optical', np.asarray(shown[index % 2]))
              for index in range(400)]
    monitor, times_ms = ImageMonitor(ImageMonitorConfig()), []
    for frame in frames:
        begun = time.perf_counter()
        monitor.check(frame)
        times_ms.append((time.perf_counter() - begun) * 1e3)
    return np.array(np.quantile(times_ms, [0.1, 0.5, 0.9]), np.float64)


def main() -> None:
    """Print the table, what was found wrong with untouched pictures, and the times."""
    parser = argparse.ArgumentParser(description='Measure the image monitor on real pictures.')
    parser.add_argument('data', type=Path, help='folder of the recorded data sets')
    data = parser.parse_args().data
    # As in the node, where the inference has the other cores.
    cv2.setNumThreads(1)
    street, general = street_pictures(data), list(pictures_in(data / 'coco200/images'))
    print(f'| pictures | {len(street)} of streets | {len(general)} of COCO |\n|---|---|---|')
    for name, spoil in SPOILERS.items():
        print(f'| {name} | {counted(street, spoil)} | {counted(general, spoil)} |', flush=True)
    videos = {path.name: [problem_of(picture) for picture in pictures_of_clip(path, 1)]
              for path in (data / 'pets09_s2l1/vtest.avi', ROOT / 'demo/pets_street.mp4')}
    print(json.dumps({name: {'pictures': len(said), 'problems': len(said) - said.count(None)}
                      for name, said in videos.items()}))
    print('sharpness of street pictures:', np.round(np.percentile(
        [measures_of(picture).sharpness for picture in street], [0, 50, 100]), 3))
    for size_xy in ((1280, 720), (1920, 1080)):
        print(size_xy, 'ms:', np.round(milliseconds(size_xy, street[0]), 3))


if __name__ == '__main__':
    main()
