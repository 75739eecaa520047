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

"""Messages to nouns and back; and once through the middleware's own serialisation."""

from __future__ import annotations

import array
import sys

from builtin_interfaces.msg import Time
import numpy as np
from ped_perception.core.errors import ImageError, MissingExtraError
from ped_perception.core.types import Detections
from ped_perception.ros import convert
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

STAMP_NS = 1_700_000_000_123_456_789


def detections(count, stamp_ns=STAMP_NS):
    """Boxes that differ in each number, in a picture that is not square."""
    first = 10 * np.arange(count, dtype=np.float32)[:, None]
    boxes_n4 = first + np.array([[1, 2, 4, 8]], np.float32)
    scores_n = np.linspace(0.9, 0.5, count, dtype=np.float32)
    return Detections('front', stamp_ns, 'front_optical', (480, 640), boxes_n4, scores_n)


def picture(height=6, width=10):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize('stamp_ns', [0, 1, 999_999_999, 1_000_000_000, STAMP_NS])
def test_stamps_survive_to_the_nanosecond(stamp_ns):
    assert convert.stamp_ns_from_time(convert.time_from_stamp_ns(stamp_ns)) == stamp_ns


def test_stamp_is_seconds_and_the_rest():
    assert convert.time_from_stamp_ns(STAMP_NS) == Time(sec=1_700_000_000, nanosec=123_456_789)


def test_detections_reach_a_subscriber_with_header_box_and_score():
    sent = convert.DetectionsFiller().fill(detections(2))
    message = deserialize_message(serialize_message(sent), Detection2DArray)
    assert convert.stamp_ns_from_time(message.header.stamp) == STAMP_NS
    assert message.header.frame_id == 'front_optical'
    assert len(message.detections) == 2
    second = message.detections[1]
    assert second.header == message.header
    assert second.id == ''
    assert len(second.results) == 1
    assert second.results[0].hypothesis.class_id == 'pedestrian'
    assert second.results[0].hypothesis.score == pytest.approx(0.5)
    assert (second.bbox.center.position.x, second.bbox.center.position.y) == (12.5, 15.0)
    assert (second.bbox.size_x, second.bbox.size_y) == (3.0, 6.0)
    assert second.bbox.center.theta == 0.0


def test_nobody_there_is_a_message_too():
    message = convert.DetectionsFiller().fill(detections(0))
    assert message.detections == []
    assert message.header.frame_id == 'front_optical'


@pytest.mark.parametrize('count', [0, 3])
def test_detections_come_back_from_their_message(count):
    sent = detections(count)
    message = convert.DetectionsFiller().fill(sent)
    back = convert.detections_from_detection2d_array(message, sent.camera, sent.source_hw)
    assert (back.stamp_ns, back.frame_id) == (sent.stamp_ns, sent.frame_id)
    np.testing.assert_allclose(back.boxes_n4, sent.boxes_n4, atol=1e-4)
    np.testing.assert_allclose(back.scores_n, sent.scores_n)


def test_a_kept_message_shows_nothing_of_the_picture_before():
    filler = convert.DetectionsFiller()
    for index, count in enumerate([3, 0, 1, 5]):
        wanted = detections(count, STAMP_NS + index)
        assert filler.fill(wanted) == convert.DetectionsFiller().fill(wanted)


def test_a_raw_image_becomes_a_frame():
    image_hw3 = picture()
    message = convert.image_from_bgr(image_hw3, STAMP_NS, 'front_optical')
    frame = convert.frame_from_image(message, 'front')
    assert (frame.camera, frame.stamp_ns, frame.frame_id) == ('front', STAMP_NS, 'front_optical')
    np.testing.assert_array_equal(frame.image_hw3, image_hw3)
    assert np.shares_memory(frame.image_hw3, np.frombuffer(message.data, np.uint8))


def test_all_fields_of_a_raw_image_count():
    message = Image(encoding='mono16', height=1, width=2, step=5, is_bigendian=1,
                    data=array.array('B', [7, 0, 9, 0, 255]))
    frame = convert.frame_from_image(message, 'front')
    assert frame.image_hw3.tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_a_compressed_image_becomes_a_frame():
    image_hw3 = np.full((48, 64, 3), (20, 90, 200), np.uint8)
    message = convert.compressed_image_from_bgr(image_hw3, STAMP_NS, 'front_optical', 90)
    assert message.format == 'bgr8; jpeg compressed bgr8'
    frame = convert.frame_from_compressed_image(message, 'front')
    assert (frame.camera, frame.stamp_ns, frame.frame_id) == ('front', STAMP_NS, 'front_optical')
    assert np.abs(frame.image_hw3.astype(int) - image_hw3).max() <= 3


def test_quality_makes_the_payload_larger():
    image_hw3 = picture(48, 64)
    sizes = [len(convert.compressed_image_from_bgr(image_hw3, 0, '', quality).data)
             for quality in (10, 95)]
    assert sizes[0] < sizes[1] / 2


def test_a_message_that_is_no_picture_is_an_image_error():
    with pytest.raises(ImageError, match='0x0'):
        convert.frame_from_image(Image(encoding='bgr8'), 'front')


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'nv12', 'mono16'])
def test_a_kept_image_message_follows_size_and_stamp(encoding):
    filler = convert.ImageFiller(encoding, 'front_optical')
    for index, (height, width) in enumerate([(6, 10), (6, 10), (4, 8), (60, 6)]):
        image_hw3 = np.full((height, width, 3), 40 + 10 * index, np.uint8)
        message = deserialize_message(serialize_message(filler.fill(image_hw3, index)), Image)
        assert message.encoding == encoding
        frame = convert.frame_from_image(message, 'front')
        assert (frame.stamp_ns, frame.frame_id) == (index, 'front_optical')
        assert np.abs(frame.image_hw3.astype(int) - image_hw3).max() <= 2
        assert frame.source_hw == (height, width)


def test_a_kept_image_message_keeps_its_memory():
    filler = convert.ImageFiller()
    before = filler.fill(picture(), 0).data
    assert filler.fill(picture(), 1).data is before


def test_a_cropped_picture_is_sent_right():
    cropped = picture(8, 12)[1:7, 2:9]
    for message in (convert.ImageFiller().fill(cropped, 0),
                    convert.image_from_bgr(cropped, 0, '')):
        np.testing.assert_array_equal(convert.frame_from_image(message, '').image_hw3, cropped)


def test_without_cv_bridge_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    convert._bridge.cache_clear()
    with pytest.raises(MissingExtraError, match='cv_bridge'):
        convert.image_from_bgr(picture(), 0, '')


def test_camera_info_holds_the_calibration():
    matrix_33 = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
    message = convert.camera_info_from_intrinsics((480, 640), STAMP_NS, 'front_optical', matrix_33,
                                                  [-0.3, 0.1, 0, 0, 0])
    assert (message.height, message.width) == (480, 640)
    assert message.header == convert.header_from_stamp(STAMP_NS, 'front_optical')
    assert message.distortion_model == 'plumb_bob'
    assert list(message.d) == [-0.3, 0.1, 0, 0, 0]
    assert list(message.k) == [500, 0, 320, 0, 510, 240, 0, 0, 1]
    assert list(message.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert list(message.p) == [500, 0, 320, 0, 0, 510, 240, 0, 0, 0, 1, 0]


def test_camera_info_without_a_calibration_is_zero_as_ros_has_it():
    message = convert.camera_info_from_intrinsics((480, 640), 0, '')
    assert not np.any(message.k)
    assert len(message.d) == 0


def test_picture_drawn_into_the_message_is_not_copied():
    filler = convert.ImageFiller()
    room_hw3 = filler.room(6, 10)
    room_hw3[:] = picture()
    message = filler.fill(room_hw3, STAMP_NS)
    np.testing.assert_array_equal(np.frombuffer(message.data, np.uint8), picture().ravel())
    room_hw3[0, 0] = 0
    assert list(message.data[:3]) == [0, 0, 0]
    # A picture of another size takes other memory; the old room is still a good picture.
    filler.fill(picture(4, 10), STAMP_NS)
    message = filler.fill(room_hw3, STAMP_NS)
    assert list(message.data[:3]) == [0, 0, 0]
    assert (message.height, message.width, message.step) == (6, 10, 30)
    # Other encodings are written, not drawn.
    assert convert.ImageFiller('rgb8').room(6, 10) is None
