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
ratio to the first one of its table. ``make bench ARGS='--only reference people'`` prints single
tables; the page is only written whole, as its figures must be of one machine and one day.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

from bench_node import bench_cameras, bench_dead_camera, bench_soak
from bench_receiving import bench_receiving
from bench_reference import bench_reference, THREADS
from bench_replay import bench_replay, bench_replay_memory
from bench_rows import Row, spread_of, table, with_ratio
from bench_scaling import bench_batches, bench_people, bench_pictures, bench_shared_batches
import cv2
import numpy as np
from ped_perception.backends import BackendConfig, open_backend
from ped_perception.backends.cpu import has_fast_int8
from ped_perception.core.pipeline import DetectorConfig, Pipeline
from ped_perception.core.types import Frame, Uint8Array
from ped_perception.evaluation.machine import machine_description, versions
from ped_perception.ros.convert import DetectionsFiller

ROOT = Path(__file__).resolve().parent.parent
PAGE, FIGURES = ROOT / 'doc' / 'benchmarks.md', ROOT / 'doc' / 'benchmarks.json'
CLIP = ROOT / 'demo' / 'pets_street.mp4'
CAMERA_WH = (1280, 720)

# backend, precision, views; the first is the reference
PIPELINES = (
    ('onnxruntime', 'fp32', ('whole',)),
    ('openvino', 'fp32', ('whole',)),
    ('openvino', 'fp32', ('whole', 'whole@0.65')),
    ('openvino', 'int8', ('whole',)),
    ('openvino', 'int8', ('whole', 'whole@0.65')),
)


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
        views_ms, infer_ms, post_ms, message_ms = np.median(stages_ms, axis=0).tolist()
        rows.append({
            'backend': backend_name, 'precision': precision, 'views': ' + '.join(views),
            'views_ms': views_ms, 'infer_ms': infer_ms, 'postprocess_ms': post_ms,
            'message_ms': message_ms,
            'all_but_infer_ms': spread_of(stages_ms[:, [0, 2, 3]].sum(axis=1)),
            'step_ms': spread_of(stages_ms.sum(axis=1))})
    return with_ratio(rows, 'step_ms')


def bench_demo() -> list[Row]:
    """Run the demo as a user does and take its report."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(Path(sys.executable).parent / 'ped_demo'), '-o', folder], check=True)
        report = json.loads((Path(folder) / 'report.json').read_text())
    return [{**{key: report[key] for key in (
        'frames_sent', 'frames_received', 'frames_processed', 'frames_reduced', 'frames_small',
        'frames_dropped', 'fps',
        'cpu_percent', 'peak_rss_mb', 'backend', 'precision', 'views')},
        **{f'latency_{key}_ms': value for key, value in report['latency_ms'].items()},
        **{f'{key}_ms': value for key, value in report['stage_ms'].items()}}]


@dataclass(frozen=True)
class Section:
    """One table of the page."""

    title: str
    text: str
    measure: Callable[[], list[Row]]


def sections(soak_minutes: float) -> dict[str, Section]:
    """Give every table that can be measured, in the order of the page."""
    images = pictures(100)
    return {
        'reference': Section('Beside the loop that a user would otherwise write', f"""
cv_bridge, a letterbox in floating point, ONNX Runtime in float32, NumPy decoding and non-maximum
suppression over all classes, a message: `tools/bench_reference.py`. Message in, message
published, 1280x720 bgr8, the same network, {THREADS} threads, a process each; the rows of fp32
run the same file, those of int8 its quantised form.
`else_ms` is all but the inference; `people` are the pedestrians found in all pictures together.
The ratios are to the first row.""", bench_reference),
        'pipelines': Section('One picture of 1280x720 through the pipeline', """
`all_but_infer_ms` is views, post-processing and the message together. The ratio is that of
`step_ms` to the first row.""", lambda: bench_pipelines(images)),
        'batches': Section('The bare network', """
Milliseconds for one slot, in batches of 1 to 8 of them; the ratio is that of batches of one.""",
                           bench_batches),
        'pictures': Section('Pictures of other sizes', """
Filling two views, and the image monitor; the network sees 640x384 of any of them.""",
                            lambda: bench_pictures(images[0])),
        'shared_batches': Section('Several cameras in one step', """
One view each, default backend: the newest pictures share a batch.""",
                                  lambda: bench_shared_batches(images)),
        'people': Section('Many people', """
Following, placing on the ground, and the filter on the ground. Without `colours` nothing is taken
from the picture (`tracker.look_weight: 0`, `tracker.ego_motion: false`). `ahead_ms` is the
background motion of a picture, which is measured while the network runs, and is not in `sum_ms`.
`least_ms` adds the least times of the other three: the medians of a machine with other work to do
say little.""",
                          lambda: bench_people(images[0])),
        'replay': Section('Replaying a recording', """
`demo/pets_street.mcap` through `ped_replay`, milliseconds a picture. `overhead` is the share of
the time that is neither inference nor decoding; following (`track_ms`) and writing go on while the
network looks at the next picture.""", bench_replay),
        'replay_memory': Section('Replaying long recordings', """
Raw pictures of 1280x720, seen in one view of 320x192. `peak_mib` is the most memory that the
process had; the ratio is to the short recording.""", bench_replay_memory),
        'receiving': Section('Receiving a picture at 30 Hz', """
CPU time of the receiving process for each picture, decoding not counted. `kept` is with the
malloc settings that the nodes use, `default` without them.""", bench_receiving),
        'demo': Section('The demo, as a user runs it', """
1280x720 bgr8 at 25 Hz over DDS, camera and detector in processes of their own.""", bench_demo),
        'cameras': Section(
            'Six cameras, 1280x720 JPEG, a fifth more pictures than the backend alone could look '
            'at', """
The bare backend infers batches of the same size, alone, just before. `ratio` is what is left of
its views per second when decoding, tracking, publishing and ROS share its processor;
`pictures_ratio` is that of pictures, each through all views when the backend is alone. Overloaded,
the node looks at some through one view only (`one_view_share`), and, where it is not switched off
as in the first three rows, at some with the small network (`small_share`), which counts as a view
here. The last row are the defaults. `least_share` is the camera that was looked at least, against
the mean of all six.
""", bench_cameras),
        'dead_camera': Section('A camera dies', """
From SIGKILL of its process until `~/health` says BLIND in another process; the bound is twice the
period and 100 ms.""", bench_dead_camera),
        'soak': Section('A long run at 30 Hz', """
Defaults, 1280x720 JPEG. The memory is that of the detector process, medians of the first and the
last tenth after warm-up.""", lambda: bench_soak(soak_minutes * 60))}


def page(machine: dict[str, Any], tables: dict[str, str]) -> str:
    """Write the page of all measurements."""
    described = ', '.join(f'{key} {value}' for key, value in machine.items())
    return f"""# Benchmarks

Written by `make bench`; the same figures as JSON: [benchmarks.json](benchmarks.json), spreads as
`[median, p10, p90]`. Times are in milliseconds: the median, and in brackets the 10th and the 90th
percentile. One table again: `make bench ARGS='--only NAME'`. Machine: {described}.

""" + '\n\n'.join(tables.values()) + '\n'


def main() -> None:
    """Measure everything and write the page, or print single tables."""
    every = sections(0.0)
    parser = argparse.ArgumentParser(description='Measures speed and memory on this machine.')
    parser.add_argument('--only', nargs='+', choices=list(every), metavar='NAME',
                        help=f'print these tables, write nothing: {", ".join(every)}')
    parser.add_argument('--soak-minutes', type=float, default=10.0,
                        help='length of the long run (default %(default)s)')
    options = parser.parse_args()
    if not has_fast_int8():
        print('auto takes float32 on this processor; INT8 is measured all the same.')
    cv2.setNumThreads(1)
    figures: dict[str, list[Row]] = {}
    tables: dict[str, str] = {}
    for name, section in sections(options.soak_minutes).items():
        if options.only is None or name in options.only:
            figures[name] = section.measure()
            tables[name] = (f'## {section.title} (`{name}`)\n{section.text}\n\n'
                            f'{table(figures[name])}')
            print(f'{tables[name]}\n', flush=True)
    if options.only is None:
        machine = {**machine_description(), **versions()}
        FIGURES.write_text(json.dumps({'machine': machine, **figures}, indent=1) + '\n')
        PAGE.write_text(page(machine, tables))
        print(f'Wrote {PAGE.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
