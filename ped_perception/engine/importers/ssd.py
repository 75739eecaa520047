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
SSD (arXiv:1512.02325) with decoded boxes, before its NMS.

Scores [N,A,classes], probabilities with the background as class 0, and boxes [N,A,4] as shares of
the input. ``ssd``: corners x1, y1, x2, y2, as pytorch-ssd (qfgaohao, jetson-inference) exports
them; input RGB (x - 127) / 128 (its mobilenetv1_ssd_config). ``ssd-tf``: TensorFlow's object
detection API, outputs raw_detection_scores and raw_detection_boxes (y1, x1, y2, x2), images
[N,h,w,3] 0-255, RGB, normalised inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import GraphBuilder, TensorInfo
from ped_perception.engine.importers.base import FamilyDefaults, Importer, ImportSpec, Reduced
from ped_perception.engine.importers.shared import (
    are_probabilities,
    check_class_count,
    in_pixels,
    pair_of,
    refuse,
    take_rows,
)
from ped_perception.engine.trunk import Trunk

TF_NAMES = ('raw_detection_boxes', 'raw_detection_scores')


class Ssd(Importer):
    """Importer of the families ``ssd`` and ``ssd-tf``."""

    stride = 1          # the file is bound to its size anyway, and that one is right
    decodes_itself = True

    def __init__(self, is_tf: bool) -> None:
        self._is_tf = is_tf
        self.family = 'ssd-tf' if is_tf else 'ssd'
        self.kept_outputs = TF_NAMES if is_tf else ()
        self.layout = ('scores float32[N,A,classes] and boxes float32[N,A,4] as shares, '
                       + ('called ' + ' and '.join(TF_NAMES) if is_tf else 'x1, y1, x2, y2'))
        self.defaults = FamilyDefaults(
            (0.0, 0.0, 0.0) if is_tf else (127.0, 127.0, 127.0),
            (1.0, 1.0, 1.0) if is_tf else (128.0, 128.0, 128.0), 'rgb', 256,
            class_count=91, class_index=1)

    def match(self, trunk: Trunk) -> str | None:
        """See ``Importer``."""
        outputs = trunk.outputs
        names = {info.name.split(':')[0] for info in outputs}
        if set(TF_NAMES) <= names:
            return 'outputs called as in the TensorFlow API' if self._is_tf else None
        pair = None if self._is_tf else pair_of(outputs)
        if pair is None:
            return None
        if any('logit' in name or name in ('dets', 'labels') for name in names):
            return None
        return f'{pair[0].shape[2]} scores and a box for each of {pair[1].shape[1]} anchors'

    def reduce(self, trunk: Trunk, spec: ImportSpec) -> Reduced:
        """See ``Importer``."""
        scores, _ = _pair(trunk.outputs)
        check_class_count(scores.shape[2], spec)
        if not are_probabilities(trunk, scores.name, 2, spec.class_index):
            raise ModelError(f'{scores.name} of the model does not come from a softmax or '
                             'sigmoid; export the model with its activation (pytorch-ssd: '
                             'is_test=True).')
        return Reduced(trunk.keep(scores.name, 2, [spec.class_index]), activated=True)

    def decode(self, builder: GraphBuilder, outputs: Mapping[str, TensorInfo],
               spec: ImportSpec, activated: bool) -> tuple[str, str]:
        """See ``Importer``; the model has decoded all anchors already."""
        scores, boxes = _pair(list(outputs.values()))
        anchors = boxes.shape[1]
        assert isinstance(anchors, int), '_pair() has checked it'
        best = builder.best(builder.reshape(scores.name, (0, anchors), 'decode/scores_na'),
                            anchors, spec.top_k)
        taken = take_rows(builder, boxes.name, 4, best, 'decode/shares')
        if self._is_tf:
            order = builder.constant(np.array([1, 0, 3, 2], np.int64), 'decode/order')
            taken = builder.node('Gather', [taken, order], 'decode/shares_xyxy', axis=2)
        return in_pixels(builder, taken, spec.size_hw), best.scores_nk


def _pair(outputs: Sequence[TensorInfo]) -> tuple[TensorInfo, TensorInfo]:
    pair = pair_of(outputs)
    if pair is None or not isinstance(pair[1].shape[1], int):
        raise refuse(outputs, 'two outputs: scores [N,A,classes] and boxes [N,A,4]')
    return pair
