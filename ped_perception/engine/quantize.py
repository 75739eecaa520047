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
INT8: a typed graph whose convolutions multiply 8-bit integers.

The format is QDQ (QuantizeLinear, DequantizeLinear): weights symmetric, one scale per channel;
activations by the range they have on calibration pictures. Only what a convolution reads is
rounded, and its result stays float until the next convolution reads it, so that an activation
function in between sees unrounded values and runtimes fuse it. The last convolutions, whose
channels are scores and distances, stay float: their ranges differ too much for one scale.

One file cannot serve all runtimes. CPUs multiply unsigned activations with signed weights
(``cpu``); TensorRT takes signed activations with zero points 0 only (``tensorrt``), which
OpenVINO loads and computes wrongly. ``engine.agreement`` must pass on the runtime that will
use the file.

Weights for CPUs have 7 bits: processors without VNNI add two products of 8 bits in 16, where
``2 * 255 * 127`` does not fit and would be clamped. With ``2 * 255 * 64`` nothing is lost, and
every processor computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
import hashlib
import json
import logging
from pathlib import Path
import tempfile
from typing import Any, get_args, Literal, TypeAlias

import cv2
import numpy as np
import onnx
from ped_perception.core.errors import import_extra, ModelError
from ped_perception.core.types import Uint8Array
from ped_perception.core.views import place_view, specs_from_texts, ViewSpec, write_view
from ped_perception.engine.files import write_whole
from ped_perception.engine.graph import tensor_info
from ped_perception.engine.trunk import load_model

Runtime: TypeAlias = Literal['cpu', 'tensorrt']

CALIBRATION_VIEWS = ('whole', 'whole@0.65')     # what the shipped configuration looks through
CROP_SHARES = (0.25, 0.9)       # of the picture's sides: near and far people from one picture
GAINS = (0.6, 1.2)              # of the grey levels; brighter ones saturate and widen all ranges
METHOD = 'minmax'


@dataclass(frozen=True)
class Calibration:
    """
    What the ranges of an INT8 graph were measured on.

    Attributes:
        pictures: number of pictures.
        inputs: number of network inputs made of them: views, crops.
        method: how a range is found from the values seen.
        sha256: over the pixels of all pictures, in their order.
    """

    pictures: int
    inputs: int
    method: str
    sha256: str


@dataclass(frozen=True)
class Quantized:
    """An INT8 graph that was written: which convolutions it has, and its calibration."""

    path: Path
    runtime: Runtime
    quantized: tuple[str, ...]
    left_float: tuple[str, ...]
    calibration: Calibration


def quantize(graph: Path, pictures: Iterable[Uint8Array], output: Path, *,
             runtime: Runtime = 'cpu', views: tuple[str, ...] = CALIBRATION_VIEWS,
             progress: Callable[[], object] = lambda: None) -> Quantized:
    """
    Quantise a float32 typed graph; the file appears whole or not at all.

    Args:
        graph: typed graph of precision fp32.
        pictures: uint8[H, W, 3] BGR of any sizes, like those the network will see; 100 do.
        output: file to write.
        runtime: what will run the file.
        views: of ``core.views``, through which the pictures are seen, besides random crops.
        progress: called after every picture.

    Raises:
        ModelError: the graph is not a float32 typed graph, has nothing to quantise, or there
            are no pictures.
        ConfigError: a view cannot be read.
        MissingExtraError: onnxruntime is not installed.
    """
    if runtime not in get_args(Runtime):
        raise ModelError(f'There is no INT8 for the runtime {runtime!r}; choose one of: '
                         f'{", ".join(get_args(Runtime))}.')
    library = import_extra('onnxruntime.quantization', 'onnxruntime')
    model = load_model(graph)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata.get('precision') != 'fp32':
        raise ModelError(f'{graph} is not a float32 typed graph (precision: '
                         f'{metadata.get("precision", "not stated")}). Make one with: '
                         'ped_engine import FILE --size WIDTHxHEIGHT')
    last = last_convolutions(model)
    inner = [node.name for node in model.graph.node
             if node.op_type == 'Conv' and node.name not in last]
    if not inner:
        raise ModelError(f'{graph} has no convolution besides its heads: nothing to quantise.')
    reader = _Reader(pictures, _network_hw(model), specs_from_texts(views), progress)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / 'int8.onnx'
        with _without_advice():
            library.quantize_static(graph, written, reader, **_settings(library, runtime, last))
        result = onnx.load(written)
    _finish(result, model, {**metadata, **reader.facts, 'runtime': runtime})
    write_whole(output, result.SerializeToString(deterministic=True))
    return Quantized(output, runtime, tuple(inner), last, reader.calibration)


def last_convolutions(model: onnx.ModelProto) -> tuple[str, ...]:
    """Name the convolutions whose results reach no other convolution: a detector's heads."""
    feeds_convolution: set[str] = set()
    last = []
    for node in reversed(model.graph.node):     # ONNX nodes are sorted: users come later
        feeds = bool(feeds_convolution.intersection(node.output))
        if node.op_type == 'Conv' and not feeds:
            last.append(node.name)
        if node.op_type == 'Conv' or feeds:
            feeds_convolution.update(node.input)
    return tuple(reversed(last))


def calibration_inputs(picture_hw3: Uint8Array, network_hw: tuple[int, int],
                       views: tuple[ViewSpec, ...], rng: np.random.Generator,
                       ) -> Iterator[Uint8Array]:
    """
    See a picture through the views, then through a random mirrored crop of random brightness.

    Yields:
        uint8[1, h, w, 3], a new array each.
    """
    share_x, share_y = rng.uniform(*CROP_SHARES, 2)
    left, top = rng.uniform(0, 1 - share_x), rng.uniform(0, 1 - share_y)
    crop = ViewSpec((left, top, left + share_x, top + share_y))
    changed = cv2.convertScaleAbs(picture_hw3, alpha=rng.uniform(*GAINS))
    for spec, image_hw3 in (*((view, picture_hw3) for view in views), (crop, changed)):
        batch_1hw3 = np.empty((1, *network_hw, 3), np.uint8)
        height, width = image_hw3.shape[:2]
        write_view(np.asarray(image_hw3, np.uint8),
                   place_view(spec, (height, width), network_hw), batch_1hw3[0])
        yield batch_1hw3 if spec is not crop else np.ascontiguousarray(batch_1hw3[:, :, ::-1])


class _Reader:
    """Feeds the quantiser, as its CalibrationDataReader; counts and hashes what it gave."""

    def __init__(self, pictures: Iterable[Uint8Array], network_hw: tuple[int, int],
                 views: tuple[ViewSpec, ...], progress: Callable[[], object]) -> None:
        self._inputs = self._read(pictures, network_hw, views, progress)
        self._digest = hashlib.sha256()
        self._pictures = self._given = 0

    def get_next(self) -> dict[str, Uint8Array] | None:
        """Give the next input of the network, or None at the end."""
        batch_1hw3 = next(self._inputs, None)
        if batch_1hw3 is None:
            if not self._pictures:
                raise ModelError('There are no pictures to calibrate with.')
            return None
        self._given += 1
        return {'images': batch_1hw3}

    def _read(self, pictures: Iterable[Uint8Array], network_hw: tuple[int, int],
              views: tuple[ViewSpec, ...], progress: Callable[[], object],
              ) -> Iterator[Uint8Array]:
        rng = np.random.default_rng(0)      # the same pictures give the same file
        for picture_hw3 in pictures:
            self._pictures += 1
            self._digest.update(repr(picture_hw3.shape).encode())
            self._digest.update(np.ascontiguousarray(picture_hw3).tobytes())
            yield from calibration_inputs(picture_hw3, network_hw, views, rng)
            progress()

    @property
    def calibration(self) -> Calibration:
        """What was seen so far."""
        return Calibration(self._pictures, self._given, METHOD, self._digest.hexdigest())

    @property
    def facts(self) -> dict[str, str]:
        """Metadata of the INT8 graph."""
        return {'precision': 'int8', 'calibration': json.dumps(asdict(self.calibration))}


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the quantiser's advice on the root logger: the import has done what it asks."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _settings(library: Any, runtime: Runtime, last: tuple[str, ...]) -> dict[str, Any]:
    kinds, signed = library.QuantType, runtime == 'tensorrt'
    return {
        'quant_format': library.QuantFormat.QDQ, 'op_types_to_quantize': ['Conv'],
        'nodes_to_exclude': list(last), 'per_channel': True, 'weight_type': kinds.QInt8,
        'reduce_range': runtime == 'cpu',
        'activation_type': kinds.QInt8 if signed else kinds.QUInt8,
        'calibrate_method': library.CalibrationMethod.MinMax,
        'extra_options': {
            'WeightSymmetric': True, 'ActivationSymmetric': signed,
            # Rounding a result before its activation function only loses; TensorRT takes no
            # quantised biases, and elsewhere they gain nothing.
            'OpTypesToExcludeOutputQuantization': ['Conv'], 'QuantizeBias': False}}


def _network_hw(model: onnx.ModelProto) -> tuple[int, int]:
    height, width = tensor_info(model.graph.input[0]).shape[1:3]
    if not isinstance(height, int) or not isinstance(width, int):
        raise ModelError('The size of the network input is not fixed in the graph; make a typed '
                         'graph with: ped_engine import FILE --size WIDTHxHEIGHT')
    return height, width


def _finish(result: onnx.ModelProto, model: onnx.ModelProto, metadata: dict[str, str]) -> None:
    """Give the quantised graph the inputs, outputs and producer of the float one."""
    del result.graph.value_info[:], result.metadata_props[:]
    result.producer_name, result.producer_version = model.producer_name, ''
    for kind in ('input', 'output'):
        values = getattr(result.graph, kind)
        del values[:]
        values.extend(getattr(model.graph, kind))
    for key, value in sorted(metadata.items()):
        result.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(result, full_check=True)
