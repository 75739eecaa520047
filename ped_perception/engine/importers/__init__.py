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

"""Any supported detector to the one typed graph; a new family is one file and one line here."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from ped_perception.core.errors import ModelError
from ped_perception.engine.cut import Saving
from ped_perception.engine.graph import GraphBuilder
from ped_perception.engine.importers import typed
from ped_perception.engine.importers.base import (
    check_exported_size,
    check_size,
    Importer,
    ImportSpec,
)
from ped_perception.engine.importers.centernet import CenterNet
from ped_perception.engine.importers.detr import Detr
from ped_perception.engine.importers.end2end import EndToEnd
from ped_perception.engine.importers.nanodet import NanoDet
from ped_perception.engine.importers.nanodet_plus import NanoDetPlus
from ped_perception.engine.importers.picodet import PicoDet
from ped_perception.engine.importers.ssd import Ssd
from ped_perception.engine.importers.ultralytics import Ultralytics
from ped_perception.engine.importers.yolox import YoloX
from ped_perception.engine.trunk import Trunk

IMPORTERS: dict[str, Importer] = {
    importer.family: importer for importer in (
        NanoDet(), CenterNet(), NanoDetPlus(), PicoDet(), YoloX(decoded=False),
        YoloX(decoded=True), Ultralytics(), EndToEnd(), Detr(is_rf=False), Detr(is_rf=True),
        Ssd(is_tf=False), Ssd(is_tf=True))}


@dataclass(frozen=True)
class Imported:
    """A typed graph that is not yet in a file, and what its reduced head saves."""

    model: onnx.ModelProto
    saving: Saving


def importer_of(family: str) -> Importer:
    """
    Look up a family by name.

    Raises:
        ModelError: there is no such family.
    """
    if family not in IMPORTERS:
        raise ModelError(f'Unknown model family {family!r}; known are: '
                         f'{", ".join(sorted([*IMPORTERS, typed.FAMILY]))}.')
    return IMPORTERS[family]


def detect_family(trunk: Trunk) -> tuple[str, str]:
    """
    Tell the family from a model's outputs and the operators in front of them.

    Returns:
        Family and the reason.

    Raises:
        ModelError: none fits, or several do; lists the outputs seen and the families known.
    """
    found = [(family, reason) for family, importer in IMPORTERS.items()
             if (reason := importer.match(trunk)) is not None]
    reason = typed.match(trunk)
    if reason is not None:
        return typed.FAMILY, reason
    if len(found) == 1:
        return found[0]
    what = ('looks like several families at once' if found
            else 'is of no known family')
    families = found or [*((family, importer.layout) for family, importer in IMPORTERS.items()),
                         (typed.FAMILY, typed.LAYOUT)]
    raise ModelError(
        f'The model {what}. Its outputs: {"; ".join(str(info) for info in trunk.outputs)}. '
        'Families: ' + '; '.join(f'{family} ({text})' for family, text in families)
        + '. Choose one with --family, or export the model with such outputs.'
        + ('' if found else typed.advice(trunk)))


def import_model(trunk: Trunk, family: str, spec: ImportSpec) -> Imported:
    """
    Compile a detector into the typed graph.

    Args:
        trunk: the network, as loaded; it is changed on the way and of no use afterwards.
        family: key of ``IMPORTERS``.
        spec: everything the file does not say.

    Raises:
        ModelError: the network is not what the family and the spec say.
    """
    importer = importer_of(family)
    check_size(spec.size_hw, importer.stride)
    if importer.kept_outputs:
        trunk.keep_outputs(importer.kept_outputs)
    if importer.decodes_itself:
        check_exported_size(trunk, spec.size_hw)
    trunk.resize(spec.size_hw)
    reduced = importer.reduce(trunk, spec)
    trunk.to_precision(spec.precision, [*spec.keep_fp32, *trunk.decoding_layers()])
    builder = GraphBuilder(trunk.opset)
    images = builder.front(spec.mean, spec.std, spec.channel_order, spec.precision,
                           trunk.channels_last)
    outputs = trunk.attach(builder, images, spec.precision)
    boxes, scores = importer.decode(builder, outputs, spec, reduced.activated)
    return Imported(builder.finish(boxes, scores, spec.size_hw), reduced.saving)
