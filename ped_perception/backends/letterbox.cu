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

// Crop, scale and pad a camera picture into one slot of the batch, on the GPU.
//
// The twin of core/views.py write_view(): bilinear with half-pixel centres and weights of 11 bits,
// as OpenCV's INTER_LINEAR has it for 8-bit pictures, within one grey level. All arithmetic is in
// integers, so that the CPU, where the tests run this file as C++, computes the same bits.
// Sides of up to 16384 pixels in the picture and 8192 in the slot do not overflow.
//
// One thread writes one pixel of the slot. Everything is read where it lies: a camera picture is
// read once a frame, there is nothing to gain from shared memory.

typedef unsigned char uint8;

const int WEIGHT_BITS = 11;
const int WEIGHT_ONE = 1 << WEIGHT_BITS;

struct Bgr {
  int blue, green, red;
};

// Part of the picture that the slot sees, x2 and y2 excluded.
struct Crop {
  int x1, y1, x2, y2;
};

// Where the scaled crop lies in the slot; the rest of the slot is grey.
struct Slot {
  uint8 *pixels;
  int width, height, pad_x, pad_y, size_x, size_y, grey;
};

// The two source pixels that a target pixel lies between, and the weight of the second.
struct Tap {
  int first, second, weight;
};

__host__ __device__ inline Tap tap_at(int index, int source_size, int target_size) {
  // (index + 0.5) * source_size / target_size - 0.5 as a fraction
  const int numerator = (2 * index + 1) * source_size - target_size;
  const int denominator = 2 * target_size;
  if (numerator <= 0) return {0, 0, 0};
  const int first = numerator / denominator;
  if (first >= source_size - 1) return {source_size - 1, source_size - 1, 0};
  const int rest = numerator - first * denominator;
  return {first, first + 1, (rest * WEIGHT_ONE + target_size) / denominator};
}

__host__ __device__ inline int saturated(int value) {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

// ITU-R BT.601, limited range, with the 20-bit constants that OpenCV rounds them to.
__host__ __device__ inline Bgr bgr_from_yuv(int luma, int blueness, int redness) {
  const int half = 1 << 19;
  const int grey = (luma < 16 ? 0 : luma - 16) * 1220542 + half;
  const int u = blueness - 128;
  const int v = redness - 128;
  return {saturated((grey + 2116026 * u) >> 20),
          saturated((grey - 409993 * u - 852492 * v) >> 20),
          saturated((grey + 1673527 * v) >> 20)};
}

struct BgrPicture {
  const uint8 *data;
  int pitch;

  __host__ __device__ Bgr at(int x, int y) const {
    const uint8 *pixel = data + (long long)y * pitch + 3 * x;
    return {pixel[0], pixel[1], pixel[2]};
  }
};

// Luma, and below it with the same pitch one row of U V pairs for two rows of luma.
struct Nv12Picture {
  const uint8 *data;
  int pitch, height;

  __host__ __device__ Bgr at(int x, int y) const {
    const uint8 *pair = data + (long long)(height + y / 2) * pitch + (x & ~1);
    return bgr_from_yuv(data[(long long)y * pitch + x], pair[0], pair[1]);
  }
};

// Four bytes for two pixels: Y U Y V with the luma at 0, U Y V Y with the luma at 1.
template <int LUMA_AT>
struct PackedPicture {
  const uint8 *data;
  int pitch;

  __host__ __device__ Bgr at(int x, int y) const {
    const uint8 *row = data + (long long)y * pitch;
    const uint8 *chroma = row + 2 * (x & ~1) + 1 - LUMA_AT;
    return bgr_from_yuv(row[2 * x + LUMA_AT], chroma[0], chroma[2]);
  }
};

__host__ __device__ inline uint8 mixed(int p00, int p01, int p10, int p11, int right, int below) {
  const int above_row = p00 * (WEIGHT_ONE - right) + p01 * right;
  const int below_row = p10 * (WEIGHT_ONE - right) + p11 * right;
  const int half = 1 << (2 * WEIGHT_BITS - 1);
  return (uint8)((above_row * (WEIGHT_ONE - below) + below_row * below + half)
                 >> (2 * WEIGHT_BITS));
}

template <class Picture>
__host__ __device__ void write_pixel(const Picture &picture, const Crop &crop, const Slot &slot,
                                     int x, int y) {
  if (x >= slot.width || y >= slot.height) return;
  uint8 *pixel = slot.pixels + 3 * ((long long)y * slot.width + x);
  const int inside_x = x - slot.pad_x;
  const int inside_y = y - slot.pad_y;
  if (inside_x < 0 || inside_x >= slot.size_x || inside_y < 0 || inside_y >= slot.size_y) {
    pixel[0] = pixel[1] = pixel[2] = (uint8)slot.grey;
    return;
  }
  const Tap column = tap_at(inside_x, crop.x2 - crop.x1, slot.size_x);
  const Tap row = tap_at(inside_y, crop.y2 - crop.y1, slot.size_y);
  const Bgr p00 = picture.at(crop.x1 + column.first, crop.y1 + row.first);
  const Bgr p01 = picture.at(crop.x1 + column.second, crop.y1 + row.first);
  const Bgr p10 = picture.at(crop.x1 + column.first, crop.y1 + row.second);
  const Bgr p11 = picture.at(crop.x1 + column.second, crop.y1 + row.second);
  pixel[0] = mixed(p00.blue, p01.blue, p10.blue, p11.blue, column.weight, row.weight);
  pixel[1] = mixed(p00.green, p01.green, p10.green, p11.green, column.weight, row.weight);
  pixel[2] = mixed(p00.red, p01.red, p10.red, p11.red, column.weight, row.weight);
}

// All kernels take the same arguments, in the order of ARGUMENTS in gpu_letterbox.py: the bytes of
// the picture, from row to row, its height, the crop, the slot and how it is filled.
#define KERNEL(NAME, PICTURE)                                                                     \
  extern "C" __global__ void NAME(                                                                \
      const uint8 *data, int pitch, int height, int x1, int y1, int x2, int y2, uint8 *pixels,    \
      int width, int slot_height, int pad_x, int pad_y, int size_x, int size_y, int grey) {       \
    const Crop crop = {x1, y1, x2, y2};                                                           \
    const Slot slot = {pixels, width, slot_height, pad_x, pad_y, size_x, size_y, grey};           \
    (void)height;                                                                                 \
    write_pixel(PICTURE, crop, slot, blockIdx.x * blockDim.x + threadIdx.x,                       \
                blockIdx.y * blockDim.y + threadIdx.y);                                           \
  }

KERNEL(letterbox_bgr8, (BgrPicture{data, pitch}))
KERNEL(letterbox_nv12, (Nv12Picture{data, pitch, height}))
KERNEL(letterbox_yuyv, (PackedPicture<0>{data, pitch}))
KERNEL(letterbox_uyvy, (PackedPicture<1>{data, pitch}))
