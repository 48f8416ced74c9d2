// Sums over any axes of any function of an element. `Value` gives what is summed: value(i) for element
// i of x, kept index o: the sums themselves need no array x.
#pragma once

#include "kernels/reduce_shape.hpp"
#include "kernels/rows.cuh"

namespace gpunn::kernels {

// What happens to finished sums: y[o] (+)= scale * sum; or partial[chunk][o] = sum.
struct ReduceStore {
  float* y;
  float scale;
  bool add;
  __device__ void operator()(std::int64_t o, float sum) const {
    y[o] = add ? y[o] + scale * sum : scale * sum;
  }
};

struct ChunkRange {
  std::int64_t begin, end;
};
__device__ inline ChunkRange chunk_range(const Chunks& chunks, std::int64_t chunk, std::int64_t length) {
  const std::int64_t begin = chunk * chunks.length;
  return {begin, begin + chunks.length < length ? begin + chunks.length : length};
}

// Neighbouring sums are made by neighbouring lanes: reads are coalesced where the innermost axis is kept.
template <class Value>
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    reduce_columns_kernel(ReduceShape shape, Chunks chunks, Value value, ReduceStore store) {
  __shared__ float shared[kReduceSlices][kReduceColumns];
  const int lane = static_cast<int>(threadIdx.x) % kReduceColumns,
            slice = static_cast<int>(threadIdx.x) / kReduceColumns;
  const std::int64_t tiles = (shape.kept.count + kReduceColumns - 1) / kReduceColumns;
  for (std::int64_t item = blockIdx.x; item < tiles * chunks.count; item += gridDim.x) {
    const std::int64_t chunk = item / tiles, o = (item - chunk * tiles) * kReduceColumns + lane;
    const ChunkRange range = chunk_range(chunks, chunk, shape.reduced.count);
    float sum = 0;
    if (o < shape.kept.count) {
      const std::int64_t base = shape.kept.offset(o);
      for (std::int64_t r = range.begin + slice; r < range.end; r += kReduceSlices) {
        sum += value(base + shape.reduced.offset(r), o);
      }
    }
    shared[slice][lane] = sum;
    __syncthreads();
    if (slice == 0 && o < shape.kept.count) {
      for (int s = 1; s < kReduceSlices; ++s) sum += shared[s][lane];
      store(chunk * shape.kept.count + o, sum);
    }
    __syncthreads();
  }
}

// A warp or a block makes one sum: reads are coalesced where the innermost axis is reduced.
template <int kGroup, class Value>
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    reduce_rows_kernel(ReduceShape shape, Chunks chunks, Value value, ReduceStore store) {
  __shared__ float shared[kThreads / kWarp];
  const RowGroup<kGroup> group{shared};
  for (std::int64_t item = group.first_row(); item < shape.kept.count * chunks.count;
       item += group.row_step()) {
    const std::int64_t chunk = item / shape.kept.count, o = item - chunk * shape.kept.count;
    const ChunkRange range = chunk_range(chunks, chunk, shape.reduced.count);
    const std::int64_t base = shape.kept.offset(o);
    float sum = 0;
    for (std::int64_t r = range.begin + group.rank(); r < range.end; r += kGroup) {
      sum += value(base + shape.reduced.offset(r), o);
    }
    sum = group.reduce(sum, Sum{});
    if (group.rank() == 0) store(item, sum);
  }
}

// One stage: all chunks of all sums.
template <class Value>
void reduce_stage(On on, const ReduceShape& shape, Chunks chunks, Value value, ReduceStore store) {
  const int multiprocessors = on.gpu.multiprocessors;
  if (!shape.inner_reduced) {
    const std::int64_t blocks = ceil_div(shape.kept.count, kReduceColumns) * chunks.count;
    launch(on, blocks_shape(blocks, multiprocessors), reduce_columns_kernel<Value>, shape, chunks, value,
           store);
  } else if (chunks.length <= kWarpColumns) {
    const std::int64_t blocks = ceil_div(shape.kept.count * chunks.count, RowGroup<kWarp>::kRowsPerBlock);
    launch(on, blocks_shape(blocks, multiprocessors), reduce_rows_kernel<kWarp, Value>, shape, chunks, value,
           store);
  } else {
    launch(on, blocks_shape(shape.kept.count * chunks.count, multiprocessors),
           reduce_rows_kernel<kThreads, Value>, shape, chunks, value, store);
  }
}

namespace {  // so that the kernels over it belong to the file that makes them, and none is in two objects

struct ReadElement {
  const float* x;
  __device__ float operator()(std::int64_t i, std::int64_t) const { return x[i]; }
};

}  // namespace

// y[o] (+)= scale * (sum of value(i, o)).
template <class Value>
void reduce(On on, const ReduceShape& shape, Accumulate mode, float scale, Value value, float* y,
            float* scratch) {
  const ReduceStore store{y, scale, mode == Accumulate::add};
  const Chunks chunks = reduce_chunks(shape);
  if (chunks.count == 1) return reduce_stage(on, shape, chunks, value, store);
  require(scratch != nullptr, "reduce: this shape needs scratch");
  reduce_stage(on, shape, chunks, value, ReduceStore{scratch, 1.0f, false});
  const ReduceShape rest = over_rows(chunks.count, shape.kept.count);
  reduce_stage(on, rest, Chunks{1, rest.reduced.count}, ReadElement{scratch}, store);
}

}  // namespace gpunn::kernels
