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
Names of models: those that come with the package, and those the user imported.

``ped_engine import FILE`` remembers where the file is, what it contains and what was said about
it, in the user's cache. From then on its name is enough, for every command and for the node, and
nothing said at the import is forgotten when a plan is built.
"""

from __future__ import annotations

from dataclasses import asdict
import json
from pathlib import Path
import re
from typing import Any

from ped_perception.core.config import size_hw_from_text, text_from_size_hw
from ped_perception.core.errors import ConfigError, ModelError
from ped_perception.engine.catalogue import (
    check_sha256,
    find_file,
    ImportOptions,
    load_entries,
    ModelEntry,
    sha256_from_file,
    SourceModel,
)
from ped_perception.engine.files import user_folder, write_whole

FOLDER = 'models'
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
NOTHING_SAID = ImportOptions()


def resolve(name_or_path: str | Path, *, remembered: bool = True) -> SourceModel:
    """
    Find a model by its name or by its path.

    Args:
        name_or_path: a path is known by the content of the file.
        remembered: what was said when a file was imported counts for its path, too.

    Raises:
        ModelError: unknown, missing (with how to get it), damaged or changed.
    """
    text = str(name_or_path)
    entry = _entry_of(text)
    if entry is not None:
        path = find_file(entry)
        if path is None:
            raise ModelError(f'{entry.file} of model {text} is not there. {entry.how_to_get}')
        check_sha256(path, entry.sha256, entry.how_to_get)
        return SourceModel(entry.name, path, entry.sha256, entry.options, entry.licence or None)
    path, entries = Path(text), known_models() if remembered else load_entries()
    if not path.is_file():
        raise ModelError(f'{text!r} is neither a file nor a known model; known are: '
                         f'{", ".join(sorted(known_models()))}.')
    sha256 = sha256_from_file(path)
    # Of several names for one content, the file's own.
    for entry in sorted(entries.values(), key=lambda entry: entry.name != path.stem):
        if entry.sha256 == sha256:
            return SourceModel(entry.name, path, sha256, entry.options, entry.licence or None)
    return SourceModel(path.stem, path, sha256, NOTHING_SAID)


def known_models() -> dict[str, ModelEntry]:
    """
    Give all models by name: those of models.toml, then those imported.

    Raises:
        ModelError: models.toml or a record of an import is damaged.
    """
    entries = load_entries()
    for path in sorted(user_folder(FOLDER).glob('*.json')):
        entry = _entry_from_record(path)
        entries.setdefault(entry.name, entry)
    return entries


def usual_size(name_or_path: str | Path) -> tuple[int, int] | None:
    """
    Give the network input, height and width, that a model is used with; None if nobody said.

    Raises:
        ModelError: see :func:`known_models`.
    """
    entry, path = _entry_of(str(name_or_path)), Path(name_or_path)
    if entry is None and path.is_file():
        sha256 = sha256_from_file(path)
        entry = next((one for one in known_models().values() if one.sha256 == sha256), None)
    return entry.size_hw if entry is not None else None


def is_packaged(source: SourceModel) -> bool:
    """Tell whether this is a model of models.toml under its own name."""
    entry = load_entries().get(source.name)
    return entry is not None and entry.sha256 == source.sha256


def check_name(name: str) -> None:
    """
    Check that a model may be remembered under a name.

    Raises:
        ModelError: it is one of the package's models, or could not be part of a file's name.
    """
    if NAME.fullmatch(name) is None:
        raise ModelError(f'{name!r} cannot be the name of a model (letters, digits and ._- only). '
                         'Give it another: --name NAME')
    if name in load_entries():
        raise ModelError(f'{name} is a model of this package, and this file is another. Give it '
                         'another name: --name NAME')


def remember(source: SourceModel, family: str, size_hw: tuple[int, int],
             options: ImportOptions) -> bool:
    """
    Remember an imported model under its name.

    Args:
        source: the model, under a name that was checked.
        family: that it was recognised as.
        size_hw: network input that it is used with unless another is asked for.
        options: all that was said about it.

    Returns:
        False if the name stood for another file before.

    Raises:
        ModelError: the record cannot be written.
    """
    before = _entry_of(source.name)
    record = {'file': str(source.path.resolve()), 'sha256': source.sha256, 'family': family,
              'size': text_from_size_hw(size_hw), 'options': asdict(options)}
    write_whole(_record_path(source.name),
                (json.dumps(record, indent=2, sort_keys=True) + '\n').encode())
    return before is None or before.sha256 == source.sha256


def _entry_of(name: str) -> ModelEntry | None:
    """Give the model of a name; the records of others may be damaged."""
    entry = load_entries().get(name)
    if entry is not None or NAME.fullmatch(name) is None:
        return entry
    path = _record_path(name)
    return _entry_from_record(path) if path.is_file() else None


def _record_path(name: str) -> Path:
    return user_folder(FOLDER) / f'{name}.json'


def _entry_from_record(path: Path) -> ModelEntry:
    try:
        record = json.loads(path.read_bytes())
        said: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in record['options'].items()}
        return ModelEntry(
            path.stem, f'imported from {record["file"]}', str(record['file']),
            str(record['sha256']), False, '', str(record['file']),
            f'Import it again: ped_engine import FILE --size {record["size"]} --name {path.stem}',
            size_hw_from_text(record['size']), ImportOptions(**said), (),
            family=str(record['family']))
    except (ConfigError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f'{path}, which remembers an imported model, is damaged ({error}). '
                         'Remove it, and import the model again.') from error
