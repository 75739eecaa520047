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
Measure the product on this machine: ``make bench`` writes doc/benchmarks.md and its JSON.

Times are only worth something beside a reference measured in the same run, so every row has its
ratio to the first one of its table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

from bench_node import bench_node
from bench_reference import bench_reference, THREADS
from bench_scaling import bench_batches, bench_people, bench_pictures, bench_shared_batches
import cv2
import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.backends.cpu import has_fast_int8
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.types import Frame, Uint8Array
from ped_perception.evaluation.machine import machine_description, versions
from ped_perception.replay.runner import replay, settings_for_bag
from ped_perception.ros.convert import DetectionsFiller

ROOT = Path(__file__).resolve().parent.parent
PAGE, FIGURES = ROOT / 'doc' / 'benchmarks.md', ROOT / 'doc' / 'benchmarks.json'
CLIP = ROOT / 'demo' / 'pets_street.mp4'
RECORDING = ROOT / 'demo' / 'pets_street.mcap'
CAMERA_WH = (1280, 720)

# backend, precision, views; the first is the reference
PIPELINES = (
    ('onnxruntime', 'fp32', ('whole',)),
    ('openvino', 'fp32', ('whole',)),
    ('openvino', 'fp32', ('whole', 'whole@0.65')),
    ('openvino', 'int8', ('whole',)),
    ('openvino', 'int8', ('whole', 'whole@0.65')),
)

Row = dict[str, Any]


def pictures(count: int) -> list[Uint8Array]:
    """Read pictures of the demo clip at the size of a vehicle camera."""
    video = cv2.VideoCapture(str(CLIP))
    read = [video.read()[1] for _ in range(count)]
    return [np.asarray(cv2.resize(image_hw3, CAMERA_WH), np.uint8) for image_hw3 in read]


def bench_pipelines(images: list[Uint8Array]) -> list[Row]:
    """Measure the stages of a step for each backend, precision and choice of views."""
    rows: list[Row] = []
    filler = DetectionsFiller()
    for backend_name, precision, views in PIPELINES:
        config = BackendConfig(backend=backend_name, precision=precision)
        samples = []
        with open_backend(config, len(views)) as backend:
            pipeline = Pipeline(backend, DetectorConfig(views=views))
            for number, image_hw3 in enumerate(images):
                (found,), times = pipeline.step([Frame('camera', number, '', image_hw3)])
                start_s = time.perf_counter()
                filler.fill(found)
                samples.append((times.views_s, times.infer_s, times.postprocess_s,
                                time.perf_counter() - start_s))
        # The first steps warm caches up and are not what a drive is like.
        stages_ms = np.array(samples[5:]) * 1e3
        views_ms, infer_ms, post_ms, message_ms = np.median(stages_ms, axis=0)
        rest_ms = np.median(stages_ms[:, [0, 2, 3]].sum(axis=1))
        p10_ms, p90_ms = np.percentile(stages_ms.sum(axis=1), (10, 90))
        rows.append({
            'backend': backend_name, 'precision': precision, 'views': ' + '.join(views),
            'views_ms': views_ms, 'infer_ms': infer_ms, 'postprocess_ms': post_ms,
            'message_ms': message_ms, 'all_but_infer_ms': rest_ms,
            'step_ms': np.median(stages_ms.sum(axis=1)), 'p10_ms': p10_ms, 'p90_ms': p90_ms})
    return with_ratio(rows, 'step_ms')


SENDER = """
import sys, time
import numpy as np, rclpy
from ped_perception.ros import convert, memory, qos
from sensor_msgs.msg import CompressedImage, Image
width, height, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
memory.keep_large_blocks()
rclpy.init()
node = rclpy.create_node('bench_sender')
publisher = node.create_publisher(Image if kind == 'raw' else CompressedImage, 'bench',
                                  qos.camera_publisher_qos())
image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
message = (convert.ImageFiller().fill(image, 1) if kind == 'raw'
           else convert.compressed_image_from_bgr(image // 8 * 8, 1, 'f'))
while publisher.get_subscription_count() < 1:
    time.sleep(0.05)
time.sleep(1.0)
due = time.perf_counter()
for _ in range(150):
    publisher.publish(message)
    due += 1 / 30
    time.sleep(max(0.0, due - time.perf_counter()))
time.sleep(1.0)
"""

RECEIVER = """
import json, sys, time
import rclpy
from ped_perception.ros import memory, qos
from sensor_msgs.msg import CompressedImage, Image
if sys.argv[2] == 'kept':
    memory.keep_large_blocks()
rclpy.init()
node = rclpy.create_node('bench_receiver')
cpu_s = []
node.create_subscription(Image if sys.argv[1] == 'raw' else CompressedImage, 'bench',
                         lambda message: cpu_s.append(time.process_time()),
                         qos.image_subscription_qos())
executor = rclpy.executors.SingleThreadedExecutor()
executor.add_node(node)
newest_s, seen = time.monotonic(), 0
while time.monotonic() - newest_s < (2.0 if seen else 30.0):
    executor.spin_once(timeout_sec=0.2)
    if len(cpu_s) > seen:
        newest_s, seen = time.monotonic(), len(cpu_s)
print(json.dumps({'received': seen,
                  'cpu_ms': (cpu_s[-1] - cpu_s[10]) / (seen - 11) * 1e3 if seen > 20 else None}))
"""


def bench_receiving() -> list[Row]:
    """Measure what receiving a picture costs a node, decoding not counted."""
    rows: list[Row] = []
    profile = str(ROOT / 'config' / 'fastdds_large_images.xml')
    for width, height, kind, kept in ((1920, 1080, 'raw', 'default'),
                                      (1920, 1080, 'raw', 'kept'),
                                      (1280, 720, 'raw', 'kept'),
                                      (1920, 1080, 'jpeg', 'kept')):
        receiver = subprocess.Popen([sys.executable, '-c', RECEIVER, kind, kept],
                                    stdout=subprocess.PIPE, text=True)
        subprocess.run(['env', f'FASTRTPS_DEFAULT_PROFILES_FILE={profile}',
                        f'FASTDDS_DEFAULT_PROFILES_FILE={profile}', sys.executable, '-c', SENDER,
                        str(width), str(height), kind], check=True)
        result = json.loads(receiver.communicate(timeout=60)[0])
        rows.append({'picture': f'{width}x{height} {kind}', 'malloc': kept,
                     'received_of_150': result['received'], 'cpu_ms': result['cpu_ms']})
    return with_ratio(rows, 'cpu_ms')


def bench_demo() -> Row:
    """Run the demo as a user does and take its report."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(Path(sys.executable).parent / 'ped_demo'), '-o', folder], check=True)
        report: Row = json.loads((Path(folder) / 'report.json').read_text())
    # The page is kept in the project: nobody else has this machine's folders.
    report['source']['path'] = str(CLIP.relative_to(ROOT))
    return report


def bench_replay() -> list[Row]:
    """Replay the recording of the package and see what all but looking costs."""
    with tempfile.TemporaryDirectory() as folder:
        begin_s = time.perf_counter()
        summary = replay(RECORDING, Path(folder) / 'results', settings_for_bag(
            RECORDING, {}, all_cameras=True))
        seconds = time.perf_counter() - begin_s
    shares = {f'{stage}_share': spent_s / summary.times_s['total']
              for stage, spent_s in summary.times_s.items() if stage != 'total'}
    return [{'pictures': summary.pictures, 'per_s': summary.pictures / seconds, **shares,
             'overhead': summary.overhead}]


def with_ratio(rows: list[Row], key: str) -> list[Row]:
    """Add how each row compares with the first one."""
    return [{**row, 'ratio': row[key] / rows[0][key]} for row in rows]


def table(rows: list[Row]) -> str:
    """Write rows as a Markdown table."""
    lines = ['| ' + ' | '.join(rows[0]) + ' |', '|' + '---|' * len(rows[0])]
    lines += ['| ' + ' | '.join(f'{value:.2f}' if isinstance(value, float) else str(value)
                                for value in row.values()) + ' |' for row in rows]
    return '\n'.join(lines)


def page(figures: dict[str, Any]) -> str:
    """Write the page of all measurements."""
    machine = ', '.join(f'{key} {value}' for key, value in figures['machine'].items())
    demo = figures['demo']
    shown = {key: demo[key] for key in (
        'frames_sent', 'frames_received', 'frames_processed', 'frames_dropped', 'fps',
        'cpu_percent', 'peak_rss_mb', 'backend', 'precision', 'views')}
    shown |= {f'latency_{key}_ms': value for key, value in demo['latency_ms'].items()}
    shown |= {f'{key}_ms': value for key, value in demo['stage_ms'].items()}
    return f"""# Benchmarks

Written by `make bench`; the same figures as JSON: [benchmarks.json](benchmarks.json). Medians in
milliseconds. Machine: {machine}.

## Beside the loop that a user would otherwise write

cv_bridge, a letterbox in floating point, ONNX Runtime in float32, NumPy decoding and non-maximum
suppression over all classes, a message: `tools/bench_reference.py`. Message in, message
published, 1280x720 bgr8, the same file of the same network, {THREADS} threads, a process each.
`else_ms` is all but the inference; `people` are the pedestrians found in all pictures together.
The ratios are to the first row.

{table(figures['reference'])}

## One picture of 1280x720 through the pipeline

`all_but_infer_ms` is views, post-processing and the message together; p10 and p90 are of the
whole step. The ratio is that of `step_ms` to the first row.

{table(figures['pipelines'])}

## The bare network

Milliseconds for one slot, in batches of 1 to 8 of them; the ratio is that of batches of one.

{table(figures['batches'])}

## Pictures of other sizes

Filling two views, and the image monitor; the network sees 640x384 of any of them.

{table(figures['pictures'])}

## Several cameras in one step

One view each, default backend: the newest pictures share a batch.

{table(figures['shared_batches'])}

## Many people

Following with the colours of the picture, placing on the ground, and the filter on the ground.
The background motion of a picture, which the node measures while it decodes, is not counted.

{table(figures['people'])}

## Replaying a recording

`demo/pets_street.mcap` through `ped_replay`. `overhead` is all but inference and decoding.

{table(figures['replay'])}

## Receiving a picture at 30 Hz

CPU time of the receiving process for each picture, decoding not counted. `kept` is with the
malloc settings that the nodes use, `default` without them.

{table(figures['receiving'])}

## The demo, as a user runs it

1280x720 bgr8 at 25 Hz over DDS, camera and detector in processes of their own.

{table([shown])}

## Six cameras, 1280x720 JPEG, a fifth more pictures than the backend alone could look at

The bare backend infers batches of the same size, alone, just before. `ratio` is what is left of
its views per second when decoding, tracking, publishing and ROS share its processor. `least_share`
is the camera that was looked at least, against the mean of all six.

{table(figures['cameras'])}

## A camera dies

From SIGKILL of its process until `~/health` says BLIND in another process; the bound is twice the
period and 100 ms.

{table(figures['dead_camera'])}

## A long run at 30 Hz

Defaults, 1280x720 JPEG. The memory is that of the detector process, medians of the first and the
last tenth after warm-up.

{table(figures['soak'])}
"""


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--soak-minutes', type=float, default=10.0,
                        help='length of the long run (default 10)')
    options = parser.parse_args()
    if not has_fast_int8():
        print('This processor does not gain from INT8; its rows are measured all the same.')
    cv2.setNumThreads(1)
    images = pictures(100)
    figures: dict[str, Any] = {
        'machine': {**machine_description(), **versions()},
        'reference': bench_reference(), 'pipelines': bench_pipelines(images),
        'batches': bench_batches(), 'pictures': bench_pictures(images[0]),
        'shared_batches': bench_shared_batches(images), 'people': bench_people(images[0]),
        'replay': bench_replay(), 'receiving': bench_receiving(), 'demo': bench_demo(),
        **bench_node(options.soak_minutes * 60)}
    FIGURES.write_text(json.dumps(figures, indent=1) + '\n')
    PAGE.write_text(page(figures))
    print(f'Wrote {PAGE.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
