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

"""The style rules of ROS 2, on every source file and manifest; `colcon test` runs these too."""

from __future__ import annotations

import gc
from pathlib import Path
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {'build', 'install', 'log', '.venv', '.cache', '.git'}
HEADER = re.compile(r"""\A(#![^\n]*\n)?# Copyright 20\d\d The ped_perception authors
#
# Licensed under the Apache License, Version 2\.0 \(the "License"\);
# you may not use this file except in compliance with the License\.
# You may obtain a copy of the License at
#
#     http://www\.apache\.org/licenses/LICENSE-2\.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied\.
# See the License for the specific language governing permissions and
# limitations under the License\.
\n(?!\n)""")

# Beside ament_pep257's own list: NumPy's section style, since ours is Google's; a line for every
# argument, where a name says it all; and the imperative mood, which flake8 checks as well but
# rightly not for properties.
NOT_PEP257 = ['D401', 'D406', 'D407', 'D413', 'D417']


def sources(pattern: str) -> list[Path]:
    """Return the files of this project, installed and built ones left out."""
    # Not searched at all: there are tens of thousands in an environment.
    top = [path for path in ROOT.iterdir() if path.name not in NOT_OURS]
    return sorted([path for path in top if path.is_file() and path.match(pattern)]
                  + [path for folder in top if folder.is_dir() for path in folder.rglob(pattern)])


PYTHON_FILES = [str(path) for path in sources('*.py')]


# All files in one test: minutes on a machine with other things to do.
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_flake8() -> None:
    """Hold ament_flake8's rules: PEP 8, quotes, import order, builtins, comprehensions."""
    pytest.importorskip(
        'ament_flake8.main', reason='ament_flake8 is missing: ros-$ROS_DISTRO-ament-flake8')
    # It forks, and a fork of a process that has had ROS nodes hangs in what is left of them.
    # Looking for garbage among syntax trees is a sixth of its work.
    code = ('import gc, sys; gc.disable(); from ament_flake8.main import main; '
            'sys.exit(main(argv=sys.argv[1:]))')
    done = subprocess.run([sys.executable, '-c', code, *PYTHON_FILES], check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pep257(capfd: pytest.CaptureFixture[str]) -> None:
    """Hold ament_pep257's rules for docstrings."""
    ament_pep257 = pytest.importorskip(
        'ament_pep257.main', reason='ament_pep257 is missing: ros-$ROS_DISTRO-ament-pep257')
    # As above, and here are the objects of all tests, too.
    gc.disable()
    try:
        code = ament_pep257.main(argv=['--add-ignore', *NOT_PEP257, '--', *PYTHON_FILES])
    finally:
        gc.enable()
    assert code == 0, capfd.readouterr().err


def test_copyright() -> None:
    """Begin every Python file with the licence header and one line without anything."""
    without = [name for name in PYTHON_FILES if not HEADER.match(Path(name).read_text())]
    assert not without, 'these files lack the licence header: ' + ' '.join(without)


@pytest.mark.parametrize('path', [pytest.param(path, id=str(path.relative_to(ROOT)))
                                  for path in sources('package.xml')])
def test_package_manifest(path: Path) -> None:
    """Let no manifest have errors or warnings: colcon silently builds such a package wrongly."""
    package = pytest.importorskip(
        'catkin_pkg.package', reason='catkin_pkg is missing: python3-catkin-pkg-modules')
    warnings: list[str] = []
    manifest = package.parse_package(str(path), warnings=warnings)
    manifest.validate(warnings=warnings)
    assert not warnings
    assert manifest.package_format == 3
    assert manifest.name == path.resolve().parent.name or path.parent == ROOT


@pytest.mark.parametrize('path', [pytest.param(path, id=str(path.relative_to(ROOT)))
                                  for path in [*sources('*.xml'), *sources('*.launch')]])
def test_xml_is_well_formed(path: Path) -> None:
    """Parse every XML file: manifests, launch files, DDS profiles."""
    ElementTree.parse(path)
