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

"""The models that come with this package (``engines/models.toml``), found and checked."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
import hashlib
import os
from pathlib import Path
import re
import sys
from typing import Any, TYPE_CHECKING

from ped_perception.core.config import size_hw_from_text
from ped_perception.core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from ped_perception.engine.graph import ChannelOrder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENGINES_VARIABLE = 'PED_PERCEPTION_ENGINES'
INDEX_FILE = 'models.toml'


@dataclass(frozen=True)
class Measurement:
    """Average precision of the pedestrian class on one set of images, in percent."""

    images: str
    size_hw: tuple[int, int]
    ap50: float
    ap: float


@dataclass(frozen=True)
class ImportOptions:
    """What may be said about a model's import; None leaves it to models.toml or the family."""

    family: str | None = None
    class_index: int | None = None
    class_count: int | None = None
    top_k: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    channel_order: ChannelOrder | None = None
    keep_fp32: tuple[str, ...] | None = None

    def or_else(self, other: ImportOptions) -> ImportOptions:
        """Fill what is None from other options."""
        missing = {item.name: getattr(other, item.name) for item in fields(self)
                   if getattr(self, item.name) is None}
        return replace(self, **missing)


@dataclass(frozen=True)
class Prebuilt:
    """
    A typed graph that is shipped because users cannot make it alike: it needs pictures.

    Attributes:
        file: name in the engines folder.
        size_hw: network input, pixels.
        precision: of its arithmetic, 'int8'.
        runtime: what may run it, 'cpu' or 'tensorrt'.
        sha256: of the file.
        agreement: with float32, the figures of ``engine.agreement`` by name.
    """

    file: str
    size_hw: tuple[int, int]
    precision: str
    runtime: str
    sha256: str
    agreement: dict[str, float | str]


@dataclass(frozen=True)
class ModelEntry:
    """One model of models.toml, or one that the user imported (``engine.names``)."""

    name: str
    title: str
    file: str
    sha256: str
    shipped: bool
    licence: str
    source: str
    how_to_get: str
    size_hw: tuple[int, int]
    options: ImportOptions
    measured: tuple[Measurement, ...]
    prebuilt: tuple[Prebuilt, ...] = ()
    family: str = ''


@dataclass(frozen=True)
class SourceModel:
    """A model file that exists and is intact."""

    name: str
    path: Path
    sha256: str
    options: ImportOptions
    licence: str | None = None


def engines_folders() -> list[Path]:
    """Folders with models, the one that counts first: environment, source tree, install."""
    folders = [Path(text) for text in os.environ.get(ENGINES_VARIABLE, '').split(os.pathsep)
               if text]
    folders.append(Path(__file__).resolve().parents[2] / 'engines')
    try:
        from ament_index_python.packages import get_package_share_directory
        folders.append(Path(get_package_share_directory('ped_perception')) / 'engines')
    except (ImportError, LookupError, OSError):
        pass  # not a ROS install: one of the others has them
    folders.append(Path(sys.prefix) / 'share' / 'ped_perception' / 'engines')
    return [folder for folder in folders if folder.is_dir()]


def load_entries() -> dict[str, ModelEntry]:
    """
    Read the first models.toml found.

    Raises:
        ModelError: there is none, or it is wrong; names the entry and the key.
    """
    folders = engines_folders()
    path = next((folder / INDEX_FILE for folder in folders if (folder / INDEX_FILE).is_file()),
                None)
    if path is None:
        raise ModelError(f'No {INDEX_FILE} in {", ".join(map(str, folders)) or "any folder"}. '
                         f'Install the package again, or set {ENGINES_VARIABLE}.')
    try:
        tables = tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ModelError(f'{path} cannot be read: {error}') from error
    entries = {}
    for name, table in tables.items():
        try:
            entries[name] = _entry(name, dict(table))
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f'{path}: entry {name}: {type(error).__name__} {error}') from error
    return entries


def _entry(name: str, table: dict[str, Any]) -> ModelEntry:
    options = ImportOptions(
        table.pop('family'), int(table.pop('class_index')), int(table.pop('class_count')),
        int(table.pop('top_k')), _triple(table.pop('mean')), _triple(table.pop('std')),
        table.pop('channel_order'))
    measured = tuple(
        Measurement(row['images'], size_hw_from_text(row['size']), float(row['ap50']),
                    float(row['ap']))
        for row in table.pop('measured', []))
    prebuilt = tuple(Prebuilt(size_hw=size_hw_from_text(row.pop('size')), **row)
                     for row in table.pop('prebuilt', []))
    for sha256 in (table['sha256'], *(row.sha256 for row in prebuilt)):
        if not re.fullmatch(r'[0-9a-f]{64}', sha256):
            raise ValueError('sha256 must be 64 hexadecimal digits')
    return ModelEntry(name=name, size_hw=size_hw_from_text(table.pop('size')), options=options,
                      measured=measured, prebuilt=prebuilt, family=str(options.family), **table)


def _triple(values: list[float]) -> tuple[float, float, float]:
    first, second, third = values
    return float(first), float(second), float(third)


def find_file(entry: ModelEntry | Prebuilt) -> Path | None:
    """Locate the file of a model or of a shipped graph, if it is there."""
    paths = (folder / entry.file for folder in engines_folders())
    return next((path for path in paths if path.is_file()), None)


def find_prebuilt(name: str, size_hw: tuple[int, int], precision: str,
                  runtime: str) -> Path | None:
    """
    Locate a shipped typed graph; None if there is none of that kind.

    Raises:
        ModelError: its file is damaged.
    """
    entry = load_entries().get(name)
    for prebuilt in entry.prebuilt if entry is not None else ():
        if (prebuilt.size_hw, prebuilt.precision, prebuilt.runtime) == (
                size_hw, precision, runtime):
            path = find_file(prebuilt)
            if path is not None:
                check_sha256(path, prebuilt.sha256, 'Install the package again.')
                return path
    return None


def check_sha256(path: Path, expected: str, remedy: str) -> None:
    """
    Check that a file is the one that is meant.

    Raises:
        ModelError: it is not; says what helps.
    """
    sha256 = sha256_from_file(path)
    if sha256 != expected:
        raise ModelError(f'{path} is damaged: sha256 {sha256}, expected {expected}. {remedy}')


def sha256_from_file(path: Path) -> str:
    """
    Hex digest of a file.

    Raises:
        ModelError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open('rb') as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ModelError(f'{path} cannot be read: {error}') from error
    return digest.hexdigest()
