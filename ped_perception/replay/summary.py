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

"""What a replay did, and with which parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
import hashlib
import json

from ped_perception.ros.settings import Settings

SUMMARY_NAME = 'summary.json'


@dataclass
class Summary:
    """
    What a replay did: in every run the same, but for the times, which are not written.

    Attributes:
        settings: digest of all parameters that decide what comes out.
        model: that found people.
        precision: of its arithmetic.
        backend: that ran it.
        pictures: of the recording, of the cameras looked at.
        looked_at: that were looked at.
        skipped: why others were not, by camera and cause.
        detections: people found in them, all together.
        people: ids given.
        placed: positions on the ground, all together.
        time_jumps: how often the stamps went back.
        notes: what a user should know of the recording.
        times_s: how long each stage took, in seconds.
    """

    settings: str
    model: str
    precision: str
    backend: str
    pictures: int = 0
    looked_at: int = 0
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)
    detections: int = 0
    people: int = 0
    placed: int = 0
    time_jumps: int = 0
    notes: tuple[str, ...] = ()
    times_s: dict[str, float] = field(default_factory=dict)

    @property
    def overhead(self) -> float:
        """Share of the time that went into anything but inference and decoding."""
        total_s = self.times_s.get('total', 0.0)
        needed_s = self.times_s.get('infer', 0.0) + self.times_s.get('decode', 0.0)
        return 1 - needed_s / total_s if total_s else 0.0

    def text(self) -> str:
        """Give the file that lies beside the results."""
        values = asdict(self)
        del values['times_s']
        return json.dumps(values, indent=2) + '\n'


def digest_of(settings: Settings) -> str:
    """Give a digest of all parameters but those that only change the speed."""
    values = asdict(replace(settings, backend=replace(settings.backend, threads=0)))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
