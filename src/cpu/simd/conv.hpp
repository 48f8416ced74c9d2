// Convolutions with stride 1 over channels-last images: plain, and fused with bias, activation and 2x2 max
// pooling.
//
// 3x3 kernels over enough channels go by Winograd F(2x2, 3x3): 2.25 times fewer multiplications; a tile of
// the transform is a pool window, so that the fused form never stores the unpooled map. All others go
// directly, row by row, through the same register tiles as dense products. Which of the two depends on the
// shape alone.
//
// Weights are prepared first (packed, transformed): once for many slices, or per slice for a few per cent.
#pragma once

#include <cstdint>

#include "src/cpu/simd/activation.hpp"
#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

struct Conv2d {
  std::int64_t batch = 0;
  std::int64_t height = 0, width = 0, channels = 0;      // x [batch, height, width, channels]
  std::int64_t kernel_h = 0, kernel_w = 0, filters = 0;  // W [kernel_h, kernel_w, channels, filters]
  std::int64_t pad_top = 0, pad_left = 0;                // what is read beyond x, on any side, is zero
  // What is computed: y[batch, out_h, out_w, filters] of the convolution; in the pooled forms, that many pool
  // windows. It may be less than the whole: only what somebody reads.
  std::int64_t out_h = 0, out_w = 0;
  // Floats between rows and between images of x and of y (y: the pooled one in the pooled forms).
  std::int64_t x_row = 0, x_image = 0, y_row = 0, y_image = 0;
};

struct ConvEpilogue {
  const float* bias = nullptr;  // [filters]
  Activation activation = Activation::linear;
  // Multiplies by slope_of's slope at `kept` (laid out as y): for data gradients. See
  // ActivationKernels::backward.
  Activation slope_of = Activation::linear;
  const float* kept = nullptr;
  bool add = false;  // y += instead of y =. REQUIRES: no other epilogue
};

// Which element of its 2x2 window won, per pooled element: 0 1 / 2 3, the first of equal ones; NaN wins.
// kDead where relu gave 0.
constexpr std::uint8_t kDead = 4;

struct ConvKernels {
  // "winograd" or "direct": what forward and forward_pooled will do.
  const char* (*method)(const Conv2d& c);
  std::int64_t (*prepared_floats)(const Conv2d& c);
  void (*prepare)(const Conv2d& c, const float* w, float* prepared);

  // y = act(x * W + bias)
  std::int64_t (*scratch_floats)(const Conv2d& c);
  void (*forward)(const Conv2d& c, const ConvEpilogue& e, const float* x, const float* prepared, float* y,
                  float* scratch);
  // y = pool(act(x * W + bias)) and its winners[batch, out_h, out_w, filters], dense. bias may be null.
  // REQUIRES: act is monotone: not gelu.
  std::int64_t (*pooled_scratch_floats)(const Conv2d& c);
  void (*forward_pooled)(const Conv2d& c, const float* bias, Activation act, const float* x,
                         const float* prepared, float* y, std::uint8_t* winners, float* scratch);

  // Data gradient of `c` without a pool: forward of backward_data(c) over dy, with weights that `flip` makes
  // of W.
  void (*flip)(const Conv2d& c, const float* w, float* flipped);  // as many floats as W
};

// The convolution that makes dx of dy. REQUIRES: c is plain, not pooled.
Conv2d backward_data(const Conv2d& c);

GPUNN_SIMD_TABLES(ConvKernels, conv_table)

}  // namespace gpunn::cpu::simd
