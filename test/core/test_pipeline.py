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

"""One step from frames to detections, against a double of the network."""

from __future__ import annotations

from dataclasses import replace

from doubles import BrightSpotBackend
import numpy as np
from ped_perception.core.errors import BackendError, ConfigError
from ped_perception.core.pipeline import batches, DetectorConfig, Pipeline
from ped_perception.core.types import Candidates, Frame
from ped_perception.core.views import ViewSpec
import pytest


def picture(camera, box, size_hw=(360, 640), stamp_ns=1):
    """Make a frame with one bright box on black."""
    image_hw3 = np.zeros((*size_hw, 3), np.uint8)
    x1, y1, x2, y2 = box
    image_hw3[y1:y2, x1:x2] = 255
    return Frame(camera, stamp_ns, f'{camera}_optical', image_hw3)


WHOLE = DetectorConfig(views=('whole',))


def test_each_camera_gets_its_own_box_in_its_own_pixels():
    frames = [picture('front', (100, 50, 200, 250), stamp_ns=5),
              picture('rear', (300, 100, 360, 300), size_hw=(480, 640), stamp_ns=6)]
    detections, _ = Pipeline(BrightSpotBackend(), WHOLE).step(frames)
    assert [(d.camera, d.stamp_ns, d.frame_id) for d in detections] == [
        ('front', 5, 'front_optical'), ('rear', 6, 'rear_optical')]
    # Within one network pixel, which is four to five pixels of these pictures.
    assert np.allclose(detections[0].boxes_n4, [[100, 50, 200, 250]], atol=5)
    assert np.allclose(detections[1].boxes_n4, [[300, 100, 360, 300]], atol=6)


@pytest.mark.parametrize(('cameras', 'views', 'max_batch', 'counts', 'why'), [
    (3, 1, 4, [3], 'all cameras in one batch'),
    (6, 1, 4, [4, 2], 'more cameras than slots'),
    (3, 2, 4, [4, 2], 'the views of one camera stay together'),
    (3, 2, 5, [4, 2], 'a slot is left empty rather than a camera torn apart'),
])
def test_batches(cameras, views, max_batch, counts, why):
    backend = BrightSpotBackend(max_batch=max_batch)
    frames = [picture(f'c{i}', (10 * i, 20, 10 * i + 60, 200)) for i in range(cameras)]
    config = replace(WHOLE, views=('whole', 'whole@0.6')[:views])
    detections, _ = Pipeline(backend, config).step(frames)
    assert backend.counts == counts, why
    assert [len(d) for d in detections] == [1] * cameras
    assert np.allclose([d.boxes_n4[0, 0] for d in detections],
                       [10 * i for i in range(cameras)], atol=8)


def test_too_few_slots_for_the_views_of_one_picture_is_said_at_once():
    with pytest.raises(ConfigError, match='2 views'):
        Pipeline(BrightSpotBackend(max_batch=1), replace(WHOLE, views=('whole', 'whole@0.6')))


def test_a_refused_change_leaves_the_pipeline_as_it_was():
    pipeline = Pipeline(BrightSpotBackend(), WHOLE)
    with pytest.raises(ConfigError):
        pipeline.configure(replace(WHOLE, views=('nonsense',)))
    detections, _ = pipeline.step([picture('front', (100, 50, 200, 250))])
    assert len(detections[0]) == 1


def test_a_threshold_counts_from_the_next_step_on():
    pipeline = Pipeline(BrightSpotBackend(), WHOLE)
    frame = picture('front', (100, 50, 200, 250))
    assert len(pipeline.step([frame])[0][0]) == 1
    pipeline.configure(replace(WHOLE, score_threshold=0.95))
    assert len(pipeline.step([frame])[0][0]) == 0


@pytest.mark.parametrize(('scores', 'box', 'why'), [
    ((np.nan, 0.0, 0.0), None, 'no threshold lets it pass: it would be an empty street'),
    ((0.9, 0.1, np.nan), None, 'one is as bad as all'),
    ((np.inf, 0.0, 0.0), None, 'an overflow'),
    ((0.9, 0.0, 0.0), (np.nan, 1, 2, 3), 'a person who is nowhere'),
])
def test_what_is_no_number_is_a_failure_and_not_nobody(monkeypatch, scores, box, why):
    backend = BrightSpotBackend()
    pipeline = Pipeline(backend, WHOLE)
    frame = picture('front', (100, 50, 200, 250))
    sound = backend.infer

    def gone_wrong(count):
        boxes_nk4 = sound(count).boxes_nk4.copy()
        if box:
            boxes_nk4[0, 0] = box
        return Candidates(boxes_nk4, np.array([scores], np.float32))

    monkeypatch.setattr(backend, 'infer', gone_wrong)
    with pytest.raises(BackendError, match='no numbers'):
        pipeline.step([frame])
    monkeypatch.undo()
    assert len(pipeline.step([frame])[0][0]) == 1, why


def test_what_is_left_of_earlier_batches_is_nobodys_business():
    backend = BrightSpotBackend()
    pipeline = Pipeline(backend, WHOLE)
    backend._scores_nk[1:] = np.nan
    assert len(pipeline.step([picture('front', (100, 50, 200, 250))])[0][0]) == 1


def test_after_a_failed_inference_the_next_step_is_sound():
    backend = BrightSpotBackend()
    pipeline = Pipeline(backend, WHOLE)
    backend.failures = 1
    with pytest.raises(BackendError):
        pipeline.step([picture('front', (100, 50, 200, 250))])
    detections, _ = pipeline.step([picture('front', (0, 0, 40, 40), stamp_ns=9)])
    assert detections[0].stamp_ns == 9
    assert np.allclose(detections[0].boxes_n4, [[0, 0, 40, 40]], atol=5)


def test_earlier_detections_survive_later_steps():
    pipeline = Pipeline(BrightSpotBackend(), WHOLE)
    first, _ = pipeline.step([picture('front', (100, 50, 200, 250))])
    before = first[0].boxes_n4.copy()
    pipeline.step([picture('front', (400, 50, 500, 250))])
    assert np.array_equal(first[0].boxes_n4, before)


def test_no_frames_no_inference():
    backend = BrightSpotBackend()
    assert Pipeline(backend, WHOLE).step([])[0] == ()
    assert backend.counts == []


def test_without_time_only_the_first_view_is_looked_at():
    backend = BrightSpotBackend(max_batch=2)
    pipeline = Pipeline(backend, replace(WHOLE, views=('whole', 'whole@0.6')))
    frame = picture('front', (100, 50, 200, 250))
    reduced, _ = pipeline.step([frame, frame], [(ViewSpec(),)] * 2)
    full, _ = pipeline.step([frame])
    assert backend.counts == [2, 2], 'two frames of one view, then one frame of two views'
    assert [len(d) for d in (*reduced, *full)] == [1, 1, 1]


def test_in_a_hurry_the_small_network_looks_if_there_is_one():
    full, small = BrightSpotBackend(), BrightSpotBackend((64, 96), max_batch=2)
    pipeline = Pipeline(full, WHOLE, small=small)
    frame = picture('front', (100, 50, 200, 250))
    (hurried,), _ = pipeline.step([frame], small=True)
    assert (full.counts, small.counts) == ([], [1])
    # Within one of its pixels, which is seven of these.
    assert np.allclose(hurried.boxes_n4, [[100, 50, 200, 250]], atol=7)
    pipeline.step([frame] * 3, small=True)
    assert small.counts == [1, 2, 1], 'its own batches'
    pipeline.step([frame])
    assert full.counts == [1]
    pipeline.take_backends(full, None)
    pipeline.step([frame], small=True)
    assert full.counts == [1, 1]


@pytest.mark.parametrize(('counts', 'capacity', 'expected', 'why'), [
    ([], 4, [], 'nothing to do'),
    ([2, 1, 2], 4, [(0, 2), (2, 3)], 'cameras with different numbers of views'),
    ([4, 4], 4, [(0, 1), (1, 2)], 'each fills a batch'),
    ([1, 1, 1], 8, [(0, 3)], 'one batch for all'),
])
def test_frames_are_put_into_batches_whole(counts, capacity, expected, why):
    assert list(batches(counts, capacity)) == expected, why


def test_more_views_than_slots_are_refused():
    with pytest.raises(ValueError, match='3 views'):
        list(batches([1, 3], 2))


def test_detections_too_unsure_to_publish_are_given_to_those_who_ask():
    frame = picture('front', (100, 50, 200, 250))
    sure = replace(WHOLE, score_threshold=0.95)
    (nothing,), _ = Pipeline(BrightSpotBackend(), sure).step([frame])
    (found,), _ = Pipeline(BrightSpotBackend(), sure, least_score=0.2).step([frame])
    assert (len(nothing), len(found), len(found.from_score(0.95))) == (0, 1, 0)
