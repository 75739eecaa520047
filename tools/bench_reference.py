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
Compare the product with the loop that a user would otherwise write. Part of ``make bench``.

The loop: cv_bridge makes a copy of the picture, a letterbox in floating point, ONNX Runtime in
float32, numpy decodes the heads and suppresses boxes of all classes, a message of detections is
published. The product's way does the same with the same network: in float32 with the same file,
and as it would by itself, quantised. Each runs in a process of its own, as its memory is compared
too, and is given the same messages one by one.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from bench_rows import Row, spread_of, with_ratio
import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / 'demo' / 'pets_street.mp4'
CAMERA_WH, NETWORK_HW, THREADS = (1280, 720), (384, 640), 2
SCORE, OVERLAP, CLASSES, BINS = 0.44, 0.5, 80, 11
WARM_UP = 5

Floats = NDArray[np.float32]

# What runs, backend, precision and views; the first is the reference. The second computes the
# same network in the same runtime and precision, the last is what a user gets by default.
VARIANTS = (
    ('the usual loop', 'onnxruntime', 'fp32', ('whole',)),
    ('ped_perception', 'onnxruntime', 'fp32', ('whole',)),
    ('ped_perception', 'openvino', 'fp32', ('whole',)),
    ('ped_perception', 'openvino', 'int8', ('whole',)),
    ('ped_perception', 'openvino', 'int8', ('whole', 'whole@0.65')),
)

# Takes a message; gives how many people were found and the seconds of inference.
Step = Callable[[Any], tuple[int, float]]


def usual_loop(publisher: Any) -> Step:
    """Write down what most nodes do."""
    from cv_bridge import CvBridge
    import onnxruntime
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        str(ROOT / 'engines' / 'nanodet_g.onnx'), options, providers=['CPUExecutionProvider'])
    bridge = CvBridge()

    def step(message: Any) -> tuple[int, float]:
        image_hw3 = bridge.imgmsg_to_cv2(message, 'bgr8')
        batch, scale, pad_xy = float_letterbox(image_hw3)
        begin_s = time.perf_counter()
        heads = session.run(None, {'images': batch})
        infer_s = time.perf_counter() - begin_s
        boxes_n4, scores_n, classes_n = decoded(heads)
        boxes_n4 = (boxes_n4 - np.tile(pad_xy, 2)) / scale
        result = Detection2DArray(header=message.header)
        for row in kept(boxes_n4, scores_n, classes_n):
            if classes_n[row] != 0:
                continue
            x1, y1, x2, y2 = boxes_n4[row].tolist()
            detection = Detection2D(header=message.header)
            detection.bbox.center.position.x = (x1 + x2) / 2
            detection.bbox.center.position.y = (y1 + y2) / 2
            detection.bbox.size_x, detection.bbox.size_y = x2 - x1, y2 - y1
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id = 'pedestrian'
            hypothesis.hypothesis.score = float(scores_n[row])
            detection.results.append(hypothesis)
            result.detections.append(detection)
        publisher.publish(result)
        return len(result.detections), infer_s

    return step


def float_letterbox(image_hw3: NDArray[np.uint8]) -> tuple[Floats, float, NDArray[np.float64]]:
    """Scale, pad and normalise a picture in floating point, as in most examples."""
    height, width = image_hw3.shape[:2]
    scale = min(NETWORK_HW[0] / height, NETWORK_HW[1] / width)
    size_xy = round(width * scale), round(height * scale)
    pad_x, pad_y = (NETWORK_HW[1] - size_xy[0]) // 2, (NETWORK_HW[0] - size_xy[1]) // 2
    canvas: Floats = np.full((*NETWORK_HW, 3), 114, np.float32)
    canvas[pad_y:pad_y + size_xy[1], pad_x:pad_x + size_xy[0]] = cv2.resize(image_hw3, size_xy)
    normal_hw3 = (canvas - np.array([103.53, 116.28, 123.675], np.float32)) / np.array(
        [57.375, 57.12, 58.395], np.float32)
    batch = np.ascontiguousarray(normal_hw3.transpose(2, 0, 1)[None], np.float32)
    return batch, scale, np.array([pad_x, pad_y], np.float64)


def decoded(heads: list[Floats]) -> tuple[NDArray[Any], Floats, NDArray[np.int64]]:
    """Decode the heads of NanoDet at every point, then leave out what is too unsure."""
    boxes, scores = [], []
    for head in heads:
        stride = NETWORK_HW[0] // head.shape[2]
        flat = head[0].reshape(head.shape[1], -1).T
        scores.append(1 / (1 + np.exp(-flat[:, :CLASSES])))
        bins = np.exp(flat[:, CLASSES:].reshape(-1, 4, BINS))
        sides = (bins / bins.sum(axis=2, keepdims=True)) @ np.arange(BINS) * stride
        ys, xs = np.mgrid[:head.shape[2], :head.shape[3]]
        centres = (np.stack([xs.ravel(), ys.ravel()], 1) + 0.5) * stride
        boxes.append(np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], 1))
    all_scores = np.concatenate(scores)
    classes_n = all_scores.argmax(axis=1)
    scores_n = all_scores.max(axis=1)
    sure = scores_n >= SCORE
    return np.concatenate(boxes)[sure], scores_n[sure], classes_n[sure]


def kept(boxes_n4: NDArray[Any], scores_n: Floats, classes_n: NDArray[np.int64]) -> list[int]:
    """Suppress boxes class by class, the numpy way."""
    keep: list[int] = []
    for number in np.unique(classes_n):
        order = np.flatnonzero(classes_n == number)
        order = order[np.argsort(-scores_n[order])]
        while order.size:
            best, rest = order[0], order[1:]
            keep.append(int(best))
            low = np.maximum(boxes_n4[best, :2], boxes_n4[rest, :2])
            high = np.minimum(boxes_n4[best, 2:], boxes_n4[rest, 2:])
            inside = np.clip(high - low, 0, None).prod(axis=1)
            areas = (boxes_n4[:, 2:] - boxes_n4[:, :2]).prod(axis=1)
            order = rest[inside / (areas[best] + areas[rest] - inside) < OVERLAP]
    return keep


def our_way(publisher: Any, backend_name: str, precision: str, views: tuple[str, ...]) -> Step:
    """Do the same with the parts of the detector node."""
    from ped_perception.backends import BackendConfig, open_backend
    from ped_perception.core.pipeline import DetectorConfig, Pipeline
    from ped_perception.ros.convert import DetectionsFiller, frame_from_image
    backend = open_backend(BackendConfig(backend=backend_name, precision=precision,
                                         threads=THREADS), len(views))
    pipeline, filler = Pipeline(backend, DetectorConfig(views=views)), DetectionsFiller()

    def step(message: Any) -> tuple[int, float]:
        (found,), times = pipeline.step([frame_from_image(message, 'camera')])
        publisher.publish(filler.fill(found))
        return len(found), times.infer_s

    return step


def measure(index: int, count: int) -> Row:
    """Run one variant in this process, on pictures of the demo clip."""
    from ped_perception.backends.process_memory import peak_memory_mb
    from ped_perception.ros import convert, memory
    import rclpy
    from vision_msgs.msg import Detection2DArray
    name, backend_name, precision, views = VARIANTS[index]
    if index:
        memory.keep_large_blocks()
    cv2.setNumThreads(1)
    rclpy.init()
    node = rclpy.create_node('bench')
    publisher = node.create_publisher(Detection2DArray, 'detections', 5)
    step = our_way(publisher, backend_name, precision, views) if index else usual_loop(publisher)
    video, samples, people = cv2.VideoCapture(str(CLIP)), [], 0
    for number in range(count):
        message = convert.image_from_bgr(
            np.asarray(cv2.resize(video.read()[1], CAMERA_WH), np.uint8), number, 'camera')
        begin_s = time.perf_counter()
        found, infer_s = step(message)
        samples.append((time.perf_counter() - begin_s, infer_s))
        people += found
    steps_ms = np.array(samples[WARM_UP:]) * 1e3
    rclpy.shutdown()
    return {'what': name, 'backend': backend_name, 'precision': precision,
            'views': ' + '.join(views), 'people': people,
            'steps_ms': steps_ms.tolist(),
            'peak_rss_mb': peak_memory_mb()}


def bench_reference(count: int = 150) -> list[Row]:
    """Measure every variant and compare it with the first one."""
    rows: list[Row] = []
    for index in range(len(VARIANTS)):
        done = subprocess.run([sys.executable, __file__, str(index), str(count)], check=True,
                              text=True, stdout=subprocess.PIPE)
        row = json.loads(done.stdout.splitlines()[-1])
        steps_ms = np.array(row.pop('steps_ms'))
        rows.append({**row, 'picture_ms': spread_of(steps_ms[:, 0]),
                     'infer_ms': spread_of(steps_ms[:, 1]),
                     'else_ms': spread_of(steps_ms[:, 0] - steps_ms[:, 1])})
    for key in ('picture_ms', 'else_ms', 'peak_rss_mb'):
        rows = with_ratio(rows, key, f'{key.rsplit("_", 1)[0]}_ratio')
    return rows


if __name__ == '__main__':
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
