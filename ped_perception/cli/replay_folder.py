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

"""A folder of recordings, several at a time, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
import functools
import json
from pathlib import Path
import sys
import tempfile
import time

from ped_perception.cli.processes import Child
from ped_perception.core.errors import PedPerceptionError, SourceError
from ped_perception.sources.bag_layout import is_bag_folder
from tqdm import tqdm

_ATTEMPTS = 2
_POLL_S = 0.1
_SUMMARY = 'summary.json'


@dataclass
class _Job:
    """One recording to be replayed."""

    name: str
    bag: Path
    attempt: int = 0
    reason: str = ''


def recordings_in(folder: Path) -> Iterator[Path]:
    """Give the folders of all recordings below a folder, in the order of their names."""
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if is_bag_folder(path):
            yield path
        else:
            yield from recordings_in(path)


def replay_folder(folder: Path, output: Path, words: Sequence[str],
                  digest: Callable[[Path], str], *, jobs: int, quiet: bool) -> int:
    """
    Replay all recordings below a folder.

    Args:
        folder: with the recordings.
        output: gets a recording for each, at the same place.
        words: further arguments of ``ped_replay``.
        digest: gives that of the parameters for a recording.
        jobs: processes at a time.
        quiet: no progress bar.

    Returns:
        How many failed; which, and why, was printed.

    Raises:
        SourceError: there is no recording.
    """
    bags = list(recordings_in(folder))
    if not bags:
        raise SourceError(f'There is no recording in {folder}: neither is it one, nor is there '
                          f'one in a folder below it.')
    waiting, done, failed = [], 0, []
    for bag in bags:
        job = _Job(str(bag.relative_to(folder)), bag)
        job.reason = _left_out(output / job.name, functools.partial(digest, bag))
        if not job.reason:
            waiting.append(job)
        elif job.reason == _FINISHED:
            done += 1
        else:
            failed.append(job)
    if done:
        print(f'{done} of {len(bags)} recordings were finished before, and are not repeated')
    failed += _replay_all(waiting, output, words, jobs, quiet)
    print(f'{len(bags) - done - len(failed)} of {len(bags)} recordings replayed into {output}')
    for job in failed:
        print(f'ped_replay: {job.name} failed: {job.reason}', file=sys.stderr)
    return len(failed)


_FINISHED = 'finished'


def _left_out(result: Path, digest: Callable[[], str]) -> str:
    """Say why a recording is not replayed, empty for one that is."""
    if not result.exists():
        return ''
    try:
        made_with = json.loads((result / _SUMMARY).read_text())['settings']
    except (OSError, ValueError, KeyError, TypeError):
        return f'{result} exists already, and is no result of a replay. Remove it.'
    try:
        wanted = digest()
    except PedPerceptionError as error:
        return str(error)
    return _FINISHED if made_with == wanted else (
        f'{result} was made with other parameters. Remove it, or give another output.')


def _replay_all(waiting: list[_Job], output: Path, words: Sequence[str], jobs: int,
                quiet: bool) -> list[_Job]:
    """Replay, and give those that failed as often as they may."""
    failed: list[_Job] = []
    running: list[tuple[_Job, Child]] = []
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='ped_replay_')))
        bar = stack.enter_context(tqdm(total=len(waiting), unit=' recordings', disable=quiet))
        while waiting or running:
            while waiting and len(running) < jobs:
                job = waiting.pop(0)
                job.attempt += 1
                log = logs / f'{job.name.replace("/", "_")}.log'
                running.append((job, stack.enter_context(
                    _start(job, output / job.name, words, log))))
            time.sleep(_POLL_S)
            for job, child in [pair for pair in running if pair[1].exit_code is not None]:
                running.remove((job, child))
                if child.exit_code == 0:
                    bar.update()
                elif job.attempt < _ATTEMPTS:
                    waiting.append(job)
                else:
                    job.reason = _reason(child)
                    failed.append(job)
                    bar.update()
    return failed


def _start(job: _Job, result: Path, words: Sequence[str], log: Path) -> Child:
    return Child(job.name, [sys.executable, '-m', 'ped_perception.cli.replay', str(job.bag), '-o',
                            str(result), '--quiet', *words], log, {})


def _reason(child: Child) -> str:
    """Give the last line it printed, or how it ended."""
    lines = child.log_text().strip().splitlines()
    how = f'exit code {child.exit_code}'
    return f'{lines[-1].removeprefix("ped_replay: ")} ({how})' if lines else how
