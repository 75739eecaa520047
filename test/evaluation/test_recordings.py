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

"""A folder of recordings, and the labels of each."""

from __future__ import annotations

from ped_perception.core.errors import SourceError
from ped_perception.evaluation.recordings import labels_of, Part, parts_of
import pytest


def tree(path, *names):
    """Make empty files."""
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    return path


@pytest.mark.parametrize(('files', 'names', 'why'), [
    (['a.jpg', 'more/b.jpg'], [''], 'pictures: a recording itself'),
    (['metadata.yaml', 'x_0.mcap'], [''], 'a rosbag2: a recording itself'),
    (['x_0.mcap', 'x_1.mcap'], [''], 'the parts of one'),
    (['one.mp4', 'two.AVI', 'one.json', 'notes.md'], ['one', 'two'], 'videos'),
    (['one.mcap', 'two.mcap'], ['one', 'two'], 'single files'),
    (['mo.mcap', 'tu/metadata.yaml', 'we.mp4'], ['mo', 'tu', 'we'], 'of all kinds'),
    (['mo.mcap', 'later/on/tu.mcap'], ['later/on', 'mo'], 'one here, one further below'),
    (['metadata.yaml', 'x_0.mcap', 'preview.mp4'], [''], 'a rosbag2 with something beside it'),
    (['a/metadata.yaml', 'a/a_0.db3', 'b/1.png', 'c/readme.txt'], ['a', 'b'], 'folders'),
    (['S1/img1/000001.jpg', 'S1/gt/gt.txt', 'S2/img1/000001.jpg'], ['S1', 'S2'],
     'sequences of the MOTChallenge'),
    (['mo/one.mp4', 'tu/one.mp4'], ['mo/one', 'tu/one'], 'folders in folders'),
    (['notes.txt'], [''], 'nothing: the source says what is missing'),
])
def test_recordings_are_found(tmp_path, files, names, why):
    assert [part.name for part in parts_of(str(tree(tmp_path, *files)))] == names


def test_addresses_and_files_are_themselves(tmp_path):
    for source in ('rtsp://camera/1', str(tree(tmp_path, 'a.mp4') / 'a.mp4'), 'nowhere'):
        assert parts_of(source) == [Part('', source)]


def test_the_same_name_twice_is_refused(tmp_path):
    with pytest.raises(SourceError, match='same name'):
        parts_of(str(tree(tmp_path, 'a.mp4', 'a-b.mp4', 'a/1.jpg')))


@pytest.mark.parametrize(('files', 'expected', 'why'), [
    (['mo/one.json'], 'mo/one.json', 'COCO'), (['mo/one.txt'], 'mo/one.txt', 'MOT'),
    (['mo/one/000.txt'], 'mo/one', 'a folder of YOLO or KITTI'),
    (['mo/one/gt/gt.txt'], 'mo/one', 'a sequence'),
    (['mo/one/000.jpg', 'mo/one.json'], 'mo/one.json', 'the pictures themselves are no labels'),
])
def test_labels_are_found_by_name(tmp_path, files, expected, why):
    found = labels_of(Part('mo/one', 'somewhere'), tree(tmp_path, *files))
    assert found == tmp_path / expected


@pytest.mark.parametrize(('files', 'says'), [
    (['two.json'], 'one.json'), (['mo/one.json', 'mo/one.txt'], 'and')])
def test_missing_and_double_labels_are_named(tmp_path, files, says):
    with pytest.raises(SourceError, match=says):
        labels_of(Part('mo/one', 'somewhere'), tree(tmp_path, *files))
