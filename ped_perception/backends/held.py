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

"""What a backend holds outside Python's memory, and the order in which it lets go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Held:
    """
    What is held of the GPU, by name; released in the reverse order of taking.

    Most objects of pycuda and TensorRT are freed when their last reference goes, so nothing
    else may keep one.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._things: dict[str, tuple[Any, Callable[[Any], object] | None]] = {}

    def take(self, name: str, thing: Any, release: Callable[[Any], object] | None = None) -> Any:
        """
        Hold a thing and give it back.

        Args:
            name: to ask for it.
            thing: just allocated.
            release: called with it at the end, where dropping the reference is not enough.
        """
        self._things[name] = (thing, release)
        return thing

    def take_memory(self, name: str, drv: Any, size: int) -> int:
        """
        Allocate memory on the GPU and give its address.

        Args:
            name: to ask for it.
            drv: the module pycuda.driver.
            size: in bytes.
        """
        return int(self.take(name, drv.mem_alloc(size), lambda held: held.free()))

    def __getitem__(self, name: str) -> Any:
        """Give a thing."""
        return self._things[name][0]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a thing of that name."""
        return name in self._things

    def __bool__(self) -> bool:
        """Tell whether anything is held."""
        return bool(self._things)

    def release(self, name: str) -> None:
        """Release one thing, if it is held."""
        if name not in self._things:
            return
        thing, release = self._things.pop(name)
        if release is not None:
            release(thing)

    def release_all(self) -> None:
        """Release everything, also what comes after an error; raise the first one then."""
        first: Exception | None = None
        while self._things:
            try:
                self.release(next(reversed(self._things)))
            except Exception as error:  # noqa: BLE001 - raised below
                first = first or error
        if first is not None:
            raise first
