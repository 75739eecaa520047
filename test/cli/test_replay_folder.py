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

"""Folders of recordings through ``ped_replay``: by processes, by a Ray cluster, killed midway."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import signal
import socket
import sys
import time

from ped_perception.cli import replay_fleet, replay_folder, replay_workers
from ped_perception.cli.processes import Child
from ped_perception.cli.replay import main
from ped_perception.core.errors import ConfigError
from ped_perception.replay.result_bag import ReplayError, ResultBag
import psutil
import pytest
from replays import by_stamp, demo_pictures, write_pictures
from rosbags.rosbag2 import StoragePlugin

# Processes that load a network, on a machine that may have other things to do.
pytestmark = [pytest.mark.ros, pytest.mark.timeout(1200)]


@pytest.fixture(scope='module')
def pictures(root):
    """Return stamps and pictures of the recording that ships, two of them."""
    return demo_pictures(root / 'demo' / 'pets_street.mcap', 2)


def broken_recording(folder):
    """Make a folder that looks like a recording, and is none."""
    folder.mkdir(parents=True)
    (folder / f'{folder.name}.mcap').write_bytes(b'no recording')


def test_a_folder_of_recordings(pictures, tmp_path, capsys):
    """Replay what is new, try what fails again, leave what is finished; told each time."""
    drives = tmp_path / 'drives'
    drives.mkdir()
    # Below the recordings, and itself none of them.
    output = drives / 'results'
    write_pictures(drives / 'monday', pictures)
    (drives / 'week').mkdir()
    write_pictures(drives / 'week' / 'tuesday', pictures, plugin=StoragePlugin.SQLITE3)
    broken_recording(drives / 'broken')
    assert main([str(drives), '-o', str(output), '--jobs', '2', '--quiet']) == 1
    said = capsys.readouterr()
    assert '2 of 3 recordings replayed' in said.out
    assert 'broken failed: ' in said.err
    assert 'broken.mcap' in said.err
    monday, tuesday = output / 'monday', output / 'week' / 'tuesday'
    assert by_stamp(monday) == by_stamp(tuesday)
    before = (monday / 'results.mcap').stat().st_mtime_ns

    shutil.rmtree(tuesday)
    shutil.rmtree(drives / 'broken')
    assert main([str(drives), '-o', str(output), '--quiet']) == 0
    said = capsys.readouterr()
    assert '1 of 2 recordings were finished before' in said.out
    assert '1 of 2 recordings replayed' in said.out
    assert tuesday.exists()
    assert (monday / 'results.mcap').stat().st_mtime_ns == before

    # With other parameters it would be a mixture.
    assert main([str(drives), '-o', str(output), '--quiet', '-p', 'score_threshold:=0.6']) == 1
    assert capsys.readouterr().err.count('was made with other parameters') == 2


def run_folder(folder, workers):
    """Replay a folder with nothing but names in it; give how many failed."""
    return replay_folder.replay_folder(folder / 'drives', folder / 'out', ['--images'],
                                       lambda bag: '', workers, quiet=True)


def test_a_recording_that_fails_is_tried_again(tmp_path, monkeypatch):
    """Fail once as a process does that the kernel ended for want of memory."""
    program = ('import os, pathlib, sys\n'
               f'file = pathlib.Path({str(tmp_path / "attempts")!r})\n'
               'count = len(file.read_text()) if file.exists() else 0\n'
               'file.write_text("x" * (count + 1))\n'
               'os.kill(os.getpid(), 9) if count == 0 else None\n'
               'result = pathlib.Path(sys.argv[3])\n'
               'result.mkdir(parents=True)\n'
               '(result / "summary.json").touch()\n')
    monkeypatch.setattr(replay_workers, 'replaying', lambda arguments, log: Child(
        'replay', [sys.executable, '-c', program, *arguments], log, {}))
    broken_recording(tmp_path / 'drives' / 'one')
    with replay_workers.LocalWorkers(1) as workers:
        assert run_folder(tmp_path, workers) == 0
    assert (tmp_path / 'attempts').read_text() == 'xx'


class Elsewhere(replay_workers.LocalWorkers):
    """Machines that say that all went well, and write to disks of their own."""

    patience_s = 0.01

    def start(self, arguments):
        """Succeed at once."""
        assert Path(arguments[0]).is_absolute()
        assert Path(arguments[2]).is_absolute()
        return self

    def failure(self):
        """Tell no failure."""
        return ''


def test_results_on_another_disk_are_no_results(tmp_path, capsys, monkeypatch):
    broken_recording(tmp_path / 'drives' / 'one')
    # Given as a user in that folder does.
    monkeypatch.chdir(tmp_path)
    with Elsewhere(1) as workers:
        assert run_folder(Path(), workers) == 1
    said = capsys.readouterr()
    assert '0 of 1 recordings replayed' in said.out
    assert 'same file system' in said.err


def test_a_replay_killed_midway_leaves_no_result(root, processes, tmp_path, capsys):
    drives, output = tmp_path / 'drives', tmp_path / 'results'
    drives.mkdir()
    bag = write_pictures(drives / 'drive', demo_pictures(
        root / 'demo' / 'pets_street.mcap', 24))
    replaying = processes.start([sys.executable, '-m', 'ped_perception.cli.replay', drives, '-o',
                                 output, '--images', '--quiet'], name='replay')

    def written():
        return sum(file.stat().st_size for file in output.rglob('*.mcap'))

    # A picture is one megabyte, and all of them are twenty-four.
    wait_until(lambda: written() > 4e6 or replaying.poll() is not None, 'some pictures')
    os.killpg(replaying.pid, signal.SIGKILL)
    replaying.wait()
    # Its own process for the recording goes with it.
    wait_until(lambda: not any(str(bag) in ' '.join(process.info['cmdline'] or ())
                               for process in psutil.process_iter(['cmdline'])), 'its end')
    assert 4e6 < written() < 2e7
    assert not (output / 'drive').exists()

    assert main([str(drives), '-o', str(output), '--images', '--quiet']) == 0
    assert '1 of 1 recordings replayed' in capsys.readouterr().out
    assert len(by_stamp(output / 'drive')) == 24
    assert [path.name for path in output.iterdir()] == ['drive']


def wait_until(condition, what):
    """Wait for something that comes for certain."""
    end_s = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end_s, f'waited in vain for {what}'
        time.sleep(0.01)


def test_a_run_that_was_taken_for_dead_spoils_nothing(tmp_path):
    """Come back, as a machine does that the network had lost, while another does the work."""
    with ResultBag(tmp_path / 'out') as old, ResultBag(tmp_path / 'out') as new:
        with pytest.raises(ReplayError, match='cannot be written'):
            old.finish({'summary.json': 'old'})
        assert not (tmp_path / 'out').exists()
        new.finish({'summary.json': 'new'})
    assert (tmp_path / 'out' / 'summary.json').read_text() == 'new'
    assert [path.name for path in tmp_path.iterdir()] == ['out']


@pytest.mark.parametrize('option', [('--jobs', '2'), ('--ray', 'local')])
def test_one_recording_is_no_folder(root, tmp_path, capsys, option):
    bag = root / 'demo' / 'pets_street.mcap'
    assert main([str(bag), '-o', str(tmp_path / 'out'), *option]) == 1
    assert 'for a folder of recordings' in capsys.readouterr().err


@pytest.mark.parametrize(('files', 'message', 'why'), [
    (('monday.mcap', 'tuesday.mcap'), 'holds several recordings: monday.mcap, tuesday.mcap',
     'they were replayed as one'),
    (('monday.mcap', 'later/tuesday.mcap'), 'later is another, which would be left out',
     'it was left out'),
])
def test_recordings_that_would_be_mixed_or_left_out_are_named(
        root, tmp_path, capsys, files, message, why):
    recording = (root / 'demo' / 'pets_street.mcap').read_bytes()
    for name in files:
        file = tmp_path / 'drives' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(recording)
    assert main([str(tmp_path / 'drives'), '-o', str(tmp_path / 'out')]) != 0, why
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_replays_a_folder(pictures, tmp_path, capsys):
    """Find, replay and report as with processes, by a cluster that ends with the program."""
    ray = pytest.importorskip('ray', reason='Ray (extra fleet) is not installed')
    drives, output = tmp_path / 'drives', tmp_path / 'results'
    drives.mkdir()
    write_pictures(drives / 'monday', pictures)
    broken_recording(drives / 'broken')
    assert main([str(drives), '-o', str(output), '--ray', 'local', '--quiet']) == 1
    said = capsys.readouterr()
    assert '1 of 2 recordings replayed' in said.out
    assert f'ped_replay: broken failed: The rosbag2 recording {drives / "broken"}' in said.err
    assert f'on {os.uname().nodename}' in said.err
    assert len(by_stamp(output / 'monday')) == 2
    assert not ray.is_initialized()
    assert not left_running()
    # Whoever replays it: what is finished is finished.
    shutil.rmtree(drives / 'broken')
    assert main([str(drives), '-o', str(output), '--jobs', '2', '--quiet']) == 0
    assert '1 of 1 recordings were finished before' in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupted_cluster_leaves_nothing(root, processes, tmp_path):
    """End what is at work on all machines, and the cluster, when the program is interrupted."""
    pytest.importorskip('ray', reason='Ray (extra fleet) is not installed')
    (tmp_path / 'drives').mkdir()
    write_pictures(tmp_path / 'drives' / 'drive', demo_pictures(
        root / 'demo' / 'pets_street.mcap', 36))
    output = tmp_path / 'results'
    program = processes.start(
        [sys.executable, '-m', 'ped_perception.cli.replay', tmp_path / 'drives', '-o', output,
         '--ray', 'local', '--quiet'], name='replay')
    wait_until(lambda: list(output.glob('*.partial')) or program.poll() is not None, 'its begin')
    started = psutil.Process(program.pid).children(recursive=True)
    assert any('raylet' in process.name() for process in started)
    assert processes.interrupt(program, 120) == 130
    assert 'interrupted' in processes.output('replay')
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
    assert not list(output.iterdir())


@pytest.mark.parametrize(('machines', 'threads', 'gpu', 'cores'), [
    ([{'CPU': 8}], 0, False, 2),
    ([{'CPU': 8}], 5, False, 5),                    # as the parameter says
    ([{'CPU': 1}], 0, False, 1),
    ([{'CPU': 1}, {'CPU': 4}, {}], 3, False, 3),    # one that can is enough
    ([{'CPU': 8, 'GPU': 1}], 0, True, 2),
    ([{'CPU': 8}], 0, True, 'no machine of the cluster has a GPU'),
    ([{'CPU': 2}, {'CPU': 4}], 5, False,
     'threads is 5, but no machine of the cluster has more than 4 cores'),
])
def test_what_a_recording_takes_of_a_machine(monkeypatch, machines, threads, gpu, cores):
    """Ask for so much, or refuse what would wait for ever, and leave the cluster."""
    ray = pytest.importorskip('ray', reason='Ray (extra fleet) is not installed')
    asked, left = {}, []
    dead = {'Alive': False, 'Resources': {'CPU': 99, 'GPU': 9}}
    monkeypatch.setattr(replay_fleet, '_reach', lambda address: None)
    monkeypatch.setattr(ray, 'init', lambda **options: None)
    monkeypatch.setattr(ray, 'shutdown', lambda: left.append(True))
    monkeypatch.setattr(ray, 'nodes', lambda: [dead, *(
        {'Alive': True, 'Resources': resources} for resources in machines)])
    monkeypatch.setattr(ray, 'remote', lambda **options: asked.update(options) or (lambda f: f))
    if isinstance(cores, str):
        with pytest.raises(ConfigError, match=cores):
            replay_fleet.FleetWorkers('somewhere:6379', threads=threads, gpu=gpu)
    else:
        with replay_fleet.FleetWorkers('somewhere:6379', threads=threads, gpu=gpu) as workers:
            assert workers.threads == cores
        assert asked == {'num_cpus': cores, 'num_gpus': int(gpu), 'max_retries': 0}
    assert left == [True]


def test_what_went_wrong_on_a_machine_is_told_in_a_line(monkeypatch):
    """Tell a machine that went away, and one without this package."""
    ray = pytest.importorskip('ray', reason='Ray (extra fleet) is not installed')
    monkeypatch.setattr(ray, 'wait', lambda attempts, timeout: (attempts, []))
    for error, told in (
            (ray.exceptions.WorkerCrashedError(), 'WorkerCrashedError: The worker died'),
            (ray.exceptions.RayTaskError('replay_here', 'Traceback …\nImportError: no module',
                                         ImportError()), 'ImportError: no module')):
        monkeypatch.setattr(ray, 'get', fails_with(error))
        failure = replay_fleet.FleetAttempt(ray, 'handle').failure()
        assert failure.startswith(told)
        assert '\n' not in failure


def fails_with(error):
    """Give a function that raises an error."""
    def failing(*arguments, **options):
        raise error

    return failing


def left_running():
    """Give the processes of a cluster that this one began, after they had time to end."""
    def of_ray():
        return [process for process in psutil.Process().children(recursive=True)
                if 'ray' in ' '.join(process.cmdline())]

    psutil.wait_procs(of_ray(), timeout=60)
    return of_ray()


def test_no_cluster_is_told(pictures, tmp_path, capsys):
    """Say so at once; Ray itself would go on knocking for minutes."""
    pytest.importorskip('ray', reason='Ray (extra fleet) is not installed')
    with socket.create_server(('127.0.0.1', 0)) as closed:
        address = f'127.0.0.1:{closed.getsockname()[1]}'
    write_pictures(tmp_path / 'drives' / 'monday', pictures)
    assert main([str(tmp_path / 'drives'), '-o', str(tmp_path / 'out'), '--ray', address,
                 '--quiet']) == 1
    said = capsys.readouterr().err
    assert f'The Ray cluster at {address} cannot be joined: ' in said
    assert 'refused' in said
    assert said.count('\n') == 1


def test_without_ray_it_says_what_to_install(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    write_pictures(tmp_path / 'drives' / 'monday', pictures)
    assert main([str(tmp_path / 'drives'), '-o', str(tmp_path / 'out'), '--ray', 'auto']) == 1
    assert 'ped_perception[fleet]' in capsys.readouterr().err
