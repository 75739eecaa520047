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

"""The set-up's decisions: which lock, which wheels, what is missing, what it says."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading

import build_interfaces
import lock
import pip_steps
import psutil
import pytest
import ros_environment
import setup_env
import steps
import system_packages


@pytest.mark.parametrize(('distro', 'level', 'name'), [
    ('', 'run', 'standalone.txt'),
    ('', 'dev', 'standalone-dev.txt'),
    ('humble', 'run', 'sourced-numpy1.txt'),
    ('jazzy', 'dev', 'sourced-numpy1-dev.txt'),
    ('kilted', 'run', 'sourced-numpy1.txt'),
    ('lyrical', 'run', 'sourced-numpy2.txt'),   # its messages are compiled against NumPy 2
    ('rolling', 'dev', 'sourced-numpy2-dev.txt'),
])
def test_lock_of_an_environment(distro: str, level: str, name: str) -> None:
    """Choose the lock whose NumPy the distribution's message packages were compiled against."""
    chosen = ros_environment.RosEnvironment(distro).lock_name(level)
    assert chosen == name
    assert (steps.REQUIREMENTS / chosen).exists()


def pinned(name: str) -> dict[str, set[str]]:
    """Return the versions that a lock pins, by package."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r'^([\w.-]+)==(\S+)',
                                       (steps.REQUIREMENTS / name).read_text(), re.MULTILINE):
        versions.setdefault(package, set()).add(version)
    return versions


@pytest.mark.parametrize('name', list(lock.LOCKS))
def test_lock_holds_hashes_and_no_address(name: str) -> None:
    """Pin every package by version and hash, and leave to the user where packages come from."""
    text = (steps.REQUIREMENTS / name).read_text()
    assert '://' not in text
    assert '--index' not in text
    assert '--find-links' not in text
    for entry in re.split(r'^(?=[\w])', text, flags=re.MULTILINE)[1:]:
        assert re.match(r'[\w.-]+==\S+', entry), entry
        assert '--hash=sha256:' in entry, entry


@pytest.mark.parametrize(('name', 'keep'), [(name, keep) for name, (_, keep) in lock.LOCKS.items()
                                            if keep and name != 'interfaces.txt'])
def test_dev_lock_contains_its_run_lock(name: str, keep: str) -> None:
    """Test exactly what users run."""
    dev = pinned(name)
    for package, versions in pinned(keep).items():
        assert dev[package] == versions, package


def test_messages_are_compiled_against_the_installed_ros() -> None:
    """Compile the messages against the very wheels they are then used with."""
    run = pinned('standalone.txt')
    for package, versions in pinned('interfaces.txt').items():
        assert versions == run.get(package, versions), package


@pytest.mark.parametrize('name', [name for name in lock.LOCKS if name.startswith('sourced')])
def test_sourced_locks_bring_no_ros(name: str) -> None:
    """Take everything ROS from a sourced distribution; a second copy would hide its own."""
    assert not [package for package in pinned(name)
                if package.startswith(('ros-', 'rclpy', 'cv-bridge')) or package.endswith('-msgs')]


def test_numpy1_lock() -> None:
    """Keep NumPy 1 and an OpenCV that works with it for distributions compiled against it."""
    versions = pinned('sourced-numpy1.txt')
    assert versions['numpy'] == {'1.26.4'}
    assert all(version.startswith('4.11.') for version in versions['opencv-python-headless'])


def test_entries_of_a_lock() -> None:
    """Cut whole entries, hashes and all, out of a lock, and no package of a similar name."""
    text = ('pip==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n'
            'pip-tools==2.0 \\\n    --hash=sha256:cc\n'
            'setuptools==3.0 ; python_version < "3.12" \\\n    --hash=sha256:dd\n')
    assert pip_steps.entries(text, ('pip', 'setuptools')) == (
        'pip==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n'
        'setuptools==3.0 ; python_version < "3.12" \\\n    --hash=sha256:dd\n')


def test_cached_messages_depend_on_their_definitions(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build again when a definition changes: an old wheel would have the old type hash."""
    package = tmp_path / 'some_msgs'
    (package / 'msg').mkdir(parents=True)
    (package / 'package.xml').write_text('<package/>')
    (package / 'msg/A.msg').write_text('float64 x\n')
    monkeypatch.setattr(build_interfaces, 'INTERFACES', tmp_path)
    before = build_interfaces.digest()
    assert build_interfaces.digest() == before
    (package / 'msg/A.msg').write_text('float32 x\n')
    assert build_interfaces.digest() != before


def test_unfinished_environment_counts_as_none(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust a stamp only when the set-up that wrote it, and none after it, came to its end."""
    monkeypatch.setattr(setup_env, 'STAMP', tmp_path / 'stamp')
    monkeypatch.setattr(setup_env, 'UNFINISHED', tmp_path / 'unfinished')
    assert setup_env.read_stamp() == {}
    setup_env.UNFINISHED.touch()
    setup_env.write_stamp({'run': 'abc'})
    assert setup_env.read_stamp() == {'run': 'abc'}
    setup_env.UNFINISHED.touch()
    assert setup_env.read_stamp() == {}


@pytest.mark.parametrize('stamp', ['', '{"run": "a', '[]', '\0'])
def test_damaged_stamp_counts_as_none(
        stamp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up again rather than fail on a stamp that a full disk left behind."""
    monkeypatch.setattr(setup_env, 'STAMP', tmp_path / 'stamp')
    monkeypatch.setattr(setup_env, 'UNFINISHED', tmp_path / 'unfinished')
    setup_env.STAMP.write_text(stamp)
    assert setup_env.read_stamp() == {}


def test_missing_system_packages_are_named_with_the_command(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Name the command to a user who is not root, and install nothing."""
    monkeypatch.setattr(system_packages.shutil, 'which', lambda name: None)
    monkeypatch.setattr(system_packages.os, 'geteuid', lambda: 1000)
    with pytest.raises(SystemExit):
        system_packages.require_packages(needs_compiler=True)
    assert 'sudo apt-get install g++' in capsys.readouterr().err
    # Where nothing is compiled, no compiler is missed.
    system_packages.require_packages(needs_compiler=False)


def test_root_installs_missing_system_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install by apt-get when root: lists first, then exactly what is missing."""
    commands: list[list[str]] = []
    missing = [['g++'], []]
    monkeypatch.setattr(system_packages, 'missing_packages', lambda _: missing.pop(0))
    monkeypatch.setattr(system_packages.os, 'geteuid', lambda: 0)
    monkeypatch.setattr(system_packages.shutil, 'which', lambda name: f'/usr/bin/{name}')

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(system_packages.subprocess, 'run', run)
    system_packages.require_packages(needs_compiler=True)
    assert [command[1] for command in commands] == ['update', 'install']
    assert commands[1][-1] == 'g++'


@pytest.mark.parametrize(('user', 'distribution', 'present', 'installed', 'why'), [
    (0, 'debian', False, ['chromium'], 'root on Debian'),
    (0, 'ubuntu', False, [], 'a package that is none'),
    (1000, 'debian', False, [], 'not root'),
    (0, 'debian', True, [], 'there is one')])
def test_a_browser_is_installed_where_that_may_be_done(
        monkeypatch: pytest.MonkeyPatch, user: int, distribution: str, present: bool,
        installed: list[str], why: str) -> None:
    """Never fail for it: the tests that need one are skipped."""
    commands: list[list[str]] = []
    monkeypatch.setattr(system_packages.os, 'geteuid', lambda: user)
    monkeypatch.setattr(system_packages, '_distribution', lambda: distribution)
    monkeypatch.setattr(system_packages.shutil, 'which', lambda name: (
        name if present or name == 'apt-get' else None))

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 100)

    monkeypatch.setattr(system_packages.subprocess, 'run', run)
    system_packages.offer_browser()
    assert bool(commands) is bool(installed), why
    monkeypatch.setattr(system_packages.subprocess, 'run', lambda command, **_: (
        commands.append(command) or subprocess.CompletedProcess(command, 0)))
    commands.clear()
    system_packages.offer_browser()
    assert [command[-1] for command in commands if 'install' in command] == installed


@pytest.mark.parametrize(('version', 'machine', 'said'), [
    ((3, 14), 'x86_64', 'PYTHON=python3.12'),        # no NumPy that cv_bridge works with
    ((3, 12), 'aarch64', 'Install ROS 2 from packages'),  # no wheels: a Jetson has real ROS 2
])
def test_platforms_without_wheels(version: tuple[int, int], machine: str, said: str,
                                  monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Say what to do where the wheels do not exist; a sourced ROS 2 works there all the same."""
    monkeypatch.setattr(system_packages.sys, 'version_info', (*version, 0, 'final', 0))
    monkeypatch.setattr(system_packages.platform, 'machine', lambda: machine)
    with pytest.raises(SystemExit):
        system_packages.check_platform(sourced=False)
    assert said in capsys.readouterr().err
    system_packages.check_platform(sourced=True)


def test_sourced_ros_of_another_python_is_refused(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Refuse to mix: taking the wheels beside a sourced distribution would load both."""
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/opt/ros/jazzy')
    monkeypatch.setattr(ros_environment, 'importable', lambda python, module: False)
    ros = ros_environment.detect()
    assert ros.distro == 'jazzy'
    with pytest.raises(SystemExit):
        ros_environment.require_usable(ros)
    assert 'PYTHON=/usr/bin/python3' in capsys.readouterr().err


def test_environment_of_wheels_is_not_taken_for_a_sourced_one(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the wheels when a stray ROS_DISTRO is set but nothing is sourced."""
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    ros = ros_environment.detect()
    assert not ros.sourced
    ros_environment.require_usable(ros)


def test_missing_packages_of_a_distribution_are_named(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Name every missing package of a sourced distribution in one command."""
    monkeypatch.setattr(ros_environment, 'NEEDED', {
        'json': 'json', 'no_such_msgs': 'no-such-msgs', 'no_bridge': 'no-bridge'})
    with pytest.raises(SystemExit):
        ros_environment.require_packages(ros_environment.RosEnvironment('humble'))
    assert 'sudo apt install ros-humble-no-such-msgs ros-humble-no-bridge\n' in \
        capsys.readouterr().err
    ros_environment.require_packages(ros_environment.RosEnvironment(''))


def test_environment_of_other_wheels_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop the library path of the wheels this process runs on, and keep a user's own."""
    monkeypatch.setenv('_ROS_WHEELS_BOOTSTRAP_COMPLETE', '1')
    monkeypatch.setenv('LD_LIBRARY_PATH', '/other/lib')
    assert not {'LD_LIBRARY_PATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'} & set(
        steps.clean_environment())
    monkeypatch.delenv('_ROS_WHEELS_BOOTSTRAP_COMPLETE')
    assert steps.clean_environment()['LD_LIBRARY_PATH'] == '/other/lib'


def test_programs_start_from_bytecode_wherever_they_run(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compile what the programs import, also in a container that forbids to keep bytecode."""
    monkeypatch.setenv('PYTHONDONTWRITEBYTECODE', '1')
    # What is imported after this line is compiled; all of it would take a quarter of a minute.
    own = '\n'.join((
        'import sys', setup_env.LOAD_PROGRAMS, 'print(*sys.modules)',
        f'sys.pycache_prefix = {str(tmp_path)!r}', 'import wave'))
    loaded = subprocess.run([sys.executable, '-c', own], check=True, stdout=subprocess.PIPE,
                            text=True, env=steps.clean_environment()).stdout.split()
    assert {f'ped_perception.{name}' for name in (
        'ros.detector_node', 'ros.camera_node', 'cli.evaluate', 'cli.replay',
        'cli.engine')} <= set(loaded)
    assert {'scipy.optimize._optimize', 'onnxruntime', 'openvino._ov_api'} <= set(loaded)
    assert {path.name.split('.')[0] for path in tmp_path.rglob('*.pyc')} >= {'wave'}


def test_a_node_starts_with_networks_that_are_compiled(tmp_path: Path) -> None:
    """Compile what a node without parameters loads, once, in the cache of its user."""
    pytest.importorskip('openvino')
    environment = {**steps.clean_environment(), 'XDG_CACHE_HOME': str(tmp_path)}
    command = [sys.executable, '-c', setup_env.LOAD_NETWORKS]
    subprocess.run(command, check=True, env=environment)
    folder = tmp_path / 'ped_perception' / 'openvino'
    compiled = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert sorted(name.split('-')[1] for name in compiled) == ['416x256', '640x384']
    subprocess.run(command, check=True, env=environment)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == compiled


def test_failed_command_is_quoted(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        ) -> None:
    """End with what the failed command said last and where the rest is."""
    monkeypatch.setattr(steps, 'CACHE', tmp_path)
    with pytest.raises(SystemExit), steps.Step('name', 'doing it') as step:
        step.run([sys.executable, '-c', 'print("no space left"); raise SystemExit(3)'],
                 environment=dict(os.environ))
    said = capsys.readouterr().err
    assert 'no space left' in said
    assert str(tmp_path / 'name.log') in said
    assert (tmp_path / 'name.log').read_text() == 'no space left\n'


def test_what_runs_beside_a_step_is_followed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        ) -> None:
    """Quote what failed beside the set-up as what fails in it."""
    monkeypatch.setattr(steps, 'CACHE', tmp_path)
    command = [sys.executable, '-c', 'print("no compiler"); raise SystemExit(3)']
    with pytest.raises(SystemExit), steps.beside(command) as process, \
            steps.Step('name', 'doing it') as step:
        step.follow(process)
    assert 'no compiler' in capsys.readouterr().err


def test_an_interrupted_set_up_leaves_nothing_at_work() -> None:
    """End what runs beside a step, and what that has started, when the step is interrupted."""
    command = ['sh', '-c', 'sleep 1000 & echo $!; wait']
    with contextlib.suppress(KeyboardInterrupt), steps.beside(command) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert child.is_running()
        raise KeyboardInterrupt
    assert process.returncode == -signal.SIGKILL
    assert not psutil.wait_procs([child], timeout=60)[1]


def test_a_second_build_waits_for_the_first(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use what another set-up has built meanwhile instead of building it twice."""
    monkeypatch.setattr(steps, 'CACHE', tmp_path)
    monkeypatch.setattr(build_interfaces, 'CACHE', tmp_path)
    built: list[Path] = []

    def build(work: Path) -> Path:
        wheels = work / 'wheels'
        wheels.mkdir()
        (wheels / 'a.whl').touch()
        built.append(wheels)
        return wheels

    monkeypatch.setattr(build_interfaces, 'build', build)
    threads = [threading.Thread(target=build_interfaces.main) for _ in range(2)]
    with steps.only_one('interfaces'):
        for thread in threads:
            thread.start()
        assert not built
    for thread in threads:
        thread.join(60)
    assert len(built) == 1
    assert [path.name for path in build_interfaces.wheels()] == ['a.whl']


def test_plugins_of_a_sourced_ros_do_not_stop_the_tests(root: Path, tmp_path: Path) -> None:
    """Leave out launch_testing: up to Jazzy it has a hook that pytest 9 refuses."""
    installed = tmp_path / 'launch_testing-3.4.3.dist-info'
    installed.mkdir()
    (installed / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: launch-testing\nVersion: 3.4.3\n')
    (installed / 'entry_points.txt').write_text(
        '[pytest11]\nlaunch_testing = hooks_of_launch\nlaunch_ros = hooks_of_launch\n')
    (tmp_path / 'hooks_of_launch.py').write_text(
        'def pytest_pycollect_makemodule(path, parent): ...\n')
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '--collect-only', '-q', 'test/core/test_stats.py'],
        cwd=root, env={**os.environ, 'PYTHONPATH': str(tmp_path)}, capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr
