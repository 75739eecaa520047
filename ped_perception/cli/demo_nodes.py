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

"""The two processes of the demo: what they are told, and the ROS they live in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import os
from pathlib import Path
import random
import socket
import sys

from ped_perception.cli.processes import Child
from ped_perception.cli.share import shared_file
import yaml

CAMERA = 'camera'


@dataclass(frozen=True)
class DemoSettings:
    """
    What the demo plays, and how.

    Attributes:
        source: path or address, as ``sources.open_source`` takes it.
        topic: image topic of a recording, '' elsewhere.
        output: folder for logs and results; exists.
        rate_hz: frames per second; 0 plays as recorded.
        size: WIDTHxHEIGHT to scale to, '' keeps the source's.
        transport: 'raw' or 'compressed'.
        detector: parameters of the detector that are not its defaults.
        duration_s: end after this time; 0 plays to the end.
        is_live: the source cannot be read a second time.
        frame_count: of the source, None where it is unknown.
        quiet: no progress on the terminal.
    """

    source: str
    topic: str
    output: Path
    rate_hz: float
    size: str
    transport: str
    detector: Mapping[str, str]
    duration_s: float
    is_live: bool
    frame_count: int | None
    quiet: bool


def start_detector(settings: DemoSettings) -> Child:
    """Start the detector for the demo's camera."""
    return _start_node(settings, 'detector', {
        'cameras': [CAMERA], f'{CAMERA}.transport': settings.transport,
        # What an integrator knows of a camera; else there would be too much time for the first
        # picture, and none for the second.
        f'{CAMERA}.expected_rate_hz': settings.rate_hz, **settings.detector}, {})


def start_camera(settings: DemoSettings) -> Child:
    """Start the camera, with shared memory that is large enough for its pictures."""
    profile = str(shared_file('config', 'fastdds_large_images.xml'))
    # The first name is for Fast DDS up to Jazzy's, the second for later ones.
    environment = {name: os.environ.get(name, profile) for name in (
        'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')}
    parameters: dict[str, object] = {
        'source': settings.source, 'camera': CAMERA, 'rate_hz': settings.rate_hz,
        'size': settings.size, 'transport': settings.transport,
        # The detector, and the listener's hold.
        'wait_for_subscribers': 2}
    if settings.topic:
        parameters['topics'] = [settings.topic]
    return _start_node(settings, 'camera', parameters, environment)


def prepare_environment() -> str:
    """Keep the demo's traffic on this machine and apart from others; give its ROS domain."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    if os.environ.get('ROS_DISTRO') == 'humble':
        os.environ.setdefault('ROS_LOCALHOST_ONLY', '1')
    return os.environ.setdefault('ROS_DOMAIN_ID', str(free_domain()))


def free_domain() -> int:
    """Choose a ROS domain in which nobody listens on this machine, as far as ports tell."""
    # Up to 101 no domain's ports lie among those that Linux gives to any program.
    domains = random.sample(range(1, 102), 101)
    for domain in domains:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # Where the first participant of a domain hears of others (DDSI-RTPS 9.6.1.1).
                probe.bind(('', 7400 + 250 * domain + 10))
            except OSError:
                continue
            return domain
    return domains[0]


def _start_node(settings: DemoSettings, name: str, parameters: Mapping[str, object],
                environment: Mapping[str, str]) -> Child:
    # A file, because on the command line ROS would take a path like 2024 for a number.
    file = settings.output / f'{name}.yaml'
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': dict(parameters)}}),
                    encoding='utf-8')
    command = [sys.executable, '-m', f'ped_perception.ros.{name}_node', '--ros-args',
               '--params-file', str(file)]
    return Child(f'ped_{name}', command, settings.output / f'{name}.log', environment)
