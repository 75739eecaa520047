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

"""What is wanted of a tensor, and how an operator serves it: the words of ``engine.cut``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray
import onnx
from ped_perception.engine.graph import TensorInfo

Arrays: TypeAlias = dict[str, NDArray[Any]]
Shapes: TypeAlias = dict[str, TensorInfo]


@dataclass(frozen=True)
class Demand:
    """
    Channels of a tensor.

    Attributes:
        axis: of the channels, counted from the front.
        channels: indices, ascending.
        weak: a Slice reads no more of it anyway; no reason to cut, but none against it.
    """

    axis: int
    channels: tuple[int, ...]
    weak: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Step:
    """
    One operator on the way of a demand.

    Attributes:
        wants: what it needs, by index of the input.
        outputs: what is left of each output; None: everything.
        apply: changes the node, once its inputs are what it wants.
        untouched: inputs of which nothing is needed, and constants it cuts itself.
    """

    wants: dict[int, Demand]
    outputs: Sequence[Demand | None]
    apply: Callable[[], None]
    untouched: frozenset[int] = frozenset()


Wanted: TypeAlias = list[Demand | None]
Rule: TypeAlias = Callable[[onnx.NodeProto, Wanted, Arrays, Shapes], Step | None]
