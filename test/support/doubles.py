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

"""Test doubles of the interfaces that the product defines."""

from __future__ import annotations

import hashlib

import numpy as np
from ped_perception.core.errors import BackendError
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.types import Candidates
from ped_perception.core.views import write_view


class BrightSpotBackend:
    """
    Stands for a network: finds the bounding box of the pixels brighter than 200 in each slot.

    It keeps the rules of a real one: buffers are reused, closing is final, counts are checked.
    """

    def __init__(self, network_hw=(96, 160), max_batch=4, top_k=3):
        self.info = BackendInfo('double', 'bright_spot', 'fp32', network_hw, max_batch, top_k,
                                'a test double')
        self.batch_nhw3 = np.zeros((max_batch, *network_hw, 3), np.uint8)
        self._boxes_nk4 = np.zeros((max_batch, top_k, 4), np.float32)
        self._scores_nk = np.zeros((max_batch, top_k), np.float32)
        self.counts = []
        self.failures = 0
        self.closed = False

    native_layouts = frozenset()

    def fill(self, slot, image_hw3, view):
        """Write a view of a picture into a slot."""
        write_view(image_hw3, view, self.batch_nhw3[slot])

    def infer(self, count):
        """Give one box for each slot that has bright pixels."""
        if self.closed or not 1 <= count <= self.info.max_batch:
            raise BackendError(f'closed, or {count} slots of {self.info.max_batch}')
        self.counts.append(count)
        if self.failures:
            self.failures -= 1
            raise BackendError('planned failure')
        for slot in range(count):
            rows, columns = np.nonzero(self.batch_nhw3[slot].min(axis=2) > 200)
            self._scores_nk[slot, 0] = 0.9 if len(rows) else 0.0
            if len(rows):
                self._boxes_nk4[slot, 0] = (columns.min(), rows.min(), columns.max() + 1,
                                            rows.max() + 1)
        return Candidates(self._boxes_nk4[:count], self._scores_nk[:count])

    def close(self):
        """Refuse further work."""
        self.closed = True

    def __enter__(self):
        """Give itself."""
        return self

    def __exit__(self, *_):
        """Close."""
        self.close()


class RememberingBackend:
    """
    A real network that computes the same batch once only.

    For tests that show the same pictures in many forms: a picture that comes out of its form
    differing in one bit is another batch, and is computed.
    """

    def __init__(self, inner, memory=None):
        self._inner = inner
        self._memory = {} if memory is None else memory

    def __getattr__(self, name):
        """Be the network in all else."""
        return getattr(self._inner, name)

    def infer(self, count):
        """Give what the network once gave of these slots."""
        key = hashlib.blake2b(self._inner.batch_nhw3[:count]).digest()
        if key not in self._memory:
            found = self._inner.infer(count)
            self._memory[key] = Candidates(found.boxes_nk4.copy(), found.scores_nk.copy())
        return self._memory[key]

    def __enter__(self):
        """Begin with this one, not with the network alone."""
        self._inner.__enter__()
        return self

    def __exit__(self, *failure):
        """End."""
        return self._inner.__exit__(*failure)
