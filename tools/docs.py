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

"""Write the generated parts of the documentation: ``make docs``."""

from __future__ import annotations

from pathlib import Path

from ped_perception.core.config import ParamSpec, specs_of
from ped_perception.ros.camera_config import CameraPlayerConfig
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.settings import PREFIXES

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = ROOT / 'doc' / 'parameters.md'

INTRODUCTION = """# Parameters

Generated from the code by `make docs`; do not edit.

A parameter that does not exist, is of the wrong type or out of its range is refused at start,
with the reason. Those marked *run time* can be changed while the node runs (`ros2 param set`).
"""

SECTIONS = (
    ('ped_camera', 'The player of recordings.', '', CameraPlayerConfig),
)

# Title and text for each configuration of the node.
DETECTOR_SECTIONS = {
    'node': ('the node', 'What the node as a whole does.'),
    'cameras': ('each camera', 'Prefixed by the name of the camera and a dot.'),
    'backend': ('the network', 'Which network, and what runs it how.'),
    'detector': ('pictures to detections', 'What is done before and after the network.'),
    'age': ('age', 'Which pictures are too old, or of another time.'),
    'health': ('health', 'When which state is told on `~/health`; see planner.md.'),
    'output': ('people around the vehicle', 'How they are published.'),
    'recovery': ('failures', 'What is done when the inference fails.'),
    'tracker': ('tracking', 'Following people from picture to picture.'),
    'ground': ('positions', 'From boxes to the ground.'),
    'ground_filter': ('people of all cameras', 'Filtered, joined, and given ids.'),
    'image_monitor': ('image monitor', 'When a picture is useless.'),
    'horizon': ('the view `horizon`', 'Whom the band of far pedestrians must show.'),
    'corridor': ("the vehicle's way", 'Where somebody is in it; needs odometry.'),
}


def parameters_page() -> str:
    """Give the parameter reference as Markdown."""
    parts = [INTRODUCTION]
    types = {**PREFIXES, 'cameras': (CameraConfig, 'NAME.')}
    detector = [(f'ped_detector: {title}', text, types[name][1], types[name][0])
                for name, (title, text) in DETECTOR_SECTIONS.items()]
    for title, text, prefix, config_type in (*detector, *SECTIONS):
        parts.append(f'\n## {title}\n\n{text}\n\n'
                     '| parameter | type | default | allowed | meaning |\n|---|---|---|---|---|\n')
        parts += [_row(prefix, spec) for spec in specs_of(config_type)]
    return ''.join(parts)


def _row(prefix: str, spec: ParamSpec) -> str:
    default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
    unit = f' [{spec.unit}]' if spec.unit else ''
    run_time = ' *Run time.*' if spec.dynamic else ''
    cells = (f'`{prefix}{spec.name}`', spec.kind_name + unit, f'`{default!r}`', _allowed(spec),
             spec.description + run_time)
    return '| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |\n'


def _allowed(spec: ParamSpec) -> str:
    if spec.choices:
        return ', '.join(f'`{choice}`' for choice in spec.choices)
    if spec.minimum is None and spec.maximum is None:
        return ''
    low = '' if spec.minimum is None else f'{spec.minimum:g}'
    high = '' if spec.maximum is None else f'{spec.maximum:g}'
    return f'{low} … {high}'.strip()


def main() -> None:
    """Write the pages."""
    PARAMETERS.write_text(parameters_page())
    print(f'Wrote {PARAMETERS.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
