// What looking up a row of a table is.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/hd.hpp"

namespace gpunn::kernels {

// Element `column` of row `id` of a table [rows, columns]; NaN where there is no such row.
GPUNN_HD inline float looked_up(const float* table, std::int64_t rows, std::int64_t columns, std::int64_t id,
                                std::int64_t column) {
  return id >= 0 && id < rows ? table[id * columns + column] : NAN;
}

}  // namespace gpunn::kernels
