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

"""The pictures of a run, once more: a run keeps where they are, not what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ped_perception.core.errors import ImageError, PedPerceptionError, SourceError
from ped_perception.core.types import Uint8Array
from ped_perception.evaluation.recordings import parts_of
from ped_perception.evaluation.results import ResultPicture, Results
from ped_perception.sources import open_source, SourceFrame


def pictures_again(results: Results, wanted: Iterable[ResultPicture], source: str = '',
                   ) -> dict[int | str, Uint8Array]:
    """
    Read pictures of a run from its source.

    Args:
        results: of the run.
        wanted: some of its pictures.
        source: where the pictures are now, '' for where the run had them from.

    Returns:
        uint8[H, W, 3] BGR each, by image_id.

    Raises:
        SourceError: the source is gone, cannot be read, or is another one by now.
    """
    by_recording: dict[str, dict[int, ResultPicture]] = {}
    for picture in wanted:
        by_recording.setdefault(picture.recording, {})[picture.number] = picture
    if not by_recording:
        return {}
    source = source or str(results.metrics.get('source', ''))
    if source and not Path(source).exists():
        raise SourceError(f'The pictures are not at {source} any more.')
    sources = {part.name: part.source for part in parts_of(source)}
    topics = {row['name']: row['topic'] for row in results.metrics.get('recordings', ())}
    images: dict[int | str, Uint8Array] = {}
    for recording, by_number in by_recording.items():
        if recording not in sources:
            raise SourceError(f'{source} has no {recording or "single recording"} any more: it is '
                              f'not what the run of {results.folder} looked at.')
        topic = topics.get(recording, results.metrics.get('topic', ''))
        images.update(_of_recording(results, sources[recording], topic, by_number))
    return images


def pictures_if_there(results: Results, wanted: Iterable[ResultPicture], source: str = '',
                      ) -> tuple[Mapping[int | str, Uint8Array], str]:
    """Give what :func:`pictures_again` gives and '', or nothing and why they cannot be read."""
    try:
        return pictures_again(results, wanted, source), ''
    except PedPerceptionError as error:
        return {}, str(error)


def _of_recording(results: Results, source: str, topic: str,
                  by_number: Mapping[int, ResultPicture]) -> dict[int | str, Uint8Array]:
    images: dict[int | str, Uint8Array] = {}
    with open_source(source, topics=[topic] if topic else []) as opened:
        for number, taken in enumerate(opened, 1):
            picture = by_number.get(number)
            if picture is not None:
                images[picture.image_id] = _image(picture, taken, source)
            if len(images) == len(by_number):
                return images
    raise SourceError(f'{source} ends before picture {max(by_number)}: it is not what the run of '
                      f'{results.folder} looked at.')


def _image(picture: ResultPicture, taken: SourceFrame, source: str) -> Uint8Array:
    changed = f'Picture {picture.number} of {source} is not the one that the run looked at: '
    if taken.name != picture.name:
        raise SourceError(f'{changed}it was {picture.name or "without a name"}, now it is '
                          f'{taken.name or "without one"}.')
    try:
        image_hw3 = taken.picture.bgr()
    except ImageError as error:
        raise SourceError(f'{changed}{error}') from error
    was_hw, is_hw = picture.detections.source_hw, image_hw3.shape[:2]
    if is_hw != was_hw:
        raise SourceError(f'{changed}it was {was_hw[1]}x{was_hw[0]}, now it is '
                          f'{is_hw[1]}x{is_hw[0]}.')
    return image_hw3
