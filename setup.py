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

"""Package description for colcon (ament_python) and pip."""

from pathlib import Path
import sys

from setuptools import find_packages, setup

PACKAGE = 'ped_perception'
SHARE = f'share/{PACKAGE}'

# Developers' tools and notes that lie beside the shared files.
NOT_SHARED = ('.py', '.pyc')


def shared_files():
    """List what `ros2 launch` and the programs look up in the installed share folder."""
    files = [
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml']),
    ]
    for folder in ('config', 'config/simulation', 'demo', 'engines', 'engines/golden', 'launch'):
        names = [str(path) for path in Path(folder).glob('*.*') if path.suffix not in NOT_SHARED]
        files.append((f'{SHARE}/{folder}', sorted(names)))
    # Programs for people to read: Python is what they are about.
    files.append((f'{SHARE}/examples', sorted(map(str, Path('examples').glob('*.py')))))
    return files


# An editable install reads these folders in the source tree; copies would go stale.
EDITABLE = 'editable_wheel' in sys.argv

setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed', '**/*.cu', '**/*.j2', '**/*.toml']},
    data_files=[] if EDITABLE else shared_files(),
    python_requires='>=3.10',
    install_requires=['setuptools'],
    # Only what has no rosdep key; package.xml declares the rest.
    extras_require={
        'bags': ['rosbags'],
        'engine': ['onnx', 'tomli; python_version < "3.11"'],
        'comparison': ['norfair', 'supervision<0.31'],
        'evaluation': ['motmetrics', 'pycocotools'],
        'fleet': ['ray'],
        'jpeg': ['simplejpeg'],
        'nvml': ['nvidia-ml-py'],
        'onnxruntime': ['onnxruntime'],
        'openvino': ['openvino'],
        # a ROS 2 distribution brings its own cv_bridge
        'ros': ['cv-bridge'],
        'rtx': ['tensorrt-rtx-cu13', 'pycuda'],
        'tensorrt': ['tensorrt', 'pycuda'],
        # colcon takes from here that pytest is what runs the tests
        'test': ['pytest', 'pytest-timeout', 'hypothesis'],
        'video': ['av'],
        'view': ['rerun-sdk>=0.39'],
    },
    zip_safe=False,
    maintainer='The ped_perception authors',
    maintainer_email='maintainers@ped-perception.example',
    description='Pedestrian perception for vehicles: camera topics to pedestrians on the ground.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'ped_camera = ped_perception.cli.programs:ped_camera',
            'ped_demo = ped_perception.cli.programs:ped_demo',
            'ped_detector = ped_perception.cli.programs:ped_detector',
            'ped_engine = ped_perception.cli.programs:ped_engine',
            'ped_evaluate = ped_perception.cli.programs:ped_evaluate',
            'ped_launch_check = ped_perception.cli.programs:ped_launch_check',
            'ped_replay = ped_perception.cli.programs:ped_replay',
        ],
    },
)
