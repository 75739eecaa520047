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

"""What the tests share: real data, ROS 2 domains of their own, processes that always end."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import importlib.util
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
from typing import Any, Iterator, Mapping, Sequence

import pytest

ROOT = Path(__file__).resolve().parent.parent

# No traffic beyond this machine, however pytest was started. Humble knows the older name only.
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
if os.environ.get('ROS_DISTRO') == 'humble':
    os.environ.setdefault('ROS_LOCALHOST_ONLY', '1')

# Higher domain ids can collide with the ephemeral ports of Linux.
DOMAINS = range(1, 101)

# A run of the tests in the background of a script ignores SIGINT, and a child inherits that.
_INTERRUPTIBLE = ('env', '--default-signal=INT')


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add this project's options."""
    parser.addoption('--update-refs', action='store_true',
                     help='write what the tests see into their reference files')
    parser.addoption('--gpu-required', action='store_true',
                     help='fail where there is no GPU instead of skipping')


@functools.cache
def gpu_problem() -> str:
    """Say why GPU tests cannot run here; empty when they can."""
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return 'no NVIDIA driver on this machine (libcuda.so.1 does not load)'
    count = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 'the NVIDIA driver does not start'
    return '' if count.value else 'the NVIDIA driver sees no GPU'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run; begin with what takes long."""
    for item in items:
        if item.get_closest_marker('gpu') and gpu_problem():
            item.add_marker(pytest.mark.skip(reason=gpu_problem()))
        if item.get_closest_marker('ros') and importlib.util.find_spec('rclpy') is None:
            item.add_marker(pytest.mark.skip(reason='rclpy is not importable'))
    # Two processes, which take file after file in this order, end together if the last are short.
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    ros = {item.path for item in items if item.get_closest_marker('ros')}
    items.sort(key=lambda item: (item.path not in slow, item.path not in ros))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to run GPU tests without a GPU when one is required."""
    if session.config.getoption('--gpu-required') and gpu_problem():
        pytest.exit(f'the GPU tests cannot run: {gpu_problem()}', returncode=1)


@pytest.fixture(scope='session')
def root() -> Path:
    """Return the folder of the project."""
    return ROOT


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Return the folder of the recorded data sets; skip where they are absent."""
    path = Path(os.environ.get('PED_SHARED_DATA', ROOT.parent / 'shared' / 'data'))
    if not path.is_dir():
        pytest.skip(f'the recorded data sets are not at {path}; PED_SHARED_DATA names their place')
    return path


@pytest.fixture(scope='session')
def update_refs(request: pytest.FixtureRequest) -> bool:
    """Tell whether reference files are to be written instead of compared."""
    return bool(request.config.getoption('--update-refs'))


@contextlib.contextmanager
def claimed_domain() -> Iterator[int]:
    """
    Claim a ROS domain that no other test on this machine has.

    The claim is a locked file, which the system releases even when the test run is killed.
    """
    folder = Path(tempfile.gettempdir()) / 'ped_perception_domains'
    folder.mkdir(exist_ok=True)
    start = os.getpid() % len(DOMAINS)
    for domain in [*DOMAINS[start:], *DOMAINS[:start]]:
        with (folder / str(domain)).open('w') as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    pytest.fail('all ROS domains are taken by other tests')


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """
    Give the test a ROS domain of its own.

    Set in this process's environment, so that child processes inherit it.
    """
    with claimed_domain() as domain:
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        yield domain


class Processes:
    """
    Starts processes, each in a group of its own, and ends all of them with the test.

    Output goes to ``<name>.log`` in the folder of the test and is shown when the test fails.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, command: Sequence[str | Path], *, name: str | None = None,
              env: Mapping[str, str] | None = None, cwd: Path | None = None,
              **options: Any) -> subprocess.Popen[bytes]:
        """
        Start a process.

        Args:
            command: program and arguments; a program without a slash is looked up beside this
                interpreter first, so that console scripts of the environment are found.
            name: what its log is called; default the program's name.
            env: variables to add to this process's.
            cwd: where it runs; default the folder of the test.
            options: further arguments of ``subprocess.Popen``.
        """
        words = [str(word) for word in command]
        beside = Path(sys.executable).parent / words[0]
        if '/' not in words[0] and beside.exists():
            words[0] = str(beside)
        name = name or Path(words[0]).name
        with self.log_path(name).open('ab') as log:
            process = subprocess.Popen(
                [*_INTERRUPTIBLE, *words], cwd=cwd or self._folder,
                env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, **options)
        self._started.append((name, process))
        return process

    def pid(self, name: str) -> int:
        """Return the process id of the newest process of that name."""
        return [process.pid for started, process in self._started if started == name][-1]

    def log_path(self, name: str) -> Path:
        """Return where the output of the processes of that name goes."""
        return self._folder / f'{name}.log'

    def output(self, name: str) -> str:
        """Return what the processes of that name have written so far."""
        return self.log_path(name).read_text(errors='replace')

    def interrupt(self, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> int:
        """Interrupt a process as Ctrl-C does, wait for its end and return its exit code."""
        process.send_signal(signal.SIGINT)
        return process.wait(timeout_s)

    def end(self) -> None:
        """End whatever still runs, children included, and show what every process wrote."""
        for _, process in self._started:
            # The group outlives its leader when a child was left behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for name in dict.fromkeys(name for name, _ in self._started):
            print(f'--- {name} ---\n{self.output(name)}')


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Return a starter of processes that are ended with the test, however it ends."""
    starter = Processes(tmp_path)
    yield starter
    starter.end()


@pytest.fixture(scope='module')
def module_domain() -> Iterator[int]:
    """Give all tests of a module one ROS domain, for processes that they share."""
    with claimed_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(domain))
        yield domain


@pytest.fixture(scope='module')
def module_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a starter of processes that are ended with the module's last test."""
    starter = Processes(tmp_path_factory.mktemp('processes'))
    yield starter
    starter.end()
