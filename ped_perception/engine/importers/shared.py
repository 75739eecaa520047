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

"""What families of detectors share: grids, distributions over bins, corners, class counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import Best, GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import ImportSpec
from ped_perception.engine.trunk import Trunk

PROBABILITIES = frozenset({'HardSigmoid', 'Sigmoid', 'Softmax'})
# Mean and deviation of ImageNet's RGB values, in grey levels.
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# Channels of a NanoDet of COCO's 80 classes → bins per side: NanoDet-m, NanoDet-g.
NANODET_COCO = {80 + 4 * 8: 8, 80 + 4 * 11: 11}
CLASS_NOTE = 'classes 80: COCO, person 0; 91: COCO ids or with a background, person 1'


def grid_cells(size_hw: tuple[int, int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width of each level's grid, rounded up as a padded convolution does."""
    return [(-(-size_hw[0] // stride), -(-size_hw[1] // stride)) for stride in strides]


def anchor_count(size_hw: tuple[int, int], strides: Sequence[int]) -> int:
    """Count the cells of all levels."""
    return sum(height * width for height, width in grid_cells(size_hw, strides))


def joined_anchors(builder: GraphBuilder, infos: Sequence[TensorInfo], channels: int) -> str:
    """
    Join the outputs of a head into one table.

    Args:
        builder: of the graph.
        infos: one table [N,A,C], or maps [N,C,H,W] in the order of the levels.
        channels: of each, C.

    Returns:
        Name of a tensor [N,C,A].
    """
    if len(infos) == 1:
        return builder.node('Transpose', [infos[0].name], 'decode/anchors', perm=[0, 2, 1])
    flat = [builder.reshape(info.name, (0, channels, -1), 'decode/flat') for info in infos]
    return builder.node('Concat', flat, 'decode/anchors', axis=2)


def grid_points(size_hw: tuple[int, int], strides: Sequence[int],
                offset: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """
    Lay out the anchors of all levels, level by level, row by row.

    Args:
        size_hw: network input, pixels.
        strides: one per level.
        offset: 0.5 for the centres of the cells, 0 for their upper left corners.

    Returns:
        Points (x, y) in px [A,2], and strides [A,1].
    """
    points, steps = [], []
    for stride, (height, width) in zip(strides, grid_cells(size_hw, strides), strict=True):
        y, x = np.mgrid[:height, :width].reshape(2, -1)
        points.append((np.stack([x, y], axis=1) + offset) * stride)
        steps.append(np.full((height * width, 1), stride))
    return (np.concatenate(points).astype(np.float32),
            np.concatenate(steps).astype(np.float32))


def boxes_from_bins(builder: GraphBuilder, values_nra: str, bins: int, best: Best,
                    points: NDArray[np.float32], steps: NDArray[np.float32]) -> str:
    """
    Decode the distances to the four sides, each a distribution over bins, of the best anchors.

    A side is at the expectation of its bins, in strides from the point
    (generalised focal loss, arXiv:2006.04388).

    Args:
        builder: of the graph.
        values_nra: logits float32[N,4·bins,A], in the order left, top, right, bottom.
        bins: per side.
        best: the anchors to decode.
        points: of the anchors (x, y) [A,2] px.
        steps: strides [A,1].

    Returns:
        Boxes float32[N,K,4] xyxy px.
    """
    taken = builder.take(values_nra, 4 * bins, best, 'decode/bins_nrk')
    taken = builder.reshape(taken, (0, 4, bins, best.count), 'decode/sides')
    chances = builder.node('Softmax', [taken], 'decode/chances', axis=2)
    numbers = builder.constant(np.arange(bins, dtype=np.float32).reshape(1, 1, bins, 1),
                               'decode/numbers')
    weighted = builder.node('Mul', [chances, numbers], 'decode/weighted')
    distance = builder.node('ReduceSum', [weighted, builder.shape(2)], 'decode/distance',
                            keepdims=0)
    distance = builder.node('Transpose', [distance], 'decode/distance_nk4', perm=[0, 2, 1])
    signs = np.array([-1, -1, 1, 1], np.float32)
    step = builder.take_constant(steps * signs, best, 'decode/step')
    centre = builder.take_constant(np.tile(points, 2), best, 'decode/centre')
    offset = builder.node('Mul', [distance, step], 'decode/offset')
    return builder.node('Add', [centre, offset], 'decode/boxes')


def corners(builder: GraphBuilder, centre_nk2: str, size_nk2: str) -> str:
    """Boxes from centres and sizes: [N,K,4] xyxy."""
    half = builder.constant(np.array([0.5], np.float32), 'decode/half')
    half = builder.node('Mul', [size_nk2, half], 'decode/half_size')
    sides = [builder.node(op, [centre_nk2, half], f'decode/{op.lower()}') for op in ('Sub', 'Add')]
    return builder.node('Concat', sides, 'decode/boxes', axis=2)


def corners_from_cxcywh(builder: GraphBuilder, boxes_nk4: str) -> str:
    """Boxes from centre x, centre y, width, height: [N,K,4] xyxy."""
    centre, size = builder.nodes('Split', [boxes_nk4, builder.shape(2, 2)],
                                 ['decode/centre', 'decode/size'], axis=2)
    return corners(builder, centre, size)


def in_pixels(builder: GraphBuilder, boxes_nk4: str, size_hw: tuple[int, int]) -> str:
    """Scale boxes given as shares of the input's width and height."""
    height, width = size_hw
    scale = builder.constant(np.array([width, height, width, height], np.float32),
                             'decode/input_size')
    return builder.node('Mul', [boxes_nk4, scale], 'decode/boxes_px')


def take_rows(builder: GraphBuilder, values_nar: str, rows: int, best: Best, hint: str) -> str:
    """Pick the rows of the best anchors: [N,A,R] → [N,K,R]."""
    turned = builder.node('Transpose', [values_nar], f'{hint}_nra', perm=[0, 2, 1])
    taken = builder.take(turned, rows, best, f'{hint}_nrk')
    return builder.node('Transpose', [taken], f'{hint}_nkr', perm=[0, 2, 1])


def probabilities(builder: GraphBuilder, scores: str, activated: bool) -> str:
    """Scores 0..1 of scores that may be logits."""
    return scores if activated else builder.node('Sigmoid', [scores], 'decode/scores')


def are_probabilities(trunk: Trunk, output: str, axis: int, channel: int) -> bool:
    """Tell whether a class score has been through a sigmoid or softmax in the network."""
    return not PROBABILITIES.isdisjoint(trunk.operators_behind(output, axis, channel))


def check_class_count(found: object, spec: ImportSpec) -> None:
    """
    Compare the classes in the file with those it is said to have.

    Raises:
        ModelError: they differ, and then the index of the pedestrian may be wrong, too.
    """
    if found != spec.class_count:
        raise ModelError(
            f'The model has {found} classes, not {spec.class_count}. Say how many and which is '
            f'the pedestrian: --class-count {found} --class-index I ({CLASS_NOTE}).')


def table_channels(info: TensorInfo, trunk: Trunk, strides: Sequence[int],
                   channels_last: bool) -> int | None:
    """
    Count the channels of an output that may be a table of all anchors, [N,A,R] or [N,R,A].

    Args:
        info: the output.
        trunk: whose input size, if the file says it, tells how many anchors there must be.
        strides: of the anchors' levels, one anchor per cell; none: any number of anchors.
        channels_last: R is the last axis.

    Returns:
        R, or None if it is no such table.
    """
    if len(info.shape) != 3 or info.dtype != 'float32':
        return None
    anchors, channels = info.shape[1:] if channels_last else info.shape[:0:-1]
    if not isinstance(channels, int):
        return None
    if isinstance(anchors, int) and trunk.exported_hw is not None and strides:
        return channels if anchors == anchor_count(trunk.exported_hw, strides) else None
    return channels if not isinstance(anchors, int) or anchors > channels else None


def refuse(outputs: Sequence[TensorInfo], needed: str) -> ModelError:
    """Make the error for outputs that are not those of the family."""
    return ModelError(f'The family needs {needed}; this model has: '
                      f'{"; ".join(str(info) for info in outputs)}.')


def pair_of(outputs: Sequence[TensorInfo]) -> tuple[TensorInfo, TensorInfo] | None:
    """
    Find scores [N,A,classes] and boxes [N,A,4], in this order; None if they are not there.

    With four classes the shapes are alike, and the names decide.
    """
    if len(outputs) != 2 or any(len(info.shape) != 3 or info.dtype != 'float32'
                                for info in outputs):
        return None
    fours = [info for info in outputs if info.shape[2] == 4]
    named = [info for info in fours if 'box' in info.name.lower() or info.name == 'dets']
    boxes = named if len(fours) > 1 else fours
    if len(boxes) != 1:
        return None
    (scores,) = (info for info in outputs if info is not boxes[0])
    return (scores, boxes[0]) if scores.shape[1] == boxes[0].shape[1] or not all(
        isinstance(info.shape[1], int) for info in outputs) else None
