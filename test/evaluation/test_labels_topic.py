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

"""Labels that were recorded with the pictures."""

from __future__ import annotations

from pathlib import Path

from labelled_bags import labelled_bag, PERSON, TOPIC
import numpy as np
from ped_perception.core.errors import ConfigError, SourceError
from ped_perception.evaluation.labelled import LabelledPictures
from ped_perception.evaluation.reading_labels import LabelOptions, read_labels
from ped_perception.sources import open_source
import pytest
from rosbags.rosbag2 import StoragePlugin


def read(bag: Path, topic=TOPIC, **options) -> LabelledPictures:
    return read_labels(f'topic:{topic}', LabelOptions(**options), bag)


def of_pictures(bag: Path, labels: LabelledPictures):
    """Give the labels of each picture."""
    with open_source(bag) as source:
        return [labels.of(number, frame, (24, 40)) for number, frame in enumerate(source, 1)]


@pytest.mark.parametrize('plugin', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize('shift_ns', [0, 999_999])
def test_labels_are_found_by_the_stamps_of_pictures(tmp_path, plugin, shift_ns):
    bag = labelled_bag(tmp_path / 'bag', [PERSON], None, [], shift_ns=shift_ns, plugin=plugin)
    labels = read(bag)
    assert (labels.form, labels.has_identities) == ('topic', True)
    first, second, third = of_pictures(bag, labels)
    assert first.boxes_n4.tolist() == [[10, 20, 30, 40]]
    assert np.isnan(first.positions_n3).all(), 'a pose of zeros was not filled in'
    assert second is None, 'not labelled'
    assert len(third.ids_n) == 0, 'labelled: nobody is there'


def test_labels_of_other_stamps_are_none(tmp_path):
    bag = labelled_bag(tmp_path / 'bag', [PERSON], shift_ns=2_000_000)
    assert of_pictures(bag, read(bag)) == [None]


def test_classes_ids_and_positions(tmp_path):
    box = (10.0, 20.0, 30.0, 40.0)
    bag = labelled_bag(tmp_path / 'bag', [
        ('Pedestrian', 'b', box, (1.0, 0.5, 9.0)), ('DontCare', 'x', box, (0.0, 0.0, 0.0)),
        ('car', 'c', box, (0.0, 0.0, 0.0))], [('person', 'b', box, (0.0, 0.0, 0.0))])
    first, second = of_pictures(bag, read(bag))
    assert first.counted_n.tolist() == [True, False]
    assert first.ids_n[0] == second.ids_n[0]
    assert first.positions_n3[0].tolist() == [1, 0.5, 9]
    assert not read(labelled_bag(tmp_path / 'bag2', [('person', '', *PERSON[2:])])
                    ).has_identities, 'nobody says who it is'


@pytest.mark.parametrize(('topic', 'pictures', 'options', 'says', 'why'), [
    ('/nothing', [[PERSON]], {}, 'of type.*labels', 'no such topic, but another'),
    ('/front/image_raw', [[PERSON]], {}, 'sensor_msgs', 'pictures, not labels'),
    (TOPIC, [None], {}, 'no message', 'nothing in it'),
    (TOPIC, [[('car', '', *PERSON[2:])]], {}, 'only: car', 'nobody counts'),
    (TOPIC, [[PERSON]], {'person': 'dog'}, 'class dog', 'an unknown class is asked for'),
])
def test_bad_topics_are_named(tmp_path, topic, pictures, options, says, why):
    bag = labelled_bag(tmp_path / 'bag', *pictures)
    with pytest.raises(SourceError, match=says):
        read(bag, topic, **options)


def test_a_topic_needs_a_recording():
    with pytest.raises(ConfigError, match='rosbag2'):
        read_labels('topic:/labels')
