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
Resolve ``requirements/*.in`` into the locks: ``make lock`` (for maintainers; needs uv).

The locks hold versions and hashes for Python 3.10 and later, and never where packages come from.
A dev lock repeats its run lock, in the same versions.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from steps import fail, REQUIREMENTS

# Lock -> the inputs it is resolved from, and the lock whose versions it has to keep.
LOCKS: dict[str, tuple[tuple[str, ...], str | None]] = {
    'standalone.txt': (('runtime.in', 'ros.in'), None),
    'standalone-dev.txt': (
        ('runtime.in', 'ros.in', 'ros-dev.in', 'dev.in', 'numpy2-dev.in'), 'standalone.txt'),
    'interfaces.txt': (('interfaces.in',), 'standalone.txt'),
    'sourced-numpy1.txt': (('runtime.in', 'numpy1.in'), None),
    'sourced-numpy1-dev.txt': (('runtime.in', 'numpy1.in', 'dev.in'), 'sourced-numpy1.txt'),
    'sourced-numpy2.txt': (('runtime.in',), None),
    'sourced-numpy2-dev.txt': (('runtime.in', 'dev.in', 'numpy2-dev.in'), 'sourced-numpy2.txt'),
}


def resolve(name: str, inputs: tuple[str, ...], keep: str | None) -> None:
    """Write one lock; without ``--upgrade`` on the command line its versions stay if they can."""
    path = REQUIREMENTS / name
    command = [
        shutil.which('uv') or str(REQUIREMENTS.parent / '.venv/bin/uv'), 'pip', 'compile',
        '--quiet', '--universal', '--python-version', '3.10', '--generate-hashes', '--no-header',
        '--no-annotate', '--no-emit-index-url', '--no-emit-find-links', '--output-file', str(path),
        *(['--constraint', str(REQUIREMENTS / keep)] if keep else []),
        *sys.argv[1:], *(str(REQUIREMENTS / item) for item in inputs)]
    print(f'lock: {name}', flush=True)
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        fail(f'{name} cannot be resolved; uv said why above')
    if '://' in path.read_text():
        fail(f'{name} names an address; a lock must hold nothing but versions and hashes')


def main() -> None:
    """Resolve every lock, in the order in which they depend on each other."""
    for name, (inputs, keep) in LOCKS.items():
        resolve(name, inputs, keep)


if __name__ == '__main__':
    main()
