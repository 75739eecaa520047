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
says "slow" they take their time instead, and if it says "loading hangs", the network is never
loaded.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
import sys
import threading
import time

from doubles import BrightSpotBackend
from ped_perception.core.errors import BackendError
from ped_perception.ros import detector_node, network

# Slower than a busy machine can send pictures of six cameras.
SLOW_S = 0.05


def said(flag):
    """Read what is asked for; None for nothing: the file may go at any time."""
    with suppress(FileNotFoundError):
        return flag.read_text()
    return None


class FailingOnDemand(BrightSpotBackend):
    """Finds bright spots, unless it is to fail."""

    flag = Path()

    def infer(self, count):
        """Do what the flag says."""
        asked = said(self.flag)
        if asked == 'slow':
            time.sleep(SLOW_S)
        elif asked is not None:
            raise BackendError('CUDA out of memory, as was asked for')
        return super().infer(count)


def open_failing(config, max_batch, watch):
    """Stand for open_backend."""
    if said(FailingOnDemand.flag) == 'loading hangs':
        threading.Event().wait()
    return FailingOnDemand(network_hw=(360, 640), max_batch=max_batch)


def main():
    """Run the node."""
    FailingOnDemand.flag = Path(sys.argv[1])
    network.open_backend = open_failing
    return detector_node.main(sys.argv[2:])


if __name__ == '__main__':
    raise SystemExit(main())
