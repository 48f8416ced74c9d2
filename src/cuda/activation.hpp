#pragma once

#include "kernels/activation.hpp"
#include "src/ops/activation.hpp"

namespace gpunn::cuda {

kernels::Activation kernel_kind(ops::Activation kind);

}  // namespace gpunn::cuda
