// How loss kernels cut rows into chunks and add up what the chunks found.
#pragma once

#include "kernels/loss.hpp"
#include "kernels/rows.cuh"

namespace gpunn::kernels {

struct Tally {
  float loss = 0;
  float rows = 0;
  float metric = 0;
  float weight = 0;
};

// All threads of the block: adds up their tallies and writes the results, or this chunk's line of
// scratch[4][chunks]. Where nobody asked for sums (a gradient alone) it writes nothing.
__device__ inline void finish_chunk(const Tally& mine, const LossOutputs& out, std::int64_t chunk,
                                    std::int64_t chunks, float* shared) {
  if (!out.wants_sums()) return;
  const float loss = block_reduce<kThreads>(mine.loss, shared, Sum{});
  const float rows = block_reduce<kThreads>(mine.rows, shared, Sum{});
  const float metric = block_reduce<kThreads>(mine.metric, shared, Sum{});
  const float weight = block_reduce<kThreads>(mine.weight, shared, Sum{});
  if (threadIdx.x != 0) return;
  if (chunks > 1) {
    out.scratch[chunk] = loss;
    out.scratch[chunks + chunk] = rows;
    out.scratch[2 * chunks + chunk] = metric;
    out.scratch[3 * chunks + chunk] = weight;
    return;
  }
  if (out.loss != nullptr) out.loss[0] = loss, out.loss[1] = rows;
  if (out.metric != nullptr) out.metric[0] = metric, out.metric[1] = weight;
}

__device__ inline float gradient_factor(const LossGradient& gradient) {
  return gradient.upstream == nullptr ? gradient.scale : gradient.scale * *gradient.upstream;
}

__device__ inline void put_gradient(const LossGradient& gradient, std::int64_t i, float d) {
  gradient.dx[i] = gradient.mode == Accumulate::add ? gradient.dx[i] + d : d;
}

__device__ inline float weight_of(const float* weights, std::int64_t row) {
  return weights == nullptr ? 1.0f : weights[row];
}

// Rows of up to kWarpColumns take a warp, and a warp walks 8 of a chunk: quicker than a second launch.
inline constexpr std::int64_t kRowsPerChunk = 64;
inline constexpr std::int64_t kLongRowsPerChunk = 4;     // rows that take the whole block
inline constexpr std::int64_t kElementsPerChunk = 4096;  // 16 per thread

constexpr Chunks loss_row_chunks(Matrix shape) {
  return chunks_of(shape.rows, shape.columns <= kWarpColumns ? kRowsPerChunk : kLongRowsPerChunk, 1);
}
constexpr Chunks loss_element_chunks(Matrix shape) {
  return chunks_of(shape.rows * shape.columns, kElementsPerChunk, 1);
}

// row(group, r) -> Tally, the same for every thread of the group.
template <int kGroup, class Row>
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    row_loss_kernel(std::int64_t rows, Chunks chunks, Row row, LossOutputs out) {
  __shared__ float shared[kThreads / kWarp];
  const RowGroup<kGroup> group{shared};
  const int me = static_cast<int>(threadIdx.x) / kGroup;
  const std::int64_t begin = blockIdx.x * chunks.length;  // one chunk per block
  const std::int64_t end = begin + chunks.length < rows ? begin + chunks.length : rows;
  Tally mine;
  for (std::int64_t r = begin + me; r < end; r += RowGroup<kGroup>::kRowsPerBlock) {
    const Tally t = row(group, r);
    mine.loss += t.loss, mine.rows += t.rows, mine.metric += t.metric, mine.weight += t.weight;
  }
  if (group.rank() != 0) mine = {};  // a group's tally counts once
  finish_chunk(mine, out, blockIdx.x, chunks.count, shared);
}

// Second stage, one block.
static __global__ void __launch_bounds__(kThreads, kLeastBlocks)
    add_chunks_kernel(LossOutputs out, std::int64_t chunks) {
  __shared__ float shared[kThreads / kWarp];
  Tally mine;
  for (std::int64_t c = threadIdx.x; c < chunks; c += kThreads) {
    mine.loss += out.scratch[c];
    mine.rows += out.scratch[chunks + c];
    mine.metric += out.scratch[2 * chunks + c];
    mine.weight += out.scratch[3 * chunks + c];
  }
  finish_chunk(mine, out, 0, 1, shared);
}

inline void expect_scratch(Chunks chunks, const LossOutputs& out) {
  require(chunks.count == 1 || !out.wants_sums() || out.scratch != nullptr, "loss: this shape needs scratch");
}

inline void add_chunks(On on, Chunks chunks, const LossOutputs& out) {
  if (chunks.count > 1 && out.wants_sums()) launch(on, {1, kThreads}, add_chunks_kernel, out, chunks.count);
}

template <class Row>
void for_each_loss_row(On on, Matrix shape, Row row, const LossOutputs& out) {
  require(shape.columns > 0 && shape.columns < 1 << 24, "loss: columns must be in [1, 2^24)");
  const Chunks chunks = loss_row_chunks(shape);
  expect_scratch(chunks, out);
  const LaunchShape grid = chunks_shape(chunks);
  if (shape.columns <= kWarpColumns) {
    launch(on, grid, row_loss_kernel<kWarp, Row>, shape.rows, chunks, row, out);
  } else {
    launch(on, grid, row_loss_kernel<kThreads, Row>, shape.rows, chunks, row, out);
  }
  add_chunks(on, chunks, out);
}

// The first column where at(c) is greatest, as a float (exact: columns < 2^24).
template <int kGroup, class At>
__device__ float first_greatest(const RowGroup<kGroup>& group, std::int64_t columns, At at) {
  float highest = -INFINITY;
  for (std::int64_t c = group.rank(); c < columns; c += kGroup) highest = fmaxf(highest, at(c));
  highest = group.reduce(highest, Max{});
  float first = INFINITY;
  for (std::int64_t c = group.rank(); c < columns; c += kGroup) {
    if (at(c) == highest) first = fminf(first, static_cast<float>(c));
  }
  return group.reduce(first, Min{});
}

// The targets of a row: a label, or a distribution that need not sum to 1.
struct Labels {
  const std::int32_t* label;
  struct Row {
    std::int64_t label;
    __device__ float at(std::int64_t c) const { return c == label ? 1.0f : 0.0f; }
    __device__ bool valid(std::int64_t columns) const { return label >= 0 && label < columns; }
    template <int kGroup>
    __device__ float greatest(const RowGroup<kGroup>&, std::int64_t) const {
      return static_cast<float>(label);
    }
  };
  __device__ Row row(std::int64_t r, std::int64_t) const { return {label[r]}; }
};
struct Distribution {
  const float* target;
  struct Row {
    const float* target;
    __device__ float at(std::int64_t c) const { return target[c]; }
    __device__ bool valid(std::int64_t) const { return true; }
    template <int kGroup>
    __device__ float greatest(const RowGroup<kGroup>& group, std::int64_t columns) const {
      return first_greatest(group, columns, [this](std::int64_t c) { return target[c]; });
    }
  };
  __device__ Row row(std::int64_t r, std::int64_t columns) const { return {target + r * columns}; }
};

}  // namespace gpunn::kernels
