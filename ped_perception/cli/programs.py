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

"""The programs of the package; what they load comes second, so that Ctrl-C is quiet meanwhile."""

from __future__ import annotations

from collections.abc import Callable
import importlib
import signal
from typing import cast

MODULES = {
    'ped_camera': 'ped_perception.ros.camera_node',
    'ped_demo': 'ped_perception.cli.demo',
    'ped_detector': 'ped_perception.ros.detector_node',
    'ped_engine': 'ped_perception.cli.engine',
    'ped_evaluate': 'ped_perception.cli.evaluate',
    'ped_launch_check': 'ped_perception.cli.launch_check',
    'ped_replay': 'ped_perception.cli.replay'}


def ped_camera() -> int:
    """Run the player of recordings."""
    return loaded('ped_camera')()


def ped_demo() -> int:
    """Run the demo."""
    return loaded('ped_demo')()


def ped_detector() -> int:
    """Run the detector node."""
    return loaded('ped_detector')()


def ped_engine() -> int:
    """Import, build, inspect and verify networks."""
    return loaded('ped_engine')()


def ped_evaluate() -> int:
    """Measure on labelled pictures."""
    return loaded('ped_evaluate')()


def ped_launch_check() -> int:
    """Check launch files."""
    return loaded('ped_launch_check')()


def ped_replay() -> int:
    """Replay recordings without real time."""
    return loaded('ped_replay')()


def loaded(program: str) -> Callable[[], int]:
    """
    Load a program and give its main function.

    That takes half a second, in which Python would answer Ctrl-C with a traceback of whatever
    module was being read. Here it ends the program as it ends any other.
    """
    handler = signal.getsignal(signal.SIGINT)
    # In the background of a script it is ignored, and stays so.
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    main = importlib.import_module(MODULES[program]).main
    signal.signal(signal.SIGINT, handler)
    return cast(Callable[[], int], main)
