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

"""Detecting and following side by side."""

from __future__ import annotations

import threading

from doubles import BrightSpotBackend
import numpy as np
from ped_perception.core.ego_motion import BackgroundMotion
from ped_perception.core.errors import BackendError
from ped_perception.core.perception import Perception, PerceptionConfig
from ped_perception.core.pipeline import DetectorConfig
from ped_perception.core.types import Frame
import pytest

PATIENCE_S = 30.0


def pictures(count, camera='front'):
    """Show somebody who walks to the right, ten times a second."""
    texture = np.random.default_rng(1).integers(0, 120, (360, 640, 3), np.uint8)
    for number in range(count):
        image_hw3 = texture.copy()
        image_hw3[100:250, 100 + 5 * number:160 + 5 * number] = 255
        yield Frame(camera, round((1 + number / 10) * 1e9), f'{camera}_optical', image_hw3)


@pytest.fixture
def perception():
    backend = BrightSpotBackend()
    with Perception(backend, PerceptionConfig(DetectorConfig(views=('whole',)))) as made:
        made.backend = backend
        yield made


def test_the_network_looks_at_the_next_picture_while_people_are_followed(perception):
    first, second = pictures(2)
    may_end = threading.Event()
    perception.detect([first])
    slow = perception.afterwards(lambda: may_end.wait(PATIENCE_S))
    detections, _ = perception.detect([second])
    assert (len(detections[0]), slow.done()) == (1, False)
    may_end.set()
    perception.settle()
    assert slow.done()


def test_what_is_to_be_done_is_done_in_order_and_does_not_pile_up(perception):
    done = []
    may_end = threading.Event()
    perception.afterwards(lambda: (may_end.wait(PATIENCE_S), done.append(0)))
    threading.Timer(0.2, may_end.set).start()
    # One may wait; for the second to be taken in the first must be done.
    perception.afterwards(lambda: done.append(1))
    assert done[:1] == [0]
    perception.afterwards(lambda: done.append(2), most_waiting=0)
    assert done == [0, 1, 2]


def test_following_beside_the_network_gives_what_following_at_once_gives(perception):
    seen = []

    def told(frame, detections):
        """Follow later, as the node does."""
        return lambda: seen.extend(perception.follow([frame], detections))

    for frame in pictures(6):
        detections, _ = perception.detect([frame])
        perception.afterwards(told(frame, detections), most_waiting=4)
    perception.settle()
    with Perception(BrightSpotBackend(), PerceptionConfig(DetectorConfig(views=('whole',)))
                    ) as other:
        at_once = [other.step([frame])[0] for frame in pictures(6)]
    assert seen[-1].ids_n().tolist() == [1]
    for one, two in zip(seen, at_once, strict=True):
        assert np.array_equal(one.tracks.boxes_t4, two.tracks.boxes_t4)
        assert one.ids_n().tolist() == two.ids_n().tolist()


def test_how_the_camera_moved_is_found_out_in_the_other_thread(perception, monkeypatch):
    threads, moved = [], BackgroundMotion.moved

    def watched(self, pixels):
        """Remember who asked."""
        threads.append(threading.current_thread().name)
        return moved(self, pixels)

    monkeypatch.setattr(BackgroundMotion, 'moved', watched)
    for frame in pictures(3):
        perception.step([frame])
    # Nobody was there to be carried along before the first picture.
    assert len(threads) == 2
    assert all(name.startswith('follow') for name in threads)


def test_the_oldest_picture_of_a_step_is_followed_first(perception, monkeypatch):
    order = []
    step = perception.follower.step
    monkeypatch.setattr(perception.follower, 'step', lambda frame, *rest: (
        order.append(frame.camera), step(frame, *rest))[1])
    (left,) = pictures(1, 'left')
    *_, right = pictures(2, 'right')
    seen = perception.step([right, left])
    assert order == ['left', 'right']
    assert [one.detections.camera for one in seen] == ['right', 'left']


def test_a_failed_inference_loses_its_picture_only(perception):
    frames = list(pictures(4))
    for frame in frames[:2]:
        perception.step([frame])
    perception.backend.failures = 1
    with pytest.raises(BackendError, match='planned failure'):
        perception.step([frames[2]])
    (seen,) = perception.step([frames[3]])
    assert seen.tracks.ids_t.tolist() == [1]


def test_what_goes_wrong_beside_the_network_is_raised_once(perception):
    perception.afterwards(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        perception.settle()
    perception.settle()
    (frame,) = pictures(1)
    assert len(perception.step([frame])) == 1


def test_everybody_is_forgotten_after_what_came_before(perception):
    frames = list(pictures(3))
    for frame in frames[:2]:
        perception.step([frame])
    detections, _ = perception.detect([frames[2]])
    perception.afterwards(lambda: perception.follow([frames[2]], detections))
    perception.reset()
    assert perception.follower.everybody() is None


def test_closing_finishes_what_is_to_be_done():
    done = []
    with Perception(BrightSpotBackend(), PerceptionConfig(DetectorConfig(views=('whole',)))
                    ) as perception:
        for number in range(3):
            perception.afterwards(lambda number=number: done.append(number), most_waiting=5)
    assert done == [0, 1, 2]
