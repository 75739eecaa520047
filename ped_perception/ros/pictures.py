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

"""From messages to pictures that are worth looking at: judged by their stamps, and decoded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import os

from ped_perception.core.errors import ImageError
from ped_perception.core.follow import Mounting
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.image_monitor import ImageMonitor
from ped_perception.core.overload import Look
from ped_perception.core.rotation import upright_from_source
from ped_perception.core.schedule import RateLimit
from ped_perception.core.stamps import AgeConfig, stamp_problem, StampGuard, StampVerdict
from ped_perception.core.types import Frame
from ped_perception.core.views import (
    HORIZON,
    region_from_numbers,
    specs_from_texts,
    ViewSpec,
)
from ped_perception.ros.camera_geometry import CameraGeometry
from ped_perception.ros.camera_output import CameraOutput
from ped_perception.ros.camera_stats import CameraStats, Drop
from ped_perception.ros.config import CameraConfig
from ped_perception.ros.convert import (
    frame_from_compressed_image,
    frame_from_image,
    stamp_ns_from_time,
)
from ped_perception.ros.surroundings import Surroundings
from ped_perception.ros.worker import Arrival, explain
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CompressedImage

# A problem that comes with every picture is logged once in this time.
_LOG_PERIOD_S = 5.0
# The same for what stays as it is for minutes.
_RARE_LOG_S = 30.0

# A camera that has sent nothing for so many of its periods asks nothing of the inference.
_SILENT_PERIODS = 5


@dataclass(eq=False)
class Camera:
    """
    Everything the node has of one camera.

    Attributes:
        config: replaced as a whole when a parameter changes.
        image_problems: what the monitor said of the newest picture, in words.
        silence: why no pictures come, told by the executor's thread.
        rivals: which publishers share its topic, told by the executor's thread; empty for one.
        wanted: somebody wants to know what it sees, told by the executor's thread.
    """

    name: str
    config: CameraConfig
    stats: CameraStats
    output: CameraOutput
    geometry: CameraGeometry
    guard: StampGuard
    monitor: ImageMonitor
    rate_limit: RateLimit
    image_problems: tuple[str, ...] = ()
    silence: str = ''
    rivals: str = ''
    wanted: bool = True

    def rate_hz(self, now_s: float) -> float:
        """
        Give how many pictures a second are to be looked at.

        Args:
            now_s: steady clock.

        Returns:
            0 when nobody wants them, when none has come or no more come, and before the second
            where nobody said what to expect.
        """
        period_s, expected_hz = self.stats.period_s, self.config.expected_rate_hz
        rate_hz = 1 / period_s if period_s > 0 else expected_hz
        if not self.wanted or (now_s - self.stats.received_s) * rate_hz >= _SILENT_PERIODS:
            return 0.0
        target_hz = self.config.target_rate_hz
        return min(rate_hz, target_hz) if target_hz > 0 else rate_hz

    def mounting(self, frame: Frame, texts: Sequence[str],
                 logger: RcutilsLogger) -> Mounting | GroundReason:
        """
        Say where the camera was when it took a picture.

        Args:
            frame: of this camera, upright.
            texts: views that it is looked at through.
            logger: is told why people will have no position, or a view is left out.
        """
        mounting = self.geometry.mounting(frame)
        # A camera that nobody calibrated is no news; one that nobody can place is.
        if mounting is GroundReason.NO_TRANSFORM:
            logger.warning(f'People seen by camera {self.name} have no position: '
                           f'{self.geometry.problem}', throttle_duration_sec=_RARE_LOG_S)
        elif isinstance(mounting, GroundReason) and HORIZON in texts:
            logger.warning(f'The view horizon of camera {self.name} is left out: '
                           f'{self.geometry.problem}', throttle_duration_sec=_RARE_LOG_S)
        return mounting

    def views_of(self, frame: Frame, mounting: Mounting | GroundReason, look: Look,
                 texts: Sequence[str], network_hw: tuple[int, int]) -> Sequence[ViewSpec]:
        """
        Give the views through which a picture is looked at, and count how closely that is.

        Args:
            frame: of this camera.
            mounting: of the camera as of this picture, or why it is not known.
            look: how closely; all but the closest take the first view only.
            texts: all views, of ``core.views``.
            network_hw: input size of the network, height and width.
        """
        if look is Look.FIRST_VIEW and len(texts) == 1:
            look = Look.ALL_VIEWS
        self.stats.looks_at(look)
        horizon = (self.geometry.horizon(frame, mounting, network_hw)
                   if HORIZON in texts and (look is Look.ALL_VIEWS or len(texts) == 1) else None)
        specs = specs_from_texts(texts, region_from_numbers(self.config.roi, 'roi'), horizon)
        return specs if look is Look.ALL_VIEWS else specs[:1]


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: as the camera sent it, upright, and when it came."""

    source: Frame
    upright: Frame
    received_s: float


class PictureTaker:
    """Judges and decodes what came of all cameras. For the inference thread."""

    def __init__(self, cameras: Mapping[str, Camera], surroundings: Surroundings,
                 logger: RcutilsLogger) -> None:
        """
        Prepare.

        Args:
            cameras: by name.
            surroundings: tell whether the vehicle moves.
            logger: of the node.
        """
        self._cameras, self._surroundings, self._logger = cameras, surroundings, logger
        self._judged_ns = -1
        self._decoders = ThreadPoolExecutor(min(len(cameras), os.cpu_count() or 1), 'decode')

    def of_now(self, arrivals: Sequence[Arrival], now_ns: int, config: AgeConfig,
               ) -> tuple[list[Arrival], str]:
        """
        Judge pictures by their stamps; those that are refused are counted.

        Args:
            arrivals: at most one of each camera.
            now_ns: ROS time.
            config: limits.

        Returns:
            Those to be looked at; and the camera whose stamps went back because time was set,
            empty for none.
        """
        clock_stands, self._judged_ns = now_ns == self._judged_ns, now_ns
        fine, jumped = [], ''
        for arrival in arrivals:
            camera = self._cameras[arrival.camera]
            stamp_ns = stamp_ns_from_time(arrival.message.header.stamp)
            jumps = camera.guard.jumps
            verdict = camera.guard.judge(stamp_ns, now_ns, config)
            if verdict is StampVerdict.FINE:
                fine.append(arrival)
                jumped = camera.name if camera.guard.jumps > jumps else jumped
            else:
                self._refuse(camera, Drop(verdict.value), stamp_problem(
                    verdict, stamp_ns, now_ns, config, clock_stands=clock_stands))
        return fine, jumped

    def decoded(self, arrivals: Sequence[Arrival], native: Collection[str]) -> list[Picture]:
        """
        Decode pictures; those that cannot be are counted.

        Args:
            arrivals: at most one of each camera.
            native: layouts that are not to be decoded: the backend takes them as they are.
        """
        def decode(arrival: Arrival) -> Picture | None:
            """Take in one picture, in any thread; None for one that is refused."""
            try:
                return self._taken_in(arrival, native)
            except ImageError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001 - one picture must not cost the node
                problem = explain(error)
            self._refuse(self._cameras[arrival.camera], Drop.BAD, problem)
            return None

        # Decoding does not hold the interpreter's lock: each camera may have a core. One alone is
        # not handed on: on busy cores waking another thread takes a millisecond.
        decode_all = self._decoders.map if len(arrivals) > 1 else map
        return [picture for picture in decode_all(decode, arrivals) if picture is not None]

    def close(self) -> None:
        """End the threads."""
        self._decoders.shutdown()

    def _taken_in(self, arrival: Arrival, native: Collection[str]) -> Picture:
        """Decode a picture and see whether the camera sees; in any thread."""
        camera = self._cameras[arrival.camera]
        source = upright = (
            frame_from_compressed_image(arrival.message, arrival.camera)
            if isinstance(arrival.message, CompressedImage)
            else frame_from_image(arrival.message, arrival.camera, native))
        if camera.config.rotation_deg:
            upright = Frame(source.camera, source.stamp_ns, source.frame_id, upright_from_source(
                source.image_hw3, camera.config.rotation_deg // 90))
        ego = self._surroundings.ego(source.stamp_ns)
        camera.image_problems = tuple(problem.value for problem in camera.monitor.check(
            source, moving=ego is not None and ego.is_faster_than_walking))
        return Picture(source, upright, arrival.received_s)

    def _refuse(self, camera: Camera, cause: Drop, problem: str) -> None:
        camera.stats.dropped(cause, problem)
        self._logger.warning(f'Skipped a picture of camera {camera.name}: {problem}',
                             throttle_duration_sec=_LOG_PERIOD_S)
