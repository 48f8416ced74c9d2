// Softmax over the last axis. Rows of up to 1024 columns take a warp each, longer ones a block.
// Forward reads a row three times (the second and third from cache) and writes it once; backward reads y and
// dy twice and writes dx once.
#pragma once

#include "kernels/gpu.hpp"

namespace gpunn::kernels {

// y[r, :] = exp(x[r, :] - max) / sum; a row with a NaN, or with no finite maximum, becomes NaN. y may be x.
void softmax_forward(Gpu gpu, Matrix shape, const float* x, float* y);
// dx (+)= y * (dy - sum(y * dy)). dx may be dy.
void softmax_backward(Gpu gpu, Matrix shape, Accumulate mode, const float* y, const float* dy, float* dx);

}  // namespace gpunn::kernels
