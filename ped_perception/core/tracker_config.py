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

"""Parameters of the tracker."""

from __future__ import annotations

from dataclasses import dataclass

from ped_perception.core import kalman
from ped_perception.core.config import param


@dataclass(frozen=True)
class TrackerConfig:
    """Parameters of the tracker; times are ROS time, lengths heights of the person's box."""

    high_score: float = param(
        0.45, 'Detections from this score on choose their tracks first.',
        minimum=0.0, maximum=1.0)
    low_score: float = param(
        0.2, 'Detections from this score on may continue a confirmed track; lower ones are '
        'ignored.', minimum=0.0, maximum=1.0)
    new_score: float = param(
        0.5, 'Detections from this score on may begin a track.', minimum=0.0, maximum=1.0)
    min_overlap: float = param(
        0.1, 'Least intersection over union of a predicted box with a sure detection.',
        minimum=0.0, maximum=1.0)
    min_overlap_low: float = param(
        0.4, 'Least intersection over union of a predicted box with an unsure detection.',
        minimum=0.0, maximum=1.0)
    gate_probability: float = param(
        0.999, 'Share of true pairs that the gate on the Mahalanobis distance lets through.',
        minimum=0.5, maximum=0.999999)
    confirm_s: float = param(
        0.2, 'A person is confirmed when detected again this long after the first detection.',
        unit='s', minimum=0.0, maximum=10.0)
    forget_new_s: float = param(
        0.2, 'An unconfirmed track is dropped when unseen for longer.', unit='s',
        minimum=0.0, maximum=10.0)
    forget_s: float = param(
        2.0, 'A confirmed track is predicted for this long without a detection, then dropped.',
        unit='s', minimum=0.0, maximum=60.0)
    speed: float = param(
        0.7, 'Standard deviation of the speed of a person in the picture, in heights of its box '
        'in one second: 0.7 is 1.2 m/s.', unit='1/s', minimum=0.01, maximum=100.0)
    speed_memory_s: float = param(
        5.0, 'Time after which a speed is forgotten: short for people who turn and stop.',
        unit='s', minimum=0.01, maximum=100.0)
    growth: float = param(
        0.3, 'Standard deviation of the relative growth of a box in one second: the speed of '
        'approach divided by the distance.', unit='1/s', minimum=0.01, maximum=100.0)
    growth_memory_s: float = param(
        0.5, 'Time after which a rate of growth is forgotten.', unit='s',
        minimum=0.01, maximum=100.0)
    centre_noise: float = param(
        0.05, 'Standard deviation of the centre of a box with a high score, in its heights.',
        minimum=0.001, maximum=1.0)
    width_noise: float = param(
        0.15, 'Relative standard deviation of the width of such a box: arms and legs swing.',
        minimum=0.001, maximum=1.0)
    height_noise: float = param(
        0.06, 'Relative standard deviation of the height of such a box.',
        minimum=0.001, maximum=1.0)
    look_weight: float = param(
        2.0, 'How much differing colours count against a pair: two boxes without common colours '
        'cost as much as this many boxes without common area. 0 tracks by position only.',
        minimum=0.0, maximum=100.0)
    max_cost: float = param(
        2.0, 'What it costs to leave a track without a sure detection, in the units of '
        'look_weight: a track keeps its good detection rather than passing it on to help a '
        'neighbour to any.', minimum=0.1, maximum=1000.0)
    look_memory_s: float = param(
        1.5, 'Time in which the remembered colours of a person follow what is seen.', unit='s',
        minimum=0.01, maximum=100.0)
    look_gate: float = param(
        0.6, 'A person whose remembered colours differ by more is somebody else, wherever the '
        'box is; of true pairs one in a thousand does. 1 lets everything through.',
        minimum=0.0, maximum=1.0)
    max_look_distance: float = param(
        0.35, 'A lost person is recognised again only when its colours differ by no more; '
        '0 is the same, 1 has nothing in common.', minimum=0.0, maximum=1.0)
    ego_motion: bool = param(
        True, 'Estimate the movement of the camera from the picture where it is not given; '
        'switch it off for a camera that does not move.')

    @property
    def model(self) -> kalman.MotionModel:
        """How boxes move, and how well they are measured."""
        return kalman.MotionModel(
            speed=self.speed, speed_memory_s=self.speed_memory_s, growth=self.growth,
            growth_memory_s=self.growth_memory_s, centre_noise=self.centre_noise,
            width_noise=self.width_noise, height_noise=self.height_noise)
