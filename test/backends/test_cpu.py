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

"""Which processors gain from INT8, by what their kernels say of them."""

from ped_perception.backends.cpu import has_fast_int8
import pytest

AVX2 = 'fpu sse4_2 avx avx2 fma f16c'


def cpuinfo(*flags):
    return '\n'.join(f'processor\t: {index}\nmodel name\t: one\nflags\t\t: {line}\nbugs\t\t: x\n'
                     for index, line in enumerate(flags))


@pytest.mark.parametrize(('text', 'expected', 'why'), [
    (cpuinfo(AVX2, AVX2), True, 'Haswell to Comet Lake, Zen 1 to 3'),
    (cpuinfo(f'{AVX2} avx512f avx512_vnni'), True, 'Xeon since Cascade Lake, Zen 4'),
    (cpuinfo(f'{AVX2} amx_bf16 amx_tile amx_int8'), True, 'Xeon since Sapphire Rapids'),
    (cpuinfo('fpu sse4_2 avx f16c'), False, 'Sandy Bridge: integers of 128 bits only'),
    (cpuinfo(AVX2, 'fpu sse4_2 avx'), False, 'one processor of two'),
    (cpuinfo('fpu avx avx2_not'), False, 'only whole words count'),
    ('processor\t: 0\nmodel name\t: avx2\nflags\t\t: fpu\n', False, 'a name is no flag'),
    ('processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n', False, 'ARM: nothing measured'),
    ('', False, 'an empty file'),
])
def test_flags(tmp_path, text, expected, why):
    path = tmp_path / 'cpuinfo'
    path.write_text(text)
    assert has_fast_int8(path) is expected, why


def test_a_system_without_cpuinfo_computes_in_float(tmp_path):
    assert has_fast_int8(tmp_path / 'none') is False
