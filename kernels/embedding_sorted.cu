#include "kernels/embedding_sorted.hpp"

#include <algorithm>
#include <bit>
#include <cub/device/device_radix_sort.cuh>

#include "kernels/launch.cuh"

namespace gpunn::kernels {
namespace {

using Key = std::uint32_t;

// Ids outside the table come behind it. Threads beyond the positions clear the table.
template <Accumulate mode>
struct Prepare {
  EmbeddingShape shape;
  const std::int32_t* ids;
  Key* keys;
  std::int32_t* positions;
  float* dtable;
  __device__ void operator()(std::int64_t i) const {
    if (i < shape.positions) {
      const std::int64_t id = ids[i];
      keys[i] = static_cast<Key>(id >= 0 && id < shape.rows ? id : shape.rows);
      positions[i] = static_cast<std::int32_t>(i);
    }
    if (mode == Accumulate::overwrite && i < shape.rows * shape.columns) dtable[i] = 0;
  }
};

// Loads on their way at a time: the sum waits for each in turn, the memory for none.
constexpr int kAhead = 8;

// One column of one chunk. The run that a chunk begins in the middle of goes to `heads`, every other run to
// the table.
struct SumRuns {
  EmbeddingShape shape;
  const Key* keys;
  const std::int32_t* positions;
  const float* dy;
  float* dtable;
  float* heads;  // [chunks, columns]
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t chunk = i / shape.columns, column = i - chunk * shape.columns;
    const std::int64_t first = chunk * kSortedChunk;
    const std::int64_t end = first + kSortedChunk < shape.positions ? first + kSortedChunk : shape.positions;
    const auto rows = static_cast<Key>(shape.rows);
    Key row = keys[first];
    bool head = first > 0 && keys[first - 1] == row;
    float sum = head || row == rows ? 0.0f : dtable[row * shape.columns + column];
    const auto put = [&] {
      if (row == rows) return;
      if (head) {
        heads[i] = sum;
      } else {
        dtable[row * shape.columns + column] = sum;
      }
    };
    for (std::int64_t base = first; base < end; base += kAhead) {
      Key key[kAhead];
      float term[kAhead];
      GPUNN_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        const bool real = base + k < end;
        key[k] = real ? keys[base + k] : rows;
        term[k] = real ? dy[positions[base + k] * shape.columns + column] : 0.0f;
      }
      GPUNN_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        if (key[k] != row) {
          put();
          row = key[k], head = false;
          if (row != rows) sum = dtable[row * shape.columns + column];
        }
        sum += term[k];
      }
    }
    put();
  }
};

// Adds the parts of a run that was cut: the thread of the first chunk that begins inside it.
struct JoinRuns {
  EmbeddingShape shape;
  std::int64_t chunks;
  const Key* keys;
  const float* heads;
  float* dtable;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t chunk = 1 + i / shape.columns, column = i % shape.columns;
    const std::int64_t first = chunk * kSortedChunk;
    const Key row = keys[first];
    const bool begun_before = chunk > 1 && keys[first - kSortedChunk - 1] == row;
    if (row == static_cast<Key>(shape.rows) || keys[first - 1] != row || begun_before) return;
    float sum = dtable[row * shape.columns + column];
    bool more = true;
    for (std::int64_t c = chunk; more; c += kAhead) {
      bool mine[kAhead];
      float part[kAhead];
      GPUNN_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        mine[k] = c + k < chunks && keys[(c + k) * kSortedChunk] == row;
        part[k] = mine[k] ? heads[(c + k) * shape.columns + column] : 0.0f;
      }
      GPUNN_UNROLL
      for (int k = 0; k < kAhead; ++k) {
        if (mine[k]) sum += part[k];
      }
      more = mine[kAhead - 1];
    }
    dtable[row * shape.columns + column] = sum;
  }
};

std::int64_t chunks_in(const EmbeddingShape& shape) {
  return ceil_div(shape.positions, kSortedChunk);
}
// Of the largest key, which is `rows`.
int key_bits(const EmbeddingShape& shape) {
  return std::bit_width(static_cast<Key>(shape.rows));
}

// Parts of the scratch memory, each on 256 bytes.
struct Scratch {
  std::size_t pairs, heads, sort;
  explicit Scratch(const EmbeddingShape& shape)
      : pairs(rounded(static_cast<std::size_t>(shape.positions) * sizeof(Key))),
        heads(rounded(static_cast<std::size_t>(chunks_in(shape) * shape.columns) * sizeof(float))),
        // One counter for each of 256 digits in every tile of the sort, and a few kilobytes; its tiles are
        // longer than 1024 pairs on every architecture.
        sort(rounded(static_cast<std::size_t>(shape.positions) + 32'768)) {}
  std::size_t all() const { return 4 * pairs + heads + sort; }

 private:
  static std::size_t rounded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }
};

}  // namespace

std::size_t embedding_sorted_scratch(const EmbeddingShape& shape) {
  return Scratch(shape).all();
}

int embedding_sorted_launches(const EmbeddingShape& shape) {
  // Ours: ids to keys, runs, joints. CUB's: histogram, its sum, and a pass for each 8 bits.
  return 3 + 2 + static_cast<int>(ceil_div(key_bits(shape), 8));
}

void embedding_backward_sorted(Gpu gpu, const EmbeddingShape& shape, Accumulate mode, const std::int32_t* ids,
                               const float* dy, float* dtable, void* scratch) {
  require(shape.positions <= INT32_MAX && shape.rows < INT32_MAX, "embedding: too many ids or rows to sort");
  const Scratch sizes(shape);
  auto* at = static_cast<std::byte*>(scratch);
  const auto part = [&](std::size_t bytes) {
    at += bytes;
    return static_cast<void*>(at - bytes);
  };
  cub::DoubleBuffer<Key> keys(static_cast<Key*>(part(sizes.pairs)), static_cast<Key*>(part(sizes.pairs)));
  cub::DoubleBuffer<std::int32_t> positions(static_cast<std::int32_t*>(part(sizes.pairs)),
                                            static_cast<std::int32_t*>(part(sizes.pairs)));
  auto* heads = static_cast<float*>(part(sizes.heads));
  void* sort = part(sizes.sort);

  with_mode(mode, [&](auto m) {
    const std::int64_t cleared = m() == Accumulate::overwrite ? shape.rows * shape.columns : 0;
    for_each(gpu, std::max(shape.positions, cleared),
             Prepare<m()>{shape, ids, keys.Current(), positions.Current(), dtable});
  });
  if (shape.positions == 0) return;

  const auto stream = static_cast<cudaStream_t>(gpu.stream);
  const int count = static_cast<int>(shape.positions);
  std::size_t needed = 0;
  check(cub::DeviceRadixSort::SortPairs(nullptr, needed, keys, positions, count, 0, key_bits(shape), stream));
  require(needed <= sizes.sort, "embedding: cub::DeviceRadixSort wants more memory than was planned for it");
  check(cub::DeviceRadixSort::SortPairs(sort, needed, keys, positions, count, 0, key_bits(shape), stream));

  const std::int64_t chunks = chunks_in(shape);
  for_each(gpu, chunks * shape.columns,
           SumRuns{shape, keys.Current(), positions.Current(), dy, dtable, heads});
  for_each(gpu, (chunks - 1) * shape.columns, JoinRuns{shape, chunks, keys.Current(), heads, dtable});
}

}  // namespace gpunn::kernels
