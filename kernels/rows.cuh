// Kernels that work on one row of a matrix at a time: a group of threads (a warp, or the whole block) owns a
// row.
#pragma once

#include "kernels/launch.cuh"
#include "kernels/warp.cuh"

namespace gpunn::kernels {

// The threads that own a row: a warp (kGroup = 32, eight rows per block) or a block (kGroup = 256).
// Every thread of the group calls reduce(); all threads of the block must, when kGroup is a block.
template <int kGroup>
struct RowGroup {
  static constexpr int kRowsPerBlock = kThreads / kGroup;
  float* scratch;  // kThreads / 32 floats of shared memory

  __device__ int rank() const { return static_cast<int>(threadIdx.x) % kGroup; }
  __device__ std::int64_t first_row() const {
    return std::int64_t{blockIdx.x} * kRowsPerBlock + static_cast<int>(threadIdx.x) / kGroup;
  }
  __device__ std::int64_t row_step() const { return std::int64_t{gridDim.x} * kRowsPerBlock; }

  template <class Op>
  __device__ float reduce(float value, Op op) const {
    if constexpr (kGroup == kWarp) {
      return warp_reduce(value, op);
    } else {
      return block_reduce<kThreads>(value, scratch, op);
    }
  }
};

// body(group, row) for every row.
template <int kGroup, class Body>
__global__ void __launch_bounds__(kThreads, kLeastBlocks) rows_kernel(std::int64_t rows, Body body) {
  __shared__ float scratch[kThreads / kWarp];
  const RowGroup<kGroup> group{scratch};
  for (std::int64_t row = group.first_row(); row < rows; row += group.row_step()) body(group, row);
}

// A longer row is worth a block: a warp would walk it in more than 32 steps.
inline constexpr std::int64_t kWarpColumns = 1024;

template <class Body>
void for_each_row(On on, std::int64_t rows, std::int64_t columns, Body body) {
  if (columns <= kWarpColumns) {
    const std::int64_t blocks = ceil_div(rows, RowGroup<kWarp>::kRowsPerBlock);
    launch(on, blocks_shape(blocks, on.gpu.multiprocessors), rows_kernel<kWarp, Body>, rows, body);
  } else {
    launch(on, blocks_shape(rows, on.gpu.multiprocessors), rows_kernel<kThreads, Body>, rows, body);
  }
}

}  // namespace gpunn::kernels
