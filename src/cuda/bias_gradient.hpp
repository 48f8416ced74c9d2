// The gradient of a bias behind a library's product: db, output 1, is the sum over the rows of dz, input 1.
#pragma once

#include "kernels/reduce.hpp"
#include "src/cuda/device.hpp"
#include "src/cuda/library_call.hpp"

namespace gpunn::cuda {

inline Afterwards bias_gradient(const kernels::Matrix& dz, kernels::Accumulate mode) {
  const auto rows = kernels::over_rows(dz.rows, dz.columns);
  const auto scratch = static_cast<std::size_t>(kernels::reduce_scratch_floats(rows)) * sizeof(float);
  const auto run = [=](const Launch& l) {
    kernels::reduce_sum(gpu_of(l), rows, mode, 1.0f, l.in(1), l.out(1), static_cast<float*>(l.scratch));
  };
  return {run, scratch > 0 ? 2 : 1, scratch};
}

}  // namespace gpunn::cuda
