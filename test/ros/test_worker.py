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


def test_the_taker_knows_whether_it_was_late():
    slots = Slots()
    slots.put(arrival('front', 1))
    slots.put(arrival('front', 2))
    late = slots.take()
    assert late.replaced
    assert late.waited_s < 0.05
    threading.Timer(0.1, slots.put, [arrival('front', 3)]).start()
    on_time = slots.take()
    assert not on_time.replaced
    assert on_time.waited_s > 0.05


def test_closing_wakes_the_taker():
    slots = Slots()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(slots.take()))
    thread.start()
    slots.close()
    thread.join(10)
    assert [(t.tasks, t.arrivals) for t in taken] == [([], [])]


def test_all_work_happens_in_one_thread_and_the_pipeline_is_closed_there():
    seen = []
    processed = threading.Event()

    def open_pipeline():
        seen.append(('open', threading.get_ident()))
        return 'pipeline', lambda: seen.append(('close', threading.get_ident()))

    def process(pipeline, taken):
        seen.append((pipeline, threading.get_ident()))
        processed.set()

    worker = Worker(open_pipeline, process, seen.append)
    worker.start()
    worker.slots.put(arrival('front', 1))
    assert processed.wait(10)
    worker.stop()
    worker.stop()
    assert [what for what, _ in seen] == ['open', 'pipeline', 'close']
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_a_pipeline_that_does_not_open_raises_where_it_was_started():
    def open_pipeline():
        raise ModelError('no such model')

    worker = Worker(open_pipeline, lambda *_: None, lambda _: None)
    with pytest.raises(ModelError, match='no such model'):
        worker.start()
    worker.stop()


def test_a_dying_thread_says_so_and_closes_the_pipeline():
    deaths, closed = [], threading.Event()

    def process(pipeline, taken):
        raise RuntimeError('unforeseen')

    worker = Worker(lambda: (None, closed.set), process, deaths.append)
    worker.start()
    worker.slots.put(arrival('front', 1))
    assert closed.wait(10)
    worker.stop()
    assert str(deaths[0]) == 'unforeseen'


def test_a_question_is_answered_in_the_thread_that_owns_the_pipeline():
    worker = Worker(lambda: (None, lambda: None), lambda *_: None, lambda _: None)
    worker.start()
    assert worker.call(threading.get_ident) not in (None, threading.get_ident())
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0)
    assert worker.call(lambda: 'alive') == 'alive', 'a failed question ends nothing'
    worker.stop()
    with pytest.raises(BackendError, match='ended'):
        worker.call(lambda: 'too late')
