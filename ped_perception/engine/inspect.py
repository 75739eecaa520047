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
What a network costs and sees before it runs anywhere: the result of ``ped_engine inspect``.

Everything is computed from the typed graph: layers and stages (``costs``), what runs as one and
the memory of its results (``kernels``), what the heads see (``receptive_field``), and an estimate
per device (``roofline``).

For NanoDet-g at 640x384 in float16, activations and scratch memory together come to 22.3 MB for
one image and 40.0 MB for four; TensorRT-RTX 1.7.1 reports 19.7 and 42.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ped_perception.engine.costs import Layer, layers_of, size_graph, Stage, STAGES
from ped_perception.engine.kernels import Kernel, Schedule, schedule, SCRATCH_BYTES
from ped_perception.engine.models import TypedGraphInfo
from ped_perception.engine.receptive_field import receptive_fields, ReceptiveField
from ped_perception.engine.roofline import Device, Estimate, estimate
from ped_perception.engine.trunk import load_model


@dataclass(frozen=True)
class StageCost:
    """Sums over the layers of one stage, the whole batch; attributes as in ``costs.Layer``."""

    stage: Stage
    layers: int
    parameters: int
    macs: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Head:
    """
    What one raw output sees and can find.

    Attributes:
        field: its receptive field.
        heights: shortest and tallest pedestrian, pixels of the network input.
        rule: where ``heights`` comes from.
    """

    field: ReceptiveField
    heights: tuple[float, float]
    rule: str


@dataclass(frozen=True, eq=False)
class Inspection:
    """
    All that is known of a typed graph at one batch size.

    Attributes:
        info: what the graph says about itself.
        batch: number of images.
        layers: every node, in order.
        stages: sums.
        schedule: what runs as one.
        heads: of the network.
        estimates: one per device asked for.
    """

    info: TypedGraphInfo
    batch: int
    layers: tuple[Layer, ...]
    stages: tuple[StageCost, ...]
    schedule: Schedule
    heads: tuple[Head, ...]
    estimates: tuple[Estimate, ...]

    @property
    def parameters(self) -> int:
        """Learned numbers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiplications with addition, the whole batch."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """All constants."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Peak of the results alive at the same time; see ``kernels``."""
        return self.schedule.peak_bytes

    @property
    def scratch_bytes(self) -> int:
        """Memory that kernels need while they run; see ``kernels``."""
        return SCRATCH_BYTES

    @property
    def memory_bytes(self) -> int:
        """Weights, activations and scratch memory of kernels; CUDA itself needs more."""
        return self.weight_bytes + self.activation_bytes + self.scratch_bytes

    def by_time(self, which: int = 0) -> list[tuple[Kernel, float]]:
        """Kernels with their estimated seconds on a device, the slowest first."""
        seconds = self.estimates[which].kernel_s
        return sorted(zip(self.schedule.kernels, seconds, strict=True), key=lambda pair: -pair[1])

    def by_memory(self) -> list[Layer]:
        """Layers by the bytes of their constants and results, the largest first."""
        return sorted(self.layers, key=lambda layer: -layer.weight_bytes - layer.activation_bytes)


def inspect_graph(path: Path, batch: int, devices: Sequence[Device] = (),
                  efficiency: float = 1.0) -> Inspection:
    """
    Inspect a typed graph.

    Args:
        path: ONNX file, see ``models.typed_graph``.
        batch: number of images.
        devices: to estimate for.
        efficiency: part of the devices' peak figures that is reached, 0..1.

    Raises:
        ModelError: it is no typed graph, or its shapes are not known.
    """
    info = TypedGraphInfo.from_file(path)
    sized = size_graph(load_model(path), batch)
    layers = layers_of(sized)
    kernels = schedule(sized, layers)
    heads = tuple(_head(info, field) for field in receptive_fields(sized))
    return Inspection(
        info, batch, layers, tuple(_stage(stage, layers) for stage in STAGES), kernels, heads,
        tuple(estimate(kernels.kernels, device, efficiency) for device in devices))


def record_of(inspection: Inspection) -> dict[str, Any]:
    """Describe an inspection for programs, in plain numbers and texts."""
    info = inspection.info
    return {
        'name': info.name, 'family': info.family, 'precision': info.precision,
        'size': f'{info.size_hw[1]}x{info.size_hw[0]}', 'batch': inspection.batch,
        'totals': {'parameters': inspection.parameters, 'macs': inspection.macs,
                   'weight_bytes': inspection.weight_bytes,
                   'peak_activation_bytes': inspection.activation_bytes,
                   'scratch_bytes': inspection.scratch_bytes,
                   'memory_bytes': inspection.memory_bytes},
        'stages': [dict(vars(stage)) for stage in inspection.stages],
        'heads': [{**vars(head.field), 'heights': head.heights, 'rule': head.rule}
                  for head in inspection.heads],
        'layers': [{**vars(layer), 'share': layer.macs / (inspection.macs or 1)}
                   for layer in inspection.layers],
        'estimates': [
            {'device': found.device.name, 'title': found.device.title,
             'estimate': 'lower bound by the roofline model, not measured',
             'efficiency': found.efficiency, 'latency_s': found.latency_s,
             'compute_bound': found.compute_bound,
             'memory_share': inspection.memory_bytes / found.device.memory,
             'figures': {key: vars(figure) for key, figure in found.device.figures.items()},
             'kernels': [{'name': kernel.name, 'layers': kernel.layers, 'seconds': seconds}
                         for kernel, seconds in inspection.by_time(index)]}
            for index, found in enumerate(inspection.estimates)]}


def _stage(stage: Stage, layers: tuple[Layer, ...]) -> StageCost:
    mine = [layer for layer in layers if layer.stage == stage]
    return StageCost(stage, len(mine), sum(layer.parameters for layer in mine),
                     sum(layer.macs for layer in mine), sum(layer.weight_bytes for layer in mine),
                     sum(layer.activation_bytes for layer in mine))


def _head(info: TypedGraphInfo, field: ReceptiveField) -> Head:
    """
    Say which heights a head can find.

    NanoDet predicts the distance to each side as a distribution over 0, 1, … strides: its boxes
    cannot be taller than twice the last. Other families have no such limit; there, whoever is
    taller than the receptive field is never seen whole. Nobody is found who is lower than one
    cell, unless by chance. Where training put the limits between heads is not in the graph.
    """
    height = field.size_hw[0]
    if field.stride_yx is None:
        return Head(field, (1.0, float(info.size_hw[0])), 'sees the whole image')
    stride = field.stride_yx[0]
    if info.family == 'nanodet':
        bins = (field.shape[1] - 1) // 4        # one class and four distributions
        return Head(field, (stride, 2 * (bins - 1) * stride),
                    f'one cell, to twice the largest distance of {bins - 1} strides')
    return Head(field, (stride, float(height)), 'one cell, to the receptive field')
