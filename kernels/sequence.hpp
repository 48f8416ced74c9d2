// Sequences [rows, steps, features]: which steps are padding, leaving those out, turning the order round. One
// launch each; memory-bound: reads and writes each element once.
#pragma once

#include "kernels/gpu.hpp"

namespace gpunn::kernels {

struct SequenceShape {
  std::int64_t rows = 0, steps = 0, features = 0;
};

// mask[row, step] = 1 where any number of the step differs from `value` (NaN differs), else 0.
void sequence_mask(Gpu gpu, const SequenceShape& shape, float value, const float* x, std::uint8_t* mask);
void sequence_mask(Gpu gpu, const SequenceShape& shape, std::int32_t value, const std::int32_t* x,
                   std::uint8_t* mask);
// y (+)= x where the mask is 1, else 0.
void apply_mask(Gpu gpu, const SequenceShape& shape, Accumulate mode, const float* x,
                const std::uint8_t* mask, float* y);
// y = 1 where a or b is, of n places.
void either_mask(Gpu gpu, std::int64_t n, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* y);
// y[rows, steps + others]: the steps of a[rows, steps], then those of b[rows, others].
void join_masks(Gpu gpu, std::int64_t rows, std::int64_t steps, std::int64_t others, const std::uint8_t* a,
                const std::uint8_t* b, std::uint8_t* y);
// y[row, step] (+)= x[row, steps - 1 - step]. y must not overlap x.
void reverse(Gpu gpu, const SequenceShape& shape, Accumulate mode, const float* x, float* y);

}  // namespace gpunn::kernels
