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

"""The slots and the inference thread."""

from __future__ import annotations

import threading
import time

from ped_perception.core.errors import BackendError, ModelError
from ped_perception.ros.worker import Arrival, Slots, Worker
import pytest


def arrival(camera, number):
    """Give a message that can be told from others."""
    return Arrival(camera, number, float(number))


def test_the_newest_picture_of_each_camera_wins():
    slots = Slots()
    assert slots.put(arrival('front', 1)) is False
    assert slots.put(arrival('rear', 2)) is False
    assert slots.put(arrival('front', 3)) is True, 'a picture nobody saw was replaced'
    assert [(a.camera, a.message) for a in slots.take().arrivals] == [('front', 3), ('rear', 2)]
    assert slots.put(arrival('front', 4)) is False, 'what was taken is not replaced'


def test_the_taker_knows_how_long_each_picture_has_waited():
    slots, told = Slots(), []

    def choose(waited_s):
        told.append(waited_s)
        return list(waited_s)

    now_s = time.monotonic()
    slots.put(Arrival('front', 1, now_s - 5))
    slots.put(Arrival('rear', 2, now_s - 60))
    slots.put(Arrival('front', 3, now_s))
    slots.take(choose)
    (waited_s,) = told
    # The times of this test, however slow it is, are between the two.
    assert 0 <= waited_s['front'] < 50
    assert waited_s['rear'] >= 60


def test_who_is_not_chosen_keeps_the_place_until_a_newer_picture_comes():
    slots = Slots()
    for number, camera in enumerate(['front', 'rear']):
        slots.put(arrival(camera, number))
    first = slots.take(lambda waited_s: list(waited_s)[:1])
    assert [a.camera for a in first.arrivals] == ['front']
    assert slots.put(arrival('rear', 7)) is True
    assert [(a.camera, a.message) for a in slots.take().arrivals] == [('rear', 7)]


def test_what_was_thrown_away_is_not_taken():
    slots = Slots()
    slots.put(arrival('front', 1))
    assert slots.clear() == ['front'], 'so that they are counted'
    slots.put(arrival('rear', 2))
    assert [a.camera for a in slots.take().arrivals] == ['rear']


def test_closing_wakes_the_taker():
    slots = Slots()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(slots.take()))
    thread.start()
    slots.close()
    thread.join(10)
    assert [(t.tasks, t.arrivals) for t in taken] == [([], [])]


class RecordingJob:
    """Notes what is asked of it, and in which thread."""

    def __init__(self, on_open=lambda: None, on_process=lambda: None):
        self.seen = []
        self.closed = threading.Event()
        self._on_open, self._on_process = on_open, on_process

    def begin(self):
        self.seen.append(('open', threading.get_ident()))
        self._on_open()

    def choose(self, waited_s):
        return list(waited_s)

    def process(self, arrivals):
        self.seen.append(('process', threading.get_ident()))
        self._on_process()

    def end(self):
        self.seen.append(('close', threading.get_ident()))
        self.closed.set()


def failing(error):
    """Give a function that raises."""
    def fail():
        raise error
    return fail


def test_all_work_happens_in_one_thread_and_the_job_is_closed_there():
    processed, deaths = threading.Event(), []
    job = RecordingJob(on_process=processed.set)
    worker = Worker(job, deaths.append)
    worker.start()
    worker.slots.put(arrival('front', 1))
    assert processed.wait(10)
    worker.stop()
    worker.stop()
    assert [what for what, _ in job.seen] == ['open', 'process', 'close']
    assert len({thread for _, thread in job.seen}) == 1
    assert job.seen[0][1] != threading.get_ident()
    assert deaths == []


def test_a_job_that_does_not_open_raises_where_it_was_started():
    worker = Worker(RecordingJob(on_open=failing(ModelError('no such model'))), lambda _: None)
    with pytest.raises(ModelError, match='no such model'):
        worker.start()
    worker.stop()


def test_a_dying_thread_says_so_and_closes_the_job():
    deaths = []
    job = RecordingJob(on_process=failing(RuntimeError('unforeseen')))
    worker = Worker(job, deaths.append)
    worker.start()
    worker.slots.put(arrival('front', 1))
    assert job.closed.wait(10)
    worker.stop()
    assert str(deaths[0]) == 'unforeseen'


def test_a_thread_that_hangs_is_left_behind_and_that_is_said():
    free, inside = threading.Event(), threading.Event()

    def hang():
        inside.set()
        free.wait(30)

    worker = Worker(RecordingJob(on_process=hang), lambda _: None)
    worker.start()
    worker.slots.put(arrival('front', 1))
    assert inside.wait(10)
    with pytest.raises(BackendError, match='left behind'):
        worker.stop(patience_s=0.05)
    free.set()
    worker.stop()


def test_a_question_is_answered_in_the_thread_that_owns_the_job():
    worker = Worker(RecordingJob(), lambda _: None)
    worker.start()
    assert worker.call(threading.get_ident) not in (None, threading.get_ident())
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0)
    assert worker.call(lambda: 'alive') == 'alive', 'a failed question ends nothing'
    worker.stop()
    with pytest.raises(BackendError, match='ended'):
        worker.call(lambda: 'too late')
