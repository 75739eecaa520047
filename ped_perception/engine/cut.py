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
Keeping some channels of an output, by cutting the layer that makes them.

The demand for channels is followed backwards, from the output through activation functions,
Concat, Split, Reshape, Transpose and the like, to convolutions and matrix products with
constant weights, and these are cut. An operator that mixes channels (Softmax, TopK) ends the
way: behind it the wanted channels are picked. Either way the values are those of the uncut
network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import math

import numpy as np
import onnx
from onnx import helper
from ped_perception.engine.cut_rules import PRODUCERS, rule_of
from ped_perception.engine.demand import Arrays, Demand, Shapes, Step


@dataclass(frozen=True)
class Saving:
    """
    What cutting unused classes from a head saves, per image.

    Attributes:
        parameters, macs, weight_bytes: what is not there any more.
        uncut: the layers that need all classes; behind them the wanted one is picked.
    """

    parameters: int = 0
    macs: int = 0
    weight_bytes: int = 0
    uncut: tuple[str, ...] = ()

    def __add__(self, other: Saving) -> Saving:
        return Saving(self.parameters + other.parameters, self.macs + other.macs,
                      self.weight_bytes + other.weight_bytes,
                      tuple(dict.fromkeys(self.uncut + other.uncut)))


@dataclass
class _Plan:
    """Demands of all consumers by tensor (None: all of it), and the steps that serve them."""

    demands: dict[str, list[Demand | None]] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)        # by name of the node
    made: dict[str, Demand] = field(default_factory=dict)       # what is left of a tensor


class ChannelCut:
    """
    The way from one output back to the layers that make some of its channels.

    Args:
        graph: with unique node names, sorted; ``apply`` changes it.
        arrays: its constants; ``apply`` changes them.
        shapes: of all tensors; a batch may be unknown.
        output: tensor of the graph.
        axis: of the channels, counted from the front.
        channels: those to keep, ascending.
        trace: follow them also where nothing is left to cut, for ``operators``.
    """

    def __init__(self, graph: onnx.GraphProto, arrays: Arrays, shapes: Shapes,
                 output: str, axis: int, channels: tuple[int, ...],
                 trace: bool = False) -> None:
        self._graph, self._arrays, self._shapes = graph, arrays, shapes
        self._trace = trace
        self._output, self._wanted = output, Demand(axis, channels)
        self._plan = _Plan()
        self._follow()

    def operators(self) -> frozenset[str]:
        """Operators on the way, with those where it ends."""
        kinds = {name: node.op_type for node in self._graph.node for name in node.output}
        ends = {node.input[index] for node in self._graph.node
                if node.name in self._plan.steps for index in self._plan.steps[node.name].wants}
        on_way = {name for node in self._graph.node if node.name in self._plan.steps
                  for name in node.output}
        return frozenset(kinds[name] for name in {self._output} | ends | on_way
                         if name in kinds)

    def apply(self) -> Saving:
        """Cut, and pick behind what could not be cut; shapes must be inferred again."""
        if len(self._wanted.channels) == self._shapes[self._output].shape[self._wanted.axis]:
            return Saving()
        saving, uncut = self._saving(), []
        nodes: list[onnx.NodeProto] = []
        opaque = {name: node for node in self._graph.node if node.name not in self._plan.steps
                  for name in node.output}
        for node in self._graph.node:
            step = self._plan.steps.get(node.name)
            if step and any(want.weak and node.input[index] not in self._plan.made
                            for index, want in step.wants.items()):
                step = None
            for index, want in (step.wants if step else {}).items():
                source = node.input[index]
                picked = self._pick(source, want, f'{node.name}/picked_{index}')
                if picked is not None:
                    if source in opaque:
                        uncut.append(_called(opaque[source]))
                    nodes.append(picked)
                    node.input[index] = picked.output[0]
            if step:
                step.apply()
            nodes.append(node)
        if self._plan.made.get(self._output) != self._wanted:
            if self._output in opaque:
                uncut.append(_called(opaque[self._output]))
            nodes.append(self._pick_output(nodes))
        copies = onnx.GraphProto(node=nodes).node       # the old ones go with their list
        del self._graph.node[:]
        self._graph.node.extend(copies)
        return saving + Saving(uncut=tuple(uncut))

    def _follow(self) -> None:
        plan = self._plan
        if not self._trace:
            plan.demands = {value.name: [None] for value in self._graph.output}
        plan.demands[self._output] = [self._wanted]
        for node in reversed(self._graph.node):
            if plan.demands.keys().isdisjoint(node.output):
                continue        # only what is dropped needs it
            outputs = [self._merged(name) for name in node.output]
            step = None
            if node.op_type == 'Slice' or any(demand is not None for demand in outputs):
                step = rule_of(node)(node, outputs, self._arrays, self._shapes)
            if step is not None:
                plan.steps[node.name] = step
                plan.made.update((name, demand) for name, demand
                                 in zip(node.output, step.outputs, strict=True)
                                 if demand is not None)
            for index, name in enumerate(node.input):
                want = step.wants.get(index) if step else None
                if step is None or index not in step.untouched:
                    plan.demands.setdefault(name, []).append(want)

    def _merged(self, name: str) -> Demand | None:
        """All channels of a tensor that somebody wants; None if that is all or nobody knows."""
        demands = self._plan.demands.get(name, [])
        first = demands[0] if demands else None
        if first is None or all(demand is not None and demand.weak for demand in demands):
            return None
        wanted = set[int]()
        for demand in demands:
            if demand is None or demand.axis != first.axis:
                return None
            wanted |= set(demand.channels)
        size = self._shapes[name].shape[first.axis] if name in self._shapes else None
        if not isinstance(size, int) or (len(wanted) == size and not self._trace):
            return None
        return Demand(first.axis, tuple(sorted(wanted)))

    def _pick(self, source: str, want: Demand, name: str) -> onnx.NodeProto | None:
        """Node that picks the wanted channels of what is left of a tensor; None if it is all."""
        made = self._plan.made.get(source)
        if made == want or (made is None and len(want.channels)
                            == self._shapes[source].shape[want.axis]):
            return None
        place = want.channels
        if made is not None:
            position = {channel: index for index, channel in enumerate(made.channels)}
            place = tuple(position[channel] for channel in want.channels)
        if place == tuple(range(place[0], place[0] + len(place))):
            values = {'start': [place[0]], 'end': [place[-1] + 1], 'axis': [want.axis]}
            for key, value in values.items():
                self._arrays[f'{name}/{key}'] = np.array(value, np.int64)
            return helper.make_node('Slice', [source, *(f'{name}/{key}' for key in values)],
                                    [name], name)
        self._arrays[f'{name}/index'] = np.array(place, np.int64)
        return helper.make_node('Gather', [source, f'{name}/index'], [name], name,
                                axis=want.axis)

    def _pick_output(self, nodes: list[onnx.NodeProto]) -> onnx.NodeProto:
        whole = f'{self._output}/whole'
        for node in nodes:
            for names in (node.input, node.output):
                names[:] = [whole if name == self._output else name for name in names]
        if self._output in self._plan.made:
            self._plan.made[whole] = self._plan.made[self._output]
        self._shapes[whole] = self._shapes[self._output]
        pick = self._pick(whole, self._wanted, f'{self._output}/picked')
        assert pick is not None, 'only called where something is to be picked'
        pick.output[0] = self._output
        return pick

    def _saving(self) -> Saving:
        total = Saving()
        for node in self._graph.node:
            step = self._plan.steps.get(node.name)
            if step is None or node.op_type not in PRODUCERS:
                continue
            (demand,) = (item for item in step.outputs if item is not None)
            shape = self._shapes[node.output[0]].shape
            weight = self._arrays[node.input[1]]
            channels = shape[demand.axis]
            assert isinstance(channels, int), '_merged() has checked it'
            removed, inputs = channels - len(demand.channels), weight.size // channels
            bias = 1 if len(node.input) > 2 and self._arrays[node.input[2]].ndim else 0
            cells = math.prod(size for axis, size in enumerate(shape)
                              if axis not in (0, demand.axis) and isinstance(size, int))
            parameters = removed * (inputs + bias)
            total += Saving(parameters, removed * inputs * cells,
                            parameters * weight.dtype.itemsize)
        return total


def _called(node: onnx.NodeProto) -> str:
    return f'{node.op_type} {node.name}'
