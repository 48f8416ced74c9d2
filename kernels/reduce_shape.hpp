// Which axes a reduction sums over, brought to the fewest extents. Plain arithmetic, tested with no GPU.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/hd.hpp"
#include "kernels/launch_shape.hpp"

namespace gpunn::kernels {

inline constexpr int kMaxRank = 8;

// Offsets of a nest of loops: index i, innermost extent last.
struct Loops {
  int rank = 0;
  std::int64_t count = 1;
  std::int64_t extents[kMaxRank] = {};
  std::int64_t strides[kMaxRank] = {};

  GPUNN_HD constexpr std::int64_t offset(std::int64_t i) const {
    if (rank == 1) return i * strides[0];  // most reductions are one loop: spare the divisions
    std::int64_t sum = 0;
    for (int k = kMaxRank - 1; k >= 0; --k) {  // a constant number of rounds keeps the arrays in registers
      if (k >= rank) continue;
      sum += i % extents[k] * strides[k];
      i /= extents[k];
    }
    return sum;
  }
};

// y[kept] = the sum over `reduced` of x. Axes of extent 1 are dropped and neighbours of a kind joined.
struct ReduceShape {
  Loops kept, reduced;
  bool inner_reduced = false;  // the axis whose elements lie side by side is summed over
};

// x of these extents, contiguous; bit k of `axes`: axis k is summed over.
constexpr ReduceShape reduce_shape(std::span<const std::int64_t> extents, unsigned axes) {
  ReduceShape shape;
  std::int64_t stride = 1;
  bool any = false, last_reduced = false;
  // From the innermost axis; the loops come out innermost first and are turned round below.
  for (int k = static_cast<int>(extents.size()) - 1; k >= 0; --k) {
    const std::int64_t extent = extents[static_cast<std::size_t>(k)];
    const bool is_reduced = (axes >> k & 1u) != 0;
    Loops& loops = is_reduced ? shape.reduced : shape.kept;
    loops.count *= extent;
    if (extent != 1) {
      if (!any) shape.inner_reduced = is_reduced;
      if (any && last_reduced == is_reduced) {
        loops.extents[loops.rank - 1] *= extent;
      } else {
        loops.extents[loops.rank] = extent;
        loops.strides[loops.rank] = stride;
        ++loops.rank;
      }
      any = true, last_reduced = is_reduced;
    }
    stride *= extent;
  }
  for (Loops* loops : {&shape.kept, &shape.reduced}) {
    for (int a = 0, b = loops->rank - 1; a < b; ++a, --b) {
      std::swap(loops->extents[a], loops->extents[b]);
      std::swap(loops->strides[a], loops->strides[b]);
    }
  }
  return shape;
}

// Sums over the rows of a matrix: what bias gradients and batch statistics are.
constexpr ReduceShape over_rows(std::int64_t rows, std::int64_t columns) {
  const std::int64_t extents[] = {rows, columns};
  return reduce_shape(extents, 0b01);
}

// Blocks of the column kernel make 32 sums side by side with 8 threads each.
inline constexpr int kReduceColumns = 32;
inline constexpr int kReduceSlices = kThreads / kReduceColumns;

// How the reduced loop is cut, from the shape alone.
constexpr Chunks reduce_chunks(const ReduceShape& shape) {
  if (shape.inner_reduced) return chunks_of(shape.reduced.count, 4096, shape.kept.count);  // 16 a thread
  return chunks_of(shape.reduced.count, 128, ceil_div(shape.kept.count, kReduceColumns));  // 16 a thread
}

}  // namespace gpunn::kernels
