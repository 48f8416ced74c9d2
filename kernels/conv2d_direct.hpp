// Convolutions of our own, for any stride, padding, dilation and groups: used for one-channel images, where
// the library has no engine, and where there is no library. Images NHWC, weights [kernel height, kernel
// width, in / groups, out].
//
// The general form is the tiled product with the image read in place (implicit GEMM). Few taps (kernel height
// * width * in / groups <= 32: one-channel images, depthwise) go through kernels that hold a thread's weights
// in shared memory and write each output once.
#pragma once

#include "kernels/epilogue.hpp"
#include "kernels/gemm_shape.hpp"
#include "kernels/gpu.hpp"

namespace gpunn::kernels {

struct ConvAxis {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;  // in front; what is needed behind follows from `out`
  std::int64_t dilation = 1;
};

// REQUIRES: pixels of x and of y, and taps, below 2^31 each.
struct ConvGeometry {
  std::int64_t batch = 0;
  std::int64_t in = 0;   // channels
  std::int64_t out = 0;  // channels
  std::int64_t groups = 1;
  ConvAxis height;
  ConvAxis width;

  constexpr std::int64_t group_in() const { return in / groups; }
  constexpr std::int64_t group_out() const { return out / groups; }
  constexpr std::int64_t taps() const { return height.kernel * width.kernel * group_in(); }
  constexpr std::int64_t x_pixels() const { return batch * height.in * width.in; }
  constexpr std::int64_t y_pixels() const { return batch * height.out * width.out; }
  constexpr double flops() const {
    return 2.0 * static_cast<double>(y_pixels() * out) * static_cast<double>(taps());
  }
};

// y[batch, out height, out width, out] as the epilogue says. scratch: conv2d_forward_scratch_floats.
void conv2d_forward(Gpu gpu, const ConvGeometry& g, const float* x, const float* w, const Epilogue& epilogue,
                    float* y, float* scratch);
// dx[batch, height, width, in] as the epilogue says (its bias is null).
void conv2d_backward_data(Gpu gpu, const ConvGeometry& g, const float* dy, const float* w,
                          const Epilogue& epilogue, float* dx, float* scratch);
// dw (+)= the gradient of the weights and, in the same launches, `bias` (+)= that of the bias.
void conv2d_backward_weights(Gpu gpu, const ConvGeometry& g, Accumulate mode, const float* x, const float* dy,
                             float* dw, float* scratch, const ColumnSums& bias = {});

std::int64_t conv2d_forward_scratch_floats(const ConvGeometry& g);
std::int64_t conv2d_backward_data_scratch_floats(const ConvGeometry& g);
std::int64_t conv2d_backward_weights_scratch_floats(const ConvGeometry& g, bool bias);

}  // namespace gpunn::kernels
