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
Computing once what a network computes of its shapes alone: grids, sizes, positions.

At a fixed input size such values only depend on the batch, if on anything. What comes out the
same for a batch of one and of two is a constant.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, TensorProto
from onnx.reference import ReferenceEvaluator
from ped_perception.engine.shapes import Arrays, Shapes, sizes

LARGEST = 1 << 20       # elements of a constant that is worth its place in the file
RANDOM = frozenset({'Bernoulli', 'Dropout', 'Multinomial', 'RandomNormal', 'RandomNormalLike',
                    'RandomUniform', 'RandomUniformLike'})


def fold(model: onnx.ModelProto, arrays: Arrays, one: Shapes, two: Shapes) -> None:
    """
    Replace what follows from shapes and constants by constants.

    Args:
        model: its nodes; changed.
        arrays: its constants; changed.
        one: shapes at a batch of one, at the final size.
        two: shapes at a batch of two.
    """
    known: tuple[Arrays, Arrays] = ({}, {})         # what depends on the batch, for both
    kept = []
    for node in model.graph.node:
        first, second = (_results(node, model, ChainMap(values, arrays), shapes)
                         for values, shapes in zip(known, (one, two), strict=True))
        if first is None or second is None:
            kept.append(node)
            continue
        known[0].update(zip(node.output, first, strict=True))
        known[1].update(zip(node.output, second, strict=True))
        if all(np.array_equal(known[0][name], known[1][name]) for name in node.output):
            arrays.update((name, known[0][name]) for name in node.output)
        else:
            kept.append(node)
    nodes = onnx.GraphProto(node=kept).node     # copies: the old ones go with their list
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def fold_channel_counts(model: onnx.ModelProto, arrays: Arrays, one: Shapes,
                        two: Shapes) -> bool:
    """
    Replace the channel counts that a network reads from its own shapes, and what follows of them.

    torch.onnx writes chunk(2, dim=1) in that way: half of Shape[1]. The inference of ONNX does
    not divide, so behind it nothing is known, not even what could be folded otherwise.

    Args:
        model: its nodes; changed.
        arrays: its constants; changed.
        one: shapes at one size, as far as they are known.
        two: shapes at another size and batch.

    Returns:
        Whether something changed, so that more shapes may be known now.
    """
    shaped = {node.output[0]: node.input[0] for node in model.graph.node
              if node.op_type == 'Shape' and not node.attribute}
    kept = []
    for node in model.graph.node:
        index = arrays.get(node.input[1]) if node.op_type == 'Gather' else None
        source = shaped.get(node.input[0], '') if index is not None else ''
        counts = [known[source].shape[1] if source in known and len(known[source].shape) == 4
                  else None for known in (one, two)]
        if (index is None or index.reshape(-1).tolist() != [1] or counts[0] != counts[1]
                or not isinstance(counts[0], int)):
            kept.append(node)
            continue
        arrays[node.output[0]] = np.full(index.shape, counts[0], np.int64)
    if len(kept) == len(model.graph.node):
        return False
    nodes = onnx.GraphProto(node=kept).node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    fold(model, arrays, {}, {})
    return True


def _results(node: onnx.NodeProto, model: onnx.ModelProto, values: Mapping[str, NDArray[Any]],
             shapes: Shapes) -> list[NDArray[Any]] | None:
    """Compute a node's outputs; None if they depend on the image, or nobody can."""
    if node.op_type == 'Shape':
        shape = sizes(shapes, node.input[0])
        bounds = {item.name: item.i for item in node.attribute}
        return None if shape is None else [
            np.array(shape[bounds.get('start', 0):bounds.get('end', len(shape))], np.int64)]
    inputs = [name for name in node.input if name]
    if (node.op_type in RANDOM or not all(name in values for name in inputs)
            or sum(values[name].size for name in inputs) > LARGEST):
        return None
    graph = helper.make_graph(
        [node], 'node',
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values[name].dtype),
                                       values[name].shape) for name in dict.fromkeys(inputs)],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
         for name in node.output])
    single = helper.make_model(graph, opset_imports=model.opset_import,
                               ir_version=model.ir_version)
    try:
        results = ReferenceEvaluator(single).run(None, {name: values[name] for name in inputs})
    except Exception:       # noqa: BLE001  whatever it cannot compute stays in the network
        return None
    arrays = [np.asarray(result) for result in results]
    return arrays if all(array.size <= LARGEST for array in arrays) else None
