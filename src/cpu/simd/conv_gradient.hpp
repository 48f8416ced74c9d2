// Weight gradients of convolutions, and both gradients through relu and 2x2 max pooling.
//
// Behind a pool only the winners that relu let live carry a gradient: at most one element of four. The pooled
// forms walk the winners that forward_pooled recorded, and multiply nothing else. Where a kernel row over the
// channels is too short for that, the gradient is spread out and taken densely.
#pragma once

#include <cstdint>

#include "src/cpu/simd/conv.hpp"

namespace gpunn::cpu::simd {

struct ConvGradientKernels {
  // dW (+)= x * dy, and db (+)= sums of dy unless db is null. `dy` is laid out as y.
  std::int64_t (*weights_scratch_floats)(const Conv2d& c);
  void (*weights)(const Conv2d& c, const float* x, const float* dy, float* dw, float* db, bool add,
                  float* scratch);

  // The same for the pooled form; `dy` is laid out as the pooled y. Slopes of activations other than relu are
  // the caller's: dy times the slope at y.
  std::int64_t (*pooled_weights_scratch_floats)(const Conv2d& c);
  void (*pooled_weights)(const Conv2d& c, const float* x, const float* dy, const std::uint8_t* winners,
                         float* dw, float* db, bool add, float* scratch);

  // dx (+)= the data gradient of the pooled form. `by_filter` is W as prepare_by_filter lays it out.
  std::int64_t (*by_filter_floats)(const Conv2d& c);
  void (*prepare_by_filter)(const Conv2d& c, const float* w, float* by_filter);
  std::int64_t (*pooled_data_scratch_floats)(const Conv2d& c);
  void (*pooled_data)(const Conv2d& c, const float* by_filter, const float* dy, const std::uint8_t* winners,
                      float* dx, bool add, float* scratch);
};

GPUNN_SIMD_TABLES(ConvGradientKernels, conv_gradient_table)

}  // namespace gpunn::cpu::simd
