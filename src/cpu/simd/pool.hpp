// Pooling over channels-last images with any window, stride and padding; a window of the whole image is
// global pooling.
#pragma once

#include <cstdint>

#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

struct Pool2d {
  std::int64_t batch = 0;
  std::int64_t height = 0, width = 0, channels = 0;  // x [batch, height, width, channels]
  std::int64_t window_h = 0, window_w = 0;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_top = 0, pad_left = 0;  // REQUIRES: every window sees some of x
  std::int64_t out_h = 0, out_w = 0;       // y [batch, out_h, out_w, channels]
};

struct PoolKernels {
  // argmax: where the winner lies in its image, row * width + column. The first of equal ones; NaN wins over
  // every number.
  void (*max)(const Pool2d& p, const float* x, float* y, std::int32_t* argmax);
  void (*max_backward)(const Pool2d& p, const float* dy, const std::int32_t* argmax, float* dx, bool add);
  // Means over the part of the window inside the image.
  void (*average)(const Pool2d& p, const float* x, float* y);
  void (*average_backward)(const Pool2d& p, const float* dy, float* dx, bool add);
};

GPUNN_SIMD_TABLES(PoolKernels, pool_table)

}  // namespace gpunn::cpu::simd
