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
CenterNet, "objects as points" (arXiv:1904.07850), with the distances to the four sides.

A heat map of logits [N, classes, h/4, w/4], and for every cell the distances in px from the
cell's corner to the left, top, right and bottom side [N, 4, h/4, w/4].
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.trunk import Trunk

CELL = 4                # px of the input per cell of the heat map


class CenterNet(Importer):
    """Importer of the family ``centernet``."""

    family = 'centernet'
    layout = 'heat float32[N, classes, h/4, w/4] and sizes float32[N, 4, h/4, w/4]'
    stride = 32         # of the backbone
    defaults = FamilyDefaults(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), channel_order='rgb',
                              top_k=100)

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``."""
        outputs = trunk.outputs
        if {info.name for info in outputs} != {'heat', 'sizes'}:
            return None
        shapes = {info.name: info.shape for info in outputs}
        if len(shapes['heat']) != 4 or len(shapes['sizes']) != 4 or shapes['sizes'][1] != 4:
            return None
        return f"outputs 'heat' with {shapes['heat'][1]} classes and 'sizes' with 4 distances"

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        heat, _ = _outputs({info.name: info for info in trunk.outputs}, spec.size_hw)
        if heat.shape[1] != spec.class_count:
            raise ModelError(f'The heat map has {heat.shape[1]} classes, not '
                             f'{spec.class_count}.')
        return Reduced(trunk.keep_channels(heat.name, [spec.class_index]))

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``."""
        heat, sizes = _outputs(outputs, spec.size_hw)
        y, x = np.mgrid[:spec.size_hw[0] // CELL, :spec.size_hw[1] // CELL].reshape(2, -1)
        corners = (np.stack([x, y, x, y], axis=1) * CELL).astype(np.float32)
        # A cell counts only if no neighbour is hotter: this stands in for NMS.
        hottest = builder.node('MaxPool', [heat.name], 'decode/hottest',
                               kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
        peak = builder.node('Equal', [heat.name, hottest], 'decode/is_peak')
        peak = builder.node('Cast', [peak], 'decode/peak', to=TensorProto.FLOAT)
        score = builder.node('Sigmoid', [heat.name], 'decode/heat')
        score = builder.node('Mul', [score, peak], 'decode/peaks')
        score = builder.reshape(score, (0, len(corners)), 'decode/peaks_na')
        best = builder.best(score, len(corners), spec.top_k)
        flat = builder.reshape(sizes.name, (0, 4, len(corners)), 'decode/sizes_n4a')
        distance = builder.take(flat, 4, best, 'decode/sizes_n4k')
        distance = builder.node('Transpose', [distance], 'decode/sizes_nk4', perm=[0, 2, 1])
        signs = builder.constant(np.array([-1, -1, 1, 1], np.float32), 'decode/signs')
        offset = builder.node('Mul', [distance, signs], 'decode/offset')
        corner = builder.take_constant(corners, best, 'decode/corner')
        return builder.node('Add', [corner, offset], 'decode/boxes'), best.scores_nk


def _outputs(seen: Mapping[str, TensorInfo],
             size_hw: tuple[int, int]) -> tuple[TensorInfo, TensorInfo]:
    """Heat map and sizes, checked against the input size."""
    cells = (size_hw[0] // CELL, size_hw[1] // CELL)
    if (set(seen) != {'heat', 'sizes'} or seen['sizes'].shape[1:] != (4, *cells)
            or seen['heat'].shape[2:] != cells):
        raise ModelError(
            f"CenterNet at {size_hw[1]}x{size_hw[0]} needs the outputs 'heat' [N,C,{cells[0]},"
            f"{cells[1]}] and 'sizes' [N,4,{cells[0]},{cells[1]}]; this model has: "
            f"{'; '.join(str(info) for info in seen.values())}.")
    return seen['heat'], seen['sizes']
