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
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import compose, numpy_helper, TensorProto, version_converter
from ped_perception.core.errors import ModelError
from ped_perception.engine import shapes
from ped_perception.engine.cut import ChannelCut, Saving
from ped_perception.engine.folding import fold, fold_channel_counts
from ped_perception.engine.graph import GraphBuilder, Precision, tensor_info, TensorInfo
from ped_perception.engine.precision import to_half
from ped_perception.engine.structure import (
    decoding_layers,
    image_input,
    name_nodes,
    prune,
    unfold_constants,
    value_info,
)

MIN_OPSET = 17
PREFIX = 'trunk/'
ANY_SIZE_HW = (640, 640)        # to look at networks whose size is free


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


def _plain(error: ModelError) -> str:
    """Give an error's text with the names of the file."""
    return str(error).replace(PREFIX, '')


class Trunk:
    """
    An ONNX network with one image input, [N,3,h,w] or [N,h,w,3], and raw head outputs.

    Constants stored compactly (float16 behind a Cast, Constant nodes) are unfolded when it is
    loaded, so that weights are found in one place.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._image = image_input(model.graph, PREFIX)
        self._size_hw = self._image.exported_hw
        self._kept_tensors: set[str] = set()        # float32 in a trunk of float16
        self._arrays = unfold_constants(model.graph)
        name_nodes(model.graph)
        self._complete_outputs()
        self._write_back()

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

    @property
    def channels_last(self) -> bool:
        """Whether images come as [N,h,w,3], as TensorFlow has them."""
        return self._image.channels_last

    @property
    def exported_hw(self) -> tuple[int, int] | None:
        """The input size in the file; None where it is free."""
        return self._image.exported_hw

    def keep_outputs(self, names: Sequence[str]) -> None:
        """Drop all other outputs, and what only they need; a TensorFlow suffix is ignored."""
        kept = {value.name for value in self._model.graph.output
                if value.name.removeprefix(PREFIX).split(':')[0] in names}
        if kept:
            prune(self._model.graph, kept)

    def resize(self, size_hw: tuple[int, int]) -> None:
        """
        Give the input another size and a free batch, and infer every other shape again.

        Raises:
            ModelError: some operator insists on the size or the batch of the export.
        """
        model, arrays, image = self._model, self._arrays, self._image
        batch, old_hw = image.exported_batch, image.exported_hw or size_hw
        exported = shapes.infer(model, arrays, image, batch, old_hw, strict=False)
        wanted = shapes.infer(model, arrays, image, batch, size_hw, strict=False)
        while size_hw != old_hw and shapes.free_size(model.graph, arrays, exported, wanted):
            wanted = shapes.infer(model, arrays, image, batch, size_hw, strict=False)
        shapes.free_batch(model.graph, arrays, exported)
        self._size_hw = size_hw
        one = self._check_size(size_hw)
        try:
            two = shapes.infer(model, arrays, image, 2, size_hw)
            shapes.check_batch([value.name for value in model.graph.output], one, two)
        except ModelError as error:
            raise self._batch_error(error) from error
        shapes.settle_reshapes(model.graph, arrays, one, two)
        fold(model, arrays, one, two)
        prune(model.graph, {value.name for value in model.graph.output})
        self._note_shapes()

    def works_at(self, size_hw: tuple[int, int]) -> bool:
        """Tell whether every operator accepts a size; before ``resize``, which settles it."""
        try:
            shapes.infer(self._model, self._arrays, self._image, 1, size_hw)
        except ModelError:
            return False
        return True

    def keep_channels(self, output: str, channels: Sequence[int]) -> Saving:
        """
        Keep only some channels of an output, by cutting the convolution that makes it.

        Args:
            output: name of an output; call ``resize`` before.
            channels: indices of the channels to keep, ascending.

        Raises:
            ModelError: the output does not come straight from an ordinary convolution.
        """
        self._check_convolution(output, max(channels))
        return self.keep(output, 1, channels)

    def keep(self, output: str, axis: int, channels: Sequence[int]) -> Saving:
        """
        Keep only some channels of an output, cut as far in front as the network allows.

        Args:
            output: name of an output; call ``resize`` before.
            axis: of the channels, counted from the front.
            channels: indices of the channels to keep, ascending.

        Returns:
            What it saves, and the layers that could not be cut.
        """
        saving = self._cut(output, axis, channels).apply()
        prune(self._model.graph, {value.name for value in self._model.graph.output})
        self._note_shapes()
        return replace(saving, uncut=tuple(text.replace(PREFIX, '') for text in saving.uncut))

    def operators_behind(self, output: str, axis: int, channel: int) -> frozenset[str]:
        """List the operators between one channel of an output and the layer that makes it."""
        return self._cut(output, axis, [channel], trace=True).operators()

    @property
    def decoding_operators(self) -> frozenset[str]:
        """The operators behind the last convolutions and matrix products."""
        layers = set(self.decoding_layers())
        return frozenset(node.op_type for node in self._model.graph.node if node.name in layers)

    def decoding_layers(self) -> list[str]:
        """
        Name the layers behind the last convolutions and matrix products: they decode.

        Pixels of an image have no place in float16, which counts in halves above 512.
        """
        return decoding_layers(self._model.graph, self._arrays)

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

    def _check_convolution(self, output: str, highest: int) -> None:
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

    def _complete_outputs(self) -> None:
        """Infer what the file leaves open of its outputs' shapes, as far as its size is known."""
        one, two = self._seen_shapes()
        while fold_channel_counts(self._model, self._arrays, one, two):
            one, two = self._seen_shapes()
        for value in self._model.graph.output:
            first, second = (known[value.name].shape if value.name in known else ()
                             for known in (one, two))
            dims = value.type.tensor_type.shape.dim
            for dim, size, other in zip(dims, first, second, strict=False):
                if not dim.HasField('dim_value') and isinstance(size, int) and (
                        self._size_hw is not None or size == other):
                    dim.dim_value = size

    def _seen_shapes(self) -> tuple[shapes.Shapes, shapes.Shapes]:
        """Shapes at the size in the file, or at any, and at another size and batch."""
        batch, (height, width) = self._image.exported_batch, self._size_hw or ANY_SIZE_HW
        return (shapes.infer(self._model, self._arrays, self._image, batch, (height, width),
                             strict=False),
                shapes.infer(self._model, self._arrays, self._image, batch + 1,
                             (height + 128, width + 256), strict=False))

    def _cut(self, output: str, axis: int, channels: Sequence[int],
             trace: bool = False) -> ChannelCut:
        assert self._size_hw is not None, 'resize() comes first'
        known = shapes.infer(self._model, self._arrays, self._image, 1, self._size_hw)
        return ChannelCut(self._model.graph, self._arrays, known, PREFIX + output, axis,
                          tuple(channels), trace)

    def _check_size(self, size_hw: tuple[int, int]) -> shapes.Shapes:
        try:
            return shapes.infer(self._model, self._arrays, self._image, 1, size_hw)
        except ModelError as error:
            old = self._image.exported_hw
            if old == size_hw:
                raise self._batch_error(error) from error
            size = f'{size_hw[1]}x{size_hw[0]}'
            known = f'was exported for {old[1]}x{old[0]} and ' if old else ''
            raise ModelError(f'The model {known}does not work at {size}: '
                             f'{_plain(error)}. Export it for '
                             f'{size}, or without the decoding of its boxes.') from error

    def _batch_error(self, error: ModelError) -> ModelError:
        return ModelError(f'The model is bound to a batch of {self._image.exported_batch}: '
                          f'{_plain(error)}. Export it with a dynamic batch.')

    def _note_shapes(self) -> None:
        """Write the shapes of all tensors into the graph, at a batch of N."""
        assert self._size_hw is not None, 'resize() comes first'
        graph = self._model.graph
        known = shapes.infer(self._model, self._arrays, self._image, 'N', self._size_hw)
        made = {name for node in graph.node for name in node.output}
        outputs = [value.name for value in graph.output]
        del graph.value_info[:], graph.output[:], graph.input[:]
        graph.input.append(value_info(known[self._image.name]))
        graph.output.extend(value_info(known[name]) for name in outputs)
        graph.value_info.extend(value_info(known[name]) for name in sorted(made & set(known))
                                if name not in outputs)
        self._write_back()

    def _write_back(self) -> None:
        """Write the constants that some node uses into the graph, all others away."""
        graph = self._model.graph
        used = {name for node in graph.node for name in node.input}
        del graph.initializer[:]
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(array, order='C'), name)
            for name, array in self._arrays.items() if name in used)
