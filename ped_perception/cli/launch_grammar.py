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
What XML launch files are made of: elements, their attributes, what may be inside, substitutions.

As launch, launch_xml and launch_ros of Humble to Lyrical parse them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
import difflib

from ped_perception.cli.launch_files import Element

_CONDITION = frozenset({'if', 'unless'})
_PROCESS = ('name output cwd launch-prefix shell emulate_tty on_exit respawn respawn_delay '
            'respawn_max_retries sigterm_timeout sigkill_timeout')
# What each element may have; an attribute with a ! must be there.
_ATTRIBUTES: Mapping[str, frozenset[str]] = {tag: frozenset(text.split()) for tag, text in {
    'arg': 'name! default description', 'let': 'name! value!', 'group': 'scoped forwarding',
    'include': 'file!', 'set_parameter': 'name! value!', 'set_parameters_from_file': 'filename!',
    'node': f'pkg! exec! namespace ros_args args node-name exec_name {_PROCESS}',
    'executable': f'cmd! {_PROCESS}',
    'set_env': 'name! value!', 'env': 'name! value!', 'choice': 'value!',
    'param': 'name value from type allow_substs sep', 'remap': 'from! to!',
    'push-ros-namespace': 'namespace!', 'push_ros_namespace': 'namespace!',
    'set_remap': 'from! to!', 'set_use_sim_time': 'value!', 'log': 'message! level',
}.items()}
_INSIDE: Mapping[str, frozenset[str]] = {
    'arg': frozenset({'choice'}), 'include': frozenset({'arg', 'let'}),
    'node': frozenset({'param', 'remap', 'env'}), 'executable': frozenset({'env'}),
    'param': frozenset({'param'})}
_NESTED_ONLY = frozenset({'choice', 'param', 'remap', 'env', 'keep', 'composable_node'})

# Launch knows them, and what they do is not followed here.
UNCHECKED = frozenset({
    'append_env', 'load_composable_node', 'node_container', 'reset', 'reset_env', 'ros_timer',
    'set_ros_log_dir', 'shutdown', 'timer', 'unset_env'})
SUBSTITUTIONS = frozenset({
    'all', 'and', 'anon', 'any', 'command', 'dirname', 'env', 'equals', 'eval', 'exec-in-pkg',
    'file-content', 'filename', 'find-exec', 'find-pkg-prefix', 'find-pkg-share', 'if',
    'launch_log_dir', 'log_dir', 'not', 'not-equals', 'or', 'param', 'var'})


def element_faults(element: Element) -> Iterator[tuple[int, str]]:
    """Give the line of each fault of an element that is not in a node or the like, and what."""
    if element.tag in _NESTED_ONLY:
        yield element.line, f'<{element.tag}> has no meaning here'
    elif element.tag not in _ATTRIBUTES:
        yield element.line, (f'<{element.tag}> has no meaning here'
                             + meant(element.tag, _ATTRIBUTES, '<{}>'))
    else:
        yield from _faults(element, _CONDITION)


def _faults(element: Element, condition: frozenset[str]) -> Iterator[tuple[int, str]]:
    allowed = _ATTRIBUTES[element.tag]
    names = {name.rstrip('!') for name in allowed} | condition
    for name in element.attributes:
        if name not in names:
            yield element.line, (f'<{element.tag}> has no attribute {name}; it has '
                                 f'{", ".join(sorted(names))}')
    for name in sorted(allowed):
        if name.endswith('!') and name[:-1] not in element.attributes:
            yield element.line, f'<{element.tag}> needs the attribute {name[:-1]}'
    if element.tag == 'group':
        return
    inside = _INSIDE.get(element.tag, frozenset())
    for child in element.children:
        if child.tag not in inside:
            yield child.line, (f'<{child.tag}> has no meaning in <{element.tag}>'
                               + meant(child.tag, inside, '<{}>'))
        elif child.tag in ('arg', 'let'):
            yield from _given_faults(child)
        else:
            # Launch reads no condition inside of an element: it would hold always.
            yield from _faults(child, frozenset())


def _given_faults(element: Element) -> Iterator[tuple[int, str]]:
    """Give the faults of an argument that is handed to an included file."""
    for name in ('name', 'value'):
        if name not in element.attributes:
            yield element.line, f'<{element.tag}> in <include> needs the attribute {name}'
    for name in element.attributes:
        if name not in ('name', 'value'):
            yield element.line, (f'<{element.tag}> in <include> has no attribute {name}; it has '
                                 f'name, value')


def meant(name: str, known: Collection[str], form: str = '{}') -> str:
    """Say what was probably meant by a name that is not known; empty where nobody can tell."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f'. Did you mean {form.format(close[0])}?' if close else ''
