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
Set up everything the package needs, in ``.venv``: ``python3 tools/setup_env.py [--dev]``.

Idempotent: a stamp in the environment says what it was made from, and when nothing changed the
program ends at once. Safe to interrupt: an environment that was left incomplete is made anew.
Package indexes and mirrors are the user's business (pip's own configuration and variables).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
from pathlib import Path
import platform
import signal
import sys
from typing import NoReturn

import build_interfaces
from pip_steps import install_build_tools, install_lock, pip_install
import ros_environment
from steps import beside, fail, only_one, REQUIREMENTS, ROOT, Step, VENV
import system_packages

PYTHON = VENV / 'bin/python'
STAMP = VENV / 'ped_perception.stamp'
UNFINISHED = VENV / 'ped_perception.unfinished'
LEVELS = ('run', 'dev')

# Compiles what the programs import, where pip compiles nothing: the first start of a node is as
# fast as any other, also where nobody may write bytecode later.
LOAD_PROGRAMS = """
from importlib import import_module
from ped_perception.cli.programs import MODULES
for module in MODULES.values():
    import_module(module)
import onnx, onnxruntime, openvino
"""

# Compiles the networks of a node without parameters: its first start is as fast as any other and
# needs no more memory. Where they cannot be loaded, whoever starts it is told why.
LOAD_NETWORKS = """
from contextlib import suppress
from ped_perception.backends import BackendConfig, open_backend, open_small
from ped_perception.core.errors import PedPerceptionError
from ped_perception.core.pipeline import DetectorConfig
config, views = BackendConfig(allow_build=False), len(DetectorConfig().views)
with suppress(PedPerceptionError), open_backend(config, views) as full:
    open_small(config, full.info, 1)
"""

# What a shell with the activated environment gets, as `make` gives it to demo and tests.
ACTIVATION = """
# ped_perception: no ROS 2 traffic beyond this machine unless asked for
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
"""


def leave_own_environment() -> None:
    """Continue with the interpreter beneath ``.venv`` when this one is in it."""
    if Path(sys.prefix) == VENV:
        base = getattr(sys, '_base_executable', sys.executable)
        if base == sys.executable:
            fail(f'this is the interpreter of {VENV} itself; run: deactivate')
        os.execv(base, [base, *sys.argv])


def base_of(ros: ros_environment.RosEnvironment) -> str:
    """Describe what an environment stands on; another one cannot be upgraded in place."""
    origin = ros.distro or 'wheels'
    return f'{VENV} Python {platform.python_version()} of {sys.base_prefix} ROS {origin}'


def ingredients(ros: ros_environment.RosEnvironment, level: str) -> str:
    """Return a digest of everything an environment is made from."""
    state = hashlib.sha256(base_of(ros).encode())
    for path in (REQUIREMENTS / ros.lock_name(level), ROOT / 'setup.py', ROOT / 'setup.cfg',
                 ROOT / 'package.xml', Path(__file__)):
        state.update(path.read_bytes())
    if not ros.sourced:
        state.update(build_interfaces.digest().encode())
    return state.hexdigest()


def read_stamp() -> dict[str, str]:
    """Return the stamp of the environment; empty when there is none or it is not complete."""
    if UNFINISHED.exists():
        return {}
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: dict[str, str]) -> None:
    """Say what the environment was made from; the last thing a set-up does."""
    temporary = STAMP.with_suffix('.new')
    temporary.write_text(json.dumps(stamp, indent=1) + '\n')
    temporary.replace(STAMP)
    UNFINISHED.unlink()


def create(ros: ros_environment.RosEnvironment) -> None:
    """Make an empty environment, replacing what is there."""
    with Step('venv', f'creating {VENV.name} for Python {platform.python_version()}') as step:
        options = ['--system-site-packages'] if ros.sourced else []
        step.run([sys.executable, '-m', 'venv', '--clear', *options, VENV])
        with (VENV / 'bin/activate').open('a') as script:
            script.write(ACTIVATION)


def install(ros: ros_environment.RosEnvironment, level: str) -> None:
    """Install the lock, the message packages and the package itself; compile what they need."""
    lock = REQUIREMENTS / ros.lock_name(level)
    with contextlib.ExitStack() as until_installed:
        with Step('packages', f'installing the locked packages ({lock.name})') as step:
            install_build_tools(step, PYTHON, lock)
            if not ros.sourced:
                building = until_installed.enter_context(beside(build_interfaces.COMMAND))
            install_lock(step, PYTHON, lock)
        if not ros.sourced:
            with Step('messages', 'building and installing the message packages') as step:
                step.follow(building)
                pip_install(step, PYTHON, '--no-index', '--force-reinstall',
                            *build_interfaces.wheels())
            build_interfaces.prune()
    with Step('package', 'installing ped_perception itself, editable') as step:
        pip_install(step, PYTHON, '--no-index', '--editable', ROOT)
    with Step('bytecode', 'compiling what the programs import') as step:
        step.run([PYTHON, '-c', LOAD_PROGRAMS])
    with Step('networks', 'compiling the default networks for this processor') as step:
        step.run([PYTHON, '-c', LOAD_NETWORKS])


def set_up(level: str) -> None:
    """Bring ``.venv`` to ``level`` if it is not there yet."""
    ros = ros_environment.detect()
    stamp = read_stamp()
    wanted = ingredients(ros, level)
    if stamp.get(level) == wanted:
        return
    ros_environment.require_usable(ros)
    ros_environment.require_packages(ros)
    system_packages.check_platform(ros.sourced)
    system_packages.require_packages(needs_compiler=not ros.sourced)
    if level == 'dev':
        system_packages.offer_browser()
    if ros.sourced:
        print(f'set-up: using the sourced ROS 2 {ros.distro}', flush=True)
    if stamp.get('base') != base_of(ros):
        create(ros)
        stamp = {}
    UNFINISHED.touch()
    install(ros, level)
    # The dev lock holds everything of the run lock, in the same versions.
    included = LEVELS[:LEVELS.index(level) + 1]
    write_stamp({**stamp, 'base': base_of(ros), **{name: ingredients(ros, name)
                                                   for name in included}})


def end(*_: object) -> NoReturn:
    """End the program as an error does: nothing that was started goes on."""
    fail('ended by a signal; repeat the command to go on')


def main() -> None:
    """Read the arguments and set up."""
    signal.signal(signal.SIGTERM, end)
    parser = argparse.ArgumentParser(description='Set up .venv for ped_perception.')
    parser.add_argument('--dev', action='store_true', help='with the tools of tests and lints')
    arguments = parser.parse_args()
    if sys.version_info[:2] < system_packages.OLDEST_PYTHON:
        fail(f'Python 3.10 or newer is needed, this is {platform.python_version()}. Name '
             'another interpreter: make PYTHON=python3.11 …')
    leave_own_environment()
    with only_one('setup'):
        set_up('dev' if arguments.dev else 'run')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        fail('interrupted; repeat the command to go on')
