#pragma once

#include "kernels/sequence.hpp"
#include "src/ops/common.hpp"

namespace gpunn::cuda {

// [batch, steps, ...] as the kernels see it.
inline kernels::SequenceShape sequence_of(const Shape& x) {
  const std::int64_t row = ops::row_elements(x);
  return {x[0], x[1], x[1] == 0 ? 0 : row / x[1]};
}

}  // namespace gpunn::cuda
