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

"""The network and the small one beside it: opened, tested and closed together."""

from __future__ import annotations

from dataclasses import replace

from doubles import BrightSpotBackend
from ped_perception.backends import BackendConfig
from ped_perception.core.errors import ModelError, PedPerceptionError
from ped_perception.ros import network
from ped_perception.ros.network import check_networks, Networks, open_networks
import pytest

pytestmark = pytest.mark.ros


class Log:
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def info(self, text):
        self.lines.append(text)

    warning = error = info


@pytest.fixture
def full(monkeypatch):
    """Give the double that is opened as the network."""
    full = BrightSpotBackend((384, 640), 2)
    monkeypatch.setattr(network, 'open_backend', lambda config, slots, watch: full)
    return full


def test_both_are_opened_and_closed(full, monkeypatch):
    small = BrightSpotBackend((192, 320), 6)
    asked = []
    monkeypatch.setattr(network, 'open_small',
                        lambda *arguments: asked.append(arguments[1:3]) or small)
    networks = open_networks(BackendConfig(), 2, 6, may_build=False, logger=Log())
    assert asked == [(full.info, 6)]
    assert networks.each == (full, small)
    assert networks.small_share == 0.25
    networks.close()
    networks.close()
    assert full.closed
    assert small.closed


def test_without_a_small_one():
    networks = Networks(BrightSpotBackend())
    assert (len(networks.each), networks.small_share) == (1, None)


def test_a_small_one_that_nobody_asked_for_may_be_missing(full, monkeypatch):
    def missing(*_):
        raise ModelError('there is none')

    monkeypatch.setattr(network, 'open_small', missing)
    log = Log()
    networks = open_networks(BackendConfig(), 2, 1, may_build=False, logger=log)
    assert networks.each == (full,)
    (line,) = log.lines
    assert 'pictures are dropped' in line
    assert 'there is none' in line
    assert not full.closed
    with pytest.raises(ModelError, match='there is none'):
        open_networks(BackendConfig(overload_size='320x192'), 2, 1, may_build=False, logger=log)
    assert full.closed, 'nothing is left open'


def test_the_small_one_must_find_people_too(monkeypatch):
    monkeypatch.setattr(network, 'run_golden', lambda backend, model: Report(backend))
    networks = Networks(BrightSpotBackend((384, 640)), BrightSpotBackend((256, 416)))
    log = Log()
    with pytest.raises(PedPerceptionError, match='416x256'):
        check_networks('known', 'nanodet_g', networks, log)
    assert len(log.lines) == 1, 'the other one passed'
    assert check_networks('skip', 'nanodet_g', networks, log) is networks


def test_while_driving_a_small_one_that_finds_nobody_costs_no_more_than_itself(monkeypatch):
    monkeypatch.setattr(network, 'run_golden', lambda backend, model: Report(backend))
    full, small = BrightSpotBackend((384, 640)), BrightSpotBackend((256, 416))
    log = Log()
    left = check_networks('known', 'nanodet_g', Networks(full, small), log, spare_small=True)
    assert (left.full, left.small) == (full, None)
    assert left.small_problem == '416x256 finds nobody'
    assert 'not used any more' in log.lines[-1]
    assert (full.closed, small.closed) == (False, True)
    broken = Networks(BrightSpotBackend((256, 416)), BrightSpotBackend((192, 320)))
    with pytest.raises(PedPerceptionError, match='416x256'):
        check_networks('known', 'nanodet_g', broken, log, spare_small=True)


class Report:
    """Says that the small network finds nobody."""

    def __init__(self, backend):
        self._size_hw = backend.info.network_hw

    def refuse(self):
        if self._size_hw == (256, 416):
            raise PedPerceptionError('416x256 finds nobody')


def test_what_it_must_find_may_not_be_known(monkeypatch):
    log = Log()
    check_networks('known', 'nanodet_g', Networks(BrightSpotBackend((320, 512))), log)
    (line,) = log.lines
    assert line.endswith('ped_engine verify nanodet_g --size 512x320')
    quantised = BrightSpotBackend((320, 512))
    quantised.info = replace(quantised.info, precision='int8')
    check_networks('known', 'nanodet_g', Networks(quantised), log)
    assert log.lines[-1].endswith('--size 512x320 --precision int8')
