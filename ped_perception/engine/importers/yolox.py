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
YOLOX (arXiv:2107.08430, github.com/Megvii-BaseDetection/YOLOX), raw or decoded.

Per anchor x, y, w, h, objectness and the classes. Raw, as its export_onnx.py writes them: x and y
in strides from the cell's corner, w and h as logarithms of strides; objectness and classes are
probabilities already (or logits, in files cut right behind the convolutions). Decoded
(--decode_in_inference): centre and size in pixels. The score is objectness times class. Input:
BGR 0-255, not normalised (YOLOX since 0.1.1; its data_augment.preproc).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ped_perception.core.errors import ModelError
from ped_perception.engine.cut import Saving
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import (
    anchor_count,
    are_probabilities,
    check_class_count,
    corners,
    corners_from_cxcywh,
    grid_cells,
    grid_points,
    joined_anchors,
    NANODET_COCO,
    refuse,
    table_channels,
)
from ped_perception.engine.trunk import Trunk

STRIDES = (8, 16, 32)
BOX = 5                         # x, y, w, h, objectness
# Behind the last convolution raw heads are only activated and arranged.
DECODING = frozenset({'Add', 'Div', 'Exp', 'Mul', 'Pow', 'ScatterND', 'Sub'})


class YoloX(Importer):
    """Importer of the families ``yolox`` and ``yolox-decoded``."""

    stride = STRIDES[-1]
    defaults = FamilyDefaults(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), channel_order='bgr',
                              top_k=256)

    def __init__(self, decoded: bool) -> None:
        self.family = 'yolox-decoded' if decoded else 'yolox'
        self.decodes_itself = decoded
        table = 'float32[N,A,5+classes] of strides 8, 16, 32, '
        self.layout = table + ('x, y, w, h in pixels' if decoded else
                               'not decoded, or three heads float32[N,5+classes,h/s,w/s]')

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``; the operators tell whether the boxes are decoded."""
        operators = trunk.decoding_operators
        outputs = trunk.outputs
        if len(outputs) == 1:
            channels = table_channels(outputs[0], trunk, STRIDES, channels_last=True)
            # Raw tables of NanoDet are alike, and nobody has 107 or 119 classes.
            if (channels is None or channels <= BOX or channels in NANODET_COCO
                    or 'TopK' in operators):
                return None
            fits = ({'Exp'} <= operators if self.decodes_itself
                    else DECODING.isdisjoint(operators))
            return f'{channels} channels = 5 + {channels - BOX} classes' if fits else None
        channels = _head_channels(outputs)
        if self.decodes_itself or channels != BOX + self.defaults.class_count:
            return None     # other class counts look like other families
        return f'three heads of {channels} channels = 5 + {channels - BOX} classes'

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        outputs = _in_order(trunk.outputs, spec.size_hw, self.decodes_itself)
        axis = len(outputs[0].shape) - 1 if len(outputs) == 1 else 1
        channels = outputs[0].shape[axis]
        check_class_count(channels - BOX if isinstance(channels, int) else channels, spec)
        operators = trunk.decoding_operators
        if not self.decodes_itself and 'Exp' in operators:
            raise ModelError('The model decodes its boxes itself (it computes Exp): its family '
                             'is yolox-decoded.')
        wanted = BOX + spec.class_index
        activated = [are_probabilities(trunk, info.name, axis, channel)
                     for info in outputs for channel in (BOX - 1, wanted)]
        if len(set(activated)) != 1:
            raise ModelError('Some scores of the model are logits and some probabilities.')
        saving = Saving()
        for info in outputs:
            saving += trunk.keep(info.name, axis, [*range(BOX), wanted])
        return Reduced(saving, activated[0])

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``."""
        infos = _in_order(list(outputs.values()), spec.size_hw, self.decodes_itself)
        anchors = anchor_count(spec.size_hw, STRIDES)
        joined = joined_anchors(builder, infos, BOX + 1)
        boxes, scores = builder.nodes('Split', [joined, builder.shape(4, 2)],
                                      ['decode/boxes_n4a', 'decode/scores_n2a'], axis=1)
        if not activated:
            scores = builder.node('Sigmoid', [scores], 'decode/chances_n2a')
        objectness, chances = builder.nodes('Split', [scores, builder.shape(1, 1)],
                                            ['decode/objectness', 'decode/class'], axis=1)
        scores = builder.node('Mul', [objectness, chances], 'decode/scores_n1a')
        best = builder.best(builder.reshape(scores, (0, anchors), 'decode/scores_na'), anchors,
                            spec.top_k)
        taken = builder.take(boxes, 4, best, 'decode/boxes_n4k')
        taken = builder.node('Transpose', [taken], 'decode/boxes_nk4', perm=[0, 2, 1])
        if self.decodes_itself:
            return corners_from_cxcywh(builder, taken), best.scores_nk
        points, steps = grid_points(spec.size_hw, STRIDES, 0.0)
        place, size = builder.nodes('Split', [taken, builder.shape(2, 2)],
                                    ['decode/place', 'decode/log_size'], axis=2)
        step = builder.take_constant(steps, best, 'decode/step')
        place = builder.node('Mul', [place, step], 'decode/place_px')
        centre = builder.node('Add', [place, builder.take_constant(points, best, 'decode/cell')],
                              'decode/centre')
        size = builder.node('Exp', [size], 'decode/strides')
        size = builder.node('Mul', [size, step], 'decode/size')
        return corners(builder, centre, size), best.scores_nk


def _head_channels(outputs: Sequence[TensorInfo]) -> int | None:
    """Count the channels of three heads [N,R,h,w], None if that is not what they are."""
    channels = {info.shape[1] for info in outputs if len(info.shape) == 4}
    count = channels.pop() if len(channels) == 1 else None
    return count if len(outputs) == len(STRIDES) and isinstance(count, int) else None


def _in_order(outputs: Sequence[TensorInfo], size_hw: tuple[int, int],
              decoded: bool) -> list[TensorInfo]:
    """Check the outputs; give the one table, or the heads in the order of ``STRIDES``."""
    anchors, cells = anchor_count(size_hw, STRIDES), grid_cells(size_hw, STRIDES)
    if len(outputs) == 1 and len(outputs[0].shape) == 3 and outputs[0].shape[1] == anchors:
        return list(outputs)
    by_cells = {info.shape[2:]: info for info in outputs}
    if not decoded and set(by_cells) == set(cells) and _head_channels(outputs):
        return [by_cells[cell] for cell in cells]
    raise refuse(outputs, f'one output [N,{anchors},5+classes]'
                 + ('' if decoded else f', or heads [N,5+classes,h,w] of {cells} cells')
                 + f' at {size_hw[1]}x{size_hw[0]} (YOLOv5 and YOLOv7, with three anchors per '
                   'cell, are not supported)')
