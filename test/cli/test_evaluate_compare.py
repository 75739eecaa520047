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

"""``ped_evaluate compare`` finds what was broken on purpose, and nothing where nothing changed."""

from __future__ import annotations

import functools
import json

from doubles import RememberingBackend
import numpy as np
from ped_perception.cli.evaluate import main
from ped_perception.cli.evaluate_compare import CONDITION_MET, JSON_NAME
from ped_perception.engine.importers import nanodet
from ped_perception.evaluation import run
from ped_perception.evaluation.results import REPORT
import pytest

pytest.importorskip('motmetrics')
pytest.importorskip('pycocotools')

# On every processor the same arithmetic, and one that can be compiled here.
FLOAT32 = ('--set', 'precision=fp32')
PICTURES = 30
# What the right network says of the pictures.
SEEN = {}


@pytest.fixture(scope='module')
def street_pictures(shared_data, tmp_path_factory):
    """Give a folder of photographs with people, and their labels."""
    folder = tmp_path_factory.mktemp('street')
    labels = shared_data / 'coco200' / 'instances.json'
    content = json.loads(labels.read_text())
    labelled = {row['image_id'] for row in content['annotations'] if not row['iscrowd']}
    names = sorted(image['file_name'] for image in content['images']
                   if image['id'] in labelled and image['split'] == 'val2017')[:PICTURES]
    for name in names:
        (folder / name).symlink_to(shared_data / 'coco200' / 'images' / name)
    return folder, labels


def run_into(folder, pictures, *more):
    """Run over photographs, as a user does."""
    source, labels = pictures
    assert main(['run', str(source), '--labels', str(labels), '-o', str(folder), '--quiet',
                 *FLOAT32, *more]) == 0
    return folder


def remember(monkeypatch):
    """Let runs with the right network compute what another one has not computed already."""
    opened = run.open_backend
    monkeypatch.setattr(run, 'open_backend',
                        lambda *arguments: RememberingBackend(opened(*arguments), SEEN))


@pytest.fixture(scope='module')
def good_run(street_pictures, tmp_path_factory):
    """Give the folder of a run with nothing wrong."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        remember(monkeypatch)
        return run_into(tmp_path_factory.mktemp('good'), street_pictures)


def compared(a, b, out, *conditions):
    """Compare two runs; gives the exit code and what was written."""
    options = [word for condition in conditions for word in ('--fail-if', condition)]
    code = main(['compare', str(a), str(b), '-o', str(out), *options])
    return code, json.loads((out / JSON_NAME).read_text())


@pytest.mark.parametrize(('condition', 'why'), [
    ('AP5<-0.5', 'no such figure'), ('AP50', 'no comparison'), ('IDF1=<3', 'no such operator')])
def test_a_condition_that_cannot_be_read_is_a_wrong_call(tmp_path, capsys, condition, why):
    with pytest.raises(SystemExit) as ended:
        main(['compare', str(tmp_path), str(tmp_path), '--fail-if', condition])
    assert ended.value.code == 2, why
    assert '--fail-if' in capsys.readouterr().err


def test_pictures_for_no_report_are_a_mistake(good_run, capsys):
    assert main(['compare', str(good_run), str(good_run), '--source', 'nowhere']) == 1
    assert '--output' in capsys.readouterr().err


class OtherChannelOrder:
    """A backend that is given RGB where it takes BGR."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        """Be the other one in all else."""
        return getattr(self._inner, name)

    def fill(self, slot, image_hw3, view):
        """Fill a slot, the channels exchanged."""
        self._inner.fill(slot, np.ascontiguousarray(image_hw3[..., ::-1]), view)

    def __enter__(self):
        """Begin with this one, not with the other."""
        self._inner.__enter__()
        return self

    def __exit__(self, *failure):
        """End."""
        return self._inner.__exit__(*failure)


def exchange_channels(monkeypatch, tmp_path):
    opened = run.open_backend
    monkeypatch.setattr(run, 'open_backend',
                        lambda *arguments: OtherChannelOrder(opened(*arguments)))
    return ()


def shift_cells(monkeypatch, tmp_path):
    # The graph is compiled anew with anchors in the corners of the cells, into a cache of its own.
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    correct = nanodet.grid_points
    monkeypatch.setattr(nanodet, 'grid_points',
                        lambda size_hw, strides, offset: correct(size_hw, strides, 0.0))
    return ()


def set_parameter(setting, monkeypatch, tmp_path):
    remember(monkeypatch)
    return ('--set', setting)


@pytest.mark.parametrize(('plant', 'condition', 'worse', 'why'), [
    (exchange_channels, 'AP50<-0.5', 'AP50', 'wrong channel order'),
    (shift_cells, 'AP<-0.5', 'AP', 'strides off by half a cell'),
    (functools.partial(set_parameter, 'nms_iou=0.95'), 'FPPI>0.1', 'FPPI',
     'no suppression of double detections'),
    (functools.partial(set_parameter, 'score_threshold=0.6'), 'RECALL<-0.5', 'RECALL',
     'a threshold that moved'),
], ids=['channels', 'stride', 'nms', 'threshold'])
def test_what_was_broken_on_purpose_is_found(street_pictures, good_run, tmp_path, monkeypatch,
                                             capsys, plant, condition, worse, why):
    more = plant(monkeypatch, tmp_path / 'cache')
    broken = run_into(tmp_path / 'broken', street_pictures, *more)
    capsys.readouterr()
    code, content = compared(good_run, broken, tmp_path / 'out', condition)
    print(json.dumps(content['figures'], indent=1))
    assert code == CONDITION_MET, why
    assert content['figures'][worse]['verdict'] == 'worse'
    assert content['conditions'] == [{'condition': condition, 'met': True}]
    assert not content['good']
    assert f'Fails: {condition}' in capsys.readouterr().out
    page = (tmp_path / 'out' / REPORT).read_text()
    assert 'Pictures that got worse' in page
    assert page.count('<img') >= 2, 'a picture of each run'


def test_two_runs_of_the_same_pass(street_pictures, good_run, tmp_path, capsys):
    again = run_into(tmp_path / 'again', street_pictures)
    capsys.readouterr()
    code, content = compared(good_run, again, tmp_path / 'out', 'AP50<-0.5', 'AP<-0.5',
                             'MR_ALL>0.5', 'RECALL<-0.5', 'FPPI>0.01')
    assert code == 0
    assert content['identical']
    assert content['good']
    verdicts = {name: figure['verdict'] for name, figure in content['figures'].items()
                if figure['interval'] is not None}
    assert verdicts
    assert set(verdicts.values()) == {'same'}
    assert {picture['worse_by'] for picture in content['pictures']} == {0}
    assert 'All detections are the same' in capsys.readouterr().out
