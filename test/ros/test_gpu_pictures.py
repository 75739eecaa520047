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

"""YUV pictures from the message to the batch: the node with the letterbox of a recorded GPU."""

from __future__ import annotations

import contextlib
from pathlib import Path
import time

from demo_clip import clip_frame
from letterbox_on_cpu import compiler_problem, cpu_kernels
import numpy as np
from ped_perception.backends import BackendConfig, open_graph
from ped_perception.core.encodings import raw_from_bgr
from ped_perception.core.native import NATIVE_LAYOUTS, NativePixels
from ped_perception.engine.models import typed_graph
from ped_perception.ros import detector_node, network
from ped_perception.ros.camera_stats import Drop
import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from recorded_gpu import recorded_gpu, write_double_plan
from sensor_msgs.msg import Image

pytestmark = pytest.mark.ros

SIZE_HW = (256, 416)
# A single one, which is looked at however busy the machine is; its crop begins at odd pixels.
VIEWS = ['0.107,0.063,0.95,1.0']


@pytest.fixture(scope='module')
def street_hw3(root):
    """Give a frame of the shipped clip with several people in it."""
    return clip_frame(root)


def message(image_hw3, encoding, stamp_s, padding=6):
    """Give the message of a driver that pads its rows."""
    rows, step = raw_from_bgr(image_hw3, encoding)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    found = Image(encoding=encoding, height=image_hw3.shape[0], width=image_hw3.shape[1],
                  step=step + padding, data=padded.tobytes())
    found.header.stamp.sec = stamp_s
    return found


class Seen:
    """A running node, and what its network was given and gave."""

    def __init__(self, node):
        self.node, self.stats = node, node._cameras['camera'].stats
        self.backend = node._lookout.networks.full
        self.batches, self.boxes, self.pixels = [], [], []
        infer, fill = self.backend.infer, self.backend.fill

        def recorded_fill(slot, pixels, view):
            self.pixels.append(pixels)
            fill(slot, pixels, view)

        def recorded_infer(count):
            self.batches.append(self.batch(count))
            return infer(count)

        self.backend.infer, self.backend.fill = recorded_infer, recorded_fill
        publish = node._cameras['camera'].output.publish
        node._cameras['camera'].output.publish = lambda detections, ids_n: (
            self.boxes.append(detections.boxes_n4), publish(detections, ids_n))

    def batch(self, count):
        """Give what the network is about to read."""
        if self.backend.native_layouts:
            self.backend._held['stream'].synchronize()
            device = self.backend._held['images']
            return device.bytes[:count * 3 * SIZE_HW[0] * SIZE_HW[1]].reshape(
                count, *SIZE_HW, 3).copy()
        return self.backend.batch_nhw3[:count].copy()

    def take(self, sent):
        """Give the node a picture and wait until it was looked at or refused."""
        before = self.stats.processed + sum(self.stats.drops.values())
        self.node._on_image('camera', sent)
        deadline_s = time.monotonic() + 60
        while self.stats.processed + sum(self.stats.drops.values()) == before:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


@contextlib.contextmanager
def running(backend_config, domain, monkeypatch, rotation_deg=0):
    """Run the node in this process on a backend opened as told."""
    graph = Path(backend_config.plan) if backend_config.plan else typed_graph('nanodet_g', SIZE_HW)
    monkeypatch.setattr(network, 'open_backend', lambda config, max_batch, watch: open_graph(
        graph, backend_config, max_batch))
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = detector_node.DetectorNode(context=context, parameter_overrides=[
        rclpy.Parameter('self_test', value='skip'), rclpy.Parameter('lazy', value=False),
        rclpy.Parameter('views', value=VIEWS), rclpy.Parameter('max_frame_age_s', value=0.0),
        rclpy.Parameter('camera.rotation_deg', value=rotation_deg)])
    try:
        assert node.trigger_configure() == node.trigger_activate() == (
            TransitionCallbackReturn.SUCCESS)
        yield Seen(node)
    finally:
        node.trigger_shutdown()
        node.destroy_node()
        context.try_shutdown()


@pytest.fixture
def gpu_config(tmp_path):
    """Say how the recorded GPU with its letterbox is opened."""
    if compiler_problem():
        pytest.skip(compiler_problem())
    with recorded_gpu(cpu_kernels()) as (cuda, _):
        yield BackendConfig(backend='tensorrt', preprocess='gpu', precision='fp32', plan=str(
            write_double_plan(tmp_path, typed_graph('nanodet_g', SIZE_HW), network_hw=SIZE_HW,
                              name='nanodet_g')))
        cuda.ledger.check_empty()


ENCODINGS = sorted(NATIVE_LAYOUTS)


def test_yuv_pictures_reach_the_kernel_as_they_are_and_the_network_sees_the_same(
        gpu_config, ros_domain, monkeypatch, street_hw3):
    sent = [message(street_hw3, encoding, 1 + index) for index, encoding in enumerate(ENCODINGS)]
    with running(BackendConfig(backend='onnxruntime', precision='fp32', threads=1), ros_domain,
                 monkeypatch) as on_cpu:
        for each in sent:
            on_cpu.take(each)
    assert all(isinstance(pixels, np.ndarray) for pixels in on_cpu.pixels)
    with running(gpu_config, ros_domain, monkeypatch) as on_gpu:
        for each in sent:
            on_gpu.take(each)
    assert all(isinstance(pixels, NativePixels) for pixels in on_gpu.pixels)
    assert not any('image_hw3' in vars(pixels) for pixels in on_gpu.pixels), 'it was decoded'
    assert len(on_gpu.batches) == len(on_cpu.batches) == len(sent)
    for encoding, on_one, on_other in zip(ENCODINGS, on_cpu.batches, on_gpu.batches,
                                          strict=True):
        assert on_one.shape == (1, *SIZE_HW, 3)
        assert np.abs(on_one.astype(int) - on_other).max() <= 1, encoding
    for on_one, on_other in zip(on_cpu.boxes, on_gpu.boxes, strict=True):
        assert len(on_one) == len(on_other) >= 3, 'there are several people in it'
        assert np.abs(np.sort(on_one, axis=0) - np.sort(on_other, axis=0)).max() < 1


def test_what_the_kernels_cannot_take_is_decoded_or_refused_in_words(
        gpu_config, ros_domain, monkeypatch, street_hw3):
    with running(gpu_config, ros_domain, monkeypatch) as on_gpu:
        for index, encoding in enumerate(('bgr8', 'rgb8', 'nv21')):
            on_gpu.take(message(street_hw3, encoding, 1 + index))
        assert all(isinstance(pixels, np.ndarray) for pixels in on_gpu.pixels)
        odd = message(street_hw3, 'nv12', 9)
        odd.height -= 1
        on_gpu.take(odd)
        assert on_gpu.stats.drops[Drop.BAD] == 1
        assert 'nv12 needs a width' in on_gpu.stats.problem
        assert len(on_gpu.batches) == 3


def test_a_camera_on_its_side_is_turned_on_the_cpu(
        gpu_config, ros_domain, monkeypatch, street_hw3):
    sideways_hw3 = np.ascontiguousarray(np.rot90(street_hw3))
    with running(gpu_config, ros_domain, monkeypatch, rotation_deg=90) as on_gpu:
        on_gpu.take(message(sideways_hw3, 'nv12', 1))
    assert isinstance(on_gpu.pixels[0], np.ndarray)
    assert on_gpu.pixels[0].shape == street_hw3.shape
    assert len(on_gpu.boxes[0]) >= 3
