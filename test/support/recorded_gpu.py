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

"""A machine with a GPU that is not there: the doubles of CUDA and TensorRT, put in place."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
import gc
import hashlib
from importlib.machinery import ModuleSpec
import sys
import types

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
from ped_perception.backends import BackendConfig, gpu_filler, open_graph, plan_io
from ped_perception.engine.gpu import Gpu
from ped_perception.engine.manifest import Batches, Manifest, Memory, Recipe
from ped_perception.engine.plans import write_plan
import pytest
from recording_cuda import RecordingCuda
from recording_tensorrt import double_plan, RecordingTensorRt

GPU = Gpu('Recorded GPU', 'sm_87')
TINY_HW = (6, 10)


@contextmanager
def recorded_gpu(kernels=None):
    """
    Put the doubles in the place of pycuda, tensorrt and the GPU.

    Args:
        kernels: see ``RecordingCuda``.

    Yields:
        The doubles of ``pycuda.driver`` and ``tensorrt``.
    """
    cuda = RecordingCuda(kernels)
    trt = RecordingTensorRt(cuda.ledger)
    package = types.ModuleType('pycuda')
    package.driver = cuda
    with pytest.MonkeyPatch.context() as patch:
        for name, module in (('pycuda', package), ('pycuda.driver', cuda), ('tensorrt', trt)):
            module.__spec__ = ModuleSpec(name, None)
            patch.setitem(sys.modules, name, module)
        # It makes a context in whatever thread imports it first.
        patch.setitem(sys.modules, 'pycuda.autoinit', None)
        patch.setattr(plan_io, 'find_gpu', lambda index=0: None if index else GPU)
        patch.setattr(gpu_filler, 'ensure_kernels',
                      lambda capability, allow_build: f'letterbox-{capability}.cubin')
        yield cuda, trt


def write_double_plan(folder, graph, *, network_hw=TINY_HW, minimum=1, maximum=8, data=None,
                      **changes):
    """
    Write a plan of the double with its manifest.

    Args:
        folder: for the plan.
        graph: file of a typed graph.
        network_hw: of the graph.
        minimum, maximum: of the batch.
        data: of the plan, if it is not the graph's.
        changes: other values of the recipe.
    """
    recipe = replace(
        Recipe('tiny', 'f' * 64, 'fp32', network_hw, Batches(minimum, minimum, maximum),
               'tensorrt', RecordingTensorRt.__version__, GPU.name, (GPU.capability,)), **changes)
    if data is None:
        data = double_plan(graph.read_bytes(), minimum=minimum, maximum=maximum)
    plan = folder / recipe.file_name
    write_plan(plan, data, Manifest(
        recipe, hashlib.sha256(data).hexdigest(), len(data), (), {}, 'network', Memory(), (), {},
        '2026-01-01T00:00:00+00:00', 1.0, '0'))
    return plan


def tiny_graph(path):
    """Write a typed graph whose score is a slot's mean grey level, and box that in all sides."""
    height, width = TINY_HW
    tensor = helper.make_tensor_value_info
    nodes = [
        helper.make_node('Cast', ['images'], ['grey'], to=TensorProto.FLOAT),
        helper.make_node('ReduceMean', ['grey'], ['mean'], axes=[1, 2, 3], keepdims=0),
        helper.make_node('Unsqueeze', ['mean', 'one'], ['scores']),
        helper.make_node('Unsqueeze', ['scores', 'two'], ['side']),
        helper.make_node('Expand', ['side', 'four'], ['boxes'])]
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in
                 (('one', [1]), ('two', [2]), ('four', [1, 1, 4]))]
    onnx.save(helper.make_model(
        helper.make_graph(
            nodes, 'tiny', [tensor('images', TensorProto.UINT8, ['N', height, width, 3])],
            [tensor('boxes', TensorProto.FLOAT, ['N', 1, 4]),
             tensor('scores', TensorProto.FLOAT, ['N', 1])], constants),
        opset_imports=[helper.make_opsetid('', 17)], ir_version=9), path)
    return path


class Machine:
    """
    A machine with the double of a GPU and a tiny plan.

    Attributes:
        cuda, trt, ledger: the doubles.
        plan: file; ``folder`` and ``graph`` make others.
    """

    def __init__(self, cuda, trt, folder):
        self.cuda, self.trt, self.ledger = cuda, trt, cuda.ledger
        self.folder, self.graph = folder, tiny_graph(folder / 'tiny.onnx')
        self.plan = write_double_plan(folder, self.graph)

    def load(self, max_batch=3, plan=None, **settings):
        """Open the backend."""
        return open_graph(plan or self.plan, BackendConfig(backend='tensorrt', **settings),
                          max_batch)

    def check_empty(self):
        """See that nothing is left and no rule was broken."""
        gc.collect()        # of cycles through the exceptions of a test
        self.ledger.check_empty()
