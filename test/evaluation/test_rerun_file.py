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

"""Runs written for the Rerun viewer, and read back."""

from __future__ import annotations

from collections import defaultdict
import json
import sys

import numpy as np
from ped_perception.cli.evaluate import main
from ped_perception.sources import open_source
import pytest

ENTITIES = ('/camera_image_raw_compressed', '/camera_image_raw_compressed/tracks',
            '/camera_image_raw_compressed/detections', '/camera_image_raw_compressed/labels')
FRAMES = '1-6'


@pytest.fixture(scope='module')
def demo_bag(root):
    """Return the recording that ships."""
    return root / 'demo' / 'pets_street.mcap'


@pytest.fixture
def labels(tmp_path):
    """Return labels that name somebody in two pictures."""
    file = tmp_path / 'gt.txt'
    file.write_text('1,7,10,20,30,60,1,1,1\n6,7,12,20,30,60,1,1,1\n')
    return file


def columns(file):
    """Read a file back: of each entity the columns, over the stamps in seconds."""
    found = defaultdict(lambda: defaultdict(list))
    for chunk in pytest.importorskip('rerun.chunk').RrdReader(file).stream():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            values = batch.column(name)
            found[chunk.entity_path][name] += (
                values.cast('int64').to_pylist() if name == 'stamp' else values.to_pylist())
    return found


def test_a_run_is_read_back(demo_bag, labels, tmp_path):
    pytest.importorskip('rerun', reason='the Rerun SDK (extra view) is not installed')
    file = tmp_path / 'run.rrd'
    assert main(['run', str(demo_bag), '--labels', str(labels), '--frames', FRAMES, '-o',
                 str(tmp_path / 'out'), '--rerun', str(file), '--quiet']) == 0
    with open_source(demo_bag) as source:
        recorded = [frame for frame, _ in zip(source, range(6), strict=False)]
    read = columns(file)
    for entity in (*ENTITIES, '/time_ms'):
        assert read[entity]['stamp'] == [frame.stamp_ns for frame in recorded], entity
    pictures, tracks, detections, labelled = (read[entity] for entity in ENTITIES)
    assert [bytes(blob) for [blob] in pictures['EncodedImage:blob']] == [
        frame.picture.data.tobytes() for frame in recorded]
    # What is drawn is what the other files of the run say.
    predictions = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    for number in range(6):
        told = [row for row in predictions
                if row['image_id'] == number + 1 and row['score'] >= 0.44]
        np.testing.assert_allclose(
            2 * np.array(detections['Boxes2D:half_sizes'][number]),
            [row['bbox'][2:] for row in told], atol=0.011)
        assert detections['Boxes2D:labels'][number] == [f'{row["score"]:.2f}' for row in told]
    rows = [line.split(',') for line in (tmp_path / 'out' / 'tracks.txt').read_text().split()]
    for number in range(6):
        ids = [row[1] for row in rows if row[0] == str(number + 1)]
        seen = [text for text in tracks['Boxes2D:labels'][number] if 'predicted' not in text]
        assert seen == ids
    assert any(tracks['Boxes2D:labels'])
    assert [len(boxes) for boxes in labelled['Boxes2D:centers']] == [1, 0, 0, 0, 0, 1]
    assert labelled['Boxes2D:centers'][0] == [[25, 50]]
    assert all(time_ms > 1 for [time_ms] in read['/time_ms']['Scalars:scalars'])


def test_nothing_is_overwritten(demo_bag, labels, tmp_path, capsys):
    pytest.importorskip('rerun', reason='the Rerun SDK (extra view) is not installed')
    file = tmp_path / 'run.rrd'
    file.write_text('mine')
    for place, told in ((file, 'exists already'), (tmp_path / 'no' / 'run.rrd', 'be written')):
        assert main(['run', str(demo_bag), '--labels', str(labels), '--frames', FRAMES, '-o',
                     str(tmp_path / 'out'), '--rerun', str(place), '--quiet']) == 1
        assert told in capsys.readouterr().err
    assert file.read_text() == 'mine'


def test_without_the_sdk_it_says_what_to_install(demo_bag, labels, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    assert main(['run', str(demo_bag), '--labels', str(labels), '--frames', FRAMES, '-o',
                 str(tmp_path / 'out'), '--rerun', str(tmp_path / 'run.rrd'), '--quiet']) == 1
    assert 'ped_perception[view]' in capsys.readouterr().err
