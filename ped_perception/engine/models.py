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
Typed graphs of models: compiled once, kept in the user's cache, described by their metadata.

Nothing here imports onnx until a graph must really be compiled: a node that finds its graph in
the cache starts faster and smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
import glob
import hashlib
import json
from pathlib import Path
from typing import Any, Literal, TYPE_CHECKING, TypeAlias

from ped_perception import __version__
from ped_perception.core.config import size_hw_from_text, text_from_size_hw
from ped_perception.core.errors import ConfigError, import_extra, ModelError
from ped_perception.engine.catalogue import (
    find_prebuilt,
    ImportOptions,
    INDEX_FILE,
    SourceModel,
)
from ped_perception.engine.files import user_folder, write_whole
from ped_perception.engine.names import NOTHING_SAID, resolve

if TYPE_CHECKING:
    from ped_perception.engine.cut import Saving
    from ped_perception.engine.graph import Precision
    from ped_perception.engine.importers.base import ImportSpec
    from ped_perception.engine.quantize import Runtime

GraphPrecision: TypeAlias = Literal['fp32', 'fp16', 'int8']

COMPILER_FILES = ('cut.py', 'cut_rules.py', 'demand.py', 'folding.py', 'graph.py',
                  'importers/*.py', 'precision.py', 'quantize.py', 'shapes.py', 'structure.py',
                  'trunk.py')


@dataclass(frozen=True)
class ImportReport:
    """What an import found out and wrote."""

    path: Path
    family: str
    reason: str
    spec: ImportSpec
    saving: Saving
    top_k: int
    nodes: int


@dataclass(frozen=True)
class TypedGraphInfo:
    """What a typed graph says about itself in its metadata."""

    name: str
    family: str
    source_sha256: str
    size_hw: tuple[int, int]
    top_k: int
    class_index: int
    precision: str

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> TypedGraphInfo:
        """
        Read the metadata of an ONNX file, as any runtime gives it.

        Raises:
            ModelError: this is not a typed graph of this package.
        """
        try:
            return cls(metadata['name'], metadata['family'], metadata['source_sha256'],
                       size_hw_from_text(metadata['size']), int(metadata['top_k']),
                       int(metadata['class_index']), metadata['precision'])
        except (ConfigError, KeyError, ValueError) as error:
            raise ModelError(f'{where} is not a typed graph (metadata: {error}). Make one of '
                             'it: ped_engine import FILE --size WxH') from error

    @classmethod
    def from_file(cls, path: Path) -> TypedGraphInfo:
        """Read the metadata of a file; raises ModelError as ``from_metadata``."""
        import_extra('onnx', 'engine')
        from ped_perception.engine.trunk import load_model
        metadata = {entry.key: entry.value for entry in load_model(path).metadata_props}
        return cls.from_metadata(metadata, str(path))


def typed_graph(model: str | Path | SourceModel, size_hw: tuple[int, int], *,
                precision: GraphPrecision = 'fp32', runtime: Runtime = 'cpu',
                cache_dir: Path | None = None,
                options: ImportOptions = NOTHING_SAID) -> Path:
    """
    Return the typed graph of a model at a size, compiled once and then taken from the cache.

    An INT8 graph is never made here, because that takes pictures: it is the one made by
    ``ped_engine import``, else the shipped one.

    Args:
        model: name of a known model, an ONNX file, or what was found of either.
        size_hw: network input, pixels.
        precision: type of weights and activations.
        runtime: what will run an INT8 graph; the others run everywhere.
        cache_dir: instead of the user's cache folder.
        options: take precedence over models.toml.

    Raises:
        ModelError: the model is unknown, damaged or cannot be imported, or there is no INT8
            graph of it; says how to make one.
    """
    source = model if isinstance(model, SourceModel) else resolve(model)
    path = cached_path(source, size_hw, precision, options, cache_dir, runtime)
    if path.is_file():
        return path
    if precision != 'int8':
        compile_graph(source, size_hw, precision, options, path)
        return path
    command = (f'ped_engine import {source.name} --size {text_from_size_hw(size_hw)} --precision '
               f'int8 --runtime {runtime} --calibrate FOLDER')
    for stale in stale_int8(path):
        raise ModelError(
            f'{stale} was made by another version of this package, whose graphs may differ. Make '
            f'it anew, of the same pictures: {command}; or remove it to go without it.')
    shipped = (find_prebuilt(source.name, size_hw, precision, runtime)
               if options == NOTHING_SAID else None)
    if shipped is None:
        raise ModelError(
            f'There is no INT8 graph of {source.name} at {text_from_size_hw(size_hw)} for the '
            f'runtime {runtime}. Make one of pictures as the camera takes them: {command}')
    return shipped


def has_int8(name_or_path: str | Path, size_hw: tuple[int, int], runtime: Runtime) -> bool:
    """
    Tell whether there is an INT8 graph for ``typed_graph`` to give.

    One that another version made counts: ``typed_graph`` refuses it, so that nobody drives on
    with another precision after an update without knowing.

    Raises:
        ModelError: the model is unknown, or a file of it is damaged.
    """
    source = resolve(name_or_path)
    path = cached_path(source, size_hw, 'int8', NOTHING_SAID, runtime=runtime)
    return (path.is_file() or bool(stale_int8(path))
            or find_prebuilt(source.name, size_hw, 'int8', runtime) is not None)


def stale_int8(path: Path) -> list[Path]:
    """Find INT8 graphs that other versions made in the place of one, see ``cached_path``."""
    start = path.stem.rpartition('-')[0]
    return sorted(other for other in path.parent.glob(f'{glob.escape(start)}-*{path.suffix}')
                  if other != path)


def cached_path(source: SourceModel, size_hw: tuple[int, int], precision: GraphPrecision,
                options: ImportOptions, cache_dir: Path | None = None,
                runtime: Runtime = 'cpu') -> Path:
    """
    Say where a typed graph is kept: the name covers all that decides its content.

    What another version compiled is simply compiled again. An INT8 graph cannot be: its name
    ends with the version of the compiler, so that it is found and refused.
    """
    compiler = {'version': __version__, 'compiler': _compiler_digest()}
    request = {'source': source.sha256, 'size_hw': size_hw, 'precision': precision,
               'options': asdict(options.or_else(source.options))}
    if precision == 'int8':
        label = f'int8-{runtime}-{_key(request)}-{_key(compiler)[:8]}'
    else:
        label = f'{precision}-{_key({**request, **compiler})}'
    folder = cache_dir if cache_dir is not None else user_folder('graphs')
    return folder / f'{source.name}-{text_from_size_hw(size_hw)}-{label}.onnx'


def _key(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def compile_graph(source: SourceModel, size_hw: tuple[int, int], precision: Precision,
                  options: ImportOptions, output: Path) -> ImportReport:
    """
    Import a model and write the typed graph; the file appears whole or not at all.

    Raises:
        ModelError: the model cannot be imported or the file cannot be written.
    """
    import_extra('onnx', 'engine')
    from ped_perception.engine.importers import detect_family, import_model, importer_of, typed
    from ped_perception.engine.importers.base import ImportSpec
    from ped_perception.engine.trunk import Trunk
    trunk = Trunk.load(source.path)
    said = options.or_else(source.options)
    family, reason = ((said.family, 'as told' if options.family else f'by {INDEX_FILE}')
                      if said.family else detect_family(trunk))
    if family == typed.FAMILY:
        return _passed_through(source, size_hw, precision, options, reason, output)
    usual = importer_of(family).defaults
    known = said.or_else(ImportOptions(
        None, usual.class_index, usual.class_count, usual.top_k, usual.mean, usual.std,
        usual.channel_order, ()))
    values = {key: value for key, value in asdict(known).items() if key != 'family'}
    spec = ImportSpec(size_hw=size_hw, precision=precision, **values)
    provenance = {f'source_{key}': value for key, value in trunk.metadata.items()}
    imported = import_model(trunk, family, spec)
    best = imported.model.graph.output[1].type.tensor_type.shape.dim[1].dim_value
    metadata = {
        **provenance, 'name': source.name, 'family': family, 'source_sha256': source.sha256,
        'size': text_from_size_hw(size_hw), 'top_k': str(best), 'precision': precision,
        'class_index': str(spec.class_index), 'class_count': str(spec.class_count),
        'mean': json.dumps(spec.mean), 'std': json.dumps(spec.std),
        'channel_order': spec.channel_order, 'ped_perception': __version__}
    if source.licence is not None:
        metadata['licence'] = source.licence
    for key, value in sorted(metadata.items()):
        imported.model.metadata_props.add(key=key, value=value)
    write_whole(output, imported.model.SerializeToString(deterministic=True))
    return ImportReport(output, family, reason, spec, imported.saving, best,
                        len(imported.model.graph.node))


def _passed_through(source: SourceModel, size_hw: tuple[int, int], precision: Precision,
                    options: ImportOptions, reason: str, output: Path) -> ImportReport:
    """Check a typed graph against what was asked for, and copy it."""
    from ped_perception.engine.cut import Saving
    from ped_perception.engine.graph import tensor_info, TensorInfo
    from ped_perception.engine.importers import typed
    from ped_perception.engine.importers.base import ImportSpec
    from ped_perception.engine.trunk import load_model
    model = load_model(source.path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    info = TypedGraphInfo.from_metadata(metadata, str(source.path))
    has = {**asdict(info), 'mean': tuple(json.loads(metadata['mean'])),
           'std': tuple(json.loads(metadata['std'])), 'channel_order': metadata['channel_order'],
           'class_count': int(metadata.get('class_count', info.class_index + 1)),
           'keep_fp32': ()}
    wanted = {key: value for key, value in asdict(options).items() if key != 'family'}
    typed.check_unchanged(has, {**wanted, 'size_hw': size_hw, 'precision': precision})
    seen = [tensor_info(value) for value in (*model.graph.input, *model.graph.output)]
    expected = [TensorInfo('images', 'uint8', ('N', *size_hw, 3)),
                TensorInfo('boxes', 'float32', ('N', info.top_k, 4)),
                TensorInfo('scores', 'float32', ('N', info.top_k))]
    if seen != expected:
        raise ModelError(f'{source.path} says it is a typed graph, but has '
                         f'{"; ".join(map(str, seen))}, not {"; ".join(map(str, expected))}.')
    write_whole(output, source.path.read_bytes())
    spec = ImportSpec(size_hw, info.class_index, has['class_count'], info.top_k, has['mean'],
                      has['std'], has['channel_order'], precision)
    return ImportReport(output, info.family, f'{typed.FAMILY}: {reason}', spec, Saving(),
                        info.top_k, len(model.graph.node))


@lru_cache(maxsize=1)
def _compiler_digest() -> str:
    """Digest of the code that compiles: a graph of older code is never taken for a new one."""
    here = Path(__file__).resolve().parent
    paths = sorted(path for pattern in COMPILER_FILES for path in here.glob(pattern))
    return hashlib.sha256(b''.join(path.read_bytes() for path in paths)).hexdigest()
