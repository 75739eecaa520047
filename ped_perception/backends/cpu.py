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

"""What the processor of this machine is good at."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path('/proc/cpuinfo')

# The widest multiplication of 8-bit integers that OpenVINO uses everywhere on x86. With it alone
# an INT8 graph takes 0.54 of the time of a float32 one (EPYC, two threads), with the newer VNNI
# or AMX still less.
FAST_INT8_FLAG = 'avx2'


def has_fast_int8(cpuinfo: Path = CPUINFO) -> bool:
    """
    Tell whether an INT8 graph is worth using on this processor.

    Args:
        cpuinfo: the kernel's description of the processors.

    Returns:
        True only where every processor has the instruction: threads run on any of them.
        False where the kernel does not say: float32 is right everywhere.
    """
    try:
        lines = cpuinfo.read_text(encoding='ascii', errors='replace').splitlines()
    except OSError:
        return False
    flags = [set(line.partition(':')[2].split()) for line in lines
             if line.partition(':')[0].strip() == 'flags']
    return bool(flags) and all(FAST_INT8_FLAG in one for one in flags)
