#pragma once

#include "kernels/softmax_cross_entropy.hpp"
#include "src/cuda/losses.hpp"

namespace gpunn::cuda {

inline kernels::ClassTargets class_targets(const Launch& l, const LossShape& shape) {
  if (shape.dense) return {nullptr, l.in(1)};
  return {l.in<std::int32_t>(1), nullptr};
}

}  // namespace gpunn::cuda
