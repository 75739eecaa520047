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

"""What a graph of lower precision must pass before a plan is built of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from ped_perception.core.errors import ModelError
from ped_perception.core.pipeline import Backend
from ped_perception.core.types import Uint8Array
from ped_perception.core.views import place_view, ViewSpec, write_view
from ped_perception.engine.agreement import (
    Agreement,
    FEWEST_BOXES,
    LabelledPicture,
    measure,
    refuse,
    TOLERANCES,
)

if TYPE_CHECKING:
    import onnx

# Gives the figures of the manifest, or raises ModelError: graph in float32, graph to judge,
# precision of the latter.
Judge: TypeAlias = Callable[[Path, Path, str], Mapping[str, float | str]]

MOST_NAMED = 3


@dataclass(frozen=True, eq=False)
class Gate:
    """
    Compares a graph with its float32 original on pictures, as the GPU would compute it.

    float16 is emulated, a signed INT8 graph is computed by ONNX Runtime as TensorRT does.

    Attributes:
        open_graph: opens a graph on ONNX Runtime in float32.
        pictures: with people, as many as there are.
        progress: called after every picture.
    """

    open_graph: Callable[[Path], Backend]
    pictures: Sequence[LabelledPicture]
    progress: Callable[[], object] = lambda: None

    def __call__(self, reference: Path, candidate: Path,
                 precision: str) -> Mapping[str, float | str]:
        """
        Judge a graph.

        Raises:
            ModelError: it overflows or disagrees; says which layers to keep in float32.
        """
        if precision == 'fp32':
            return {}
        if precision == 'int8':
            agreement = self._measure(reference, candidate, 'int8')
            refuse(agreement, TOLERANCES['int8'], 'Calibrate with more pictures (ped_engine '
                   'import --precision int8), or build with --precision fp16.')
            return agreement.figures()
        return self._judge_half(reference, candidate)

    def _judge_half(self, reference: Path, candidate: Path) -> dict[str, float | str]:
        from ped_perception.engine.half import half_emulation
        from ped_perception.engine.trunk import load_model
        graph = load_model(candidate)
        largest = self._check_overflow(load_model(reference), graph)
        with tempfile.TemporaryDirectory() as folder:
            emulated = Path(folder) / candidate.name
            emulated.write_bytes(half_emulation(graph).SerializeToString())
            agreement = self._measure(reference, emulated, 'fp16, every result rounded,')
        try:
            refuse(agreement, TOLERANCES['fp16'], '')
        except ModelError as error:
            if agreement.boxes < FEWEST_BOXES:
                raise       # it says that more pictures are needed, and nothing of float16
            raise ModelError(f'{error}{self._advice(graph)}') from error
        return {**agreement.figures(), **largest}

    def _measure(self, reference: Path, candidate: Path, precision: str) -> Agreement:
        with self.open_graph(reference) as exact, self.open_graph(candidate) as rounded:
            agreement = measure(exact, rounded, self.pictures, progress=self.progress)
            info = rounded.info
        return replace(agreement, candidate=f'{info.model} {precision} in {info.backend}')

    def _inputs(self, graph: onnx.ModelProto) -> list[Uint8Array]:
        """Give the pictures as the network takes them: uint8[1, h, w, 3]."""
        from ped_perception.engine.graph import tensor_info
        size = tensor_info(graph.graph.input[0]).shape
        network_hw = (int(size[1] or 0), int(size[2] or 0))
        inputs: list[Uint8Array] = []
        for picture in self.pictures:
            height, width = picture.image_hw3.shape[:2]
            batch_1hw3 = np.empty((1, *network_hw, 3), np.uint8)
            write_view(picture.image_hw3, place_view(ViewSpec(), (height, width), network_hw),
                       batch_1hw3[0])
            inputs.append(batch_1hw3)
        return inputs

    def activations(self, reference: Path, candidate: Path) -> dict[str, float]:
        """
        Give the largest value of every float16 layer on the pictures, to be held against 65504.

        Args:
            reference: graph in float32, in which an overflow is still a number.
            candidate: the same in float16.
        """
        from ped_perception.engine.half import activation_ranges
        from ped_perception.engine.trunk import load_model
        layers = _half_layers(load_model(candidate))
        ranges = activation_ranges(load_model(reference), layers,
                                   self._inputs(load_model(candidate)))
        return {layers[name]: value for name, value in ranges.items()}

    def _check_overflow(self, reference: onnx.ModelProto,
                        graph: onnx.ModelProto) -> dict[str, float | str]:
        """Find the largest value float16 must hold; raises ModelError if it cannot."""
        from ped_perception.engine.half import activation_ranges, LARGEST_HALF
        layers = _half_layers(graph)
        ranges = activation_ranges(reference, layers, self._inputs(graph))
        over = {name: value for name, value in ranges.items() if not value <= LARGEST_HALF}
        if over:
            readers = [node.name for node in graph.graph.node
                       if any(f'{name}/fp16' in node.input for name in over)]
            keep = readers or [layers[name] for name in over]
            worst = max(over, key=lambda name: over[name])
            raise ModelError(
                f'Refused: {layers[worst]} reaches {over[worst]:.4g}, float16 holds '
                f'{LARGEST_HALF:.0f}. {_keep(keep)}')
        inner = {name: value for name, value in ranges.items() if name.startswith('trunk/')}
        if not inner:
            return {}
        name = max(inner, key=lambda name: inner[name])
        return {'largest_activation': round(inner[name], 3),
                'largest_activation_layer': layers[name]}

    def _advice(self, graph: onnx.ModelProto) -> str:
        from ped_perception.engine.half import rounding_damage
        damage = [layer for layer in rounding_damage(graph, self._inputs(graph)[0])
                  if layer.startswith('trunk/')]
        return f'Rounding harms these layers most. {_keep(damage[:MOST_NAMED])}'


def _half_layers(graph: onnx.ModelProto) -> dict[str, str]:
    """Give layers by results; a float32 one is rounded, too, where a float16 layer reads it."""
    from ped_perception.engine.half import half_layers
    return {name.removesuffix('/fp16'): layer for name, layer in half_layers(graph).items()}


def _keep(layers: Sequence[str]) -> str:
    options = ' '.join(f'--keep-fp32 {layer.removeprefix("trunk/")}' for layer in layers)
    return f'Keep them in float32: {options}; or build with --precision fp32.'
