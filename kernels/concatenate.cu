#include "kernels/concatenate.hpp"

#include <algorithm>

#include "kernels/launch.cuh"
#include "kernels/vector.cuh"

namespace gpunn::kernels {
namespace {

struct Table {
  int count;
  ColumnBlock blocks[kMaxBlocks];
  std::int64_t first[kMaxBlocks];  // column of y where each block begins
};

// Columns counted in packs of kCount elements.
template <int kCount>
struct Join {
  std::int64_t columns;  // of all blocks of this launch
  std::int64_t begin;    // column of y where they begin
  std::int64_t y_columns;
  Table table;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t row = i / columns, column = i - row * columns;
    int b = 0;
    while (b + 1 < table.count && column >= table.first[b + 1]) ++b;
    const ColumnBlock& block = table.blocks[b];
    const float* from = block.x + (row * block.columns + column - table.first[b]) * kCount;
    store(y + (row * y_columns + begin + column) * kCount, load<kCount>(from));
  }
};

template <int kCount>
struct CutOut {
  Cut cut;
  bool add;
  const float* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t row = i / cut.columns, column = i - row * cut.columns;
    auto out = load<kCount>(x + (row * cut.x_columns + cut.begin + column) * kCount);
    if (add) {
      const auto old = load<kCount>(y + i * kCount);
      for (int k = 0; k < kCount; ++k) out.v[k] += old.v[k];
    }
    store(y + i * kCount, out);
  }
};

template <int kCount>
void join(Gpu gpu, std::int64_t rows, std::span<const ColumnBlock> blocks, std::int64_t y_columns, float* y) {
  std::int64_t begin = 0;
  while (!blocks.empty()) {
    Join<kCount> body{0, begin, y_columns / kCount, {}, y};
    body.table.count = static_cast<int>(std::min<std::size_t>(blocks.size(), kMaxBlocks));
    for (int b = 0; b < body.table.count; ++b) {
      const ColumnBlock& block = blocks[static_cast<std::size_t>(b)];
      body.table.blocks[b] = {block.x, block.columns / kCount};
      body.table.first[b] = body.columns;
      body.columns += block.columns / kCount;
    }
    for_each(gpu, rows * body.columns, body);
    begin += body.columns;
    blocks = blocks.subspan(static_cast<std::size_t>(body.table.count));
  }
}

}  // namespace

void concatenate(Gpu gpu, std::int64_t rows, std::span<const ColumnBlock> blocks, float* y) {
  std::int64_t columns = 0;
  bool wide = packs_of_four(y);
  for (const ColumnBlock& block : blocks) {
    columns += block.columns;
    wide = wide && block.columns % 4 == 0 && packs_of_four(block.x);
  }
  if (wide) return join<4>(gpu, rows, blocks, columns, y);
  join<1>(gpu, rows, blocks, columns, y);
}

void cut_columns(Gpu gpu, const Cut& cut, Accumulate mode, const float* x, float* y) {
  require(cut.begin >= 0 && cut.columns >= 0 && cut.begin + cut.columns <= cut.x_columns,
          "cut_columns: the part must lie inside");
  const bool add = mode == Accumulate::add;
  const bool wide =
      packs_of_four(x, y) && cut.begin % 4 == 0 && cut.columns % 4 == 0 && cut.x_columns % 4 == 0;
  if (!wide) return for_each(gpu, cut.rows * cut.columns, CutOut<1>{cut, add, x, y});
  const Cut packs{cut.rows, cut.x_columns / 4, cut.begin / 4, cut.columns / 4};
  for_each(gpu, packs.rows * packs.columns, CutOut<4>{packs, add, x, y});
}

}  // namespace gpunn::kernels
