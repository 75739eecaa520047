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

"""The GPU letterbox: its arithmetic on the CPU against OpenCV's, its kernels through nvcc."""

from __future__ import annotations

import shutil
import sys

from hypothesis import example, given, HealthCheck, settings
from hypothesis import strategies as st
from letterbox_on_cpu import compiler_problem, cpu_kernels
import numpy as np
from ped_perception.backends import gpu_letterbox
from ped_perception.backends.gpu_letterbox import (
    BLOCK,
    compile_kernels,
    ensure_kernels,
    KERNELS,
    launch_arguments,
    launch_grid,
)
from ped_perception.core.errors import BackendError
from ped_perception.core.raw import bgr_from_raw
from ped_perception.core.types import View
from ped_perception.core.views import place_view, view_spec_from_text, write_view
import pytest

# Jetson Orin and Thor, and the cards of x86 vehicle computers.
TARGETS = ('sm_86', 'sm_87', 'sm_89', 'sm_110', 'sm_120')


@pytest.fixture(scope='module')
def kernels():
    """Compile the kernels for the CPU."""
    if compiler_problem():
        pytest.skip(compiler_problem())
    return cpu_kernels()


def run(kernels, encoding, rows, height, view, network_hw):
    """Launch a kernel on a whole picture and give the slot, with a guard row on both sides."""
    slots = np.full((3, *network_hw, 3), 7, np.uint8)
    kernels[KERNELS[encoding]](
        launch_grid(network_hw), BLOCK, launch_arguments(
            rows.ctypes.data, rows.strides[0], height, view.crop_xyxy, slots[1].ctypes.data,
            network_hw, view))
    assert np.all(slots[[0, 2]] == 7), 'it wrote outside its slot'
    return slots[1]


def largest_difference(kernels, encoding, rows, image_hw3, view, network_hw):
    """Compare with what the CPU letterbox makes of the picture, in grey levels."""
    expected = np.empty((*network_hw, 3), np.uint8)
    write_view(image_hw3, view, expected)
    found = run(kernels, encoding, rows, image_hw3.shape[0], view, network_hw)
    return int(np.abs(found.astype(int) - expected).max())


# Odd and even, larger and smaller than the slot, flat, upright, one pixel.
sides = st.integers(1, 150)
regions = st.sampled_from(['whole', 'whole@0.65', '0.25,0.3,0.75,0.8', '0.5,0,1,0.5', '0,0,0.1,1'])
slots = st.sampled_from([(32, 64), (96, 64), (64, 160)])
quick = settings(max_examples=60, deadline=None,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(sides, sides, regions, slots, st.integers(0, 2**32 - 1))
@example(1, 1, 'whole', (32, 64), 0)
@example(128, 96, 'whole', (64, 160), 1)      # by two exactly: OpenCV averages areas then
@example(149, 97, '0.5,0,1,0.5', (96, 64), 2)
def test_bgr_is_within_a_grey_level_of_the_cpu(kernels, height, width, region, network_hw, seed):
    image_hw3 = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    view = place_view(view_spec_from_text(region), (height, width), network_hw)
    rows = image_hw3.reshape(height, -1)
    assert largest_difference(kernels, 'bgr8', rows, image_hw3, view, network_hw) <= 1


@quick
@given(st.integers(1, 75), st.integers(1, 75), regions, slots, st.integers(0, 15),
       st.sampled_from(['nv12', 'yuyv', 'uyvy']), st.integers(0, 2**32 - 1))
@example(1, 1, 'whole', (32, 64), 0, 'nv12', 0)
@example(75, 53, '0.25,0.3,0.75,0.8', (96, 64), 5, 'nv12', 1)   # a crop that begins at odd pixels
@example(75, 53, '0.25,0.3,0.75,0.8', (96, 64), 5, 'yuyv', 1)
@example(75, 53, '0.25,0.3,0.75,0.8', (96, 64), 5, 'uyvy', 1)
def test_yuv_is_within_a_grey_level_of_the_cpu(kernels, half_h, half_w, region, network_hw,
                                               padding, encoding, seed):
    height, width = 2 * half_h, 2 * half_w
    count, row_bytes = (height * 3 // 2, width) if encoding == 'nv12' else (height, 2 * width)
    # All values, also those outside the limited range.
    rows = np.random.default_rng(seed).integers(0, 256, (count, row_bytes + padding), np.uint8)
    image_hw3 = bgr_from_raw(rows.tobytes(), encoding=encoding, height=height, width=width,
                             step=rows.shape[1], is_bigendian=False)
    view = place_view(view_spec_from_text(region), (height, width), network_hw)
    assert largest_difference(kernels, encoding, rows, image_hw3, view, network_hw) <= 1


def test_a_shifted_picture_is_told_apart(kernels):
    """Check that the comparison is sharp: a shift by one source pixel is far beyond a level."""
    image_hw3 = np.random.default_rng(3).integers(0, 256, (90, 121, 3), np.uint8)
    view = place_view(view_spec_from_text('whole'), (90, 121), (64, 96))
    shifted = np.roll(image_hw3, 1, axis=1).reshape(90, -1)
    assert largest_difference(kernels, 'bgr8', shifted, image_hw3, view, (64, 96)) > 20


def test_the_largest_sides_do_not_overflow(kernels):
    network_hw = (1, 8192)
    image_hw3 = np.random.default_rng(4).integers(0, 256, (1, 16384, 3), np.uint8)
    view = View((0, 0, 16384, 1), (0.5, 1.0), (0, 0), (8192, 1), (1, 16384))
    rows = image_hw3.reshape(1, -1)
    assert largest_difference(kernels, 'bgr8', rows, image_hw3, view, network_hw) <= 1


@pytest.mark.skipif(not shutil.which('nvcc'), reason='there is no nvcc on this machine')
@pytest.mark.parametrize('target', TARGETS)
def test_nvcc_compiles_the_kernels_for_vehicle_gpus(tmp_path, target):
    binary = tmp_path / 'letterbox.cubin'
    compile_kernels(target, binary)
    data = binary.read_bytes()
    assert data[:4] == b'\x7fELF'
    assert all(name.encode() in data for name in KERNELS.values())


@pytest.fixture
def fake_nvcc(tmp_path, monkeypatch):
    """Put a compiler in PATH that counts its calls and writes what it was asked for."""
    script = tmp_path / 'bin' / 'nvcc'
    script.parent.mkdir()
    script.write_text('\n'.join([
        f'#!{sys.executable}',
        'import pathlib, sys',
        f'with open({str(tmp_path / "calls")!r}, "a") as calls:',
        '    calls.write("x")',
        'if "-arch=sm_1" in sys.argv:',
        '    sys.exit("nvcc fatal : Unsupported gpu architecture")',
        'target = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])',
        'target.write_text(" ".join(sys.argv))']))
    script.chmod(0o755)
    monkeypatch.setenv('PATH', str(script.parent))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'calls'


def test_kernels_are_compiled_once_for_each_gpu(fake_nvcc):
    orin = ensure_kernels('sm_87', allow_build=True)
    assert b'-arch=sm_87' in orin.read_bytes()
    assert ensure_kernels('sm_87', allow_build=False) == orin
    assert ensure_kernels('sm_110', allow_build=True) != orin
    assert fake_nvcc.read_text() == 'xx'


def test_a_change_of_the_source_compiles_anew(fake_nvcc, tmp_path, monkeypatch):
    old = ensure_kernels('sm_87', allow_build=True)
    changed = tmp_path / 'letterbox.cu'
    changed.write_text(gpu_letterbox.SOURCE.read_text() + '// changed\n')
    monkeypatch.setattr(gpu_letterbox, 'SOURCE', changed)
    assert ensure_kernels('sm_87', allow_build=True) != old


def test_a_vehicle_that_may_not_build_says_what_to_do(fake_nvcc):
    with pytest.raises(BackendError, match='allow_build'):
        ensure_kernels('sm_87', allow_build=False)
    assert not fake_nvcc.exists()


def test_what_the_compiler_says_is_handed_on(fake_nvcc):
    with pytest.raises(BackendError, match='Unsupported gpu architecture'):
        ensure_kernels('sm_1', allow_build=True)
    with pytest.raises(BackendError):
        ensure_kernels('sm_1', allow_build=False)


def test_without_a_compiler_the_cpu_letterbox_is_named(fake_nvcc, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr(gpu_letterbox, 'USUAL_NVCC', tmp_path / 'nvcc')
    with pytest.raises(BackendError, match='preprocess to cpu'):
        ensure_kernels('sm_87', allow_build=True)
