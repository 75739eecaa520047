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

"""The package as colcon, and so every ROS 2 workspace, sees it."""

from __future__ import annotations

import configparser
import os
from pathlib import Path
import re
import shlex
import shutil
import subprocess
import sys

import pytest

COLCON = Path(sys.executable).with_name('colcon')
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COLCON.exists() and not shutil.which('colcon'),
                       reason='colcon is missing'),
]


def colcon(root: Path, work: Path, *arguments: str | Path) -> str:
    """Run colcon on this package with everything it writes below ``work``; return its output."""
    program = str(COLCON) if COLCON.exists() else 'colcon'
    environment = {**os.environ, 'COLCON_LOG_PATH': str(work / 'log')}
    result = subprocess.run([program, *map(str, arguments)], cwd=root, env=environment,
                            capture_output=True, text=True, timeout=250, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope='module')
def work(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package as in a workspace; return the folder with build and install."""
    folder = tmp_path_factory.mktemp('workspace')
    colcon(root, folder, 'build', '--build-base', folder / 'build',
           '--install-base', folder / 'install')
    return folder


def installed_names(folder: Path) -> set[str]:
    """Return the names of the files in an installed folder."""
    return {path.name for path in folder.iterdir()}


def test_is_an_ament_python_package(root: Path, tmp_path: Path) -> None:
    """Be recognised as ROS: with an invalid manifest colcon would silently take it for plain."""
    [line] = colcon(root, tmp_path, 'list').splitlines()
    assert line.split() == ['ped_perception', '.', '(ros.ament_python)']


def test_programs_are_where_ros2_run_looks(work: Path) -> None:
    """Install every console script into lib/<package>, and none onto the path."""
    prefix = work / 'install/ped_perception'
    assert installed_names(prefix / 'lib/ped_perception') == {
        'ped_camera', 'ped_demo', 'ped_detector', 'ped_engine', 'ped_evaluate',
        'ped_launch_check', 'ped_replay'}
    assert not (prefix / 'bin').exists()


@pytest.mark.parametrize('folder', ['config', 'demo', 'engines', 'launch'])
def test_shared_files_are_installed(root: Path, work: Path, folder: str) -> None:
    """Install every tracked file of the shared folders but the developers' scripts."""
    listed = subprocess.run(['git', 'ls-files', folder], cwd=root, capture_output=True, text=True,
                            check=False)
    if listed.returncode != 0:
        pytest.skip('not a git work tree')
    expected = {name for name in listed.stdout.split() if not name.endswith('.py')}
    assert expected, f'{folder}/ is empty'
    share = work / 'install/ped_perception/share/ped_perception'
    assert not {name for name in expected if not (share / name).is_file()}


def test_examples_are_installed(root: Path, work: Path) -> None:
    """Install the examples, which are Python, beside the other shared files."""
    share = work / 'install/ped_perception/share/ped_perception'
    assert installed_names(share / 'examples') == {
        path.name for path in (root / 'examples').glob('*.py')} != set()


def test_workspace_imports_the_installed_copy(work: Path, tmp_path: Path) -> None:
    """Find package and share folder of the workspace once its set-up file is sourced."""
    program = ('import ped_perception; from ament_index_python.packages import *;'
               'print(ped_perception.__file__, get_package_share_directory("ped_perception"))')
    prefix = shlex.quote(str(work / 'install'))
    script = (f'COLCON_CURRENT_PREFIX={prefix}; . {prefix}/local_setup.sh && '
              f'exec {shlex.quote(sys.executable)} -c {shlex.quote(program)}')
    result = subprocess.run(
        ['sh', '-c', script],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    for path in result.stdout.split():
        assert Path(path).is_relative_to(work / 'install/ped_perception'), result.stdout


def test_colcon_test_runs_the_tests(root: Path, work: Path) -> None:
    """Run one test through `colcon test`, and see it counted."""
    colcon(root, work, 'test', '--build-base', work / 'build', '--install-base',
           work / 'install', '--return-code-on-test-failure', '--pytest-args', '-p',
           'no:cacheprovider', 'test/test_lint.py', '-k', 'test_copyright')
    summary = colcon(root, work, 'test-result', '--test-result-base', work / 'build')
    assert re.search(r'Summary: 1 tests?, 0 errors, 0 failures, 0 skipped', summary), summary


def test_setup_cfg_matches_the_package(root: Path) -> None:
    """Keep script folders in step with the name, which `ros2 run` builds the path from."""
    parser = configparser.ConfigParser()
    parser.read(root / 'setup.cfg')
    folders = {parser['develop']['script_dir'], parser['install']['install_scripts']}
    assert folders == {'$base/lib/ped_perception'}
