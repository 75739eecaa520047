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
The one exception family of the package.

Every message says what was wrong, which value it had, and what to do next. Command line
tools print the message without a traceback; nodes log it.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class PedPerceptionError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(PedPerceptionError):
    """A parameter is unknown, of the wrong type or out of its range."""


class ModelError(PedPerceptionError):
    """A model file is missing, corrupt, or of a kind that cannot be imported."""


class EngineMismatchError(ModelError):
    """A built engine does not belong to this machine, this model or this request."""


class ImageError(PedPerceptionError):
    """One image cannot be decoded; the frame is skipped and the stream goes on."""


class TransformError(PedPerceptionError):
    """Two frames are not connected, not at that time, or not by a rigid transform."""


class CalibrationError(PedPerceptionError):
    """A camera has no usable calibration or mounting; its boxes get no positions."""


class SourceError(PedPerceptionError):
    """A video, image folder, bag or device cannot be opened or read."""


class BackendError(PedPerceptionError):
    """Inference failed, or a backend cannot run on this machine."""


class MissingExtraError(PedPerceptionError):
    """An optional Python package is not installed."""


def import_extra(module: str, extra: str) -> ModuleType:
    """
    Import an optional module, or say which extra of this package brings it.

    Args:
        module: dotted name of the module, for example ``'openvino'``.
        extra: name in ``extras_require`` of setup.py.

    Raises:
        MissingExtraError: the module, or one it needs, cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f'{module} cannot be imported ({error}). '
            f'Install it with: pip install "ped_perception[{extra}]"') from error
