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

"""The documentation agrees with the code."""

from __future__ import annotations

import re

from docs import PARAMETERS, parameters_page
from ped_perception.core.config import config_from_mapping, specs_of
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.settings import PREFIXES
import yaml


def test_the_parameter_reference_is_up_to_date():
    assert PARAMETERS.read_text() == parameters_page(), 'run: make docs'


def test_the_shipped_parameter_file_is_accepted(root):
    values = yaml.safe_load((root / 'config' / 'detector.yaml').read_text())
    values = dict(values['/**']['ros__parameters'])
    cameras = {name: values.pop(name) for name in values['cameras']}
    for config in cameras.values():
        config_from_mapping(CameraConfig, config)
    for config_type, prefix in PREFIXES.values():
        given = values.pop(prefix[:-1], {}) if prefix else {
            spec.name: values.pop(spec.name) for spec in specs_of(config_type)
            if spec.name in values}
        config_from_mapping(config_type, given)
    assert not values, 'parameters that no part of the node has'


def test_every_extra_that_an_error_names_exists(root):
    named = {extra for path in (root / 'ped_perception').rglob('*.py')
             for extra in re.findall(r"import_extra\(\s*'[^']+',\s*'([^']+)'", path.read_text())}
    assert 'openvino' in named
    extras = (root / 'setup.py').read_text().split('extras_require', 1)[1].split('},', 1)[0]
    assert named <= set(re.findall(r"'([a-z]+)': \[", extras))
