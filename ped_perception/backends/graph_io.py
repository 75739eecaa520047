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

"""What every backend checks of a typed graph when it loads one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ped_perception.core.errors import BackendError
from ped_perception.core.types import Uint8Array

INPUT = 'images'
OUTPUTS = ('boxes', 'scores')

Shape = Sequence[object]


@dataclass(frozen=True)
class GraphShape:
    """
    Sizes that a loaded graph reports.

    Attributes:
        network_hw: height and width of the input in pixels.
        top_k: candidates of each slot.
    """

    network_hw: tuple[int, int]
    top_k: int


def graph_shape_from_io(graph: Path, inputs: dict[str, tuple[str, Shape]],
                        outputs: dict[str, tuple[str, Shape]]) -> GraphShape:
    """
    Check the inputs and outputs a runtime reports against the contract of the typed graph.

    Args:
        graph: the file, for messages.
        inputs: name → dtype as numpy names it, shape; free dimensions are no integers.
        outputs: likewise.

    Raises:
        BackendError: it is not a typed graph.
    """
    dtype, shape = inputs.get(INPUT, ('', ()))
    boxes_dtype, boxes = outputs.get(OUTPUTS[0], ('', ()))
    scores_dtype, scores = outputs.get(OUTPUTS[1], ('', ()))
    sound = (len(inputs) == 1 and dtype == 'uint8' and len(shape) == 4 and shape[3] == 3
             and boxes_dtype == scores_dtype == 'float32' and len(boxes) == 3
             and boxes[2] == 4 and len(scores) == 2)
    height, width, top_k = (shape[1], shape[2], boxes[1]) if sound else (None, None, None)
    if not (isinstance(height, int) and isinstance(width, int) and isinstance(top_k, int)):
        raise BackendError(
            f'{graph} is not a typed graph (images uint8[N,h,w,3] to boxes float32[N,K,4] and '
            f'scores float32[N,K]); it has inputs {inputs} and outputs {outputs}. '
            f'Make one with: ped_engine import {graph} --size WIDTHxHEIGHT')
    return GraphShape((height, width), top_k)


def check_batch(max_batch: int) -> None:
    """
    Check the size of the batch buffer.

    Raises:
        BackendError: max_batch is not positive.
    """
    if max_batch < 1:
        raise BackendError(f'The batch must hold at least one slot, not {max_batch}.')


def allocate_batch(max_batch: int, network_hw: tuple[int, int]) -> Uint8Array:
    """
    Allocate the batch buffer in memory the process has touched.

    Raises:
        BackendError: max_batch is not positive.
    """
    check_batch(max_batch)
    # full() touches the pages now: the first frames must not pay for them.
    return np.full((max_batch, *network_hw, 3), 0, np.uint8)


def check_count(count: int, max_batch: int) -> None:
    """
    Check the number of slots of an inference.

    Raises:
        BackendError: not 1..max_batch.
    """
    if not 1 <= count <= max_batch:
        raise BackendError(f'The batch holds 1 to {max_batch} slots, not {count}. '
                           f'Open the backend with max_batch >= cameras x views.')
