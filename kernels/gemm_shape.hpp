// How products are cut into tiles and slices. Plain arithmetic, tested with no GPU.
#pragma once

#include "kernels/launch_shape.hpp"

namespace gpunn::kernels {

// Every thread of a block of 256 makes kMicro x kMicro sums of a tile of 16 * kMicro in both directions.
inline constexpr int kTileThreads = 16;  // in each direction
template <int kMicro>
struct Tile {
  static constexpr int kSide = kTileThreads * kMicro;
  static constexpr int kDepth = kMicro == 4 ? 16 : 32;  // of one load; 4 elements of each operand per thread
};

struct GemmTiling {
  int micro =
      4;  // 4: tiles of 64 x 64; 2: of 32 x 32, for products too small to fill a device with large ones
  std::int64_t tiles_m = 0;
  std::int64_t tiles_n = 0;
  Chunks slices;  // of k. More than one: partial products go to scratch and are added in order
};

// From the shape alone, so that the sums are the same on every device.
constexpr GemmTiling gemm_tiling(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t groups = 1) {
  GemmTiling tiling;
  const std::int64_t large = ceil_div(m, Tile<4>::kSide) * ceil_div(n, Tile<4>::kSide) * groups;
  constexpr std::int64_t kEnoughLargeTiles = 128;  // about one per multiprocessor of a large device
  tiling.micro = large >= kEnoughLargeTiles || (m > 32 && n > 32 && k >= 4096) ? 4 : 2;
  const std::int64_t side = kTileThreads * tiling.micro;
  tiling.tiles_m = ceil_div(m, side), tiling.tiles_n = ceil_div(n, side);
  constexpr std::int64_t kShortestSlice = 512;  // a second launch pays only for long sums
  tiling.slices = chunks_of(k, kShortestSlice, tiling.tiles_m * tiling.tiles_n * groups);
  return tiling;
}

// Floats of scratch for the partial products, and for the partial sums of B's columns where those are wanted.
constexpr std::int64_t gemm_scratch_floats(std::int64_t m, std::int64_t n, std::int64_t k,
                                           std::int64_t groups = 1, bool column_sums = false) {
  const GemmTiling tiling = gemm_tiling(m, n, k, groups);
  return tiling.slices.count == 1 ? 0 : tiling.slices.count * groups * (m + (column_sums ? 1 : 0)) * n;
}

// Two independent products in one launch: of small tiles without slices, so that either is the same bits as
// alone, and of so few operations that a launch counts for more than a library's speed.
inline constexpr double kMostPairedFlops = 32e6;
constexpr bool gemm_pairs(std::int64_t m, std::int64_t n, std::int64_t k) {
  const GemmTiling tiling = gemm_tiling(m, n, k);
  return tiling.micro == 2 && tiling.slices.count == 1 &&
         2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) < kMostPairedFlops;
}

// Where the last block of each tile adds up its slices: a counter for each tile.
constexpr std::int64_t gemm_counters(std::int64_t m, std::int64_t n, std::int64_t k,
                                     std::int64_t groups = 1) {
  const GemmTiling tiling = gemm_tiling(m, n, k, groups);
  return tiling.slices.count == 1 ? 0 : groups * tiling.tiles_m * tiling.tiles_n;
}

}  // namespace gpunn::kernels
