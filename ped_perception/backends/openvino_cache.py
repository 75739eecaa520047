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
What OpenVINO has compiled, kept in the user's cache for the next start.

Compiling takes most of a second, and reading the graph for it leaves libraries and memory behind
that running it does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
import hashlib
import json
from pathlib import Path
from typing import Any

from ped_perception.core.errors import ModelError
from ped_perception.engine.catalogue import sha256_from_file
from ped_perception.engine.files import user_folder, write_whole

# More than a user needs at a time; those of graphs and versions gone by go first.
_MOST_FILES = 16
_DIGEST_SIZE = hashlib.sha256().digest_size


def compiled_path(core: Any, graph: Path, version: str, properties: Mapping[str, object]) -> Path:
    """
    Say where a compiled graph is kept; it need not be there.

    Args:
        core: ``openvino.Core``.
        graph: the file that is compiled.
        version: of OpenVINO, with its build.
        properties: that it is compiled with.

    Raises:
        ModelError: the graph cannot be read.
    """
    # The processor, too: a home may be shared by several machines.
    facts = [sha256_from_file(graph), version, sorted(properties.items()),
             core.get_property('CPU', 'FULL_DEVICE_NAME'),
             sorted(core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return user_folder('openvino') / f'{graph.stem}-{key}.blob'


def load_compiled(core: Any, path: Path, properties: Mapping[str, object]) -> Any | None:
    """Load what was kept; None where nothing is, or it is damaged or refused."""
    try:
        data = memoryview(path.read_bytes())
    except OSError:
        return None
    digest, blob = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    # A runtime that is given damaged data may do anything.
    if hashlib.sha256(blob).digest() != digest:
        return None
    try:
        return core.import_model(bytes(blob), 'CPU', dict(properties))
    except RuntimeError:
        return None


def keep_compiled(compiled: Any, path: Path) -> None:
    """Keep a compiled graph; where that is not possible the next start takes longer."""
    exported = compiled.export_model()
    blob = exported if isinstance(exported, bytes) else exported.getvalue()
    with suppress(ModelError, OSError):
        write_whole(path, hashlib.sha256(blob).digest() + blob)
        newest_last = sorted(path.parent.glob('*.blob'), key=lambda kept: kept.stat().st_mtime)
        for old in newest_last[:-_MOST_FILES]:
            old.unlink(missing_ok=True)
