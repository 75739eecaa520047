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

"""
The folder that a run leaves: what other tools can score, and what a comparison reads again.

=====================  ==========================================================================
``predictions.json``   detections as COCO results, also those too unsure to be published
``labels.json``        the labels as a COCO annotation file; what is not counted (crowds, ignore
                       regions, the whole of a picture without labels) is ``iscrowd``
``tracks.txt``         confirmed tracks in the pictures they were seen in, MOTChallenge; of
                       several recordings ``tracks/NAME.txt`` each
``pictures.json``      every picture that was looked at
``metrics.json``       the figures, and the digests of the other files
``report.html``        all of it for a reader, by :mod:`.run_report`
=====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from ped_perception.core.errors import SourceError
from ped_perception.core.types import Detections, Float64Array, Int64Array
from ped_perception.evaluation.coco import PERSON, results_of
from ped_perception.evaluation.looking import Looked
from ped_perception.evaluation.mot import Labels, labels_from_mot_file, NO_LABELS
from ped_perception.evaluation.run import Run

# Of the files; a folder of another form is refused, not guessed at.
FORM = 1
METRICS, PREDICTIONS, LABELS = 'metrics.json', 'predictions.json', 'labels.json'
PICTURES, TRACKS, REPORT = 'pictures.json', 'tracks.txt', 'report.html'
_AGAIN = 'Run `ped_evaluate run` again to get a whole one.'


@dataclass(frozen=True, eq=False)
class ResultPicture:
    """
    What a run found in one picture.

    Attributes:
        recording: that it is of, '' for the only one.
        number: of the picture in its source, from 1.
        image_id: what it is called in the files.
        name: of its file, '' where it has none.
        time_ms: that it took, from decoded picture to tracks.
        labels: None for a picture without.
        regions_r4: float64[R, 4], ``x1 y1 x2 y2`` in pixels, where people are not labelled.
        detections: best first; camera and frame are not known any more.
        ids_t: int64[T] of the tracks seen in it.
        boxes_t4: float64[T, 4], ``x1 y1 x2 y2`` in pixels, of those tracks.
    """

    recording: str
    number: int
    image_id: int | str
    name: str
    time_ms: float
    labels: Labels | None
    regions_r4: Float64Array
    detections: Detections
    ids_t: Int64Array
    boxes_t4: Float64Array

    @property
    def title(self) -> str:
        """What a reader finds it by."""
        own = self.name or f'picture {self.number}'
        return f'{self.recording}, {own}' if self.recording else own

    @property
    def scored_labels(self) -> Labels:
        """Labels and regions together, as detections are scored; none without labels."""
        if self.labels is None:
            return NO_LABELS
        regions = len(self.regions_r4)
        return Labels(np.append(self.labels.ids_n, np.full(regions, -1, np.int64)),
                      np.concatenate([self.labels.boxes_n4, self.regions_r4]),
                      np.append(self.labels.counted_n, np.zeros(regions, np.bool_)),
                      visible_n=np.append(self.labels.visible_n, np.ones(regions)))


@dataclass(frozen=True, eq=False)
class Results:
    """
    A run, read again.

    Attributes:
        folder: that it was read from.
        metrics: content of ``metrics.json``.
        pictures: in the order they were looked at.
    """

    folder: Path
    metrics: Mapping[str, Any]
    pictures: tuple[ResultPicture, ...]

    @property
    def published_score(self) -> float:
        """Smallest score of a detection that the node would have published."""
        return float(self.metrics['parameters']['score_threshold'])

    @property
    def is_sequence(self) -> bool:
        """
        Whether pictures follow one another, as those of a video do.

        Files of their own do where the labels say who is who from one to the next.
        """
        return ('tracking' in self.metrics
                or not any(picture.name for picture in self.pictures))


def write_results(run: Run, metrics: Mapping[str, Any], folder: Path) -> None:
    """
    Write the folder of a run.

    Args:
        run: see there.
        metrics: for ``metrics.json``, in types of JSON.
        folder: exists; files of an earlier run are overwritten.

    Raises:
        OSError: the folder cannot be written.
    """
    contents = {
        PREDICTIONS: json.dumps([row for looked in run.looked
                                 for row in results_of(looked.detections, looked.image_id)]),
        LABELS: json.dumps(_coco_from_run(run)),
        PICTURES: json.dumps([_entry(looked) for looked in run.looked])}
    for looked in run.looked:
        name = _tracks_name(looked.recording)
        contents[name] = contents.get(name, '') + _mot_lines(looked)
    # Interrupted from here on, the folder must not look whole.
    for name in (METRICS, REPORT):
        (folder / name).unlink(missing_ok=True)
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding='utf-8')
    files = {'form': FORM,
             'sha256': {name: _digest(text.encode()) for name, text in contents.items()}}
    (folder / METRICS).write_text(json.dumps({**metrics, 'files': files}, indent=2) + '\n',
                                  encoding='utf-8')


def read_results(folder: Path) -> Results:
    """
    Read the folder of a run.

    Raises:
        SourceError: it is none, a file is missing, cut off, changed, from another run, or of a
            form that this version does not know.
    """
    if not (folder / METRICS).is_file():
        raise SourceError(f'{folder} holds no results: there is no {METRICS} in it. Give the '
                          f'folder that `ped_evaluate run SOURCE … -o DIR` wrote.')
    metrics = _from_json(folder / METRICS, _bytes_of(folder / METRICS), dict)
    files = metrics.get('files')
    if not isinstance(files, dict) or files.get('form') != FORM:
        form = files.get('form') if isinstance(files, dict) else 'none'
        raise SourceError(f'The files of {folder} are of the form {form}, this version reads '
                          f'form {FORM}: they are from another version of ped_evaluate. {_AGAIN}')
    try:
        payloads = {}
        for name, digest in files['sha256'].items():
            payloads[name] = _bytes_of(folder / name)
            if _digest(payloads[name]) != digest:
                raise SourceError(
                    f'{folder / name} is not the file that {METRICS} beside it belongs to: it is '
                    f'cut off, was changed, or is from another run. {_AGAIN}')
        results = Results(folder, metrics, _pictures(folder, payloads))
        # Whoever compares relies on it.
        _ = results.published_score
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f'The results in {folder} cannot be read: {type(error).__name__} '
                          f'({error}). {_AGAIN}') from error
    return results


def _digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f'{path} cannot be read: {error.strerror}. {_AGAIN}') from error


def _from_json(path: Path, payload: bytes, kind: type) -> Any:
    try:
        content = json.loads(payload)
    except ValueError as error:
        raise SourceError(f'{path} is no JSON, it may be cut off: {error}. {_AGAIN}') from error
    if not isinstance(content, kind):
        raise SourceError(f'{path} holds a {type(content).__name__}, not a {kind.__name__}. '
                          f'{_AGAIN}')
    return content


def _entry(looked: Looked) -> dict[str, Any]:
    return {'image_id': looked.image_id, 'recording': looked.recording, 'number': looked.number,
            'name': looked.name, 'stamp_ns': looked.detections.stamp_ns,
            'time_ms': round(looked.time_s * 1e3, 3), 'labelled': looked.labels is not None}


def _coco_from_run(run: Run) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for looked in run.looked:
        height, width = looked.detections.source_hw
        name = looked.name or f'{looked.number:06d}'
        images.append({'id': looked.image_id, 'width': width, 'height': height, 'file_name':
                       f'{looked.recording}/{name}' if looked.recording else name})
        labels, regions = looked.labels, looked.regions_r4.tolist()
        if labels is None:
            # Tools that take every picture for labelled find nothing to count in it.
            labels, regions = NO_LABELS, [[0.0, 0.0, float(width), float(height)]]
        for (x1, y1, x2, y2), crowd, more in (
                *_people(labels, run.has_identities),
                *((box, 1, {'region': True}) for box in regions)):
            annotations.append({
                'id': len(annotations) + 1, 'image_id': looked.image_id, 'category_id': PERSON,
                'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1),
                'iscrowd': crowd, **more})
    return {'images': images, 'annotations': annotations,
            'categories': [{'id': PERSON, 'name': 'person'}]}


def _people(labels: Labels, has_identities: bool,
            ) -> Iterator[tuple[list[float], int, dict[str, Any]]]:
    """Give box, whether it is not counted, and what else is known, of everybody."""
    for box, counted, identity, position_m, visible in zip(
            labels.boxes_n4.tolist(), labels.counted_n.tolist(), labels.ids_n.tolist(),
            labels.positions_n3.tolist(), labels.visible_n.tolist(), strict=True):
        more: dict[str, Any] = {'track_id': identity} if has_identities else {}
        if visible < 1:
            more['visible'] = visible
        if math.isfinite(position_m[2]):
            more['position_m'] = [value if math.isfinite(value) else None for value in position_m]
        yield box, int(not counted), more


def _tracks_name(recording: str) -> str:
    return f'tracks/{recording}.txt' if recording else TRACKS


def _mot_lines(looked: Looked) -> str:
    tracks, lines = looked.tracks, []
    for row in np.flatnonzero(tracks.confirmed_t & ~tracks.predicted_t).tolist():
        x1, y1, x2, y2 = tracks.boxes_t4[row].tolist()
        lines.append(f'{looked.number},{tracks.ids_t[row]},{x1:.2f},{y1:.2f},{x2 - x1:.2f},'
                     f'{y2 - y1:.2f},{tracks.scores_t[row]:.4f},-1,-1,-1\n')
    return ''.join(lines)


def _pictures(folder: Path, payloads: Mapping[str, bytes]) -> tuple[ResultPicture, ...]:
    predictions = _by_image(_from_json(folder / PREDICTIONS, payloads[PREDICTIONS], list))
    coco = _from_json(folder / LABELS, payloads[LABELS], dict)
    annotations = _by_image(coco['annotations'])
    sizes_hw = {image['id']: (int(image['height']), int(image['width']))
                for image in coco['images']}
    entries = _from_json(folder / PICTURES, payloads[PICTURES], list)
    tracks = {name: labels_from_mot_file(folder / _tracks_name(name))
              for name in {entry['recording'] for entry in entries}}
    pictures = []
    for entry in entries:
        key = entry['image_id']
        found, labelled = predictions.get(key, []), annotations.get(key, [])
        people = [row for row in labelled if not row.get('region')]
        regions = [row for row in labelled if row.get('region')]
        labels = Labels(np.array([row.get('track_id', row['id']) for row in people], np.int64),
                        _boxes(people), np.array([not row['iscrowd'] for row in people], np.bool_),
                        visible_n=np.array([row.get('visible', 1.0) for row in people]))
        seen = tracks[entry['recording']].get(entry['number'], NO_LABELS)
        pictures.append(ResultPicture(
            entry['recording'], entry['number'], key, entry['name'], float(entry['time_ms']),
            labels if entry['labelled'] else None, _boxes(regions),
            Detections('', entry['stamp_ns'], '', sizes_hw[key],
                       _boxes(found).astype(np.float32),
                       np.array([row['score'] for row in found], np.float32)),
            seen.ids_n, seen.boxes_n4))
    return tuple(pictures)


def _by_image(rows: Sequence[Mapping[str, Any]]) -> dict[int | str, list[Mapping[str, Any]]]:
    found: dict[int | str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row['image_id'], []).append(row)
    return found


def _boxes(rows: Sequence[Mapping[str, Any]]) -> Float64Array:
    boxes_n4 = np.array([row['bbox'] for row in rows], np.float64).reshape(-1, 4)
    boxes_n4[:, 2:] += boxes_n4[:, :2]
    return boxes_n4
