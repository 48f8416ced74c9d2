// Axes in another order. Reads and writes each element once. Where the innermost axis changes place, tiles of
// 32 x 32 go through shared memory so that both sides are coalesced.
#pragma once

#include <span>

#include "kernels/gpu.hpp"
#include "kernels/reduce_shape.hpp"

namespace gpunn::kernels {

// y's axis k is x's axis order[k]. REQUIRES: `order` is a permutation of the axes, at most kMaxRank of them.
// x and y must not overlap.
void transpose(Gpu gpu, std::span<const std::int64_t> extents, std::span<const int> order, Accumulate mode,
               const float* x, float* y);

// What transpose() comes down to: axes of extent 1 dropped, neighbours that stay together joined.
struct TransposeShape {
  int rank = 0;
  std::int64_t count = 1;
  std::int64_t extents[kMaxRank] = {};    // of y, innermost last
  std::int64_t x_strides[kMaxRank] = {};  // of the same axes in x
  std::int64_t y_strides[kMaxRank] = {};
};
constexpr TransposeShape transpose_shape(std::span<const std::int64_t> extents, std::span<const int> order) {
  TransposeShape shape;
  const int rank = static_cast<int>(extents.size());
  std::int64_t strides[kMaxRank] = {};
  std::int64_t stride = 1;
  for (int k = rank - 1; k >= 0; --k) {
    strides[k] = stride;
    stride *= extents[static_cast<std::size_t>(k)];
  }
  shape.count = stride;
  for (int k = 0; k < rank; ++k) {
    const int from = order[static_cast<std::size_t>(k)];
    const std::int64_t extent = extents[static_cast<std::size_t>(from)];
    if (extent == 1) continue;
    if (shape.rank > 0 && shape.x_strides[shape.rank - 1] == strides[from] * extent) {
      shape.extents[shape.rank - 1] *= extent;  // lies behind the axis before it in x too
      shape.x_strides[shape.rank - 1] = strides[from];
    } else {
      shape.extents[shape.rank] = extent;
      shape.x_strides[shape.rank] = strides[from];
      ++shape.rank;
    }
  }
  stride = 1;
  for (int k = shape.rank - 1; k >= 0; --k) {
    shape.y_strides[k] = stride;
    stride *= shape.extents[k];
  }
  return shape;
}

}  // namespace gpunn::kernels
