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
Ultralytics YOLOv8, v9, 11 and 12: one table, classes and boxes decoded (docs.ultralytics.com).

Output [N, 4+classes, A]: centre and size in pixels, and class probabilities, as
``yolo export format=onnx`` writes them for detection. Input: RGB / 255.
"""

from __future__ import annotations

from collections.abc import Mapping

from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import (
    are_probabilities,
    check_class_count,
    corners_from_cxcywh,
    refuse,
    table_channels,
)
from ped_perception.engine.trunk import Trunk

BOX = 4
RGB_SHARES = FamilyDefaults(mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0),
                            channel_order='rgb', top_k=256)


class Ultralytics(Importer):
    """Importer of the family ``ultralytics``."""

    family = 'ultralytics'
    layout = 'float32[N,4+classes,A], x, y, w, h in pixels and probabilities'
    stride = 32
    defaults = RGB_SHARES
    decodes_itself = True

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``."""
        if len(trunk.outputs) != 1:
            return None
        channels = table_channels(trunk.outputs[0], trunk, (), channels_last=False)
        if channels is None or channels <= BOX or 'TopK' in trunk.decoding_operators:
            return None
        return f'{channels} channels in front of the anchors = 4 + {channels - BOX} classes'

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        info = _table(trunk.outputs)
        channels = info.shape[1]
        check_class_count(channels - BOX if isinstance(channels, int) else channels, spec)
        wanted = BOX + spec.class_index
        if not are_probabilities(trunk, info.name, 1, wanted):
            raise ModelError(f'The classes of {info.name} do not come from a sigmoid; export the '
                             'model with yolo export format=onnx nms=False.')
        return Reduced(trunk.keep(info.name, 1, [*range(BOX), wanted]), activated=True)

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``; the model has decoded all anchors already."""
        info = _table(list(outputs.values()))
        anchors = info.shape[2]
        assert isinstance(anchors, int), '_table() has checked it'
        boxes, scores = builder.nodes('Split', [info.name, builder.shape(BOX, 1)],
                                      ['decode/boxes_n4a', 'decode/scores_n1a'], axis=1)
        best = builder.best(builder.reshape(scores, (0, anchors), 'decode/scores_na'), anchors,
                            spec.top_k)
        taken = builder.take(boxes, BOX, best, 'decode/boxes_n4k')
        taken = builder.node('Transpose', [taken], 'decode/boxes_nk4', perm=[0, 2, 1])
        return corners_from_cxcywh(builder, taken), best.scores_nk


def _table(outputs: list[TensorInfo]) -> TensorInfo:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or not isinstance(
            outputs[0].shape[2], int):
        raise refuse(outputs, 'one output [N,4+classes,A]')
    return outputs[0]
