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
Writing one typed ONNX graph: ``images`` uint8[N,h,w,3] BGR in, boxes and scores out.

The builder holds what every model family shares: the normalisation in front of the trunk,
the selection of the K best anchors behind it, and the checks when the graph is closed.
Only operators that ONNX Runtime, OpenVINO and all flavours of TensorRT build are used: no
NonMaxSuppression, no float32 MatMul.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, shape_inference, TensorProto
from ped_perception.core.errors import ModelError

Precision: TypeAlias = Literal['fp32', 'fp16']
ChannelOrder: TypeAlias = Literal['bgr', 'rgb']
Dimension: TypeAlias = int | str | None

ONNX_TYPES = {'fp32': TensorProto.FLOAT, 'fp16': TensorProto.FLOAT16}
NUMPY_TYPES: dict[str, Any] = {'fp32': np.float32, 'fp16': np.float16}
IR_VERSION = 9


@dataclass(frozen=True)
class TensorInfo:
    """Name, element type ('float32', 'uint8', …) and shape of one tensor of a graph."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...]

    def __str__(self) -> str:
        sizes = ','.join('?' if size is None else str(size) for size in self.shape)
        return f'{self.name} {self.dtype}[{sizes}]'


@dataclass(frozen=True)
class Best:
    """The K best anchors of every image, best first."""

    scores_nk: str
    index_nk: str
    count: int


def tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    """Describe a graph's input, output or intermediate value."""
    tensor = value.type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type).lower()
    dtype = {'float': 'float32', 'double': 'float64'}.get(kind, kind)
    sizes: list[Dimension] = []
    for dim in tensor.shape.dim:
        sizes.append(dim.dim_value if dim.HasField('dim_value') else dim.dim_param or None)
    return TensorInfo(value.name, dtype, tuple(sizes))


class GraphBuilder:
    """Collects nodes and constants under unique names; ``finish`` closes the graph."""

    def __init__(self, opset: int = 17) -> None:
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names: set[str] = {'images', 'boxes', 'scores'}

    def constant(self, array: NDArray[Any], hint: str) -> str:
        """Add a constant; returns its name, which starts with ``hint``."""
        name = self._unique(hint)
        # Not ascontiguousarray, which makes a vector of a scalar.
        self._constants.append(numpy_helper.from_array(np.asarray(array, order='C'), name))
        return name

    def node(self, op: str, inputs: Sequence[str], hint: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        return self.nodes(op, inputs, [hint], **attributes)[0]

    def nodes(self, op: str, inputs: Sequence[str], hints: Sequence[str],
              **attributes: Any) -> list[str]:
        """Add a node with one output per hint; returns the outputs' names."""
        outputs = [self._unique(hint) for hint in hints]
        self._nodes.append(
            helper.make_node(op, list(inputs), outputs, name=outputs[0], **attributes))
        return outputs

    def shape(self, *sizes: int) -> str:
        """Add an int64 vector, as Reshape, Expand, TopK and Split take it."""
        return self.constant(np.array(sizes, np.int64), 'sizes')

    def reshape(self, source: str, sizes: Sequence[int], hint: str) -> str:
        """Reshape; a size of 0 copies that of the source, as the batch needs it."""
        return self.node('Reshape', [source, self.shape(*sizes)], hint)

    def adopt(self, graph: onnx.GraphProto) -> None:
        """
        Take over all nodes and constants of another graph, names unchanged.

        Raises:
            ModelError: a name is taken already.
        """
        added = {name for node in graph.node for name in node.output if name}
        added |= {array.name for array in graph.initializer}
        if added & self._names:
            raise ModelError(f'Two tensors are called {sorted(added & self._names)[0]!r}.')
        self._names |= added
        self._nodes.extend(graph.node)
        self._constants.extend(graph.initializer)

    def front(self, mean: Sequence[float], std: Sequence[float], channel_order: ChannelOrder,
              precision: Precision, channels_last: bool = False) -> str:
        """
        Normalise ``images``: uint8[N,h,w,3] BGR → (x - mean) / std as [N,3,h,w].

        Args:
            mean: per channel, in grey levels 0-255, in the order of ``channel_order``.
            std: like mean.
            channel_order: what the trunk expects.
            precision: element type of the result.
            channels_last: the trunk expects [N,h,w,3].
        """
        dtype = NUMPY_TYPES[precision]
        shape = (3,) if channels_last else (1, 3, 1, 1)
        # TensorRT takes uint8 inputs only when a Cast follows at once.
        x = self.node('Cast', ['images'], 'front/cast', to=ONNX_TYPES[precision])
        if not channels_last:
            x = self.node('Transpose', [x], 'front/nchw', perm=[0, 3, 1, 2])
        if channel_order == 'rgb':
            flip = self.constant(np.array([2, 1, 0], np.int64), 'front/order')
            x = self.node('Gather', [x, flip], 'front/rgb', axis=3 if channels_last else 1)
        if any(mean):
            values = np.array(mean, dtype).reshape(shape)
            x = self.node('Sub', [x, self.constant(values, 'front/mean')], 'front/centred')
        if any(value != 1.0 for value in std):
            factors = (1.0 / np.array(std, np.float64)).astype(dtype).reshape(shape)
            x = self.node('Mul', [x, self.constant(factors, 'front/scale')], 'front/scaled')
        return x

    def best(self, scores_na: str, anchors: int, top_k: int) -> Best:
        """
        Find the K best of A anchors, sorted; K is never more than A.

        Args:
            scores_na: float32[N,A], anything monotonic in the score (logits, for instance).
            anchors: A.
            top_k: the K asked for.
        """
        count = min(top_k, anchors)
        scores, index = self.nodes('TopK', [scores_na, self.shape(count)],
                                   ['best/scores', 'best/index'], axis=1, largest=1, sorted=1)
        return Best(scores, index, count)

    def take(self, values_nra: str, rows: int, best: Best, hint: str) -> str:
        """Pick the columns of the best anchors: [N,R,A] → [N,R,K]."""
        index = self.node('Unsqueeze', [best.index_nk, self.shape(1)], 'best/index_n1k')
        index = self.node('Expand', [index, self.shape(1, rows, 1)], 'best/index_nrk')
        return self.node('GatherElements', [values_nra, index], hint, axis=2)

    def take_constant(self, rows_ar: NDArray[Any], best: Best, hint: str) -> str:
        """Pick the rows of a constant [A,R] that belong to the best anchors: [N,K,R]."""
        table = self.constant(rows_ar, f'{hint}/table')
        return self.node('Gather', [table, best.index_nk], hint, axis=0)

    def finish(self, boxes_nk4: str, scores_nk: str,
               size_hw: tuple[int, int]) -> onnx.ModelProto:
        """
        Name the outputs, check the graph and return it.

        Raises:
            ModelError: the graph is invalid, or its batch is not free any more.
        """
        for source, name in ((boxes_nk4, 'boxes'), (scores_nk, 'scores')):
            self._nodes.append(helper.make_node('Identity', [source], [name], name=name))
        images = helper.make_tensor_value_info('images', TensorProto.UINT8, ['N', *size_hw, 3])
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                   for name in ('boxes', 'scores')]
        graph = helper.make_graph(self._nodes, 'ped_perception', [images], outputs,
                                  self._constants)
        model = helper.make_model(
            graph, ir_version=IR_VERSION, producer_name='ped_perception',
            opset_imports=[helper.make_opsetid('', self._opset)])
        try:
            model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
            onnx.checker.check_model(model)
        except (shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            raise ModelError(f'The imported graph is not valid: {error}') from error
        del model.graph.value_info[:]
        self._check_outputs(model)
        return model

    def _check_outputs(self, model: onnx.ModelProto) -> None:
        boxes, scores = (tensor_info(value) for value in model.graph.output)
        count = scores.shape[-1] if scores.shape else None
        batch = {info.shape[0] for info in (boxes, scores) if info.shape}
        if (boxes.shape[1:] != (count, 4) or scores.shape[1:] != (count,)
                or any(isinstance(size, int) for size in batch)):
            raise ModelError(
                f'The imported graph gives {boxes} and {scores}, not boxes [N,K,4] and scores '
                '[N,K]. A batch size or an image size is fixed inside the model: export it '
                'with a dynamic batch and without fixed reshapes.')
        for value in model.graph.output:
            # Inference gives the batch a new name behind every Resize; it is still N.
            value.type.tensor_type.shape.dim[0].dim_param = 'N'

    def _unique(self, hint: str) -> str:
        name, count = hint, 1
        while name in self._names:
            count += 1
            name = f'{hint}_{count}'
        self._names.add(name)
        return name
