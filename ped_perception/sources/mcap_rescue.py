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
Messages of an mcap file that was cut off, in the order in which they were written.

An mcap file ends with an index. A recorder that is killed does not write it, and readers then
refuse the whole file; every record before the cut is intact all the same. Record layout after
the MCAP 0 specification (mcap.dev/spec).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
import struct
import sys
from typing import BinaryIO

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_HEADER = struct.Struct('<BQ')
_MESSAGE_HEADER = struct.Struct('<HIQQ')
_CHUNK_HEADER = struct.Struct('<QQQI')


def is_mcap(file: Path) -> bool:
    """Tell whether a file begins as mcap files do."""
    with file.open('rb') as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


class RescuedMcap:
    """
    What can be read of a file that :func:`is_mcap`; the file is open only while it is read.

    Attributes:
        types: message type by topic.
        counts: messages by topic.
        start_ns: earliest time of writing, 0 without messages.
        end_ns: just after the latest time of writing.
        readable_bytes: end of the last record that is whole.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._schemas: dict[int, str] = {}
        self._topics: dict[int, str] = {}
        self.types: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.readable_bytes = 0
        self.start_ns, self.end_ns = 0, 0
        for topic, log_ns, _ in self._scan(0):
            self.start_ns = min(self.start_ns, log_ns) if self.counts else log_ns
            self.end_ns = max(self.end_ns, log_ns + 1)
            self.counts[topic] = self.counts.get(topic, 0) + 1

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[tuple[str, int, bytes]]:
        """Give topic, time of writing and bytes of the messages from a time on."""
        return ((topic, log_ns, data) for topic, log_ns, data in self._scan(start_ns)
                if topic in topics)

    def _scan(self, start_ns: int) -> Iterator[tuple[str, int, bytes]]:
        with self._file.open('rb') as stream:
            stream.seek(len(_MAGIC))
            size = self._file.stat().st_size
            for operation, content, is_whole in _records(stream, size):
                if is_whole:
                    self.readable_bytes = max(self.readable_bytes, stream.tell())
                if operation == _DATA_END:
                    return
                if operation == _CHUNK:
                    chunk = _chunk_content(content, start_ns)
                    for inner, inner_content, inner_whole in _records(BytesIO(chunk), len(chunk)):
                        if inner_whole:
                            yield from self._message(inner, inner_content, start_ns)
                elif is_whole:
                    yield from self._message(operation, content, start_ns)

    def _message(self, operation: int, content: bytes, start_ns: int,
                 ) -> Iterator[tuple[str, int, bytes]]:
        """Give the message of a record, or remember what messages need."""
        if operation == _MESSAGE and len(content) >= _MESSAGE_HEADER.size:
            channel, _, log_ns, _ = _MESSAGE_HEADER.unpack_from(content)
            if log_ns >= start_ns and channel in self._topics:
                yield self._topics[channel], log_ns, content[_MESSAGE_HEADER.size:]
        elif operation in (_SCHEMA, _CHANNEL):
            # One that is damaged costs the messages that need it.
            with suppress(struct.error, UnicodeDecodeError):
                self._learn(operation, content)

    def _learn(self, operation: int, content: bytes) -> None:
        if operation == _SCHEMA:
            (identity,) = struct.unpack_from('<H', content)
            self._schemas[identity] = _string(content, 2)
        else:
            identity, schema = struct.unpack_from('<HH', content)
            topic = _string(content, 4)
            self._topics[identity] = topic
            self.types[topic] = self._schemas.get(schema, '')


def _records(stream: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """
    Give operation, content and whether it is whole; the last record may be cut off.

    Args:
        stream: to read from.
        size: of all of it, bytes: a damaged length may be larger than any memory.
    """
    while len(header := stream.read(_HEADER.size)) == _HEADER.size:
        operation, length = _HEADER.unpack(header)
        content = stream.read(min(length, size - stream.tell()))
        yield operation, content, len(content) == length
        if len(content) < length:
            return


def _chunk_content(chunk: bytes, start_ns: int) -> bytes:
    """Decompress a chunk as far as it goes; nothing when it ends before the start."""
    if len(chunk) < _CHUNK_HEADER.size + 4:
        return b''
    _, end_ns, _, _ = _CHUNK_HEADER.unpack_from(chunk)
    try:
        compression = _string(chunk, _CHUNK_HEADER.size)
    except (UnicodeDecodeError, struct.error):
        return b''
    data = chunk[_CHUNK_HEADER.size + 4 + len(compression) + 8:]
    if end_ns < start_ns:
        return b''
    try:
        if compression == 'zstd':
            return bytes(zstd.ZstdDecompressor().decompress(data))
        if compression == 'lz4':
            return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data))
    except (zstd.ZstdError, RuntimeError, EOFError):
        return b''
    return data


def _string(content: bytes, offset: int) -> str:
    (length,) = struct.unpack_from('<I', content, offset)
    return content[offset + 4:offset + 4 + length].decode()
