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

"""An inspection as one HTML page with charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ped_perception.cli.inspect_text import (
    DEVICE_COLUMNS,
    device_rows,
    estimate_note,
    HEAD_COLUMNS,
    head_rows,
    megabytes,
    milliseconds,
    short,
    shown,
    stage_rows,
    total_row,
)
from ped_perception.evaluation.charts import Chart, Line
from ped_perception.evaluation.report import (
    Block,
    html_from_report,
    Report,
    Section,
    Shares,
    Table,
    Tile,
)

if TYPE_CHECKING:
    from ped_perception.engine.inspect import Inspection

LARGEST = 12


def page_from_inspection(inspection: Inspection, broken: list[str]) -> str:
    """
    Write the page.

    Args:
        inspection: see there.
        broken: budgets that are not kept, as sentences.
    """
    info = inspection.info
    sections = [_where_it_goes(inspection), _memory(inspection), _heads(inspection)]
    if inspection.estimates:
        sections.append(_devices(inspection))
    sections.append(_layers(inspection))
    return html_from_report(Report(
        title=f'What {info.name} costs',
        subtitle=f'{info.family}, {info.size_hw[1]}x{info.size_hw[0]}, {info.precision}, '
                 f'batch {inspection.batch}',
        verdict='; '.join(broken) or 'No budget is broken.', good=not broken,
        tiles=_tiles(inspection), sections=tuple(sections),
        footer='Counted from the graph; nothing was run. Times and memory are estimates.'))


def _tiles(inspection: Inspection) -> tuple[Tile, ...]:
    tiles = [Tile('parameters', f'{inspection.parameters / 1e6:.2f}', 'million'),
             Tile('MACs', f'{inspection.macs / 1e9:.2f}', 'billion', 'of the whole batch'),
             Tile('memory', f'{inspection.memory_bytes / 1e6:.1f}', 'MB', 'estimate')]
    tiles += [Tile(found.device.name, f'{found.latency_s * 1e3:.3g}', 'ms',
                   'at least, an estimate') for found in inspection.estimates]
    return tuple(tiles)


def _where_it_goes(inspection: Inspection) -> Section:
    largest = sorted(inspection.layers, key=lambda layer: -layer.macs)[:LARGEST]
    return Section('Where it goes', '', (
        Shares('Layers with most MACs', tuple(
            (short(layer.name), float(layer.macs), f'{layer.macs / 1e6:,.1f} million')
            for layer in largest if layer.macs)),
        Shares('Layers with most bytes', tuple(
            (short(layer.name), float(layer.weight_bytes + layer.activation_bytes),
             megabytes(layer.weight_bytes + layer.activation_bytes))
            for layer in inspection.by_memory()[:LARGEST]), 'Constants and results.'),
        Table('Stages', (*stage_rows(inspection), total_row(inspection)),
              ('stage', 'layers', 'parameters', 'MMACs', 'weights kB', 'results kB'))))


def _memory(inspection: Inspection) -> Section:
    live = inspection.schedule.live_bytes
    return Section('Memory', 'Results that are alive at the same time, kernel by kernel.', (
        Chart('Activations', 'kernel', 'MB', lines=(
            Line(range(len(live)), [count / 1e6 for count in live], steps=True),),
            note=f'Peak {megabytes(inspection.activation_bytes)}, to which weights '
                 f'{megabytes(inspection.weight_bytes)} and scratch memory '
                 f'{megabytes(inspection.scratch_bytes)} are added.'),))


def _heads(inspection: Inspection) -> Section:
    return Section('What the heads see', 'The receptive field is the theoretical one: what a '
                   'trained network uses is smaller.', (
                       Table('Heads', tuple(head_rows(inspection)), HEAD_COLUMNS),))


def _devices(inspection: Inspection) -> Section:
    blocks: list[Block] = [Table('Devices', tuple(device_rows(inspection)), DEVICE_COLUMNS)]
    for index, found in enumerate(inspection.estimates):
        blocks.append(Shares(f'Slowest on {found.device.title}', tuple(
            (short(kernel.name), seconds, milliseconds(seconds))
            for kernel, seconds in inspection.by_time(index)[:LARGEST])))
        blocks.append(Table(f'Figures of {found.device.title}', tuple(
            (key, f'{figure.value:g}', figure.source)
            for key, figure in found.device.figures.items()), ('figure', 'value', 'source')))
    return Section('Estimates', estimate_note(inspection), tuple(blocks))


def _layers(inspection: Inspection) -> Section:
    rows = tuple(
        (short(layer.name), layer.operator, layer.stage, 'x'.join(map(str, layer.shape)),
         layer.dtype, f'{layer.parameters:,}', f'{layer.macs / 1e6:,.2f}',
         f'{layer.weight_bytes / 1e3:,.1f}', f'{layer.activation_bytes / 1e3:,.1f}')
        for layer in shown(inspection, None))
    return Section('All layers', '', (Table('In the order they run', rows, (
        'layer', 'operator', 'stage', 'output', 'type', 'parameters', 'MMACs', 'weights kB',
        'results kB')),))
