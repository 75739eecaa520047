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

"""Installing from a lock with pip: exactly what it names, and nothing else."""

from __future__ import annotations

from pathlib import Path
import re
import tempfile

from steps import Step

# What builds the few locked packages that exist as source only. Installed first, so that pip
# does not fetch an unlocked one for the purpose.
BUILD_TOOLS = ('pip', 'setuptools')


def progress(line: str) -> str | None:
    """Return what to show of a line of pip's output."""
    match = re.match(r'(Collecting|Installing collected|Building wheel for) (\S+)', line)
    if not match:
        return None
    return 'unpacking' if match[1] == 'Installing collected' else match[2].split('==')[0]


def pip_install(step: Step, python: Path, *arguments: str | Path,
                target: Path | None = None) -> None:
    """Run pip of an environment, for a ``target`` without pip, without choosing dependencies."""
    elsewhere: tuple[str | Path, ...] = ('--python', target) if target else ()
    # Compiling every module would take minutes; the set-up then compiles those that are used.
    step.run([python, '-m', 'pip', *elsewhere, 'install', '--no-deps', '--no-compile',
              '--no-build-isolation', '--disable-pip-version-check', '--no-warn-script-location',
              *arguments], progress=progress)


def entries(lock: str, names: tuple[str, ...]) -> str:
    """Return the entries of some packages of a lock, hashes included."""
    blocks = re.split(r'^(?=\S)', lock, flags=re.MULTILINE)
    return ''.join(block for block in blocks if re.split(r'[^\w.-]', block)[0] in names)


def install_build_tools(step: Step, python: Path, lock: Path,
                        target: Path | None = None) -> None:
    """Install what a lock builds with; to be done before ``install_lock``."""
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as first:
        first.write(entries(lock.read_text(), BUILD_TOOLS))
        first.flush()
        pip_install(step, python, '--require-hashes', '-r', first.name, target=target)


def install_lock(step: Step, python: Path, lock: Path, target: Path | None = None) -> None:
    """Install a whole lock with its hashes checked."""
    pip_install(step, python, '--require-hashes', '-r', lock, target=target)
