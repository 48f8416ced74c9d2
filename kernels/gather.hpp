// Rows of a data set that lies in device memory, taken by index: a batch. Rows are chosen by the host's
// permutation, so that all backends see the same order.
#pragma once

#include "kernels/gpu.hpp"

namespace gpunn::kernels {

struct GatherShape {
  std::int64_t rows = 0;         // of the batch
  std::int64_t columns = 0;      // elements of a row
  std::int64_t source_rows = 0;  // of the data set
};

// y[r, :] = x[indices[r], :], bit by bit, in words of 32 bits or in bytes. An index outside [0, source_rows)
// sets all bits of its row (of f32: NaN); nothing is read out of bounds.
void gather_rows(Gpu gpu, const GatherShape& shape, const std::uint32_t* x, const std::int64_t* indices,
                 std::uint32_t* y);
void gather_rows(Gpu gpu, const GatherShape& shape, const std::uint8_t* x, const std::int64_t* indices,
                 std::uint8_t* y);

}  // namespace gpunn::kernels
