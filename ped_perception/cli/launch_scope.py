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

"""What the check of launch files keeps in mind: what holds where, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass
class Findings:
    """
    What was found, without repetitions and in the order of discovery.

    Attributes:
        faults: where, and what is wrong.
        notes: what could not be checked here.
    """

    faults: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)


@dataclass
class Scope:
    """
    What holds for the elements that follow: None stands for what only the running launch can tell.

    Attributes:
        arguments: values by name.
        parameters: of all nodes that follow, by name, in the order in which they count; files
            have no name.
        namespace: that nodes and includes are pushed into.
    """

    arguments: dict[str, str | None]
    parameters: list[tuple[str, Path | str | None]]
    namespace: str | None = '/'

    def copy(self) -> Scope:
        """Give a scope whose changes do not reach this one."""
        return Scope(dict(self.arguments), list(self.parameters), self.namespace)

    def inner(self, namespace: str | None) -> str | None:
        """Give a namespace below that of the scope."""
        if namespace is None or (self.namespace is None and not namespace.startswith('/')):
            return None
        return namespace if namespace.startswith('/') else f'{self.namespace}/{namespace}'


def typed(text: str) -> object:
    """Give the value as launch and the node's command line read it: as YAML, and once more."""
    try:
        value = yaml.safe_load(text) if text else ''
        return yaml.safe_load(value) if isinstance(value, str) and value else value
    except yaml.YAMLError:
        return text
