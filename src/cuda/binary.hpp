#pragma once

#include "kernels/elementwise.hpp"
#include "src/ops/binary.hpp"

namespace gpunn::cuda {

kernels::Binary kernel_kind(ops::Binary kind);

}  // namespace gpunn::cuda
