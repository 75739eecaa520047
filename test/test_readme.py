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
turn by one shell in the folder of the project; each must succeed. Lines without it are output,
and must appear in what the command before them printed; ``…`` stands for anything within a line,
and a line of nothing else for any number of lines.
"""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path
import re
import subprocess
import sys

import pytest

README = Path(__file__).resolve().parent.parent / 'README.md'
BLOCK = re.compile(r'^<!-- test -->\n+```console\n(.*?)^```$', re.DOTALL | re.MULTILINE)
TIMEOUT_S = 120


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


def run_session(session: list[Command], folder: Path) -> None:
    """Run the commands of a session in one shell each, in one folder, checking as they go."""
    # A reader's make is not started by another one.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS')}
    environment['PATH'] = f'{Path(sys.executable).parent}:{environment["PATH"]}'
    for command in session:
        result = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', command.text], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=TIMEOUT_S, check=False)
        assert result.returncode == 0, f'$ {command.text}\n{result.stdout}'
        assert matches(result.stdout, command.shown), \
            f'$ {command.text}\nprinted:\n{result.stdout}\nREADME shows:\n' \
            + '\n'.join(command.shown)


SESSIONS = sessions(README.read_text())


@pytest.mark.parametrize('session', [pytest.param(session, id=session[0].text[:50])
                                     for session in SESSIONS])
def test_readme_session(session: list[Command], root: Path) -> None:
    """Run a session of the README as a reader would, from a clone that was set up."""
    run_session(session, root)


def test_readme_marks_sessions() -> None:
    """Have commands marked at all: without any, every README would pass."""
    assert SESSIONS


@pytest.mark.parametrize(('markdown', 'passes'), [
    ('$ echo hello\nhello\n', True),
    ('$ echo hello\ngoodbye\n', False),                  # other output than shown
    ('$ false\n', False),                                # a command that fails
    ('$ false | cat\n', False),                          # also inside a pipe
    ('$ printf "a 1.5 ms\\nb\\n"\na … ms\nb\n', True),   # figures differ between machines
    ('$ printf "a\\nx\\ny\\nb\\n"\na\n…\nb\n', True),    # left-out lines
    ('$ printf "a\\nx\\nb\\n"\na\nb\n', False),          # lines missing in between
    ('$ echo a \\\n  b\na b\n', True),                   # a command over two lines
    ('$ echo "a.b"\na+b\n', False),                      # shown text is no pattern
])
def test_sessions_are_really_checked(markdown: str, passes: bool, tmp_path: Path) -> None:
    """Tell right sessions from wrong ones."""
    [session] = sessions(f'text\n\n<!-- test -->\n```console\n{markdown}```\n')
    if passes:
        run_session(session, tmp_path)
    else:
        with pytest.raises(AssertionError):
            run_session(session, tmp_path)


def test_unmarked_blocks_are_left_alone() -> None:
    """Leave blocks alone that need a vehicle, a GPU or a minute."""
    assert sessions('```console\n$ rm -rf build\n```\n') == []
