// Blocks of columns copied between matrices: concatenation along any axis (rows are what stands before the
// axis, columns what stands in it and behind), and its gradient, which cuts a part out. Reads and writes each
// element once.
#pragma once

#include <span>

#include "kernels/gpu.hpp"

namespace gpunn::kernels {

struct ColumnBlock {
  const float* x = nullptr;  // [rows, columns]
  std::int64_t columns = 0;
};
inline constexpr int kMaxBlocks = 16;  // per launch; more blocks take more launches

// y[rows, sum of columns] = the blocks side by side.
void concatenate(Gpu gpu, std::int64_t rows, std::span<const ColumnBlock> blocks, float* y);

// y[rows, columns] (+)= columns [begin, begin + columns) of x[rows, x_columns].
struct Cut {
  std::int64_t rows = 0;
  std::int64_t x_columns = 0;
  std::int64_t begin = 0;
  std::int64_t columns = 0;
};
void cut_columns(Gpu gpu, const Cut& cut, Accumulate mode, const float* x, float* y);

}  // namespace gpunn::kernels
