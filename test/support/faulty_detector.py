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
The real detector node as a process, with a double of the network that fails on demand.

Usage: faulty_detector.py FLAG [ROS arguments]. Inferences fail while the file FLAG exists; if it
says "loading hangs", the network is never loaded.
"""

from __future__ import annotations

from pathlib import Path
import sys
import threading

from doubles import BrightSpotBackend
from ped_perception.core.errors import BackendError
from ped_perception.ros import detector_node, network


class FailingOnDemand(BrightSpotBackend):
    """Finds bright spots, unless it is to fail."""

    flag = Path()

    def infer(self, count):
        """Fail while the flag is set."""
        if self.flag.exists():
            raise BackendError('CUDA out of memory, as was asked for')
        return super().infer(count)


def open_failing(config, max_batch, watch):
    """Stand for open_backend."""
    flag = FailingOnDemand.flag
    if flag.exists() and flag.read_text() == 'loading hangs':
        threading.Event().wait()
    return FailingOnDemand(network_hw=(360, 640), max_batch=max_batch)


def main():
    """Run the node."""
    FailingOnDemand.flag = Path(sys.argv[1])
    network.open_backend = open_failing
    return detector_node.main(sys.argv[2:])


if __name__ == '__main__':
    raise SystemExit(main())
