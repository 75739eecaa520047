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

"""Rolling figures against their definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from ped_perception.core.stats import RateMeter, RollingWindow
import pytest


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_percentiles_are_of_the_newest_samples(samples):
    window = RollingWindow(size=16)
    for sample in samples:
        window.add(sample)
    assert window.percentiles(50, 99) == pytest.approx(
        tuple(np.percentile(samples[-16:], (50, 99))))


def test_without_samples_there_is_no_figure():
    window = RollingWindow()
    window.add(1.0)
    window.clear()
    assert np.isnan(window.percentiles(50)[0])


@pytest.mark.parametrize(('times_s', 'now_s', 'rate_hz', 'why'), [
    ([], 5.0, 0.0, 'nothing came'),
    ([5.0], 5.0, 0.0, 'one event makes no rate'),
    ([0.0, 0.1, 0.2, 0.3], 0.35, 10.0, 'ten a second'),
    ([i / 10 for i in range(40)], 3.95, 10.0, 'the ring has wrapped'),
    ([0.0, 0.1, 0.2, 0.3], 1.4, 3 / 1.3, 'silence lowers the rate'),
])
def test_rate(times_s, now_s, rate_hz, why):
    meter = RateMeter(size=8)
    for time_s in times_s:
        meter.add(time_s)
    assert meter.rate_hz(now_s) == pytest.approx(rate_hz), why
