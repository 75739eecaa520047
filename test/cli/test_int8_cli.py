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

"""``ped_engine import --precision int8`` as its users see it."""

from pathlib import Path

import cv2
import numpy as np
from ped_perception.cli.engine import main
from ped_perception.cli.int8 import Pictures
from ped_perception.engine.catalogue import ImportOptions
from ped_perception.engine.models import cached_path, stale_int8, TypedGraphInfo
from ped_perception.engine.names import resolve
import pytest

CLIP = Path(__file__).parents[2] / 'demo' / 'pets_street.mp4'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def write_noise(folder, count):
    folder.mkdir()
    rng = np.random.default_rng(5)
    for index in range(count):
        cv2.imwrite(str(folder / f'{index}.png'), rng.integers(0, 256, (90, 120, 3), np.uint8))
    return folder


def test_a_graph_that_agrees_is_written_with_its_figures(tmp_path, capsys):
    output = cached_path(resolve('nanodet_g'), (384, 640), 'int8', ImportOptions())
    stale = output.with_name(f'{output.stem[:-8]}01234567.onnx')
    stale.parent.mkdir(parents=True)
    stale.touch()
    assert stale_int8(output) == [stale]
    assert main(['import', 'nanodet_g', '--size', '640x384', '--precision', 'int8',
                 '--calibrate', str(CLIP), '--pictures', '12']) == 0
    assert stale_int8(output) == []
    captured = capsys.readouterr()
    for part in ('31 convolutions for cpu, 3 heads in float32',
                 'calibrated 9 pictures, 27 network inputs, minmax', 'on 3 pictures: ',
                 str(output)):
        assert part in captured.out
    assert 'calibrate: 100%' in captured.err
    info = TypedGraphInfo.from_file(output)
    assert (info.precision, info.size_hw) == ('int8', (384, 640))


@pytest.mark.parametrize(('more', 'message'), [
    ([], 'add --calibrate'),
    (['--calibrate', 'missing'], 'missing cannot be read'),
    (['--calibrate', 'noise'], 'at least 20 are needed'),
])
def test_what_cannot_be_judged_is_refused(tmp_path, monkeypatch, capsys, more, message):
    write_noise(tmp_path / 'noise', 4)
    monkeypatch.chdir(tmp_path)
    assert main(['import', 'nanodet_g', '--size', '96x64', '--precision', 'int8', '-o',
                 'int8.onnx', *more]) == 1
    assert message in capsys.readouterr().err
    assert not Path('int8.onnx').exists()


@pytest.mark.parametrize('count', ['3', 'many', '-8'])
def test_too_few_pictures_are_wrong_usage(capsys, count):
    with pytest.raises(SystemExit) as stopped:
        main(['import', 'nanodet_g', '--size', '96x64', '--pictures', count])
    assert stopped.value.code == 2
    assert 'at least 4' in capsys.readouterr().err


def test_every_fourth_picture_is_kept_for_judging_and_damaged_ones_are_left_out(tmp_path):
    folder = write_noise(tmp_path / 'noise', 17)
    (folder / '2.png').write_bytes(b'no picture')
    pictures = Pictures(str(folder), 20)
    calibrating, judging = ([picture.tobytes() for picture in pictures.read(judging=kept)]
                            for kept in (False, True))
    assert (len(calibrating), len(judging)) == (12, 4)
    assert not set(calibrating) & set(judging)
    spread = Pictures(str(folder), 4)
    assert sum(1 for kept in (False, True) for _ in spread.read(judging=kept)) <= 4
