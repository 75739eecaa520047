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
The commands in README.md work: those marked with ``<!-- test -->`` are run as they stand.

A marked ``console`` block is one session: lines beginning with ``$ `` are commands, executed in
turn by one shell in a folder with all that a clone has and with stand-ins for the reader's own
files; each must succeed. Lines without it are output, and must appear in what was printed between
the command before them and the next; ``…`` stands for anything within a line, and a line of
nothing else for any number of lines. Nodes get a ROS domain of their own.

What README.md and doc/ give to ``ros2 launch`` is checked without starting it.
"""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path
import re
import shutil
import sys
import time

import cv2
from ped_perception.cli.launch_check import main as check_launch_files
import pytest

README = Path(__file__).resolve().parent.parent / 'README.md'
BLOCK = re.compile(r'^<!-- test -->\n+```console\n(.*?)^```$', re.DOTALL | re.MULTILINE)
DOMAIN = re.compile(r'\bROS_DOMAIN_ID=\d+')
LAUNCHED = re.compile(r'ros2 launch ped_perception (\S+\.launch\.xml)((?: \w+:=[^\s`\']+)*)')
BOUNDARY = '--- the command ends ---'
# A machine that is busy with other tests loads the libraries of an evaluation in half a minute.
TIMEOUT_S = 240.0
# Somebody in the first pictures of the clip, as MOTChallenge has it.
LABELS = """1,1,499,94,31,75,1,-1,-1,-1
2,1,497,95,33,75,1,-1,-1,-1
3,1,496,96,33,74,1,-1,-1,-1
4,1,494,97,29,76,1,-1,-1,-1
"""


@dataclass(frozen=True)
class Command:
    """A command of a session and the lines that the README shows as its output."""

    text: str
    shown: tuple[str, ...]


def sessions(markdown: str) -> list[list[Command]]:
    """Return the commands of each marked block of a text."""
    found = []
    for block in BLOCK.findall(markdown):
        session: list[Command] = []
        for line in block.splitlines():
            if line.startswith('$ '):
                session.append(Command(line[2:], ()))
            elif session and session[-1].text.endswith('\\'):
                session[-1] = Command(f'{session[-1].text}\n{line}', ())
            else:
                assert session, f'a marked block must begin with a command, not with: {line}'
                session[-1] = Command(session[-1].text, (*session[-1].shown, line))
        found.append(session)
    return found


def matches(printed: str, shown: tuple[str, ...]) -> bool:
    """Tell whether the shown lines appear, in this order and place, in what was printed."""
    lines = [line.rstrip() for line in shown if line.strip()]
    pattern = ''
    for line in lines:
        pattern += r'(?:.*\n)*?' if line.strip() == '…' else \
            '.*'.join(re.escape(part) for part in line.split('…')) + r'[ \t]*\n'
    text = '\n'.join(line for line in printed.splitlines() if line.strip()) + '\n'
    return re.search('^' + pattern, text, re.MULTILINE) is not None


class Reader:
    """Types sessions into shells in a folder; what they leave running ends with the test."""

    def __init__(self, folder, processes, domain) -> None:
        self.folder, self._processes, self._domain = folder, processes, domain

    def begin(self, session):
        """Start a session in a shell of its own."""
        script = '\n'.join(f'{command.text}\necho "{BOUNDARY}"' for command in session)
        return self._processes.start(
            ['bash', '-euo', 'pipefail', '-c',
             DOMAIN.sub(f'ROS_DOMAIN_ID={self._domain}', script)],
            name='shell', cwd=self.folder,
            env={'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'})

    def check(self, session, shell):
        """Wait for the end of a session: each command succeeded and printed what is shown."""
        code = shell.wait(TIMEOUT_S)
        *printed, rest = self._processes.output('shell').split(f'{BOUNDARY}\n')
        assert code == 0, f'$ {session[len(printed)].text}\n{rest}'
        for command, lines in zip(session, printed, strict=True):
            assert matches(lines, command.shown), \
                f'$ {command.text}\nprinted:\n{lines}\nREADME shows:\n' + '\n'.join(command.shown)


@pytest.fixture
def reader(tmp_path, processes, ros_domain, monkeypatch):
    """Return somebody in an empty folder."""
    # A reader's make is not started by another one.
    for name in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS'):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / 'reader'
    folder.mkdir()
    return Reader(folder, processes, ros_domain)


@pytest.fixture
def in_clone(reader, root):
    """Return the same in a folder with all that a clone has, once it was set up."""
    for entry in root.iterdir():
        if entry.name != 'demo_output':
            (reader.folder / entry.name).symlink_to(entry)
    return reader


SESSIONS = sessions(README.read_text())


def of_program(program):
    """Give the sessions in which a program is started."""
    return [session for session in SESSIONS
            if any(f'/{program} ' in command.text for command in session)]


@pytest.mark.parametrize('session', [
    pytest.param(session, id=session[0].text[:50]) for session in SESSIONS
    if session not in of_program('ped_detector') + of_program('ped_evaluate')])
def test_readme_session(in_clone, session):
    in_clone.check(session, in_clone.begin(session))


@pytest.mark.ros
def test_the_nodes_find_people_in_the_recording_of_the_reader(in_clone, root, ros_domain):
    from ros_peer import ros_peer
    from vision_msgs.msg import Detection2DArray

    [session] = of_program('ped_detector')
    # Half of the recording that ships, as a recorder that was killed leaves it.
    recorded = (root / 'demo' / 'pets_street.mcap').read_bytes()
    (in_clone.folder / 'my_bag').mkdir()
    (in_clone.folder / 'my_bag' / 'drive.mcap').write_bytes(recorded[:len(recorded) // 2])
    with ros_peer(ros_domain) as peer:
        peer.listen(Detection2DArray, '/ped_detector/front/detections')
        shell = in_clone.begin(session)
        peer.until(lambda: shell.poll() is not None, 'the end of the recording', TIMEOUT_S)
    in_clone.check(session, shell)
    found = peer.received['/ped_detector/front/detections']
    assert any(len(message.detections) >= 3 for message in found)
    assert {message.header.frame_id for message in found} == {'camera_optical_frame'}
    # What the session ended ends.
    deadline_s = time.monotonic() + TIMEOUT_S
    while is_left(shell.pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def is_left(group):
    """Tell whether a process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_is_judged_by_the_labels_of_the_reader(in_clone, root):
    pytest.importorskip('motmetrics')
    [session] = of_program('ped_evaluate')
    (in_clone.folder / 'gt.txt').write_text(LABELS)
    clip = cv2.VideoCapture(str(root / 'demo' / 'pets_street.mp4'))
    drive = cv2.VideoWriter(str(in_clone.folder / 'drive.mp4'),
                            cv2.VideoWriter.fourcc(*'mp4v'), 10.0, (768, 432))
    for _ in range(4):
        drive.write(clip.read()[1])
    drive.release()
    clip.release()
    in_clone.check(session, in_clone.begin(session))
    written = {file.name for file in (in_clone.folder / 'result').iterdir()}
    assert written >= {'metrics.json', 'report.html', 'predictions.json', 'tracks.txt'}


def test_readme_marks_sessions():
    """Have commands marked at all: without any, every README would pass."""
    assert len(SESSIONS) >= 4


@pytest.mark.parametrize(('markdown', 'passes'), [
    ('$ echo hello\nhello\n', True),
    ('$ echo hello\ngoodbye\n', False),                  # other output than shown
    ('$ false\n', False),                                # a command that fails
    ('$ false\n$ true\n', False),                        # also before another one
    ('$ false | cat\n', False),                          # also inside a pipe
    ('$ printf "a 1.5 ms\\nb\\n"\na … ms\nb\n', True),   # figures differ between machines
    ('$ printf "a\\nx\\ny\\nb\\n"\na\n…\nb\n', True),    # left-out lines
    ('$ printf "a\\nx\\nb\\n"\na\nb\n', False),          # lines missing in between
    ('$ echo a \\\n  b\na b\n', True),                   # a command over two lines
    ('$ echo a\n$ echo b\na\nb\n', False),               # output of another command
    ('$ export A=1\n$ echo $A\n1\n', True),              # one shell for all
    ('$ sleep 100 &\n$ kill %1\n', True),                # in the background, until it is ended
    ('$ echo "a.b"\na+b\n', False),                      # shown text is no pattern
])
def test_sessions_are_really_checked(reader, markdown, passes):
    [session] = sessions(f'text\n\n<!-- test -->\n```console\n{markdown}```\n')
    shell = reader.begin(session)
    if passes:
        reader.check(session, shell)
    else:
        with pytest.raises(AssertionError):
            reader.check(session, shell)


def test_a_session_has_the_domain_of_its_test(reader, ros_domain):
    session = [Command('export ROS_DOMAIN_ID=242', ()),
               Command('echo $ROS_DOMAIN_ID', (str(ros_domain),))]
    reader.check(session, reader.begin(session))


def test_unmarked_blocks_are_left_alone():
    """Leave blocks alone that need a vehicle, a GPU or a minute."""
    assert sessions('```console\n$ rm -rf build\n```\n') == []


def launched():
    """Give each launch file that README or doc/ tells to start, with its arguments."""
    pages = [README, *sorted((README.parent / 'doc').glob('*.md'))]
    return [pytest.param(file, words.split(), id=f'{page.name}: {file}{words}')
            for page in pages for file, words in LAUNCHED.findall(page.read_text())]


@pytest.mark.parametrize(('file', 'words'), launched())
def test_what_is_launched_has_such_arguments(root, tmp_path, monkeypatch, capsys, file, words):
    # As README says: it begins as a copy of the one that ships.
    for place in ('my_vehicle.yaml', 'etc/ped_perception/vehicle.yaml'):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / 'config' / 'vehicle.yaml', tmp_path / place)
    monkeypatch.chdir(tmp_path)
    words = [word.replace(':=/etc/', f':={tmp_path}/etc/') for word in words]
    assert check_launch_files([str(root / 'launch' / file), *words]) == 0, capsys.readouterr().err


def test_pages_tell_what_to_launch():
    """Find the lines at all, with their arguments."""
    assert {('vehicle.launch.xml', 'config:=my_vehicle.yaml')} <= {
        (param.values[0], *param.values[1]) for param in launched()}
