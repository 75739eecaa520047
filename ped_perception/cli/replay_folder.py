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

"""A folder of recordings: which of them are replayed, again or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import functools
import json
from pathlib import Path
import sys
import time

from ped_perception.cli.replay_workers import Attempt, Workers
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
                  digest: Callable[[Path], str], workers: Workers, *, quiet: bool) -> int:
    """
    Replay all recordings below a folder.

    Args:
        folder: with the recordings.
        output: gets a recording for each, at the same place.
        words: further arguments of ``ped_replay``.
        digest: gives that of the parameters for a recording.
        workers: who replays.
        quiet: no progress bar.

    Returns:
        How many failed; which, and why, was printed.

    Raises:
        SourceError: there is no recording.
    """
    # The results of an earlier run may lie among the recordings, and are recordings themselves.
    results = output.resolve()
    bags = [bag for bag in recordings_in(folder) if not bag.resolve().is_relative_to(results)]
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
    failed += _replay_all(waiting, output, words, workers, quiet)
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


def _replay_all(waiting: list[_Job], output: Path, words: Sequence[str], workers: Workers,
                quiet: bool) -> list[_Job]:
    """Replay, and give those that failed as often as they may."""
    failed: list[_Job] = []
    done: list[_Job] = []
    running: list[tuple[_Job, Attempt]] = []
    with tqdm(total=len(waiting), unit=' recordings', disable=quiet) as bar:
        while waiting or running:
            while waiting and len(running) < workers.most:
                job = waiting.pop(0)
                job.attempt += 1
                # Whoever replays it may be in another folder.
                running.append((job, workers.start([
                    str(job.bag.absolute()), '-o', str((output / job.name).absolute()), '--quiet',
                    *words])))
            time.sleep(_POLL_S)
            still = []
            for job, attempt in running:
                failure = attempt.failure()
                if failure is None:
                    still.append((job, attempt))
                elif failure and job.attempt < _ATTEMPTS:
                    waiting.append(job)
                else:
                    job.reason = failure
                    (failed if failure else done).append(job)
                    bar.update()
            running = still
    return failed + _unseen(done, output, workers.patience_s)


def _unseen(done: Sequence[_Job], output: Path, patience_s: float) -> list[_Job]:
    """Give those whose result is not to be seen from here: whoever wrote it has another disk."""
    end_s = time.monotonic() + patience_s
    while unseen := [job for job in done if not (output / job.name / _SUMMARY).exists()]:
        if time.monotonic() >= end_s:
            break
        time.sleep(min(1.0, patience_s))
    for job in unseen:
        job.reason = (f'it was replayed, but {output / job.name} is not there: all machines must '
                      f'have the output on the same file system')
    return unseen
