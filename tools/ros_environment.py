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

"""Find out which ROS 2 this machine offers to an interpreter: a sourced one, or none."""

from __future__ import annotations

from dataclasses import dataclass
import os
import subprocess
import sys

from steps import clean_environment, fail

# Distributions whose message packages are compiled against NumPy 1; later ones have NumPy 2.
NUMPY1_DISTROS = frozenset({'humble', 'iron', 'jazzy', 'kilted'})

# Import name -> name behind ros-<distro>- of what the package needs from a distribution.
NEEDED = {
    'rclpy': 'rclpy',
    'ament_index_python': 'ament-index-python',
    'builtin_interfaces': 'builtin-interfaces',
    'cv_bridge': 'cv-bridge',
    'diagnostic_msgs': 'diagnostic-msgs',
    'geometry_msgs': 'geometry-msgs',
    'lifecycle_msgs': 'lifecycle-msgs',
    'rcl_interfaces': 'rcl-interfaces',
    'rosgraph_msgs': 'rosgraph-msgs',
    'sensor_msgs': 'sensor-msgs',
    'std_msgs': 'std-msgs',
    'std_srvs': 'std-srvs',
    'tf2_msgs': 'tf2-msgs',
    'vision_msgs': 'vision-msgs',
    'visualization_msgs': 'visualization-msgs',
}


@dataclass(frozen=True)
class RosEnvironment:
    """Where ROS 2 comes from: a sourced distribution, or (``distro`` empty) the wheels."""

    distro: str

    @property
    def sourced(self) -> bool:
        """Tell whether a distribution is sourced."""
        return bool(self.distro)

    def lock_name(self, level: str) -> str:
        """
        Return the lock file for this environment.

        Args:
            level: ``run`` (what the package needs) or ``dev`` (that and the tests' tools).
        """
        if not self.sourced:
            stem = 'standalone'
        elif self.distro in NUMPY1_DISTROS:
            stem = 'sourced-numpy1'
        else:
            stem = 'sourced-numpy2'
        return f'{stem}.txt' if level == 'run' else f'{stem}-{level}.txt'


def importable(python: str, module: str) -> bool:
    """Tell whether an interpreter can import a module, by doing it."""
    return subprocess.run(
        [python, '-c', f'import {module}'], env=clean_environment(), check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def detect() -> RosEnvironment:
    """Tell which distribution the shell has sourced, if any."""
    sourced = os.environ.get('AMENT_PREFIX_PATH')
    return RosEnvironment(os.environ.get('ROS_DISTRO', '') if sourced else '')


def require_usable(ros: RosEnvironment) -> None:
    """
    End the program when the sourced distribution is not for this interpreter.

    Silently taking the wheels instead would mix two ROS 2 installations in one process.
    """
    if ros.sourced and not importable(sys.executable, 'rclpy'):
        fail(f'ROS 2 {ros.distro} is sourced, but {sys.executable} (Python '
             f'{sys.version_info.major}.{sys.version_info.minor}) cannot import its rclpy. '
             'Name the interpreter it was built for: make PYTHON=/usr/bin/python3 …, or use a '
             'shell in which it is not sourced')


def missing_packages() -> list[str]:
    """Name the needed packages of a distribution that this interpreter does not find."""
    program = ('import importlib.util, sys; '
               'print(*(name for name in sys.argv[1:] if not importlib.util.find_spec(name)))')
    found = subprocess.run([sys.executable, '-c', program, *NEEDED], env=clean_environment(),
                           check=True, capture_output=True, text=True)
    return [NEEDED[module] for module in found.stdout.split()]


def require_packages(ros: RosEnvironment) -> None:
    """End the program with the install command when a sourced distribution lacks packages."""
    missing = missing_packages() if ros.sourced else []
    if missing:
        names = ' '.join(f'ros-{ros.distro}-{package}' for package in missing)
        fail(f'ROS 2 {ros.distro} lacks packages this one needs: sudo apt install {names}')
