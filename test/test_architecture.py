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

"""The import arrows of the architecture: who may know whom, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path
import sys
from typing import Iterator

import pytest

PACKAGE = 'ped_perception'
ROOT = Path(__file__).resolve().parent.parent

MESSAGES = frozenset({
    'builtin_interfaces', 'cv_bridge', 'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs',
    'nav_msgs', 'rcl_interfaces', 'rclpy', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'std_srvs',
    'tf2_msgs', 'tf2_ros', 'vision_msgs', 'visualization_msgs'})

# Room -> what its files may import besides the standard library and their own room. A room is a
# folder or a file below the package; a longer path wins. `core` knows nobody, and whoever is not
# named here may not be imported at all.
ALLOWED: dict[str, frozenset[str]] = {
    'core': frozenset({'numpy', 'cv2', 'scipy', 'simplejpeg'}),
    'sources': frozenset({'core', 'numpy', 'cv2', 'yaml', 'rosbags', 'lz4', 'backports'}),
    'engine': frozenset({'core', 'numpy', 'cv2', 'onnx', 'onnxruntime', 'tomli', 'yaml',
                         'tensorrt', 'tensorrt_rtx', 'ament_index_python'}),
    'backends': frozenset({'core', 'engine', 'numpy', 'onnxruntime', 'openvino'}),
    'backends/tensorrt.py': frozenset({'core', 'engine', 'numpy', 'pycuda', 'tensorrt',
                                       'tensorrt_rtx'}),
    'evaluation': frozenset({'core', 'sources', 'engine', 'backends', 'numpy', 'cv2', 'scipy',
                             'av', 'jinja2', 'yaml', 'tqdm', 'psutil'}),
    'ros': frozenset({'core', 'sources', 'engine', 'backends', 'numpy', 'cv2', 'yaml', 'psutil',
                      'ament_index_python'}) | MESSAGES,
    'replay': frozenset({'core', 'sources', 'engine', 'backends', 'ros', 'numpy', 'cv2',
                         'rosbags'}) | MESSAGES,
    'cli': frozenset({'core', 'sources', 'engine', 'backends', 'evaluation', 'ros', 'replay',
                      'numpy', 'cv2', 'yaml', 'tqdm', 'psutil', 'jinja2',
                      'ament_index_python'}) | MESSAGES,
}

# With what newer Pythons have, imported where it exists: the arrows are the same on all of them.
STANDARD_LIBRARY = sys.stdlib_module_names | {'compression', 'tomllib'}

# What is not installed everywhere. No program may need it to start: it is imported where it is
# used, so that a machine without it can use the rest and learns which extra to install.
OPTIONAL = frozenset({'av', 'onnx', 'onnxruntime', 'openvino', 'pycuda', 'rosbags', 'simplejpeg',
                      'tensorrt', 'tensorrt_rtx'})


def room_of(path: Path) -> str:
    """Return the entry of the table that a file of the package falls under."""
    inside = path.relative_to(ROOT / PACKAGE).as_posix()
    rooms = [room for room in ALLOWED if inside == room or inside.startswith(f'{room}/')]
    return max(rooms, key=len, default='')


def imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """
    Yield the dotted name of each import and whether it happens when the file is imported.

    Args:
        tree: the file.
        package: the names of the folders it lies in, which relative imports start from.
    """
    later = {id(node) for function in ast.walk(tree)
             if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
             or is_type_checking(function) for node in ast.walk(function)}
    for node in ast.walk(tree):
        at_once = id(node) not in later
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) + 1 - node.level] if node.level else ()
            module = '.'.join((*above, *filter(None, [node.module])))
            if module == PACKAGE:
                yield from ((f'{PACKAGE}.{alias.name}', at_once) for alias in node.names)
            else:
                yield module, at_once


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the imports of a file of the package."""
    return imports(ast.parse(path.read_text()), path.parent.relative_to(ROOT).parts)


def is_type_checking(node: ast.AST) -> bool:
    """Tell whether a node is `if TYPE_CHECKING:`, which no interpreter executes."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) \
        and node.test.id == 'TYPE_CHECKING'


def target_of(name: str) -> str:
    """Return what an import reaches: a room of this package (empty: the own one), or a library."""
    first, _, rest = name.partition('.')
    return rest.partition('.')[0] if first == PACKAGE else first


def files_behind(name: str) -> list[Path]:
    """Return the files of this package that an import executes."""
    parts = name.split('.')
    if parts[0] != PACKAGE:
        return []
    stems = [ROOT.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    files = [path for stem in stems for path in (stem / '__init__.py', stem.with_suffix('.py'))]
    return [path for path in files if path.exists()]


def needed_to_start(path: Path, seen: set[Path]) -> set[str]:
    """Return the libraries that are imported when a file is, through the whole package."""
    if path in seen:
        return set()
    seen.add(path)
    found: set[str] = set()
    for name, at_once in imports_of(path):
        if at_once:
            found.add(target_of(name))
            for behind in files_behind(name):
                found |= needed_to_start(behind, seen)
    return found


FILES = sorted((ROOT / PACKAGE).rglob('*.py'))


@pytest.mark.parametrize('path', [pytest.param(path, id=path.relative_to(ROOT).as_posix())
                                  for path in FILES if path.parent != ROOT / PACKAGE])
def test_arrows(path: Path) -> None:
    """Import only what the room's line in the table allows."""
    room = room_of(path)
    assert room, f'{path.relative_to(ROOT)} lies in no room of the architecture'
    own = {room.partition('/')[0]}
    for name, _ in imports_of(path):
        target = target_of(name)
        # Dunder names are facts of the package itself, such as its version.
        if target not in own and target not in STANDARD_LIBRARY and target[:2] != '__':
            assert target in ALLOWED[room], f'{room} may not import {name}'


@pytest.mark.parametrize('path', [pytest.param(path, id=path.relative_to(ROOT).as_posix())
                                  for path in FILES if path.parent.name == 'cli'
                                  or path.name.endswith('_node.py')])
def test_programs_start_without_optional_libraries(path: Path) -> None:
    """Let a machine without an optional library start every program and read its help."""
    assert needed_to_start(path, set()) & OPTIONAL == set()


def test_package_root_imports_nothing() -> None:
    """Keep the package's own __init__ free of imports, or every room would import them."""
    names = {name for name, _ in imports_of(ROOT / PACKAGE / '__init__.py')}
    assert names <= {'__future__'}


@pytest.mark.parametrize(('source', 'expected'), [
    ('import numpy.linalg', [('numpy', True)]),
    ('from ped_perception import core, ros', [('core', True), ('ros', True)]),
    ('from ped_perception.ros.qos import image', [('ros', True)]),
    ('from .qos import image', [('ros', True)]),               # the own room
    ('from ..core.types import Frame', [('core', True)]),      # climbs out of it
    ('from .. import cli', [('cli', True)]),
    ('def f():\n    import openvino', [('openvino', False)]),  # inside a function: lazy
    ('class A:\n    import rclpy', [('rclpy', True)]),         # a class body runs at import
    ('if TYPE_CHECKING:\n    import onnx', [('onnx', False)]),
    ('try:\n    import cv2\nexcept ImportError:\n    cv2 = None', [('cv2', True)]),
])
def test_reading_of_imports(source: str, expected: list[tuple[str, bool]]) -> None:
    """Find imports wherever they hide, and tell when they happen."""
    found = [(target_of(name), at_once)
             for name, at_once in imports(ast.parse(source), (PACKAGE, 'ros'))]
    assert found == expected
