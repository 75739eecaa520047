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
Messages of ROS into a rosbag2 recording, the same bytes for the same messages.

The messages are those that the nodes publish, built by the same code. rosbags serialises them:
what a middleware leaves between fields for alignment is not defined, and differs from run to run.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path
import re
import shutil
import tempfile
from types import SimpleNamespace, TracebackType
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from ped_perception.core.errors import PedPerceptionError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

_PRIMITIVES = {'double': 'float64', 'float': 'float32', 'boolean': 'bool', 'octet': 'byte'}
_PARTIAL = '.partial'
_NAME = 'results'


class ReplayError(PedPerceptionError):
    """A recording cannot be replayed, or its results cannot be written."""


class ResultBag(AbstractContextManager['ResultBag']):
    """
    A new recording in mcap.

    It gets its name when it is finished: what was interrupted is never taken for a result.
    """

    def __init__(self, folder: Path) -> None:
        """
        Begin.

        Args:
            folder: of the recording.

        Raises:
            ReplayError: it exists already, or cannot be written.
        """
        if folder.exists():
            raise ReplayError(f'{folder} exists already, and nothing is overwritten. Remove it, '
                              f'or give another name.')
        self._folder, self._partial = folder, folder.with_name(folder.name + _PARTIAL)
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._connections: dict[str, Connection] = {}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if self._partial.exists():
                shutil.rmtree(self._partial)
            self._partial.mkdir()
            # The file is named after the folder, in its own bytes, too: always the same name.
            # The folder above has a name of its own: where a run was taken for dead and another
            # took its place, as on a machine that the network lost, it finds its folder gone.
            self._inner = Path(tempfile.mkdtemp(dir=self._partial)) / _NAME
            self._writer = Writer(self._inner, version=9,
                                  storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except OSError as error:
            raise ReplayError(f'{folder} cannot be written: {error.strerror}.') from error

    def prepare(self, *kinds: type) -> None:
        """Let rosbags generate the code for some types of messages now, not at the first ones."""
        for kind in kinds:
            self._serialized(kind())

    def write(self, topic: str, log_ns: int, message: Any) -> None:
        """Write a message of rclpy."""
        name, data = self._serialized(message)
        self.copy(topic, name, log_ns, data)

    def _serialized(self, message: Any) -> tuple[str, bytes]:
        """Give the name of a message's type, and its bytes."""
        kind = type(message)
        if isinstance(message, DiagnosticStatus):
            # A byte of rclpy is of type bytes, one of rosbags a number.
            message = SimpleNamespace(level=message.level[0], name=message.name,
                                      message=message.message, values=message.values,
                                      hardware_id=message.hardware_id)
        name = type_name(kind)
        if name not in self._store.types:
            register(self._store, kind)
        return name, bytes(self._store.serialize_cdr(message, name))

    def copy(self, topic: str, message_type: str, log_ns: int, data: bytes) -> None:
        """
        Write a message as it was recorded.

        Raises:
            ReplayError: the disk is full, or its type is not one of ROS 2's own.
        """
        try:
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(
                    topic, message_type, typestore=self._store)
            self._writer.write(self._connections[topic], log_ns, data)
        except OSError as error:
            raise ReplayError(f'{self._folder} cannot be written: {error.strerror}.') from error

    def finish(self, files: dict[str, str]) -> None:
        """
        Close the recording and give it its name.

        Args:
            files: further files of the folder, by name.

        Raises:
            ReplayError: it cannot be written, or somebody else gave another that name.
        """
        try:
            self._writer.close()
            for name, content in files.items():
                (self._inner / name).write_text(content)
            self._inner.rename(self._folder)
        except OSError as error:
            raise ReplayError(f'{self._folder} cannot be written: {error.strerror}.') from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave nothing behind that is not finished."""
        self._writer.abort()
        shutil.rmtree(self._inner.parent, ignore_errors=True)
        # Another run may be at work in it.
        with suppress(OSError):
            self._partial.rmdir()


def type_name(kind: type) -> str:
    """Give the name of a message type: ``'std_msgs/msg/Header'``."""
    return f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'


def register(store: Typestore, kind: Any) -> None:
    """Teach rosbags a message type of rclpy, with all that it is made of."""
    fields = []
    for name, described in kind.get_fields_and_field_types().items():
        sequence = re.fullmatch(r'sequence<(.+)>', described)
        array = re.fullmatch(r'(.+)(\[\d+\])', described)
        inner, ending = ((sequence[1], '[]') if sequence else (array[1], array[2]) if array
                         else (described, ''))
        if '/' in inner:
            package, _, short = inner.partition('/')
            inner = f'{package}/msg/{short}'
            if inner not in store.types:
                module = __import__(f'{package}.msg', fromlist=[short])
                register(store, getattr(module, short))
        fields.append(f'{_PRIMITIVES.get(inner, inner)}{ending} {name}')
    store.register(get_types_from_msg('\n'.join(fields), type_name(kind)))
