#include "kernels/transpose.hpp"

#include "kernels/launch.cuh"

namespace gpunn::kernels {
namespace {

constexpr int kTile = 32;
constexpr int kTileRows = kThreads / kTile;  // rows of a tile moved at once

// Offsets of the loops over all axes but the two that a tile covers.
struct Outer {
  std::int64_t x, y;
};
__device__ Outer outer_offsets(const TransposeShape& shape, int skip, std::int64_t i) {
  Outer at{0, 0};
  for (int k = kMaxRank - 2; k >= 0; --k) {  // the innermost axis of y is in the tile
    if (k >= shape.rank - 1 || k == skip) continue;
    const std::int64_t index = i % shape.extents[k];
    at.x += index * shape.x_strides[k];
    at.y += index * shape.y_strides[k];
    i /= shape.extents[k];
  }
  return at;
}

struct Tiling {
  int across;                  // the axis of y that is innermost in x
  std::int64_t columns, rows;  // extents: innermost axis of y, and `across`
  std::int64_t column_stride;  // of the former in x
  std::int64_t row_stride;     // of the latter in y
  std::int64_t tiles_x, tiles_y, tiles;
};

__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    transpose_tiles_kernel(TransposeShape shape, Tiling t, bool add, const float* x, float* y) {
  __shared__ float tile[kTile][kTile + 1];  // one column more: no bank conflicts on either side
  const int lane = static_cast<int>(threadIdx.x) % kTile, row = static_cast<int>(threadIdx.x) / kTile;
  for (std::int64_t item = blockIdx.x; item < t.tiles; item += gridDim.x) {
    const std::int64_t in_plane = t.tiles_x * t.tiles_y, plane = item / in_plane,
                       at = item - plane * in_plane;
    const std::int64_t first_column = at % t.tiles_x * kTile, first_row = at / t.tiles_x * kTile;
    const Outer outer = outer_offsets(shape, t.across, plane);
    for (int k = row; k < kTile; k += kTileRows) {
      if (first_column + k < t.columns && first_row + lane < t.rows) {
        tile[k][lane] = x[outer.x + (first_column + k) * t.column_stride + first_row + lane];
      }
    }
    __syncthreads();
    for (int k = row; k < kTile; k += kTileRows) {
      if (first_row + k < t.rows && first_column + lane < t.columns) {
        float* out = y + outer.y + (first_row + k) * t.row_stride + first_column + lane;
        *out = add ? *out + tile[lane][k] : tile[lane][k];
      }
    }
    __syncthreads();
  }
}

// The innermost axis stays innermost: rows are moved whole.
struct MoveRows {
  TransposeShape shape;
  bool add;
  const float* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    std::int64_t from = 0, rest = i;
    for (int k = kMaxRank - 1; k >= 0; --k) {
      if (k >= shape.rank) continue;
      from += rest % shape.extents[k] * shape.x_strides[k];
      rest /= shape.extents[k];
    }
    y[i] = add ? y[i] + x[from] : x[from];
  }
};

}  // namespace

void transpose(Gpu gpu, std::span<const std::int64_t> extents, std::span<const int> order, Accumulate mode,
               const float* x, float* y) {
  require(extents.size() <= kMaxRank && order.size() == extents.size(), "transpose: one place for each axis");
  const TransposeShape shape = transpose_shape(extents, order);
  const bool add = mode == Accumulate::add;
  if (shape.count == 0) return;
  const int inner = shape.rank - 1;
  if (shape.rank <= 1 || shape.x_strides[inner] == 1)
    return for_each(gpu, shape.count, MoveRows{shape, add, x, y});

  int across = 0;
  while (shape.x_strides[across] != 1) ++across;
  Tiling t{.across = across,
           .columns = shape.extents[inner],
           .rows = shape.extents[across],
           .column_stride = shape.x_strides[inner],
           .row_stride = shape.y_strides[across],
           .tiles_x = ceil_div(shape.extents[inner], kTile),
           .tiles_y = ceil_div(shape.extents[across], kTile),
           .tiles = 0};
  t.tiles = t.tiles_x * t.tiles_y * (shape.count / (t.columns * t.rows));
  launch(gpu, blocks_shape(t.tiles, gpu.multiprocessors), transpose_tiles_kernel, shape, t, add, x, y);
}

}  // namespace gpunn::kernels
