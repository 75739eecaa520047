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
Views: what each slot of the batch sees of a picture.

One network input size cannot serve all distances: the whole picture shrunk to it loses the far
pedestrian, a crop at native resolution cuts the near one. So a frame may be seen through
several views, each one slot of the same batch; ``core.detections`` merges what they find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import functools

import cv2
import numpy as np
from ped_perception.core.errors import ConfigError
from ped_perception.core.types import Float32Array, Uint8Array, View

# Grey of the padding, the mean of the pictures most detectors are trained on: with it a border
# of the picture makes no edge for the network to see.
PAD_GREY = 114

WHOLE = 'whole'
HORIZON = 'horizon'

# left, top, right, bottom as fractions of a picture.
Region = tuple[float, float, float, float]
ALL: Region = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class ViewSpec:
    """
    A view before the size of the picture is known.

    Attributes:
        region_xyxy: part of the picture, as fractions of its width and height.
        shrink: how much of the slot the view fills, 0..1; less than one makes near people
            smaller than the largest the network finds well.
    """

    region_xyxy: Region = ALL
    shrink: float = 1.0


def region_from_numbers(numbers: Sequence[float], what: str) -> Region:
    """
    Check a region of a picture.

    Args:
        numbers: left, top, right, bottom as fractions of the picture.
        what: this is, for the message.

    Raises:
        ConfigError: not four numbers, or not a region inside the picture.
    """
    if len(numbers) != 4 or not (0 <= numbers[0] < numbers[2] <= 1
                                 and 0 <= numbers[1] < numbers[3] <= 1):
        raise ConfigError(f'{what} is not a region inside the picture: left,top,right,bottom with '
                          f'0 <= left < right <= 1 and 0 <= top < bottom <= 1.')
    left, top, right, bottom = numbers
    return left, top, right, bottom


def view_spec_from_text(text: str) -> ViewSpec | None:
    """
    Read a view as written in a parameter.

    ``'whole'``, ``'whole@0.65'`` (filling 65 % of the slot), a region in fractions of the
    picture, ``'0.25,0.3,0.75,0.8'``: left, top, right, bottom; or ``'horizon'``.

    Returns:
        None for the horizon, whose region depends on the camera.

    Raises:
        ConfigError: not of that form, or outside the picture.
    """
    if text.strip() == HORIZON:
        return None
    region_text, _, shrink_text = text.partition('@')
    try:
        shrink = float(shrink_text) if shrink_text else 1.0
        region = (ALL if region_text.strip() == WHOLE
                  else tuple(float(part) for part in region_text.split(',')))
    except ValueError:
        region, shrink = (), 1.0
    if len(region) != 4:
        raise ConfigError(f'A view is whole, whole@0.65, horizon, or left,top,right,bottom as '
                          f'fractions of the picture, like 0.25,0.3,0.75,0.8, not {text!r}.')
    if not 0.1 <= shrink <= 1:
        raise ConfigError(f'The view {text!r} must fill 0.1 to 1 of its slot, not {shrink:g}.')
    return ViewSpec(region_from_numbers(region, f'The view {text!r}'), shrink)


@functools.lru_cache(maxsize=256)
def place_view(spec: ViewSpec, source_hw: tuple[int, int], network_hw: tuple[int, int]) -> View:
    """
    Place a view on pictures of one size.

    The crop keeps its aspect ratio and is centred in the slot, so that people at either edge have
    the same padding beside them.

    Args:
        spec: the view asked for.
        source_hw: height and width of the picture in pixels.
        network_hw: height and width of the network input in pixels.
    """
    source_h, source_w = source_hw
    left, top, right, bottom = spec.region_xyxy
    x1 = min(round(left * source_w), source_w - 1)
    y1 = min(round(top * source_h), source_h - 1)
    x2 = max(round(right * source_w), x1 + 1)
    y2 = max(round(bottom * source_h), y1 + 1)
    network_h, network_w = network_hw
    scale = spec.shrink * min(network_w / (x2 - x1), network_h / (y2 - y1))
    # An extreme aspect ratio would round the short side to nothing.
    size_x = max(1, round((x2 - x1) * scale))
    size_y = max(1, round((y2 - y1) * scale))
    return View(crop_xyxy=(x1, y1, x2, y2),
                scale_xy=(size_x / (x2 - x1), size_y / (y2 - y1)),
                pad_xy=((network_w - size_x) // 2, (network_h - size_y) // 2),
                size_xy=(size_x, size_y), source_hw=source_hw)


def write_view(image_hw3: Uint8Array, view: View, slot_hw3: Uint8Array) -> None:
    """
    Crop, scale and pad a picture straight into one slot of the batch.

    Args:
        image_hw3: uint8[H, W, 3], of the size the view was placed for.
        view: where the slot looks.
        slot_hw3: uint8[h, w, 3], written completely.
    """
    x1, y1, x2, y2 = view.crop_xyxy
    pad_x, pad_y = view.pad_xy
    size_x, size_y = view.size_xy
    target = slot_hw3[pad_y:pad_y + size_y, pad_x:pad_x + size_x]
    written = cv2.resize(image_hw3[y1:y2, x1:x2], (size_x, size_y), dst=target,
                         interpolation=cv2.INTER_LINEAR)
    if not np.may_share_memory(written, target):
        # OpenCV allocates anew when it cannot write through a strided target.
        target[:] = written
    slot_hw3[:pad_y] = PAD_GREY
    slot_hw3[pad_y + size_y:] = PAD_GREY
    slot_hw3[pad_y:pad_y + size_y, :pad_x] = PAD_GREY
    slot_hw3[pad_y:pad_y + size_y, pad_x + size_x:] = PAD_GREY


def source_from_network_boxes(boxes_n4: Float32Array, view: View) -> Float32Array:
    """
    Map boxes of a slot back to the source picture; nothing is clipped.

    Args:
        boxes_n4: float32[N, 4], pixels of the network input.
        view: through which the slot was filled.

    Returns:
        float32[N, 4], pixels of the source picture.
    """
    pad, scale, origin = _undoing(view)
    return (boxes_n4 - pad) / scale + origin


@functools.lru_cache(maxsize=256)
def _undoing(view: View) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Give padding, scale and origin of a view for all corners of a box."""
    return (np.array(view.pad_xy * 2, np.float32), np.array(view.scale_xy * 2, np.float32),
            np.array(view.crop_xyxy[:2] * 2, np.float32))


def specs_from_texts(texts: Sequence[str], roi_xyxy: Region = ALL,
                     horizon_xyxy: Region | None = None) -> tuple[ViewSpec, ...]:
    """
    Read the list of views of a camera.

    Args:
        texts: as written in the parameter.
        roi_xyxy: part of the picture that is looked at; the views are placed in it.
        horizon_xyxy: where the far pedestrians of this camera are, in fractions of the whole
            picture; None where that is not known: the view is then left out.

    Raises:
        ConfigError: the list is empty, or one of its views cannot be read.
    """
    if not texts:
        raise ConfigError(f"The list of views is empty; the usual value is ['{WHOLE}'].")
    specs = [view_spec_from_text(text) for text in texts]
    left, top, right, bottom = roi_xyxy
    size = right - left, bottom - top
    placed = []
    for spec in specs:
        if spec is not None:
            x1, y1, x2, y2 = spec.region_xyxy
            placed.append(ViewSpec((left + x1 * size[0], top + y1 * size[1],
                                    left + x2 * size[0], top + y2 * size[1]), spec.shrink))
        elif horizon_xyxy is not None:
            placed.append(ViewSpec(horizon_xyxy))
    return tuple(placed) or (ViewSpec(roi_xyxy),)
