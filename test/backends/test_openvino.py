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
