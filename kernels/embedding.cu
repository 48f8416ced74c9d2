#include "kernels/embedding.hpp"

#include <algorithm>

#include "kernels/embedding_body.hpp"
#include "kernels/launch.cuh"
#include "kernels/warp.cuh"

namespace gpunn::kernels {
namespace {

struct Lookup {
  EmbeddingShape shape;
  const std::int32_t* ids;
  const float* table;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t position = i / shape.columns, column = i - position * shape.columns;
    y[i] = looked_up(table, shape.rows, shape.columns, ids[position], column);
  }
};

// How many rows of the table a block owns: enough blocks for a large device, from the shape alone.
std::int64_t rows_per_block(const EmbeddingShape& shape) {
  return std::max<std::int64_t>(1, ceil_div(shape.rows, kTargetBlocks));
}

// Of 256 positions at a time those whose id is one of the block's rows are listed in their order; then every
// thread adds up its own columns. The barrier between counts and list also keeps the next list from those who
// still read this one.
template <Accumulate mode>
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    embedding_backward_kernel(EmbeddingShape shape, std::int64_t block_rows, std::int64_t ranges,
                              const std::int32_t* ids, const float* dy, float* dtable) {
  __shared__ int listed[kThreads], rows[kThreads], counts[kThreads / kWarp];
  const int me = static_cast<int>(threadIdx.x), warp = me / kWarp, lane = me % kWarp;
  for (std::int64_t range = blockIdx.x; range < ranges; range += gridDim.x) {
    const std::int64_t first = range * block_rows;
    const std::int64_t end = first + block_rows < shape.rows ? first + block_rows : shape.rows;
    if (mode == Accumulate::overwrite) {
      // By the threads that add to them later: no barrier.
      for (std::int64_t row = first; row < end; ++row) {
        for (std::int64_t c = me; c < shape.columns; c += kThreads) dtable[row * shape.columns + c] = 0;
      }
    }
    for (std::int64_t base = 0; base < shape.positions; base += kThreads) {
      const std::int64_t id = base + me < shape.positions ? ids[base + me] : -1;
      const bool mine = id >= first && id < end;
      const unsigned vote = __ballot_sync(kAllLanes, mine);
      if (lane == 0) counts[warp] = __popc(vote);
      __syncthreads();
      int before = 0, all = 0;
      for (int w = 0; w < kThreads / kWarp; ++w) {
        if (w < warp) before += counts[w];
        all += counts[w];
      }
      if (mine) {
        const int at = before + __popc(vote & ((1u << lane) - 1));
        listed[at] = me, rows[at] = static_cast<int>(id - first);
      }
      __syncthreads();
      for (std::int64_t c = me; c < shape.columns; c += kThreads) {
        float* column = dtable + first * shape.columns + c;
        for (int k = 0; k < all;) {  // the sum of a run of one id stays in a register
          const int row = rows[k];
          float sum = column[row * shape.columns];
          for (; k < all && rows[k] == row; ++k) sum += dy[(base + listed[k]) * shape.columns + c];
          column[row * shape.columns] = sum;
        }
      }
    }
  }
}

}  // namespace

void embedding_forward(Gpu gpu, const EmbeddingShape& shape, const std::int32_t* ids, const float* table,
                       float* y) {
  for_each(gpu, shape.positions * shape.columns, Lookup{shape, ids, table, y});
}

void embedding_backward(Gpu gpu, const EmbeddingShape& shape, Accumulate mode, const std::int32_t* ids,
                        const float* dy, float* dtable) {
  const std::int64_t block_rows = rows_per_block(shape), ranges = ceil_div(shape.rows, block_rows);
  with_mode(mode, [&](auto m) {
    launch(gpu, blocks_shape(ranges, gpu.multiprocessors), embedding_backward_kernel<m()>, shape, block_rows,
           ranges, ids, dy, dtable);
  });
}

}  // namespace gpunn::kernels
