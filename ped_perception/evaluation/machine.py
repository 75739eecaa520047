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

"""What a measurement was made on: figures without their machine mean nothing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform

import psutil

_PACKAGES = ('ped_perception', 'numpy', 'opencv-python-headless', 'openvino', 'onnxruntime',
             'tensorrt', 'rclpy')


def machine_description() -> dict[str, str | int | float]:
    """Describe processor, memory and system."""
    return {'cpu': _cpu_name(), 'cores': len(os.sched_getaffinity(0)),
            'memory_gib': round(psutil.virtual_memory().total / 2**30, 1),
            'system': f'{_system_name()}, Linux {platform.release()}',
            'architecture': platform.machine(),
            'load_average': round(os.getloadavg()[0], 2)}


def versions() -> dict[str, str]:
    """Give the versions of what takes part, as far as it is installed."""
    found = {'python': platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    for line in _lines('/proc/cpuinfo'):
        key, _, value = line.partition(':')
        # ARM processors have no model name there.
        if key.strip() in ('model name', 'Model'):
            return value.strip()
    return platform.processor() or platform.machine()


def _system_name() -> str:
    for line in _lines('/etc/os-release'):
        if line.startswith('PRETTY_NAME='):
            return line.partition('=')[2].strip('"')
    return platform.system()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return []
