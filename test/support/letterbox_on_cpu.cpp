// Copyright 2026 The ped_perception authors
//
// Licensed under the Apache License, Version 2.0 (the "License");
// you may not use this file except in compliance with the License.
// You may obtain a copy of the License at
//
//     http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software
// distributed under the License is distributed on an "AS IS" BASIS,
// WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
// See the License for the specific language governing permissions and
// limitations under the License.

// Runs the kernels of letterbox.cu on the CPU, one thread of the grid after the other.
//
// The words of CUDA that the file uses become words of C++; the file itself is included unchanged.

#define __host__
#define __device__
#define __global__

struct Dim {
  int x, y;
};
static Dim blockIdx, blockDim, threadIdx;

#include LETTERBOX

#define ON_CPU(NAME)                                                                              \
  extern "C" void cpu_##NAME(int grid_x, int grid_y, int block_x, int block_y, const uint8 *data, \
                             int pitch, int height, int x1, int y1, int x2, int y2,               \
                             uint8 *pixels, int width, int slot_height, int pad_x, int pad_y,     \
                             int size_x, int size_y, int grey) {                                  \
    blockDim = {block_x, block_y};                                                                \
    for (blockIdx.y = 0; blockIdx.y < grid_y; ++blockIdx.y)                                       \
      for (blockIdx.x = 0; blockIdx.x < grid_x; ++blockIdx.x)                                     \
        for (threadIdx.y = 0; threadIdx.y < block_y; ++threadIdx.y)                               \
          for (threadIdx.x = 0; threadIdx.x < block_x; ++threadIdx.x)                             \
            NAME(data, pitch, height, x1, y1, x2, y2, pixels, width, slot_height, pad_x, pad_y,   \
                 size_x, size_y, grey);                                                           \
  }

ON_CPU(letterbox_bgr8)
ON_CPU(letterbox_nv12)
ON_CPU(letterbox_yuyv)
ON_CPU(letterbox_uyvy)
