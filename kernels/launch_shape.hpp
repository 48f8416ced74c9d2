// How large the grids are. Plain arithmetic, tested with no GPU.
//
// Grids have one dimension only (the others end at 65535) and every kernel strides over its work, so no count
// of items overflows a grid.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/hd.hpp"

namespace gpunn::kernels {

struct LaunchShape {
  unsigned blocks = 0;  // 0: no work, nothing is launched
  unsigned threads = 0;
  std::size_t shared_bytes = 0;  // dynamic shared memory
};

GPUNN_HD constexpr std::int64_t ceil_div(std::int64_t n, std::int64_t d) {
  return (n + d - 1) / d;
}

inline constexpr int kWarp = 32;
// Threads of every kernel that does not say otherwise, and of its __launch_bounds__: 8 blocks fill a
// multiprocessor that holds 2048 threads, 4 one that holds 1024.
inline constexpr int kThreads = 256;
// Blocks per multiprocessor that registers must leave room for: 80 registers a thread. Left to itself ptxas
// aims at more blocks and spills a few registers around the calls that divisions are on some architectures.
inline constexpr int kLeastBlocks = 3;
// Enough blocks to fill a multiprocessor; a grid-stride loop then has no tail of late blocks.
inline constexpr std::int64_t kBlocksPerMultiprocessor = 8;

// `items` independent pieces of work, one block each at a time.
constexpr LaunchShape blocks_shape(std::int64_t items, int multiprocessors, int threads = kThreads) {
  const std::int64_t most = std::max(1, multiprocessors) * kBlocksPerMultiprocessor;
  return {static_cast<unsigned>(std::clamp<std::int64_t>(items, 0, most)), static_cast<unsigned>(threads)};
}

// `n` independent pieces of work, one thread each at a time.
constexpr LaunchShape for_each_shape(std::int64_t n, int multiprocessors) {
  return blocks_shape(ceil_div(std::max<std::int64_t>(n, 0), kThreads), multiprocessors);
}

// A sum over `length` items is cut into chunks so that about `kTargetBlocks` blocks have work, but no chunk
// is shorter than `shortest`. The number of chunks fixes the order of summation, so it depends on the shape
// alone.
inline constexpr std::int64_t kTargetBlocks = 512;
struct Chunks {
  std::int64_t count = 1;
  std::int64_t length = 0;  // of all but the last, which may be shorter and is never empty
};
constexpr Chunks chunks_of(std::int64_t length, std::int64_t shortest, std::int64_t blocks_per_chunk) {
  if (length <= 0) return {1, 0};
  const std::int64_t wanted =
      std::max<std::int64_t>(1, kTargetBlocks / std::max<std::int64_t>(1, blocks_per_chunk));
  const std::int64_t count = std::clamp<std::int64_t>(ceil_div(length, shortest), 1, wanted);
  const std::int64_t each = ceil_div(length, count);
  return {ceil_div(length, each), each};
}
// A block for each chunk. Never no block: the sum of nothing is still written, as 0.
constexpr LaunchShape chunks_shape(Chunks chunks) {
  return {static_cast<unsigned>(chunks.count), kThreads};
}

}  // namespace gpunn::kernels
