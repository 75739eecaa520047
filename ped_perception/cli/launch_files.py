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

"""XML launch files as trees that know their lines, and the substitutions in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
import re
from typing import TypeAlias
import xml.parsers.expat

from ped_perception.core.errors import ConfigError

_SUBSTITUTION = re.compile(r'\$\((?P<kind>[\w-]+)(?:\s+(?P<rest>[^()$]*))?\)')
_EVAL = re.compile(r'\$\(eval\s+\'(?P<expression>[^$]*?)\'\s*\)')
_COMPARISON = re.compile(r'"(?P<left>[^"]*)"\s*(?P<operator>==|!=)\s*"(?P<right>[^"]*)"')

# What a substitution of this kind gives; None where only the running launch can tell.
Substitute: TypeAlias = Callable[[str, str], 'str | None']


@dataclass(eq=False)
class Element:
    """An element of a launch file, with the line it begins in."""

    tag: str
    attributes: Mapping[str, str]
    line: int
    children: list[Element] = field(default_factory=list)

    def of(self, tag: str) -> list[Element]:
        """Give the children with a tag."""
        return [child for child in self.children if child.tag == tag]


def read_launch_file(path: Path) -> Element:
    """
    Read a launch file.

    Raises:
        ConfigError: it cannot be read, is not well-formed, or is no launch file. Document types
            are refused: entities have no place in a launch file.
    """
    parser = xml.parsers.expat.ParserCreate()
    top = Element('', {}, 0)
    stack = [top]

    def begin(tag: str, attributes: dict[str, str]) -> None:
        """Add an element to the one that is open, and open it."""
        element = Element(tag, attributes, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def refuse(*_: object) -> None:
        """Refuse a document type: it could have the parser read other files."""
        raise ConfigError(f'The launch file {path} has a document type; leave it out.')

    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: stack.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise ConfigError(f'The launch file {path} cannot be read: {error.strerror}.') from error
    # The last two are of an encoding that is unknown, or one that expat does not take.
    except (xml.parsers.expat.ExpatError, LookupError, ValueError) as error:
        raise ConfigError(f'The launch file {path} is no XML: {error}.') from error
    (root,) = top.children
    if root.tag != 'launch':
        raise ConfigError(f'The launch file {path} begins with <{root.tag}>, not with <launch>.')
    return root


def substituted(text: str, substitute: Substitute) -> str | None:
    """
    Replace all substitutions of a text, the innermost first.

    Args:
        text: of an attribute.
        substitute: gives the text for the kind and the rest of one substitution.

    Returns:
        None where only the running launch can tell.
    """
    known = True

    def replace(match: re.Match[str]) -> str:
        """Give the value of one substitution; note where it is not known."""
        nonlocal known
        value = substitute(match['kind'], (match['rest'] or '').strip())
        known &= value is not None
        return '' if value is None else value

    while True:
        # An expression is a comparison once everything in it is replaced.
        text, evaluated = _EVAL.subn(lambda match: _truth(match['expression']), text)
        text, replaced = _SUBSTITUTION.subn(replace, text)
        if not evaluated and not replaced:
            return text if known and '$(' not in text else None


def _truth(expression: str) -> str:
    comparison = _COMPARISON.fullmatch(expression.strip())
    if comparison is None:
        return '$(unknown)'
    is_equal = comparison['left'] == comparison['right']
    return 'true' if is_equal == (comparison['operator'] == '==') else 'false'
