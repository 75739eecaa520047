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

"""The walk through a launch file, doing what launch would do, without starting anything."""

from __future__ import annotations

from collections.abc import Mapping
import itertools
from pathlib import Path
import re

from ped_perception.cli.launch_files import Element, read_launch_file, substituted
from ped_perception.cli.launch_grammar import element_faults, meant, SUBSTITUTIONS, UNCHECKED
from ped_perception.cli.launch_nodes import (
    FOREIGN_NODES,
    node_fault,
    OWN_NODES,
    PACKAGE,
    package_folder,
    parameter_faults,
)
from ped_perception.cli.launch_scope import Findings, Scope, typed
from ped_perception.cli.share import shared_file
from ped_perception.core.errors import ConfigError
from ped_perception.ros.parameter_files import values_from_file
from ped_perception.ros.settings import of_other_cameras

_CONDITION = frozenset({'if', 'unless'})
_BOOLEANS = frozenset({'true', 'false', '1', '0'})


def check_launch_file(path: Path, arguments: Mapping[str, str], findings: Findings) -> None:
    """
    Check a launch file with all that it includes, once for each combination of its choices.

    Args:
        path: of the XML file.
        arguments: given on the command line.
        findings: gets what is found.
    """
    try:
        root = read_launch_file(path)
    except ConfigError as error:
        findings.faults[str(error)] = None
        return
    choices = {arg.attributes.get('name', ''): [choice.attributes.get('value', '')
                                                for choice in arg.of('choice')]
               for arg in root.of('arg') if arg.of('choice')}
    free = [name for name in choices if name not in arguments]
    for values in itertools.product(*(choices[name] for name in free)):
        given: dict[str, str | None] = {**arguments, **dict(zip(free, values, strict=True))}
        walk = _Walk(path, findings, set(), ())
        walk.file(root, Scope(given, []))
        for name in arguments:
            if name not in walk.declared:
                findings.faults[f'{path}: no file declares the argument {name}'
                                + meant(name, walk.declared)] = None


class _Walk:
    """One file, with values for all arguments that are known."""

    def __init__(self, path: Path, findings: Findings, nodes: set[str],
                 outer: tuple[Path, ...]) -> None:
        self._path, self._findings, self._nodes = path, findings, nodes
        self._files = (*outer, path)
        self._line = 0
        self._own: set[str] = set()
        self.declared: set[str] = set()

    def file(self, root: Element, scope: Scope) -> None:
        """Walk through the elements of a launch file."""
        self._elements(root.children, scope)

    def _fault(self, text: str) -> None:
        self._findings.faults[f'{self._path}:{self._line}: {text}'] = None

    def _note(self, text: str) -> None:
        self._findings.notes[f'{self._path}:{self._line}: {text}'] = None

    def _elements(self, elements: list[Element], scope: Scope) -> None:
        for element in elements:
            self._line = element.line
            if element.tag in UNCHECKED:
                self._note(f'<{element.tag}> is not checked')
                continue
            faults = list(element_faults(element))
            for self._line, text in faults:
                self._fault(text)
            self._line = element.line
            if not faults and self._may_happen(element, scope):
                getattr(self, f'_on_{element.tag.replace("-", "_")}')(element, scope)

    def _may_happen(self, element: Element, scope: Scope) -> bool:
        for name in _CONDITION & element.attributes.keys():
            value = self._text(element.attributes[name], scope)
            if value is None:
                continue
            if value.lower() not in _BOOLEANS:
                self._fault(f'the condition {name}="{element.attributes[name]}" is {value!r}, '
                            f'neither true nor false')
                return False
            if (value.lower() in ('true', '1')) != (name == 'if'):
                return False
        return True

    # --- substitutions -----------------------------------------------------------------------

    def _text(self, text: str, scope: Scope) -> str | None:
        def substitute(kind: str, rest: str) -> str | None:
            """Give the value of a substitution, None for one that is not known."""
            if kind == 'var':
                if rest not in self._own:
                    self._fault(f'the argument {rest} is used but not declared in this file'
                                + meant(rest, self._own))
                    return None
                return scope.arguments[rest]
            if kind == 'find-pkg-share':
                return self._share(rest)
            if kind in ('dirname', 'filename'):
                return str(self._path.parent if kind == 'dirname' else self._path)
            if kind not in SUBSTITUTIONS:
                self._fault(f'there is no substitution $({kind})'
                            + meant(kind, SUBSTITUTIONS, '$({})'))
            return None

        return substituted(text, substitute)

    def _share(self, package: str) -> str | None:
        if package == PACKAGE:
            return str(shared_file('launch', 'detector.launch.xml').parents[1])
        folder = package_folder(package)
        if folder is not None:
            return str(folder / 'share' / package)
        if package in FOREIGN_NODES:
            self._note(f'the package {package} is not installed here')
        else:
            self._fault(f'the package {package} is not installed')
        return None

    # --- elements ----------------------------------------------------------------------------

    def _on_arg(self, element: Element, scope: Scope) -> None:
        name = element.attributes['name']
        if name in self._own:
            self._fault(f'the argument {name} is declared twice')
        if not element.attributes.get('description', '').strip():
            self._fault(f'the argument {name} has no description')
        default = element.attributes.get('default')
        if default is None and name not in scope.arguments and len(self._files) > 1:
            self._fault(f'{self._files[-2].name} includes this file without its argument {name}')
        value = scope.arguments.setdefault(
            name, None if default is None else self._text(default, scope))
        self._own.add(name)
        self.declared.add(name)
        choices = [choice.attributes['value'] for choice in element.of('choice')]
        if choices and value is not None and value not in choices:
            self._fault(f'the argument {name} is {value!r}; choose one of {", ".join(choices)}')

    def _on_let(self, element: Element, scope: Scope) -> None:
        name = element.attributes['name']
        scope.arguments[name] = self._text(element.attributes['value'], scope)
        self._own.add(name)

    def _on_group(self, element: Element, scope: Scope) -> None:
        self._elements(element.children, scope.copy())

    def _on_include(self, element: Element, scope: Scope) -> None:
        given = {}
        for argument in element.children:
            self._line = argument.line
            given[argument.attributes['name']] = self._text(argument.attributes['value'], scope)
        self._line = element.line
        text = self._text(element.attributes['file'], scope)
        if text is None:
            return
        path = Path(text)
        if not path.is_file():
            self._fault(f'the included file {path} does not exist')
        elif path in self._files:
            self._fault(f'the included file {path} includes itself')
        elif path.suffix == '.xml':
            self._include(path, given, scope)
        else:
            self._note(f'the included file {path} is no XML and is not checked')

    def _include(self, path: Path, given: dict[str, str | None], scope: Scope) -> None:
        try:
            root = read_launch_file(path)
        except ConfigError as error:
            self._fault(str(error))
            return
        walk = _Walk(path, self._findings, self._nodes, self._files)
        inner = scope.copy()
        inner.arguments.update(given)
        walk.file(root, inner)
        self.declared |= walk.declared
        for name in given:
            if name not in walk.declared:
                self._fault(f'the included file {path} declares no argument {name}'
                            + meant(name, walk.declared))

    def _on_set_parameter(self, element: Element, scope: Scope) -> None:
        name = self._text(element.attributes['name'], scope)
        if name is not None:
            scope.parameters.append((name, self._text(element.attributes['value'], scope)))

    def _on_set_parameters_from_file(self, element: Element, scope: Scope) -> None:
        self._take_file(element.attributes['filename'], scope)

    def _take_file(self, text: str, scope: Scope) -> None:
        file = self._text(text, scope)
        if file is None:
            return
        if Path(file).is_file():
            scope.parameters.append(('', Path(file)))
        else:
            self._fault(f'the parameter file {file} does not exist')

    def _on_node(self, element: Element, scope: Scope) -> None:
        package = self._text(element.attributes['pkg'], scope)
        executable = self._text(element.attributes['exec'], scope)
        own = scope.copy()
        self._node_children(element, own)
        self._line = element.line
        for attribute in {'output', 'ros_args', 'args'} & element.attributes.keys():
            self._text(element.attributes[attribute], scope)
        respawn = self._text(element.attributes.get('respawn', 'false'), scope)
        if respawn is not None and respawn.lower() not in _BOOLEANS:
            self._fault(f'respawn is {respawn!r}, neither true nor false')
        if package is None or executable is None:
            return
        fault, note = node_fault(package, executable)
        if fault:
            self._fault(fault)
        elif note:
            self._note(note)
        name = self._text(element.attributes.get('name', executable), scope)
        namespace = scope.inner(self._text(element.attributes.get('namespace', ''), scope))
        if name is not None and namespace is not None:
            full = re.sub('/+', '/', f'/{namespace}/{name}')
            if full in self._nodes:
                self._fault(f'two nodes are named {full}')
            self._nodes.add(full)
        if package == PACKAGE and executable in OWN_NODES and not fault:
            self._check_parameters(executable, name or executable, own)

    def _node_children(self, element: Element, scope: Scope) -> None:
        remapped: set[str | None] = set()
        for child in element.children:
            self._line = child.line
            if child.tag == 'remap':
                source = self._text(child.attributes['from'], scope)
                self._text(child.attributes['to'], scope)
                if source in remapped:
                    self._fault(f'{source} is remapped twice')
                remapped.add(source)
            elif child.tag == 'env':
                self._text(child.attributes['value'], scope)
            elif 'from' in child.attributes:
                self._take_file(child.attributes['from'], scope)
            else:
                self._nested_parameters(child, scope, '')

    def _nested_parameters(self, element: Element, scope: Scope, prefix: str) -> None:
        self._line = element.line
        name = self._text(element.attributes.get('name', ''), scope)
        if name == '' or ('value' in element.attributes) == bool(element.children):
            self._fault('<param> needs name and value, or from')
        elif name is not None and element.children:
            for child in element.children:
                self._nested_parameters(child, scope, f'{prefix}{name}.')
        elif name is not None:
            scope.parameters.append((
                f'{prefix}{name}', self._text(element.attributes['value'], scope)))

    def _check_parameters(self, executable: str, name: str, scope: Scope) -> None:
        values: dict[str, object] = {}
        unknown = []
        for parameter, given in scope.parameters:
            try:
                if isinstance(given, Path):
                    values.update(values_from_file(given, name))
                elif given is None:
                    unknown.append(parameter)
                else:
                    values[parameter] = typed(given)
            except ConfigError as error:
                self._fault(str(error))
        # An argument chooses among the cameras of a file; in a file alone, it is a mistake.
        chosen = any(parameter == 'cameras' for parameter, _ in scope.parameters)
        unused = of_other_cameras(values, _names(values.get('cameras'))) if chosen else ()
        for fault in parameter_faults(executable, values, unknown, unused):
            self._fault(f'{name}: {fault}')

    def _on_executable(self, element: Element, scope: Scope) -> None:
        self._text(element.attributes['cmd'], scope)

    def _on_set_env(self, element: Element, scope: Scope) -> None:
        self._text(element.attributes['value'], scope)

    def _on_push_ros_namespace(self, element: Element, scope: Scope) -> None:
        scope.namespace = scope.inner(self._text(element.attributes['namespace'], scope))

    def _on_set_use_sim_time(self, element: Element, scope: Scope) -> None:
        scope.parameters.append(('use_sim_time', self._text(element.attributes['value'], scope)))

    def _on_set_remap(self, element: Element, scope: Scope) -> None:
        self._text(element.attributes['to'], scope)

    def _on_log(self, element: Element, scope: Scope) -> None:
        self._text(element.attributes['message'], scope)


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []
