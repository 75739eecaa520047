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
Measure what receiving a picture costs a node. Part of ``make bench``.

Sender and receiver are processes of their own; the receiver does nothing but receive.
"""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys

from bench_rows import Row, with_ratio

ROOT = Path(__file__).resolve().parent.parent

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
from ped_perception.ros import memory, qos, running
from sensor_msgs.msg import CompressedImage, Image
if sys.argv[2] == 'kept':
    memory.keep_large_blocks()
rclpy.init()
node = rclpy.create_node('bench_receiver')
cpu_s = []
node.create_subscription(Image if sys.argv[1] == 'raw' else CompressedImage, 'bench',
                         lambda message: cpu_s.append(time.process_time()),
                         qos.image_subscription_qos())
executor = running.new_executor()
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
