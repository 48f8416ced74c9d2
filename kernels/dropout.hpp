// Dropout with counter-based random numbers: element i keeps or drops by word i % 4 of Philox block i / 4
// under the key (seed and step from `state`, stream), the same bits as gpunn::uniform01(key, i) on the host.
// No mask is stored: backward is the same call on dy. Reads 4n bytes, writes 4n.
#pragma once

#include "kernels/gpu.hpp"
#include "kernels/step_state.hpp"

namespace gpunn::kernels {

struct DropoutAttributes {
  float rate = 0;            // in [0, 1): kept elements are divided by 1 - rate
  std::uint32_t stream = 0;  // which dropout of the model this is
};

// y[i] (+)= uniform01(i) < rate ? 0 : x[i] / (1 - rate). `state` is in device memory. y may be x (overwrite).
// Without x: of ones.
void dropout(Gpu gpu, const DropoutAttributes& attributes, const StepState* state, Accumulate mode,
             std::int64_t n, const float* x, float* y);

}  // namespace gpunn::kernels
