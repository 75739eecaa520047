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
What is a typed graph already, and what this package cannot import but knows how to get.

A typed graph passes through an import unchanged, if it is what was asked for.
"""

from __future__ import annotations

from typing import Any

from ped_perception.core.errors import ModelError
from ped_perception.engine.trunk import Trunk

FAMILY = 'typed'
LAYOUT = 'a graph of this package: boxes float32[N,K,4] and scores float32[N,K]'

POSTPROCESSED = ('It contains the postprocessing of RT-DETR, D-FINE or torchvision: export the '
                 'model without it, with its logits [N,Q,classes] and boxes [N,Q,4] as outputs.')
SUPPRESSED = ('It contains non-maximum suppression: export it without (Ultralytics: nms=False; '
              'YOLOv7: without --end2end; TensorFlow: raw_detection_boxes and '
              'raw_detection_scores).')


def match(trunk: Trunk) -> str | None:
    """Return why a network is a typed graph, or None if it is not."""
    shapes = {info.name: info.shape for info in trunk.outputs}
    if set(shapes) != {'boxes', 'scores'} or 'source_sha256' not in trunk.metadata:
        return None
    count = shapes['scores'][1:]
    return 'outputs and metadata of this package' if shapes['boxes'][1:] == (*count, 4) else None


def check_unchanged(has: dict[str, Any], wanted: dict[str, Any]) -> None:
    """
    Check that a typed graph is what an import was asked for.

    Args:
        has: what the graph says about itself.
        wanted: what was asked for; None where nothing was said.

    Raises:
        ModelError: it is something else; nothing of it can be changed any more.
    """
    for key, value in wanted.items():
        if value is not None and key in has and has[key] != value:
            raise ModelError(f'The file is a typed graph already, and its {key} is {has[key]}, '
                             f'not {value}. Import the model that it was made of.')


def advice(trunk: Trunk) -> str:
    """Say how to export a network of no known family, where that is known; else ''."""
    names = {info.name.split(':')[0] for info in trunk.outputs}
    if {'labels', 'boxes', 'scores'} <= names:
        return f' {POSTPROCESSED}'
    if 'NonMaxSuppression' in trunk.decoding_operators or any(
            name.startswith(('num_det', 'detection_', 'det_')) for name in names):
        return f' {SUPPRESSED}'
    return ''
