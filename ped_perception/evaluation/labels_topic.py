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

"""Labels that were recorded with the pictures: a topic of ``vision_msgs/Detection2DArray``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ped_perception.core.errors import import_extra, SourceError
from ped_perception.evaluation.label_classes import LabelClasses
from ped_perception.evaluation.mot import Labels

# Stamps that went through other tools lose nanoseconds.
_TOLERANCE_NS = 1_000_000


def labels_from_topic(bag: Path, topic: str, person: str = '') -> tuple[dict[int, Labels], bool]:
    """
    Read the people of a labelled topic. Scores are not looked at.

    Args:
        bag: the recording.
        topic: of type ``vision_msgs/Detection2DArray``, a message for each labelled picture,
            with its stamp.
        person: class that counts, '' for ``pedestrian`` and ``person``.

    Returns:
        labels by the stamp of the picture in nanoseconds, and whether all of them say who is
        who: their ``id`` is then the same in all pictures.

    Raises:
        SourceError: the recording cannot be read, there is no such topic, nothing in it, or
            nothing of a class that is a person.
        MissingExtraError: rosbags is not installed.
    """
    reader = import_extra('ped_perception.sources.bag_detections', 'bags')
    classes = LabelClasses(person)
    numbers: dict[str, int] = {}
    found: dict[int, Labels] = {}
    names: set[str] = set()
    for stamp_ns, entries in reader.recorded_detections(bag, topic):
        names.update(entry.class_id for entry in entries)
        kept = [(entry, role) for entry in entries
                if (role := classes.role(entry.class_id)) is not None]
        found[stamp_ns] = Labels(
            np.array([numbers.setdefault(entry.track_id, len(numbers)) for entry, _ in kept],
                     np.int64),
            np.array([entry.box_xyxy for entry, _ in kept], np.float64).reshape(-1, 4),
            np.array([role for _, role in kept], np.bool_),
            np.array([entry.position_m for entry, _ in kept], np.float64).reshape(-1, 3))
    if not found:
        raise SourceError(f'The topic {topic} of {bag} has no message, so nothing is labelled.')
    classes.check(f'The topic {topic} of {bag}', names)
    return found, bool(numbers) and '' not in numbers


def at_stamp(labels: Mapping[int, Labels], stamp_ns: int) -> Labels | None:
    """Give the labels of a picture, None where there are none within a millisecond."""
    exact = labels.get(stamp_ns)
    if exact is not None or not labels:
        return exact
    nearest_ns = min(labels, key=lambda other_ns: abs(other_ns - stamp_ns))
    return labels[nearest_ns] if abs(nearest_ns - stamp_ns) <= _TOLERANCE_NS else None
