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
Compile the message packages under ``interfaces/`` against the ROS 2 wheels, as wheels.

The wheels of ROS 2 lack a few message packages. Each folder of ``interfaces/`` is an ordinary
ROS 2 interface package; it is built in a throw-away environment and packed so that installing it
puts its libraries beside those of the ROS wheels: nothing has to be set at run time.
``setup_env.py`` runs this program, beside installing other things, once ``.venv`` has pip.
"""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
import hashlib
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile

from pip_steps import install_build_tools, install_lock
from steps import CACHE, clean_environment, INTERFACES, only_one, REQUIREMENTS, Step, VENV

LOCK = REQUIREMENTS / 'interfaces.txt'

COMMAND = (sys.executable, Path(__file__))

UNITY_BUILD = Path(__file__).with_name('unity_build.cmake')

# Paths of the machine that built the wheels, which their CMake files still carry.
BUILDER_PYTHON = re.compile(r'/opt/python/cp\d+-cp\d+t?/include/python3\.\d+')
BUILDER_NUMPY = re.compile(r'[^\s;"\']*/site-packages/numpy/_?core/include')

# A fixed time stamp, so that the same inputs give the same wheel.
ZIP_TIME = (2026, 1, 1, 0, 0, 0)


def packages() -> list[Path]:
    """Return the folders of the interface packages."""
    return sorted(path.parent for path in INTERFACES.glob('*/package.xml'))


def python_tag() -> str:
    """Return the compatibility tag of wheels compiled for this interpreter."""
    interpreter = f'cp{sys.version_info.major}{sys.version_info.minor}'
    machine = sysconfig.get_platform().replace('-', '_').replace('.', '_')
    return f'{interpreter}-{interpreter}-{machine}'


def digest() -> str:
    """Return a digest of everything the compiled wheels depend on."""
    state = hashlib.sha256(python_tag().encode())
    sources = [path for package in packages() for path in sorted(package.rglob('*'))]
    for path in [LOCK, UNITY_BUILD, Path(__file__), *sources]:
        if path.is_file():
            state.update(path.name.encode() + b'\0' + path.read_bytes())
    return state.hexdigest()


def cache_entry() -> Path:
    """Return where the wheels for the definitions are kept; it exists once it is complete."""
    return CACHE / 'interfaces' / digest()[:16]


def wheels() -> list[Path]:
    """Return the wheels of all interface packages, which were built before."""
    return sorted(cache_entry().glob('*.whl'))


def main() -> None:
    """Build all interface packages when they are not in the cache."""
    # What a killed set-up left at work is waited for, and its result is used.
    with only_one('interfaces'):
        entry = cache_entry()
        if entry.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=CACHE, prefix='build-') as work:
            finished = build(Path(work))
            entry.parent.mkdir(exist_ok=True)
            finished.rename(entry)


def build(work: Path) -> Path:
    """Build every interface package inside ``work``; return the folder with the wheels."""
    venv, finished = work / 'venv', work / 'wheels'
    finished.mkdir()
    with Step('interfaces', 'installing what compiles the message packages') as step:
        # The pip of .venv serves here too: another one takes longer than all the rest.
        step.run([sys.executable, '-m', 'venv', '--without-pip', venv])
        for install in (install_build_tools, install_lock):
            install(step, VENV / 'bin/python', LOCK, venv / 'bin/python')
        replace_builder_paths(venv)
    # Two at a time: half of what a package takes, one core does.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda package: build_package(package, venv, work, finished), packages()))
    return finished


def build_package(package: Path, venv: Path, work: Path, finished: Path) -> None:
    """Build one interface package; put its wheel into ``finished``."""
    prefix = work / f'{package.name}-install'
    with Step(package.name, f'building {package.name}') as step:
        compile_package(step, package, venv, work / f'{package.name}-build', prefix)
        pack(package, prefix, finished)


def build_environment(venv: Path) -> dict[str, str]:
    """Return the environment in which CMake finds the ROS wheels of ``venv``, and only those."""
    environment = clean_environment()
    for name in ('PYTHONPATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'ROS_DISTRO'):
        environment.pop(name, None)
    environment['AMENT_PREFIX_PATH'] = str(venv)
    environment['PATH'] = f'{venv / "bin"}{os.pathsep}{environment["PATH"]}'
    return environment


def replace_builder_paths(venv: Path) -> None:
    """Point the wheels' CMake files to this interpreter's headers and the venv's NumPy."""
    numpy_include = subprocess.run(
        [venv / 'bin/python', '-c', 'import numpy; print(numpy.get_include())'],
        env=build_environment(venv), check=True, capture_output=True, text=True).stdout.strip()
    python_include = sysconfig.get_path('include')
    for path in (venv / 'share').rglob('*.cmake'):
        before = path.read_text()
        after = BUILDER_PYTHON.sub(lambda _: python_include, before)
        after = BUILDER_NUMPY.sub(lambda _: numpy_include, after)
        if after != before:
            path.write_text(after)


def compile_package(step: Step, source: Path, venv: Path, build_dir: Path, prefix: Path) -> None:
    """Configure, build and install one interface package into ``prefix``."""
    environment = build_environment(venv)
    cmake = venv / 'bin/cmake'
    # Messages of a few numbers gain nothing from -O3, which takes twice the time to compile.
    step.run([cmake, '-S', source, '-B', build_dir, '-G', 'Ninja', '-DBUILD_TESTING=OFF',
              '-DCMAKE_BUILD_TYPE=Release', *(f'-DCMAKE_{language}_FLAGS_RELEASE=-O1 -DNDEBUG'
                                              for language in ('C', 'CXX')),
              f'-DCMAKE_PROJECT_INCLUDE={UNITY_BUILD}', f'-DCMAKE_PREFIX_PATH={venv}',
              f'-DCMAKE_INSTALL_PREFIX={prefix}',
              f'-DPython3_EXECUTABLE={venv / "bin/python3"}'], environment=environment)
    step.run([cmake, '--build', build_dir], environment=environment)
    step.run([cmake, '--install', build_dir, '--strip'], environment=environment)


def pack(source: Path, prefix: Path, target: Path) -> Path:
    """Pack an installed interface package into a wheel in ``target``; return its path."""
    version = ElementTree.parse(source / 'package.xml').findtext('version')
    dist = f'{source.name}-{version}'
    contents = {name: path.read_bytes() for name, path in wheel_files(source, prefix, dist)}
    contents[f'{dist}.dist-info/METADATA'] = (
        f'Metadata-Version: 2.1\nName: {source.name}\nVersion: {version}\n'
        'License: Apache-2.0\nSummary: Subset built for ped_perception\n').encode()
    contents[f'{dist}.dist-info/WHEEL'] = (
        'Wheel-Version: 1.0\nGenerator: ped_perception\nRoot-Is-Purelib: false\n'
        f'Tag: {python_tag()}\n').encode()
    record = f'{dist}.dist-info/RECORD'
    contents[record] = (''.join(record_line(name, data) for name, data in contents.items())
                        + f'{record},,\n').encode()
    path = target / f'{dist}-{python_tag()}.whl'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as wheel:
        for name, data in contents.items():
            wheel.writestr(zipfile.ZipInfo(name, ZIP_TIME), data, zipfile.ZIP_DEFLATED)
    return path


def wheel_files(source: Path, prefix: Path, dist: str) -> list[tuple[str, Path]]:
    """List what goes into the wheel: the Python package, its libraries, its definitions."""
    [python_package] = prefix.glob(f'lib/python3*/site-packages/{source.name}')
    share = prefix / 'share'
    definitions = [path for path in (share / source.name).rglob('*')
                   if path.name == 'package.xml' or path.parent.name in ('msg', 'srv', 'action')]
    index = list((share / 'ament_index').rglob('*'))
    files = [(path.relative_to(python_package.parent), path) for path in
             python_package.rglob('*') if '__pycache__' not in path.parts and path.suffix != '.c']
    files += [(Path(f'{dist}.data/data') / path.relative_to(prefix), path)
              for path in [*prefix.glob('lib/*.so'), *definitions, *index]]
    return sorted((name.as_posix(), path) for name, path in files if path.is_file())


def record_line(name: str, data: bytes) -> str:
    """Return one line of a wheel's RECORD."""
    checksum = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
    return f'{name},sha256={checksum},{len(data)}\n'


def prune() -> None:
    """Remove what other definitions, locks or interrupted builds left in the cache."""
    current = digest()[:16]
    for path in [*CACHE.glob('interfaces/*'), *CACHE.glob('build-*')]:
        if path.name != current:
            shutil.rmtree(path, ignore_errors=True)


if __name__ == '__main__':
    main()
