// Max and average pooling of NHWC images, forward and backward; pooling over a whole image is a window of its
// size. Sequences [batch, steps, channels] are images of width 1.
//
// One thread makes four channels (one, where channels or addresses are odd) of one element of its output.
// Forward reads each x under a window once per window (neighbours share a cache line) and writes each y once.
// Backward looks, for each x, at the windows that cover it, in a fixed order: no atomics, each dx is written
// once.
#pragma once

#include "kernels/activation.hpp"
#include "kernels/gpu.hpp"

namespace gpunn::kernels {

struct PoolAxis {
  std::int64_t window = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;  // in front; what is needed behind follows from `out`
  std::int64_t in = 0;
  std::int64_t out = 0;
};

// REQUIRES: every window sees at least one element of x.
struct PoolGeometry {
  std::int64_t batch = 0;
  std::int64_t channels = 0;
  PoolAxis height;
  PoolAxis width;
};

// y[batch, out, out, channels]; `argmax` (may be null) is the place in the image, row * width.in + column, of
// the element that won: NaN before every number, of equals the first.
void max_pool_forward(Gpu gpu, const PoolGeometry& g, const float* x, float* y, std::int32_t* argmax);
// The activation that made x, when its slope is to be multiplied in: by `y`, the pool's output. y null: none.
struct SlopeOf {
  Activation activation = Activation::linear;
  const float* y = nullptr;
};
// dx[batch, in, in, channels] (+)= the dy whose window chose this element, times the slope.
void max_pool_backward(Gpu gpu, const PoolGeometry& g, Accumulate mode, const float* dy,
                       const std::int32_t* argmax, float* dx, const SlopeOf& before = {});

// The mean of the elements under the window; padding counts neither in the sum nor in the number.
void average_pool_forward(Gpu gpu, const PoolGeometry& g, const float* x, float* y);
void average_pool_backward(Gpu gpu, const PoolGeometry& g, Accumulate mode, const float* dy, float* dx);

}  // namespace gpunn::kernels
