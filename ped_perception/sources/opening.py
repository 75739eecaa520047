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

"""Find out what a path or address is, and open it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ped_perception.core.errors import import_extra, SourceError
from ped_perception.sources.bag_layout import is_bag_folder, METADATA_NAME, STORAGE_SUFFIXES
from ped_perception.sources.folder import FolderSource, PICTURE_SUFFIXES
from ped_perception.sources.frames import Source
from ped_perception.sources.video import LiveSource, VideoSource


def open_source(source: str | Path, *, camera: str = 'camera', topics: Sequence[str] = (),
                start_s: float = 0.0, rate_hz: float = 0.0,
                size_hw: tuple[int, int] | None = None) -> Source:
    """
    Open a video file, picture folder, rosbag2 recording, V4L2 device or network stream.

    Args:
        source: path of a file, folder or device, or an address with ``://``.
        camera: name of the camera; a bag's cameras are named after their topics instead.
        topics: image topics to read from a bag; empty means all.
        start_s: leaves out what comes before this time after the beginning.
        rate_hz: how fast the pictures of a folder were taken; asked of a device; 0: default.
        size_hw: height and width asked of a device; None leaves it as it is.

    Raises:
        SourceError: it does not exist, cannot be read, or holds no pictures.
        MissingExtraError: it is a bag, and rosbags is not installed.
    """
    text = str(source)
    if '://' in text or text.startswith('/dev/'):
        _refuse_topics(text, topics)
        if start_s > 0.0:
            raise SourceError(f'{text} is live: start_s ({start_s:g} s) is for recordings only.')
        return LiveSource(text, camera=camera, rate_hz=rate_hz, size_hw=size_hw)
    path = _readable_path(text)
    if path.suffix in (*STORAGE_SUFFIXES, '.bag') or (path.is_dir() and is_bag_folder(path)):
        # rosbags is an extra: a vehicle without recordings does not need it.
        bag = import_extra('ped_perception.sources.bag', 'bags')
        return cast(Source, bag.BagSource(path, topics=topics, start_s=start_s))
    _refuse_topics(text, topics)
    if path.is_dir():
        return FolderSource(path, camera=camera, rate_hz=rate_hz, start_s=start_s)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        raise SourceError(f'{path} is a single picture. Give the folder it is in.')
    return VideoSource(path, camera=camera, start_s=start_s)


def _readable_path(text: str) -> Path:
    if not text:
        raise SourceError('No source is given: a video, a folder of pictures, a rosbag2 '
                          'recording or a device like /dev/video0.')
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            # Whether its files can be looked at is another permission than to list their names.
            (path / METADATA_NAME).exists()
            next(path.iterdir(), None)
        else:
            with path.open('rb'):
                pass
    except OSError as error:
        raise SourceError(f'The source {text} cannot be read: {error.strerror} '
                          f'(looked up from {Path.cwd()}).') from error
    return path


def _refuse_topics(text: str, topics: Sequence[str]) -> None:
    if topics:
        raise SourceError(f'{text} is not a rosbag2 recording, so it has no topics '
                          f'({", ".join(topics)}). Leave topics empty.')
