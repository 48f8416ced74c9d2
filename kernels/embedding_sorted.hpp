// The gradient of an embedding's table for many ids: the ids are sorted with their positions
// (cub::DeviceRadixSort, which is stable), then each run of one id is summed. The work grows with the ids,
// not with ids times vocabulary, and an id that most positions share (padding) is summed by many threads.
#pragma once

#include "kernels/embedding.hpp"

namespace gpunn::kernels {

// From here on it takes less than embedding_backward, whose blocks each look through all ids: some 32 rounds
// of a block against seven or eight launches. Estimated, not measured.
inline constexpr std::int64_t kSortedPositions = 8192;
constexpr bool embedding_is_sorted(const EmbeddingShape& shape) {
  return shape.positions >= kSortedPositions && shape.positions <= INT32_MAX && shape.rows < INT32_MAX;
}

// How much of the sorted order one thread adds up, for one column.
inline constexpr std::int64_t kSortedChunk = 64;

// Device memory, 256-byte aligned. CUB's part is an upper bound, because its own answer needs a device and
// the plan has none.
std::size_t embedding_sorted_scratch(const EmbeddingShape& shape);
int embedding_sorted_launches(const EmbeddingShape& shape);

// As embedding_backward: dtable[id, :] (+)= the sum of dy over the positions of that id, in rising order. The
// sorted order is cut every 64 positions; an id that lies across a cut is the sum of its parts, in their
// order. Ids that no cut divides have the bits of embedding_backward.
void embedding_backward_sorted(Gpu gpu, const EmbeddingShape& shape, Accumulate mode, const std::int32_t* ids,
                               const float* dy, float* dtable, void* scratch);

}  // namespace gpunn::kernels
