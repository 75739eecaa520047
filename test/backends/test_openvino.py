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

"""What is OpenVINO's own; what all backends have in common is in test_contract.py."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from ped_perception.backends import BackendConfig, open_graph
from ped_perception.backends.openvino import _infer_together, _properties
from ped_perception.core.errors import BackendError
import pytest

OPENED = """
import sys
from pathlib import Path
from ped_perception.backends import BackendConfig, open_graph
open_graph(Path(sys.argv[1]), BackendConfig(backend='openvino'), 1).close()
print('openvino.tools.ovc' in sys.modules)
import openvino.tools.ovc
print(callable(openvino.tools.ovc.convert_model))
"""


@pytest.mark.skipif(importlib.util.find_spec('openvino') is None,
                    reason='openvino is not installed')
def test_the_converter_of_models_is_left_out_until_somebody_wants_it(root):
    graph = root / 'engines' / 'nanodet_g-640x384-int8.onnx'
    done = subprocess.run([sys.executable, '-c', OPENED, str(graph)], check=True, text=True,
                          stdout=subprocess.PIPE)
    assert done.stdout.split() == ['False', 'True']


@pytest.mark.skipif(importlib.util.find_spec('openvino') is None,
                    reason='openvino is not installed')
@pytest.mark.parametrize(('max_batch', 'threads', 'streams', 'why'), [
    (1, 2, 1, 'nothing to share'),
    (2, 2, 1, 'two views, of which one is left out when there is no time'),
    (6, 2, 2, 'several cameras'),
    (6, 1, 1, 'half a thread is none'),
])
def test_large_batches_are_computed_two_slots_at_a_time(root, max_batch, threads, streams, why):
    graph = root / 'engines' / 'nanodet_g-640x384-int8.onnx'
    config = BackendConfig(backend='openvino', threads=threads)
    with open_graph(graph, config, max_batch) as backend:
        assert backend._streams == streams, why


class Processor:
    """Stands for OpenVINO's core on a processor."""

    def __init__(self, *capabilities):
        self._capabilities = capabilities

    def get_property(self, device, name):
        assert (device, name) == ('CPU', 'OPTIMIZATION_CAPABILITIES')
        return self._capabilities


WITH_BF16, WITHOUT = Processor('FP32', 'INT8', 'BF16'), Processor('FP32', 'INT8')
FLOAT, QUANTISED = 'nanodet_g.onnx', 'nanodet_g-640x384-int8.onnx'


@pytest.mark.parametrize(('graph', 'precision', 'processor', 'expected', 'why'), [
    (FLOAT, 'auto', WITH_BF16, 'bf16', 'faster, and agrees'),
    (FLOAT, 'auto', WITHOUT, 'f32', 'nothing else'),
    (FLOAT, 'fp32', WITH_BF16, 'f32', 'asked for; OpenVINO alone would take bf16'),
    (FLOAT, 'bf16', WITH_BF16, 'bf16', 'asked for'),
    (QUANTISED, 'int8', WITH_BF16, 'f32', 'what is not quantised must not be rounded'),
    (QUANTISED, 'auto', WITH_BF16, 'f32', 'the default on such a processor'),
    (QUANTISED, 'auto', WITHOUT, 'f32', 'the same people on every processor'),
    (QUANTISED, 'bf16', WITH_BF16, 'bf16', 'asked for'),
])
def test_precisions(root, graph, precision, processor, expected, why):
    config = BackendConfig(backend='openvino', precision=precision)
    properties = _properties(processor, root / 'engines' / graph, config, 1)
    assert properties['INFERENCE_PRECISION_HINT'] == expected, why


@pytest.mark.parametrize(('precision', 'message'), [
    ('bf16', 'This processor does not compute in bf16'),
    ('fp16', 'does not compute in fp16 on a CPU'),
])
def test_a_precision_that_there_is_not_is_refused(root, precision, message):
    config = BackendConfig(backend='openvino', precision=precision)
    with pytest.raises(BackendError, match=message):
        _properties(WITHOUT, root / 'engines' / FLOAT, config, 1)


class Request:
    """Stands for an inference; refuses to do what it is told to."""

    def __init__(self, refuses=''):
        self._refuses = refuses
        self.under_way = False

    def start_async(self):
        if self._refuses == 'start':
            raise RuntimeError('it does not start')
        self.under_way = True

    def wait(self):
        self.under_way = False
        if self._refuses == 'wait':
            raise RuntimeError('it went wrong')


@pytest.mark.parametrize(('refuses', 'message'), [
    ('start', 'does not start'), ('wait', 'went wrong')])
def test_nothing_is_under_way_any_more_when_a_batch_has_failed(refuses, message):
    requests = [Request(), Request(refuses), Request()]
    with pytest.raises(RuntimeError, match=message):
        _infer_together(requests)
    assert not any(request.under_way for request in requests), 'it would write into the next batch'
