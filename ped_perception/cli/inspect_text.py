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

"""An inspection as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ped_perception.engine.costs import Layer
    from ped_perception.engine.inspect import Inspection


def megabytes(count: float) -> str:
    """Write bytes; those of a budget may be few."""
    return f'{count / 1e6:,.2f} MB' if count >= 1e4 else f'{count:,.0f} bytes'


def milliseconds(seconds: float) -> str:
    """Write a time."""
    return f'{seconds * 1e3:.3g} ms'


def lines_from_inspection(inspection: Inspection, most: int | None) -> list[str]:
    """
    Write an inspection.

    Args:
        inspection: see there.
        most: layers shown, those with most MACs and bytes; None for all in their order.
    """
    info = inspection.info
    title = (f'{info.name} ({info.family}), {info.size_hw[1]}x{info.size_hw[0]}, '
             f'{info.precision}, batch {inspection.batch}')
    lines = [title, '']
    lines += table(('layer', 'operator', 'stage', 'output', 'type', 'parameters', 'MMACs',
                    'share', 'weights kB', 'results kB'),
                   [_layer_row(inspection, layer) for layer in shown(inspection, most)])
    if most is not None and most < len(inspection.layers):
        lines.append(f'… {len(inspection.layers) - most} smaller ones; all with --all')
    lines += ['', *table(('stage', 'layers', 'parameters', 'MMACs', 'weights kB', 'results kB'),
                         [*stage_rows(inspection), total_row(inspection)])]
    memory = (f'peak activations {megabytes(inspection.activation_bytes)} + weights '
              f'{megabytes(inspection.weight_bytes)} + scratch '
              f'{megabytes(inspection.scratch_bytes)} = '
              f'{megabytes(inspection.memory_bytes)} (estimate)')
    lines += ['', *table(HEAD_COLUMNS, head_rows(inspection)), '', memory]
    if inspection.estimates:
        lines += ['', *table(DEVICE_COLUMNS, device_rows(inspection)), estimate_note(inspection)]
    return lines


HEAD_COLUMNS = ('head', 'stride', 'sees w x h px', 'pedestrians px high', 'by')
DEVICE_COLUMNS = ('device', 'at least', 'waits for arithmetic', 'share of its memory')


def shown(inspection: Inspection, most: int | None) -> Sequence[Layer]:
    """Choose the layers that cost most, in the order they run."""
    if most is None:
        return inspection.layers
    moved = sum(layer.weight_bytes + layer.activation_bytes for layer in inspection.layers)

    def weight(layer: Layer) -> float:
        """Give what a layer costs, in work and in memory moved, as shares of the network."""
        return (layer.macs / (inspection.macs or 1)
                + (layer.weight_bytes + layer.activation_bytes) / moved)

    kept = {layer.name for layer in sorted(inspection.layers, key=weight)[-most:]}
    return [layer for layer in inspection.layers if layer.name in kept]


def stage_rows(inspection: Inspection) -> list[tuple[str, ...]]:
    """Write the sums of the stages."""
    return [(stage.stage, str(stage.layers), f'{stage.parameters:,}', f'{stage.macs / 1e6:,.1f}',
             f'{stage.weight_bytes / 1e3:,.1f}', f'{stage.activation_bytes / 1e3:,.1f}')
            for stage in inspection.stages]


def total_row(inspection: Inspection) -> tuple[str, ...]:
    """Write the sums of all."""
    results = sum(layer.activation_bytes for layer in inspection.layers)
    return ('total', str(len(inspection.layers)), f'{inspection.parameters:,}',
            f'{inspection.macs / 1e6:,.1f}', f'{inspection.weight_bytes / 1e3:,.1f}',
            f'{results / 1e3:,.1f}')


def head_rows(inspection: Inspection) -> list[tuple[str, ...]]:
    """Write what the heads see."""
    rows: list[tuple[str, ...]] = []
    for head in inspection.heads:
        stride = '-' if head.field.stride_yx is None else f'{head.field.stride_yx[0]:g}'
        height, width = head.field.size_hw
        rows.append((head.field.head, stride, f'{width} x {height}',
                     f'{head.heights[0]:g} to {head.heights[1]:g}', head.rule))
    return rows


def device_rows(inspection: Inspection) -> list[tuple[str, ...]]:
    """Write the estimates."""
    return [(found.device.title, milliseconds(found.latency_s), f'{found.compute_bound:.0%}',
             f'{inspection.memory_bytes / found.device.memory:.2%}')
            for found in inspection.estimates]


def estimate_note(inspection: Inspection) -> str:
    """Say what the estimates are."""
    efficiency = inspection.estimates[0].efficiency
    return (f'Estimates, not measurements: the roofline model at {efficiency:.0%} of the peak '
            'figures of engine/devices.toml, each with its source. Starting kernels, copies and '
            'other users of the GPU come on top.')


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns: texts left, numbers right."""
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    numeric = [all(row[index][:1].isdigit() for row in rows) for index in range(len(columns))]
    return ['  '.join(cell.rjust(width) if right else cell.ljust(width)
                      for cell, width, right in zip(row, widths, numeric, strict=True)).rstrip()
            for row in (columns, *rows)]


def _layer_row(inspection: Inspection, layer: Layer) -> tuple[str, ...]:
    return (short(layer.name), layer.operator, layer.stage, 'x'.join(map(str, layer.shape)),
            layer.dtype, f'{layer.parameters:,}', f'{layer.macs / 1e6:,.1f}',
            f'{layer.macs / (inspection.macs or 1):.1%}', f'{layer.weight_bytes / 1e3:,.1f}',
            f'{layer.activation_bytes / 1e3:,.1f}')


def short(name: str, most: int = 44) -> str:
    """Keep the end of a long name, which tells layers apart."""
    return name if len(name) <= most else f'…{name[1 - most:]}'
