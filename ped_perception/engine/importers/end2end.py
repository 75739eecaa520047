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
End-to-end YOLOv10 (arXiv:2405.14458) and YOLO26: the K best of all classes, without NMS.

Output [N,K,6]: x1, y1, x2, y2 in pixels, probability, class. The network has chosen the K among
all classes itself, so no class can be cut out of it and other objects take places from
pedestrians. Input: RGB / 255 (docs.ultralytics.com).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto
from ped_perception.engine.cut import Saving
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import refuse, take_rows
from ped_perception.engine.importers.ultralytics import RGB_SHARES
from ped_perception.engine.trunk import Trunk

ROW = 6                         # x1, y1, x2, y2, score, class


class EndToEnd(Importer):
    """Importer of the family ``yolo-end2end``."""

    family = 'yolo-end2end'
    layout = 'float32[N,K,6], x1, y1, x2, y2 in pixels, score, class, from a TopK'
    stride = 32
    defaults = RGB_SHARES
    decodes_itself = True

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``."""
        outputs, operators = trunk.outputs, trunk.decoding_operators
        if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[2] != ROW:
            return None
        if 'TopK' not in operators or 'NonMaxSuppression' in operators:
            return None
        return 'rows of 6 numbers from a TopK'

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``; the file does not say how many classes there are."""
        info = _rows(trunk.outputs)
        return Reduced(Saving(uncut=(f'TopK in front of {info.name}',)), activated=True)

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``: rows of other classes get the score 0."""
        info = _rows(list(outputs.values()))
        count = info.shape[1]
        assert isinstance(count, int), '_rows() has checked it'
        boxes, scores, classes = builder.nodes(
            'Split', [info.name, builder.shape(4, 1, 1)],
            ['decode/boxes_nr4', 'decode/scores_nr1', 'decode/classes_nr1'], axis=2)
        wanted = builder.constant(np.array([spec.class_index], np.float32), 'decode/class')
        off = builder.node('Abs', [builder.node('Sub', [classes, wanted], 'decode/other')],
                           'decode/off')
        half = builder.constant(np.array([0.5], np.float32), 'decode/half')
        right = builder.node('Less', [off, half], 'decode/is_wanted')
        right = builder.node('Cast', [right], 'decode/wanted', to=TensorProto.FLOAT)
        scores = builder.node('Mul', [scores, right], 'decode/scores_nr')
        best = builder.best(builder.reshape(scores, (0, count), 'decode/scores_na'), count,
                            spec.top_k)
        return take_rows(builder, boxes, 4, best, 'decode/boxes'), best.scores_nk


def _rows(outputs: list[TensorInfo]) -> TensorInfo:
    if (len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[2] != ROW
            or not isinstance(outputs[0].shape[1], int)):
        raise refuse(outputs, 'one output [N,K,6]')
    return outputs[0]
