// The tiled product that matrices and convolutions share: out(row, column) = sum over k of A(row, k) * B(k,
// column), through shared memory, accumulated in float.
//
// Operands are given by loaders, so that a convolution can read its image in place of a matrix:
//   static constexpr bool kAcross   neighbouring lanes read neighbouring rows (of A) or columns (of B), not
//   k's: whichever
//                                   lies side by side in memory
//   auto line(int64 group, int64 line)      what a row (column) needs for all its k; REQUIRES: line inside
//   float at(const Line&, int64 k)          REQUIRES: line and k inside
// The sums go to an epilogue: store(group, slice, row, column, sum). One with kColumnSums may also ask
// (wants_sums()) for the sums over k of B's columns, which are what a bias gradient is beside a weight
// gradient: the blocks of the first row of tiles add up what they have in shared memory anyhow and hand it to
// store_sum(group, slice, column, sum).
//
// A long sum over k is cut into slices of partial products. They are added in order by a second launch or,
// with counters, in the same one, by whichever block of a tile is done last.
#pragma once

#include <cuda_runtime.h>

#include "kernels/divider.hpp"
#include "kernels/gemm_shape.hpp"
#include "kernels/launch.cuh"
#include "kernels/vector.cuh"

namespace gpunn::kernels {

struct GemmSize {
  std::int64_t m = 0, n = 0, k = 0, groups = 1;
};

// Which group, slice and tile a block works on.
struct GemmCuts {
  std::uint32_t items = 0;
  Divider group, slice, row;  // items per group, tiles per slice, tiles per row of tiles
  std::int64_t slice_length = 0;
};
inline GemmCuts gemm_cuts(const GemmTiling& t, std::int64_t groups) {
  const std::int64_t per_slice = t.tiles_m * t.tiles_n, per_group = per_slice * t.slices.count;
  if (per_group * groups == 0) return {};
  require(per_group * groups < std::int64_t{1} << 31, "gemm: more than 2^31 tiles");
  return {static_cast<std::uint32_t>(per_group * groups), Divider(per_group), Divider(per_slice),
          Divider(t.tiles_n), t.slices.length};
}

// One operand's share of a tile: kSide lines times kDepth k's, through registers into shared memory.
template <int kMicro, class Loader>
struct TileLoads {
  static constexpr int kSide = Tile<kMicro>::kSide, kDepth = Tile<kMicro>::kDepth;
  static constexpr int kCount = kSide * kDepth / kThreads;  // elements per thread
  using Line = decltype(std::declval<const Loader&>().line(0, 0));
  static constexpr int kLines = Loader::kAcross ? 1 : kCount;  // different lines per thread

  Line lines[kLines];
  bool inside[kLines];

  // Element e of thread t: across, t runs along the lines first; else along k first.
  __device__ static int line_of(int e) {
    const int t = static_cast<int>(threadIdx.x);
    return Loader::kAcross ? t % kSide : t / kDepth + e * (kThreads / kDepth);
  }
  __device__ static int k_of(int e) {
    const int t = static_cast<int>(threadIdx.x);
    return Loader::kAcross ? t / kSide + e * (kThreads / kSide) : t % kDepth;
  }

  __device__ TileLoads(const Loader& loader, std::int64_t group, std::int64_t first, std::int64_t count) {
    GPUNN_UNROLL
    for (int e = 0; e < kLines; ++e) {
      const std::int64_t line = first + line_of(e);
      inside[e] = line < count;
      lines[e] = loader.line(group, inside[e] ? line : 0);
    }
  }
  __device__ void operator()(const Loader& loader, std::int64_t k0, std::int64_t k_end,
                             float (&shared)[kDepth][kSide + 4]) const {
    GPUNN_UNROLL
    for (int e = 0; e < kCount; ++e) {
      const int which = Loader::kAcross ? 0 : e;
      const std::int64_t k = k0 + k_of(e);
      shared[k_of(e)][line_of(e)] = inside[which] && k < k_end ? loader.at(lines[which], k) : 0.0f;
    }
  }
};

// Whether an epilogue stores partial products and has the last block of each tile add them.
template <class Epilogue>
inline constexpr bool kAddsSlices = false;

// Shared memory of a block: a tile of both operands.
template <int kMicro>
struct GemmTiles {
  // Four more per row: rows stay 16-byte aligned, and stores along k meet fewer bank conflicts.
  using Of = float[Tile<kMicro>::kDepth][Tile<kMicro>::kSide + 4];
  Of& a;
  Of& b;
  bool& last;  // this block adds up the slices of its tile
};

// Which product a launch makes, and how it is cut.
template <class A, class B, class Epilogue>
struct GemmWork {
  GemmSize size;
  GemmCuts cuts;
  A a;
  B b;
  Epilogue epilogue;
};

// One tile of one slice, by the whole block.
template <int kMicro, class A, class B, class Epilogue>
__device__ __forceinline__ void gemm_item(const GemmWork<A, B, Epilogue>& work, std::uint32_t item,
                                          const GemmTiles<kMicro>& tiles) {
  constexpr int kSide = Tile<kMicro>::kSide, kDepth = Tile<kMicro>::kDepth;
  const GemmSize& size = work.size;
  const GemmCuts& cuts = work.cuts;
  const Epilogue& epilogue = work.epilogue;
  auto &a_tile = tiles.a, &b_tile = tiles.b;
  const int across = static_cast<int>(threadIdx.x) % kTileThreads,
            down = static_cast<int>(threadIdx.x) / kTileThreads;
  const auto [group, in_group] = cuts.group.split(item);
  const auto [slice, tile] = cuts.slice.split(in_group);
  const auto [tile_row, tile_column] = cuts.row.split(tile);
  const std::int64_t row0 = std::int64_t{tile_row} * kSide, column0 = std::int64_t{tile_column} * kSide;
  const std::int64_t k_begin = slice * cuts.slice_length;
  const std::int64_t k_end = k_begin + cuts.slice_length < size.k ? k_begin + cuts.slice_length : size.k;
  const TileLoads<kMicro, A> load_a(work.a, group, row0, size.m);
  const TileLoads<kMicro, B> load_b(work.b, group, column0, size.n);
  const int me = static_cast<int>(threadIdx.x);
  bool sums_column = false;
  float column_sum = 0;
  if constexpr (Epilogue::kColumnSums) sums_column = epilogue.wants_sums() && tile_row == 0 && me < kSide;
  float sums[kMicro][kMicro] = {};
  for (std::int64_t k0 = k_begin; k0 < k_end; k0 += kDepth) {
    load_a(work.a, k0, k_end, a_tile);
    load_b(work.b, k0, k_end, b_tile);
    __syncthreads();
    if constexpr (Epilogue::kColumnSums) {
      if (sums_column) {
        for (int k = 0; k < kDepth; ++k) column_sum += b_tile[k][me];
      }
    }
    for (int k = 0; k < kDepth; ++k) {
      const auto left = load<kMicro>(&a_tile[k][down * kMicro]);
      const auto right = load<kMicro>(&b_tile[k][across * kMicro]);
      GPUNN_UNROLL
      for (int i = 0; i < kMicro; ++i) {
        GPUNN_UNROLL
        for (int j = 0; j < kMicro; ++j) sums[i][j] += left.v[i] * right.v[j];
      }
    }
    __syncthreads();
  }
  if constexpr (Epilogue::kColumnSums) {
    if (sums_column && column0 + me < size.n) epilogue.store_sum(group, slice, column0 + me, column_sum);
  }
  // One row of each thread's sums at a time through shared memory: then lanes store side by side, and the
  // epilogue is one loop, not unrolled with the sums.
  GPUNN_UNROLL
  for (int i = 0; i < kMicro; ++i) {
    Pack<float, kMicro> line;
    GPUNN_UNROLL
    for (int j = 0; j < kMicro; ++j) line.v[j] = sums[i][j];
    store(&a_tile[down][across * kMicro], line);
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < kTileThreads * kSide; e += kThreads) {
      const std::int64_t row = row0 + e / kSide * kMicro + i, column = column0 + e % kSide;
      if (row < size.m && column < size.n)
        epilogue.store(group, slice, row, column, a_tile[e / kSide][e % kSide]);
    }
    __syncthreads();
  }
  if constexpr (kAddsSlices<Epilogue>) {
    __threadfence();  // what each thread stored comes before the count ...
    __syncthreads();
    if (me == 0) tiles.last = epilogue.is_last(group, tile);
    __syncthreads();
    if (!tiles.last) return;
    __threadfence();  // ... and what the others stored is read after it
    for (int e = me; e < kSide * kSide; e += kThreads) {
      const std::int64_t row = row0 + e / kSide, column = column0 + e % kSide;
      if (row < size.m && column < size.n) epilogue.add_product(group, row, column);
    }
    if constexpr (Epilogue::kColumnSums) {
      if (sums_column && column0 + me < size.n) epilogue.add_column(group, column0 + me);
    }
  }
}

template <int kMicro, class A, class B, class Epilogue>
__global__ void __launch_bounds__(kThreads, 2) gemm_kernel(GemmWork<A, B, Epilogue> work) {
  __shared__ __align__(16) typename GemmTiles<kMicro>::Of a_tile;
  __shared__ __align__(16) typename GemmTiles<kMicro>::Of b_tile;
  __shared__ bool last;
  const GemmTiles<kMicro> tiles{a_tile, b_tile, last};
  for (std::uint32_t item = blockIdx.x; item < work.cuts.items; item += gridDim.x)
    gemm_item<kMicro>(work, item, tiles);
}

// Two products that do not wait for each other.
template <int kMicro, class First, class Second>
__global__ void __launch_bounds__(kThreads, 2) gemm_pair_kernel(First first, Second second) {
  __shared__ __align__(16) typename GemmTiles<kMicro>::Of a_tile;
  __shared__ __align__(16) typename GemmTiles<kMicro>::Of b_tile;
  __shared__ bool last;
  const GemmTiles<kMicro> tiles{a_tile, b_tile, last};
  const std::uint32_t items = first.cuts.items + second.cuts.items;
  for (std::uint32_t item = blockIdx.x; item < items; item += gridDim.x) {
    if (item < first.cuts.items) {
      gemm_item<kMicro>(first, item, tiles);
    } else {
      gemm_item<kMicro>(second, item - first.cuts.items, tiles);
    }
  }
}

// Partial products, [slice][group][m][n], and behind them the sums of columns, [slice][group][n].
template <bool kSums>
struct StorePartial {
  static constexpr bool kColumnSums = kSums;
  GemmSize size;
  float* scratch;
  float* sums;  // null: not wanted
  __device__ bool wants_sums() const { return sums != nullptr; }
  __device__ void store_sum(std::int64_t group, std::int64_t slice, std::int64_t column, float sum) const {
    sums[(slice * size.groups + group) * size.n + column] = sum;
  }
  __device__ void store(std::int64_t group, std::int64_t slice, std::int64_t row, std::int64_t column,
                        float sum) const {
    scratch[((slice * size.groups + group) * size.m + row) * size.n + column] = sum;
  }
};

// Adds the slices in order and hands the sums to the epilogue.
template <class Epilogue>
struct AddPartials : StorePartial<Epilogue::kColumnSums> {
  std::int64_t slices;
  Epilogue epilogue;
  __device__ void add_product(std::int64_t group, std::int64_t row, std::int64_t column) const {
    const GemmSize& size = this->size;
    const std::int64_t i = (group * size.m + row) * size.n + column;
    epilogue.store(group, 0, row, column, add(this->scratch + i, size.groups * size.m * size.n));
  }
  __device__ void add_column(std::int64_t group, std::int64_t column) const {
    const GemmSize& size = this->size;
    const float* first = this->sums + group * size.n + column;
    epilogue.store_sum(group, 0, column, add(first, size.groups * size.n));
  }
  __device__ float add(const float* first, std::int64_t stride) const {
    float sum = *first;
    for (std::int64_t s = 1; s < slices; ++s) sum += first[s * stride];
    return sum;
  }
};

// In a launch of its own: all elements, then all columns.
template <class Epilogue>
struct AddEach {
  AddPartials<Epilogue> partials;
  __device__ void operator()(std::int64_t i) const {
    const GemmSize& size = partials.size;
    const std::int64_t products = size.groups * size.m * size.n;
    if constexpr (Epilogue::kColumnSums) {
      if (i >= products) {
        i -= products;
        const std::int64_t group = i / size.n;
        return partials.add_column(group, i - group * size.n);
      }
    }
    const std::int64_t line = i / size.n, group = line / size.m;
    partials.add_product(group, line - group * size.m, i - line * size.n);
  }
};

// In the launch that makes them.
template <class Epilogue>
struct AddLast : AddPartials<Epilogue> {
  std::uint32_t* done;  // [groups, tiles]: blocks that are done there
  std::uint32_t tiles;
  __device__ bool is_last(std::uint32_t group, std::uint32_t tile) const {
    return atomicAdd(&done[group * tiles + tile], 1u) == static_cast<std::uint32_t>(this->slices) - 1;
  }
};
template <class Epilogue>
inline constexpr bool kAddsSlices<AddLast<Epilogue>> = true;

template <int kMicro, class A, class B, class Epilogue>
void gemm_with(On on, GemmSize size, const GemmTiling& tiling, const A& a, const B& b,
               const Epilogue& epilogue) {
  const GemmWork<A, B, Epilogue> work{size, gemm_cuts(tiling, size.groups), a, b, epilogue};
  launch(on, blocks_shape(work.cuts.items, on.gpu.multiprocessors), gemm_kernel<kMicro, A, B, Epilogue>,
         work);
}

// Both of small tiles and short sums.
template <class First, class Second>
void gemm_pair_tiled(On on, const First& first, const Second& second) {
  const std::int64_t items = std::int64_t{first.cuts.items} + second.cuts.items;
  require(items < std::int64_t{1} << 31, "gemm: more than 2^31 tiles");
  launch(on, blocks_shape(items, on.gpu.multiprocessors), gemm_pair_kernel<2, First, Second>, first, second);
}

// `scratch`: gemm_scratch_floats(m, n, k, groups, sums), where `sums`: the epilogue wants sums of columns.
// `done`: gemm_counters(m, n, k, groups) zeros in device memory, which do not stay 0: then there is no second
// launch.
template <class A, class B, class Epilogue, class Done = std::nullptr_t>
void gemm_tiled(On on, GemmSize size, const A& a, const B& b, const Epilogue& epilogue, float* scratch,
                bool sums = false, Done done = nullptr) {
  const GemmTiling tiling = gemm_tiling(size.m, size.n, size.k, size.groups);
  const auto run = [&](const auto& out) {
    if (tiling.micro == 4) {
      gemm_with<4>(on, size, tiling, a, b, out);
    } else {
      gemm_with<2>(on, size, tiling, a, b, out);
    }
  };
  if (tiling.slices.count == 1) return run(epilogue);
  require(scratch != nullptr, "gemm: this shape needs scratch");
  const std::int64_t products = size.groups * size.m * size.n;
  float* partial_sums = sums ? scratch + tiling.slices.count * products : nullptr;
  const StorePartial<Epilogue::kColumnSums> partial{size, scratch, partial_sums};
  const AddPartials<Epilogue> add{partial, tiling.slices.count, epilogue};
  if constexpr (std::is_same_v<Done, std::uint32_t*>) {
    require(done != nullptr, "gemm: this shape needs counters");
    run(AddLast<Epilogue>{add, done, static_cast<std::uint32_t>(tiling.tiles_m * tiling.tiles_n)});
  } else {
    run(partial);
    constexpr int kBlocks = 2;  // divisions and the choice of epilogues take registers
    for_each<kBlocks>(on, products + (sums ? size.groups * size.n : 0), AddEach<Epilogue>{add});
  }
}

}  // namespace gpunn::kernels
