#include "kernels/embedding.hpp"

#include <cmath>

#include "kernels/elementwise.hpp"
#include "kernels/rows.cuh"

namespace gpunn::kernels {
namespace {

struct Lookup {
  EmbeddingShape shape;
  const std::int32_t* ids;
  const float* table;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t position = i / shape.columns, column = i - position * shape.columns;
    const std::int64_t id = ids[position];
    y[i] = id >= 0 && id < shape.rows ? table[id * shape.columns + column] : NAN;
  }
};

// A warp per position. Lanes compare 32 ids at a time; all of them know the outcome.
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    embedding_backward_kernel(EmbeddingShape shape, const std::int32_t* ids, const float* dy, float* dtable) {
  const RowGroup<kWarp> warp{nullptr};
  const int lane = warp.rank();
  for (std::int64_t p = warp.first_row(); p < shape.positions; p += warp.row_step()) {
    const std::int32_t id = ids[p];
    bool first = id >= 0 && id < shape.rows;
    for (std::int64_t q = 0; first && q < p; q += kWarp) {
      first = __ballot_sync(kAllLanes, q + lane < p && ids[q + lane] == id) == 0;
    }
    if (!first) continue;  // the whole warp
    float* row = dtable + id * shape.columns;
    for (std::int64_t q = p / kWarp * kWarp; q < shape.positions; q += kWarp) {
      unsigned mine =
          __ballot_sync(kAllLanes, q + lane >= p && q + lane < shape.positions && ids[q + lane] == id);
      for (; mine != 0; mine &= mine - 1) {
        const float* from = dy + (q + __ffs(static_cast<int>(mine)) - 1) * shape.columns;
        for (std::int64_t c = lane; c < shape.columns; c += kWarp) row[c] += from[c];
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
  if (mode == Accumulate::overwrite) fill(gpu, shape.rows * shape.columns, 0.0f, dtable);
  const std::int64_t blocks = ceil_div(shape.positions, RowGroup<kWarp>::kRowsPerBlock);
  launch(gpu, blocks_shape(blocks, gpu.multiprocessors), embedding_backward_kernel, shape, ids, dy, dtable);
}

}  // namespace gpunn::kernels
