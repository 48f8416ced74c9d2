#pragma once

#include "kernels/gpu.hpp"
#include "src/ops/common.hpp"

namespace gpunn::cuda {

// A tensor as the vectors of its last axis.
inline kernels::Matrix matrix_of(const Shape& shape) {
  return {ops::leading_elements(shape), shape[-1]};
}

}  // namespace gpunn::cuda
