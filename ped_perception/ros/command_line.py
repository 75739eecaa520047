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

"""What a node is started with beside ROS' own arguments: a question for help, or nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import sys
import textwrap

from ped_perception.core.config import ParamSpec
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.utilities import remove_ros_args

_USAGE = '%(prog)s [-h] [--ros-args [-p PARAMETER:=VALUE …] [--params-file FILE …]]'


def answer_help(program: str, parameters: Mapping[str, ParamSpec],
                arguments: Sequence[str] | None) -> None:
    """
    Answer ``--help``, and refuse arguments that ROS does not take: it ignores them silently.

    Args:
        program: its name.
        parameters: by full name.
        arguments: of the command line, the program first; None for ``sys.argv``.

    Raises:
        SystemExit: 0 after help, 2 after an argument that is none.
    """
    try:
        own = remove_ros_args(sys.argv if arguments is None else list(arguments))[1:]
    except (RCLError, UnknownROSArgsError):
        return  # rclpy.init says what is wrong with them
    argparse.ArgumentParser(
        prog=program, usage=_USAGE,
        description='A ROS 2 node: everything is set by its parameters, listed below.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='parameters:\n' + '\n'.join(
            _paragraph(name, spec) for name, spec in parameters.items()),
    ).parse_args(own)


def _paragraph(name: str, spec: ParamSpec) -> str:
    default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
    choices = f' One of: {", ".join(map(str, spec.choices))}.' if spec.choices else ''
    text = textwrap.fill(spec.description + choices, 95, initial_indent=' ' * 4,
                         subsequent_indent=' ' * 4)
    unit = f' {spec.unit}' if spec.unit else ''
    return f'  {name} ({spec.kind_name}, default {default!r}{unit})\n{text}'
