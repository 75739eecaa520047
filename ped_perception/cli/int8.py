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

"""``ped_engine import --precision int8``: calibrated on pictures, kept only if it agrees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
import tempfile
from typing import TYPE_CHECKING

from ped_perception.backends import BackendConfig, open_graph
from ped_perception.core.errors import ImageError, ModelError
from ped_perception.core.types import Uint8Array
from ped_perception.engine.catalogue import ImportOptions, SourceModel
from ped_perception.engine.files import write_whole
from ped_perception.engine.models import typed_graph
from ped_perception.sources import open_source
from tqdm import tqdm

if TYPE_CHECKING:
    from ped_perception.engine.agreement import Agreement
    from ped_perception.engine.quantize import Quantized, Runtime

KEPT_FROM_CALIBRATION = 4       # every fourth picture: agreement is judged on unseen ones
REMEDY = ('Nothing was written. Calibrate with more and more varied pictures as the camera takes '
          'them, or stay with fp32 or fp16.')


@dataclass(frozen=True)
class Pictures:
    """
    Pictures spread evenly over a source, decoded anew at every reading.

    Attributes:
        source: folder, video or rosbag2.
        count: most pictures taken.
    """

    source: str
    count: int

    def read(self, *, judging: bool) -> Iterator[Uint8Array]:
        """
        Give the pictures kept for judging, or those for calibration.

        Raises:
            SourceError: the source cannot be read.
            ModelError: it is live: its pictures cannot be read twice.
        """
        with open_source(self.source) as source:
            if source.is_live:
                raise ModelError(f'{self.source} is live; record it first, and give the '
                                 'recording.')
            step = max(1, -(-(source.frame_count or 0) // self.count))
            taken = 0
            for index, frame in enumerate(source):
                if index % step or taken >= self.count:
                    continue
                try:
                    image_hw3 = frame.picture.bgr()
                except ImageError:
                    continue    # a damaged picture calibrates nothing; the others do
                taken += 1
                if (taken % KEPT_FROM_CALIBRATION == 0) == judging:
                    yield image_hw3


def import_int8(source: SourceModel, size_hw: tuple[int, int], wanted: ImportOptions,
                runtime: Runtime, pictures: Pictures, output: Path) -> list[str]:
    """
    Quantise a model, compare it with float32 and write it if they agree.

    Returns:
        What was done, in lines for people.

    Raises:
        ModelError: the model cannot be imported or quantised, or INT8 ruins it.
        SourceError: the pictures cannot be read.
        MissingExtraError: a library is not installed.
    """
    from ped_perception.engine.quantize import quantize
    reference = typed_graph(source, size_hw, options=wanted)
    with tempfile.TemporaryDirectory() as folder:
        with tqdm(desc='calibrate', unit=' pictures', total=_share(pictures, False)) as bar:
            made = quantize(reference, pictures.read(judging=False), Path(folder) / 'int8.onnx',
                            runtime=runtime, progress=bar.update)
        agreement = _judge(reference, made.path, runtime, pictures)
        write_whole(output, made.path.read_bytes())
    return _lines(made, agreement, output)


def _judge(reference: Path, candidate: Path, runtime: Runtime, pictures: Pictures) -> Agreement:
    """Run both graphs on the pictures kept; raises ModelError if they do not agree."""
    from ped_perception.engine.agreement import LabelledPicture, measure, refuse, TOLERANCES
    # ONNX Runtime computes signed files as TensorRT does; OpenVINO does not.
    backend = 'auto' if runtime == 'cpu' else 'onnxruntime'
    with open_graph(reference, BackendConfig(backend=backend, precision='fp32'), 1) as exact, \
            open_graph(candidate, BackendConfig(backend=backend), 1) as rounded, \
            tqdm(desc='compare', unit=' pictures', total=_share(pictures, True)) as bar:
        agreement = measure(
            exact, rounded, map(LabelledPicture, pictures.read(judging=True)),
            progress=bar.update)
        name = rounded.info.model
    if runtime == 'tensorrt':
        # What was read back is how ONNX Runtime adds up the rounded numbers: in float32.
        agreement = replace(agreement, candidate=f'{name} int8, emulated by onnxruntime,')
    refuse(agreement, TOLERANCES['int8'], REMEDY)
    return agreement


def _share(pictures: Pictures, judging: bool) -> int:
    """Count the pictures of a reading, at most, for the progress bar."""
    with open_source(pictures.source) as source:
        taken = min(pictures.count, source.frame_count or pictures.count)
    judged = taken // KEPT_FROM_CALIBRATION
    return judged if judging else taken - judged


def _lines(made: Quantized, agreement: Agreement, output: Path) -> list[str]:
    calibration, inner, heads = made.calibration, len(made.quantized), len(made.left_float)
    seen = f'{calibration.pictures} pictures, {calibration.inputs} network inputs'
    return [
        f'int8       {inner} convolutions for {made.runtime}, {heads} heads in float32',
        f'calibrated {seen}, {calibration.method}, sha256 {calibration.sha256}',
        f'agreement  {agreement}',
        f'file       {output} ({output.stat().st_size / 1e6:.2f} MB)']
