// Rows of a data set that lies in device memory, taken by index: a batch. Rows are chosen by the host's
// permutation, so that all backends see the same order.
#pragma once

#include "kernels/elementwise.hpp"
#include "kernels/gpu.hpp"

namespace gpunn::kernels {

struct GatherShape {
  std::int64_t rows = 0;         // of the batch
  std::int64_t columns = 0;      // elements of a row
  std::int64_t source_rows = 0;  // of the data set
};

// Where the batch begins in `indices`: *cursor % period, in device memory, so that a captured step moves on
// when advance_cursor() has run. cursor null: at 0.
struct Cursor {
  const std::int64_t* cursor = nullptr;
  std::int64_t period = 1;
};

// y[r, :] = x[indices[start + r], :] * scale + offset. An index outside [0, source_rows) makes its row NaN;
// nothing is read out of bounds.
void gather_rows(Gpu gpu, const GatherShape& shape, const Affine& by, const float* x,
                 const std::int64_t* indices, Cursor cursor, float* y);
void gather_rows(Gpu gpu, const GatherShape& shape, const Affine& by, const std::uint8_t* x,
                 const std::int64_t* indices, Cursor cursor, float* y);
// Labels and token ids, unchanged; -1 for an index outside.
void gather_rows(Gpu gpu, const GatherShape& shape, const std::int32_t* x, const std::int64_t* indices,
                 Cursor cursor, std::int32_t* y);

// *cursor = (*cursor + by) % period.
void advance_cursor(Gpu gpu, std::int64_t by, std::int64_t period, std::int64_t* cursor);

}  // namespace gpunn::kernels
