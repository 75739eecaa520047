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

"""Check for the few system packages that set-up needs, and install them where it may."""

from __future__ import annotations

import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys
import sysconfig

from steps import fail

OLDEST_PYTHON = (3, 10)
# The lock of the wheels needs NumPy < 2.3, which has no builds for later versions.
NEWEST_PYTHON_OF_WHEELS = (3, 13)
# As Debian and others call it, the first is the one that is installed.
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome')


def check_platform(sourced: bool) -> None:
    """End the program where the interpreter or the machine cannot work, saying what can."""
    version = sys.version_info[:2]
    text = f'{version[0]}.{version[1]}'
    if sourced:
        return
    if version > NEWEST_PYTHON_OF_WHEELS:
        fail(f'the ROS 2 wheels support Python 3.10 to 3.13, this is {text}. Name another '
             'interpreter: make PYTHON=python3.12 …')
    if platform.machine() != 'x86_64' or platform.libc_ver()[0] != 'glibc':
        fail(f'the ROS 2 wheels exist for x86-64 Linux with glibc only, this is '
             f'{platform.machine()}. Install ROS 2 from packages, source it, and repeat')


def missing_packages(needs_compiler: bool) -> list[str]:
    """
    Name the Debian packages that are missing for this interpreter.

    Args:
        needs_compiler: whether message packages have to be compiled.
    """
    missing = []
    distribution_python = Path(sys.base_prefix) == Path('/usr')
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    name = f'python{version}' if distribution_python else 'python3'
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        missing.append(f'{name}-venv')
    if needs_compiler:
        if not (shutil.which('gcc') and shutil.which('g++')):
            missing.append('g++')
        if not Path(sysconfig.get_path('include'), 'Python.h').exists():
            missing.append(f'{name}-dev')
    return missing


def require_packages(needs_compiler: bool) -> None:
    """Install what is missing when root on a Debian family system, else name the command."""
    missing = missing_packages(needs_compiler)
    if not missing:
        return
    names = ' '.join(missing)
    if not _may_install():
        fail(f'system packages are missing: sudo apt-get install {names}')
    print(f'set-up: installing system packages: {names}', flush=True)
    failed = _install(missing)
    if failed:
        fail(f'{failed} failed; repeat it by hand, then repeat this command')
    still_missing = missing_packages(needs_compiler)
    if still_missing:
        fail(f'{sys.executable} still lacks what {" ".join(still_missing)} should bring; use the '
             'interpreter of the distribution: make PYTHON=/usr/bin/python3 …')


def offer_browser() -> None:
    """
    Install the browser in which the tests open reports, where that may be done.

    Those tests are skipped without one, so that nothing else fails for it. On Ubuntu the package
    only points to a snap, which does not run in containers: there it is left to the user.
    """
    if any(map(shutil.which, BROWSERS)) or not _may_install() or _distribution() == 'ubuntu':
        return
    print(f'set-up: installing {BROWSERS[0]} for the tests of reports', flush=True)
    failed = _install([BROWSERS[0]])
    if failed:
        print(f'set-up: {failed} failed; the tests that open reports in a browser will be '
              'skipped', flush=True)


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which('apt-get') is not None


def _install(names: list[str]) -> str:
    """Install packages; gives the command that failed, '' where none did."""
    environment = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    for command in (['apt-get', 'update', '-qq'],
                    ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', *names]):
        if subprocess.run(command, env=environment, check=False).returncode != 0:
            return ' '.join(command)
    return ''


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()['ID']
    except (OSError, KeyError):
        return ''
