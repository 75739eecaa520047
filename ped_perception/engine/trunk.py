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

"""A detector's own network: loaded, brought to a size, cut to the wanted classes, typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import compose, helper, numpy_helper, shape_inference, TensorProto, version_converter
from ped_perception.core.errors import ModelError
from ped_perception.engine.graph import GraphBuilder, Precision, tensor_info, TensorInfo
from ped_perception.engine.precision import to_half

MIN_OPSET = 17
PREFIX = 'trunk/'


@dataclass(frozen=True)
class Saving:
    """What cutting unused classes from a head saves, per image."""

    parameters: int = 0
    macs: int = 0
    weight_bytes: int = 0

    def __add__(self, other: Saving) -> Saving:
        return Saving(self.parameters + other.parameters, self.macs + other.macs,
                      self.weight_bytes + other.weight_bytes)


def _opset(model: onnx.ModelProto) -> int:
    return max((int(entry.version) for entry in model.opset_import
                if entry.domain in ('', 'ai.onnx')), default=0)


def load_model(path: Path) -> onnx.ModelProto:
    """
    Read and check an ONNX file.

    Raises:
        ModelError: the file is missing, damaged or not ONNX.
    """
    try:
        model = onnx.load(path)
        # Without nodes it parsed by chance: many a short file is a valid protobuf.
        if not model.graph.node:
            raise ModelError(f'{path} is not an ONNX model, or is truncated.')
        onnx.checker.check_model(model)
    except FileNotFoundError as error:
        raise ModelError(f'{error.filename} does not exist.') from error
    except ModelError:
        raise
    except Exception as error:  # protobuf and onnx raise many kinds, all mean the same
        raise ModelError(f'{path} cannot be read as an ONNX model: {error}') from error
    return model


class Trunk:
    """
    An ONNX network with one float image input [N,3,h,w] and raw head outputs.

    Constants stored compactly (float16 behind a Cast, Constant nodes) are unfolded when it is
    loaded, so that weights are found in one place.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._arrays: dict[str, NDArray[Any]] = {}
        self._kept_tensors: set[str] = set()        # float32 in a trunk of float16
        self._unfold_constants()
        inputs = [value for value in model.graph.input if value.name not in self._arrays]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        self._check_input()

    @classmethod
    def load(cls, path: Path) -> Trunk:
        """
        Read an ONNX file.

        Raises:
            ModelError: the file is missing, not ONNX, or has no float NCHW image input.
        """
        model = load_model(path)
        try:
            if _opset(model) < MIN_OPSET:
                model = version_converter.convert_version(model, MIN_OPSET)
        except Exception as error:  # the converter raises several kinds
            raise ModelError(f'{path} uses opset {_opset(model)} and cannot be converted to '
                             f'{MIN_OPSET}: {error}. Export it with opset {MIN_OPSET}.') from error
        return cls(compose.add_prefix(model, PREFIX))

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return _opset(self._model)

    @property
    def outputs(self) -> list[TensorInfo]:
        """Describe the raw outputs, with the names of the file."""
        infos = (tensor_info(value) for value in self._model.graph.output)
        return [TensorInfo(info.name.removeprefix(PREFIX), info.dtype, info.shape)
                for info in infos]

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says about itself (licence, author, …)."""
        return {entry.key: entry.value for entry in self._model.metadata_props}

    def resize(self, size_hw: tuple[int, int]) -> None:
        """
        Give the input the shape [N,3,h,w] and infer every other shape again.

        Raises:
            ModelError: some operator insists on another size.
        """
        graph = self._model.graph
        dims = graph.input[0].type.tensor_type.shape.dim
        for dim, size in zip(dims, ('N', 3, *size_hw), strict=True):
            dim.Clear()
            if isinstance(size, str):
                dim.dim_param = size
            else:
                dim.dim_value = size
        # Shapes noted for the old size would contradict the new one.
        del graph.value_info[:]
        for output in graph.output:
            output.type.tensor_type.ClearField('shape')
        self._write_back()
        try:
            self._model = shape_inference.infer_shapes(
                self._model, check_type=True, strict_mode=True, data_prop=True)
        except shape_inference.InferenceError as error:
            height, width = size_hw
            raise ModelError(f'The model does not work at {width}x{height}; it is probably '
                             f'bound to the size it was exported for. {error}') from error

    def keep_channels(self, output: str, channels: Sequence[int]) -> Saving:
        """
        Keep only some channels of an output, by cutting the convolution that makes it.

        Args:
            output: name of an output; call ``resize`` before, for the savings.
            channels: indices of the channels to keep, in the order wanted.

        Raises:
            ModelError: the output does not come straight from an ordinary convolution.
        """
        node = self._convolution_of(output, max(channels))
        kept = list(channels)
        weight = self._arrays[node.input[1]]
        removed = len(weight) - len(kept)
        for index, source in list(enumerate(node.input))[1:]:
            # Under a new name: levels of a pyramid may share one array.
            node.input[index] = f'{PREFIX}{output}/kept_{index}'
            self._arrays[node.input[index]] = self._arrays[source][kept]
        cells = self._cells(output)
        value = next(value for value in self._model.graph.output
                     if value.name == PREFIX + output)
        value.type.tensor_type.shape.dim[1].dim_value = len(kept)
        parameters = removed * (weight[0].size + len(node.input) - 2)
        return Saving(parameters, removed * weight[0].size * cells,
                      parameters * weight.dtype.itemsize)

    def to_precision(self, precision: Precision, keep_fp32: Sequence[str] = ()) -> None:
        """
        Type weights and activations; the structure stays.

        Args:
            precision: of the trunk.
            keep_fp32: layers that compute in float32 nevertheless, by the name of the node;
                between two of them that follow each other nothing is rounded.

        Raises:
            ModelError: a constant does not fit into float16, or there is no such layer.
        """
        if precision == 'fp16':
            self._kept_tensors = to_half(self._model.graph, self._arrays, keep_fp32, PREFIX)

    def attach(self, builder: GraphBuilder, images: str, precision: Precision,
               ) -> dict[str, TensorInfo]:
        """
        Put the trunk behind ``images``; its outputs come back as float32 tensors.

        Returns:
            Tensor by output name of the file; the tensor's name is that in the new graph.
        """
        self._write_back()
        graph = self._model.graph
        source = graph.input[0].name
        for node in graph.node:
            node.input[:] = [images if name == source else name for name in node.input]
        builder.adopt(graph)
        outputs = {}
        for info in self.outputs:
            name = PREFIX + info.name
            if precision == 'fp16' and name not in self._kept_tensors:
                name = builder.node('Cast', [name], f'heads/{info.name}', to=TensorProto.FLOAT)
            outputs[info.name] = TensorInfo(name, 'float32', info.shape)
        return outputs

    def _convolution_of(self, output: str, highest: int) -> onnx.NodeProto:
        name, nodes = PREFIX + output, self._model.graph.node
        node: onnx.NodeProto | None = next((node for node in nodes if name in node.output), None)
        if node is None or node.op_type != 'Conv' or not set(node.input[1:]) <= set(self._arrays):
            kind = node.op_type if node is not None else 'nothing'
            raise ModelError(f'Output {output} comes from {kind}, not from a convolution with '
                             'constant weights; its classes cannot be cut.')
        if any(name in other.input for other in nodes):
            raise ModelError(f'Output {output} is used inside the model, too; '
                             'its classes cannot be cut.')
        count = len(self._arrays[node.input[1]])
        groups = next((item.i for item in node.attribute if item.name == 'group'), 1)
        if groups != 1 or highest >= count:
            raise ModelError(f'Output {output} has {count} channels in {groups} group(s); '
                             f'channel {highest} cannot be cut out of it.')
        return node

    def _cells(self, output: str) -> int:
        shape = next(info.shape for info in self.outputs if info.name == output)
        sizes = [size for size in shape[2:] if isinstance(size, int)]
        if len(sizes) != len(shape) - 2:
            raise ModelError(f'Output {output} has the unknown shape {shape}.')
        return int(np.prod(sizes))

    def _check_input(self) -> None:
        inputs = [tensor_info(value) for value in self._model.graph.input]
        fits = (len(inputs) == 1 and inputs[0].dtype == 'float32' and len(inputs[0].shape) == 4
                and (inputs[0].shape[1] == 3 or not isinstance(inputs[0].shape[1], int)))
        if not fits:
            seen = ', '.join(str(info).removeprefix(PREFIX) for info in inputs) or 'none'
            raise ModelError('A model must have one input float32[N,3,h,w]; '
                             f'this one has: {seen}.')

    def _unfold_constants(self) -> None:
        graph = self._model.graph
        for tensor in graph.initializer:
            self._arrays[tensor.name] = numpy_helper.to_array(tensor)
        kept = []
        for node in graph.node:
            value = self._constant_value(node)
            if value is None:
                kept.append(node)
            else:
                self._arrays[node.output[0]] = value
        del graph.node[:], graph.initializer[:]
        graph.node.extend(kept)
        self._write_back()

    def _constant_value(self, node: onnx.NodeProto) -> NDArray[Any] | None:
        attribute = node.attribute[0] if node.attribute else None
        if node.op_type == 'Constant' and attribute is not None and attribute.name == 'value':
            return numpy_helper.to_array(attribute.t)
        source = self._arrays.get(node.input[0]) if node.input else None
        if source is None or attribute is None or node.op_type != 'Cast':
            return source if node.op_type == 'Identity' else None
        return source.astype(helper.tensor_dtype_to_np_dtype(attribute.i))

    def _write_back(self) -> None:
        """Write the constants that some node uses into the graph, all others away."""
        graph = self._model.graph
        used = {name for node in graph.node for name in node.input}
        del graph.initializer[:]
        graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in self._arrays.items() if name in used)
