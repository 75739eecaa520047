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
What the inference thread does: take pictures, detect, hand on what was found, and recover.

Everything here runs in that one thread, apart from the methods that say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
import math
import time
import traceback

import cv2
from ped_perception.core.corridor import Danger
from ped_perception.core.errors import PedPerceptionError
from ped_perception.core.follow import Mounting
from ped_perception.core.ground_motion import EgoMotion
from ped_perception.core.ground_types import GroundReason
from ped_perception.core.ids import Ids
from ped_perception.core.overload import Demand, Look, LookChooser
from ped_perception.core.perception import Perception
from ped_perception.core.pipeline import BackendInfo
from ped_perception.core.recovery import Recovery, RecoveryConfig
from ped_perception.core.schedule import Schedule
from ped_perception.ros.announcer import Announcer, LookedAt
from ped_perception.ros.camera_stats import Drop
from ped_perception.ros.config import LookoutConfig
from ped_perception.ros.ground_output import GroundOutput
from ped_perception.ros.network import Networks
from ped_perception.ros.pictures import Camera, Picture, PictureTaker
from ped_perception.ros.surroundings import Surroundings
from ped_perception.ros.worker import Arrival, explain
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger

# A problem that comes with every picture is logged once in this time.
_LOG_PERIOD_S = 5.0
# The same for what stays as it is for minutes.
_RARE_LOG_S = 30.0


class Lookout:
    """
    The job of the inference thread.

    Attributes:
        recovery: failures of the inference.
        small_recovery: failures of the small network, which cost no picture.
        schedule: of the cameras under overload.
        looks: how closely pictures are looked at.
        step_began_s: steady clock, when the inference at hand began; NaN while there is none.
        waits_since_s: the same for the thread that follows people, while it is waited for.
        info: what runs the network; None before it is loaded.
    """

    def __init__(self, cameras: Mapping[str, Camera], config: LookoutConfig,
                 recovery: RecoveryConfig, surroundings: Surroundings, ground: GroundOutput,
                 open_networks: Callable[[bool], Networks], ids: Ids, clock: Clock,
                 logger: RcutilsLogger) -> None:
        """
        Prepare.

        Args:
            cameras: by name.
            config: as it is now.
            recovery: how failures are treated.
            surroundings: transforms and odometry.
            ground: publishers of everybody around the vehicle.
            open_networks: opens the backends in this thread, again after failures; told whether
                it may build what is missing.
            ids: of the node's run.
            clock: of the node.
            logger: of the node.
        """
        self._cameras = cameras
        self._config = config
        self._surroundings = surroundings
        self._open_networks, self._ids = open_networks, ids
        self._clock, self._logger = clock, logger
        self._networks: Networks | None = None
        self._perception: Perception | None = None
        self._look = Look.ALL_VIEWS
        self._time_was_set = False
        self._taker = PictureTaker(cameras, surroundings, logger)
        self._announcer = Announcer(
            cameras, ground, lambda: self._config.perception.detector.score_threshold,
            lambda: self._config.corridor, clock, logger)
        self.recovery, self.small_recovery = Recovery(recovery), Recovery(recovery)
        self.schedule = Schedule({name: camera.config.priority
                                  for name, camera in cameras.items()})
        self.looks = LookChooser()
        self.step_began_s = self.waits_since_s = math.nan
        self.info: BackendInfo | None = None

    # --- called by other threads -------------------------------------------------------------

    def configure(self, config: LookoutConfig) -> None:
        """Take other parameters from the next picture on; they have been checked."""
        self._config = config
        if self._perception is not None:
            self._perception.pipeline.configure(config.perception.detector)
        self.schedule.set_priorities({name: camera.config.priority
                                      for name, camera in self._cameras.items()})

    def time_was_set(self) -> None:
        """Have everything forgotten that depends on time, before the next picture."""
        self._time_was_set = True

    # --- the job -----------------------------------------------------------------------------

    @property
    def networks(self) -> Networks | None:
        """What is loaded, None where nothing is."""
        return self._networks

    @property
    def danger(self) -> Danger:
        """Who comes into the vehicle's way, as of the newest pictures."""
        return self._announcer.danger

    def begin(self) -> None:
        """Load the networks."""
        # One thread of OpenCV: its pool would fight the inference for the cores.
        cv2.setNumThreads(1)
        self._networks = self._open_networks(True)
        full = self._networks.full
        try:
            self._perception = Perception(full, self._config.perception, self._ids,
                                          self._networks.small)
            # The first inference allocates; it must not be the first picture of the road.
            for backend in self._networks.each:
                backend.infer(backend.info.max_batch)
            began_s = time.perf_counter()
            full.infer(1)
            self.schedule.measured(1, time.perf_counter() - began_s)
        except Exception:
            self.end()
            raise
        self.info = full.info

    def end(self) -> None:
        """Release the networks."""
        self._release()
        self._taker.close()
        if self._perception is not None:
            self._perception.close()

    def _release(self) -> None:
        if self._networks is not None:
            self._networks.close()
        self._networks = None

    def choose(self, waited_s: Mapping[str, float]) -> Sequence[str]:
        """Choose the cameras to look at now, and how closely."""
        now_s = time.monotonic()
        views = {name: len(self._view_texts(camera)) for name, camera in self._cameras.items()}
        small_in_a_row = {name: camera.stats.small_in_a_row
                          for name, camera in self._cameras.items()}
        demands = [Demand(views[name], camera.rate_hz(now_s), waited_s.get(name),
                          small_in_a_row[name]) for name, camera in self._cameras.items()]
        self._look = self.looks.choose(
            demands, self.schedule.slot_s,
            self._small_share if self.small_recovery.may_try(now_s) else None)
        slots: Mapping[str, float] = (
            views if self._look is Look.ALL_VIEWS else dict.fromkeys(views, self._slot_share))
        return self.schedule.choose(list(waited_s), slots, self._config.step_budget_s,
                                    self.danger.cameras, self._config.corridor.priority,
                                    {} if self._look is Look.SMALL_NETWORK else small_in_a_row)

    @property
    def _small_share(self) -> float | None:
        return self._networks.small_share if self._networks is not None else None

    @property
    def _slot_share(self) -> float:
        """What a slot of the network that looks takes, as a share of one of the full network."""
        small = self._small_share
        return small if self._look is Look.SMALL_NETWORK and small is not None else 1.0

    def process(self, arrivals: Sequence[Arrival]) -> None:
        """Look at the newest pictures of some cameras."""
        taken_ns = self._clock.now().nanoseconds
        if self._time_was_set:
            self._time_was_set = False
            self._forget_everything('the clock was set')
        fine, jumped = self._taker.of_now(arrivals, taken_ns, self._config.age)
        if jumped:
            self._forget_everything(f'the stamps of camera {jumped} went back')
        if not fine:
            return
        if not self._ready():
            for arrival in fine:
                self._lose(arrival.camera)
            return
        assert self._perception is not None
        decoding_s = time.perf_counter()
        pictures = self._taker.decoded(fine, self._perception.pipeline.native_layouts)
        if not pictures:
            return
        decode_s = time.perf_counter() - decoding_s
        try:
            try:
                self._look_at(pictures, taken_ns, decode_s)
            except Exception as error:
                if not self._was_the_small_one(error):
                    raise
                self._look_at(pictures, taken_ns, decode_s)
        except Exception as error:  # noqa: BLE001 - whatever failed, the next picture may not
            self._failed(error)
            for picture in pictures:
                self._lose(picture.source.camera)
        finally:
            self.step_began_s = self.waits_since_s = math.nan

    def _forget_everything(self, why: str) -> None:
        """Begin anew because time was set: the one place where that happens."""
        self._logger.warning(f'Everybody is forgotten: {why}. This is right at the beginning of '
                             f'a recording, and wrong on a vehicle.',
                             throttle_duration_sec=_LOG_PERIOD_S)
        self._reset()
        for camera in self._cameras.values():
            camera.stats.forget_times()
            camera.guard.reset()

    def _reset(self) -> None:
        """Forget everybody, once the thread that follows them is done."""
        if self._perception is not None:
            self.waits_since_s = time.monotonic()
            self._perception.reset()
            self.waits_since_s = math.nan
        self._announcer.danger = Danger()

    # --- the inference -----------------------------------------------------------------------

    def _look_at(self, pictures: Sequence[Picture], taken_ns: int, decode_s: float) -> None:
        """Detect, and have what was found followed and published in the other thread."""
        assert self._perception is not None
        frames = [picture.upright for picture in pictures]
        assert self.info is not None
        mountings: dict[str, Mounting | GroundReason] = {}
        views = []
        for frame in frames:
            camera = self._cameras[frame.camera]
            texts = self._view_texts(camera)
            mounting = camera.mounting(frame, texts, self._logger)
            mountings[frame.camera] = mounting
            views.append(camera.views_of(frame, mounting, self._look, texts,
                                         self.info.network_hw))
        ego = self._ego(max(frame.stamp_ns for frame in frames))
        self.step_began_s = time.monotonic()
        detections, times = self._perception.detect(frames, views,
                                                    self._look is Look.SMALL_NETWORK)
        self.step_began_s = math.nan
        self.schedule.measured(sum(len(of_frame) for of_frame in views),
                               times.views_s + times.infer_s + times.postprocess_s,
                               self._slot_share)
        small = self._look is Look.SMALL_NETWORK
        if (self.small_recovery if small else self.recovery).succeeded():
            self._logger.info(f'The {"small network" if small else "inference"} works again')
        looked = LookedAt(pictures, detections, mountings, ego, taken_ns, {
            'decode': decode_s, 'views': times.views_s, 'infer': times.infer_s,
            'postprocess': times.postprocess_s}, time.perf_counter())
        self.waits_since_s = time.monotonic()
        self._perception.afterwards(partial(self._announcer.announce, looked, self._perception))

    @property
    def odometry_problem(self) -> str:
        """Why velocities of people are not over ground; for any thread."""
        return self._surroundings.odometry_problem

    def _ego(self, stamp_ns: int) -> EgoMotion | None:
        ego = self._surroundings.ego(stamp_ns)
        if ego is None and self._surroundings.wants_odometry:
            self._logger.warning(f'Velocities of people are not over ground: '
                                 f'{self.odometry_problem}', throttle_duration_sec=_RARE_LOG_S)
        return ego

    def _view_texts(self, camera: Camera) -> tuple[str, ...]:
        return camera.config.views or self._config.perception.detector.views

    # --- failures ----------------------------------------------------------------------------

    def _ready(self) -> bool:
        """Tell whether there is a network to ask; open it anew after repeated failures."""
        if not self.recovery.may_try(time.monotonic()):
            return False
        if not self.recovery.needs_new_backend:
            return True
        self.step_began_s = time.monotonic()
        try:
            self._release()
            # Not while driving: a build takes minutes.
            self._networks = self._open_networks(False)
        except Exception as error:  # noqa: BLE001 - the driver may raise anything
            self._failed(error)
            return False
        finally:
            self.step_began_s = math.nan
        assert self._perception is not None
        self._perception.pipeline.take_backends(self._networks.full, self._networks.small)
        self.small_recovery.succeeded()
        # Whatever it was that failed: nothing of it may be left.
        self._reset()
        self.info = self._networks.full.info
        return True

    def _was_the_small_one(self, error: Exception) -> bool:
        """Have the large network look instead if it was the small one that failed."""
        if self._look is not Look.SMALL_NETWORK:
            return False
        wait_s = self.small_recovery.failed(time.monotonic(), explain(error))
        self._logger.error(f'The small network failed: {explain(error)}. Next attempt in '
                           f'{wait_s:.1f} s.', throttle_duration_sec=_LOG_PERIOD_S)
        self._look = Look.FIRST_VIEW
        return True

    def _lose(self, camera: str) -> None:
        """Count a picture that was good, but that no network looked at."""
        self._cameras[camera].stats.dropped(Drop.INFERENCE, self.recovery.problem)

    def _failed(self, error: Exception) -> None:
        wait_s = self.recovery.failed(time.monotonic(), explain(error))
        if not isinstance(error, PedPerceptionError):
            # Nobody foresaw it, so where it happened is worth knowing.
            self._logger.error(''.join(traceback.format_exception(error)),
                               throttle_duration_sec=_LOG_PERIOD_S)
        self._logger.error(f'The inference failed ({self.recovery.failures} in a row): '
                           f'{self.recovery.problem}. Next attempt in {wait_s:.1f} s.',
                           throttle_duration_sec=1.0)
