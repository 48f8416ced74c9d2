// Register tiles: the inner loop of every matrix product here, in dense layers and in convolutions.
//
// A tile is up to kTileRows rows by kTileVecs vectors of C, held in registers while k runs. Each element of C
// is one chain of multiply-adds in the order of k, whatever the tile: so results do not depend on how rows
// are cut into tiles or slices, and a sum continued from C (`start`) is the same sum.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

// Accumulators + vectors of B + one broadcast fill the registers; more than 8 chains hide the latency of two
// multiply-adds per cycle.
constexpr int kTileVecs = 2;
constexpr int kTileRows = kRegisters == 32 ? 12 : GPUNN_LANES == 8 ? 6 : 5;
constexpr int kPanel = kTileVecs * kLanes;  // columns of a tile

// C[rows, columns] = start + A B, then max(floor, .): a floor of 0 is relu, of -infinity nothing; then, with
// `kept`, relu's gradient: 0 where kept is not positive. k runs over `outer` stretches of `k` each (the rows
// of a convolution's kernel).
struct Tile {
  int64_t k, outer = 1;
  ptrdiff_t a_outer = 0, b_outer = 0;
  const float* a;  // element (row, k) at a[row * a_row + k * a_k]
  ptrdiff_t a_row, a_k;
  const float* b;  // row k at b + k * b_k
  ptrdiff_t b_k;
  const float* start;  // null: zeros. Row i at start + i * start_row: C itself, or a bias with start_row = 0
  ptrdiff_t start_row;
  float* c;
  ptrdiff_t c_row;
  float floor;
  const float* kept = nullptr;  // row i at kept + i * kept_row
  ptrdiff_t kept_row = 0;
};

// Rows of A share a pointer by threes: what a fourth would be away is no scale of an address, and a register
// of its own for every distance is more than there are.
constexpr int kRowsPerPointer = 3;

// `last` says how much of the last vector counts: All or a Tail.
template <int Rows, int Vecs, class Last>
GPUNN_INLINE void multiply_tile(const Tile& tile, Last last) {
  const Tile t = tile;  // which the stores below cannot change
  const auto get = [last](const float* p, int j) {
    return j == Vecs - 1 ? load(p + j * kLanes, last) : load(p + j * kLanes);
  };
  const auto put = [last](float* p, int j, Vec value) {
    if (j == Vecs - 1) {
      store(p + j * kLanes, value, last);
    } else {
      store(p + j * kLanes, value);
    }
  };
  Vec sum[Rows][Vecs];
  GPUNN_UNROLL
  for (int i = 0; i < Rows; ++i) {
    GPUNN_UNROLL
    for (int j = 0; j < Vecs; ++j) sum[i][j] = t.start ? get(t.start + i * t.start_row, j) : Vec{};
  }
  constexpr int kPointers = (Rows + kRowsPerPointer - 1) / kRowsPerPointer;
  for (int64_t o = 0; o < t.outer; ++o) {
    const float* a[kPointers];
    GPUNN_UNROLL
    for (int p = 0; p < kPointers; ++p) {
      a[p] = t.a + o * t.a_outer + p * kRowsPerPointer * t.a_row;
      asm("" : "+r"(a[p]));  // or the compiler makes one pointer of them again
    }
    const float* b = t.b + o * t.b_outer;
    for (int64_t k = t.k; k > 0; --k, b += t.b_k) {
      Vec bk[Vecs];
      GPUNN_UNROLL
      for (int j = 0; j < Vecs; ++j) bk[j] = get(b, j);
      GPUNN_UNROLL
      for (int i = 0; i < Rows; ++i) {
        const Vec aik = splat(a[i / kRowsPerPointer][i % kRowsPerPointer * t.a_row]);
        GPUNN_UNROLL
        for (int j = 0; j < Vecs; ++j) sum[i][j] = fma(aik, bk[j], sum[i][j]);
      }
      GPUNN_UNROLL
      for (int p = 0; p < kPointers; ++p) a[p] += t.a_k;
    }
  }
  // Apart, because maxima and comparisons take the same units as multiply-adds.
  if (t.kept) {
    GPUNN_UNROLL
    for (int i = 0; i < Rows; ++i) {
      GPUNN_UNROLL
      for (int j = 0; j < Vecs; ++j) {
        const Vec value = max(splat(t.floor), sum[i][j]);
        put(t.c + i * t.c_row, j, get(t.kept + i * t.kept_row, j) > 0.0f ? value : Vec{});
      }
    }
  } else if (t.floor != -kInfinity) {
    GPUNN_UNROLL
    for (int i = 0; i < Rows; ++i) {
      GPUNN_UNROLL
      for (int j = 0; j < Vecs; ++j) put(t.c + i * t.c_row, j, max(splat(t.floor), sum[i][j]));
    }
  } else {
    GPUNN_UNROLL
    for (int i = 0; i < Rows; ++i) {
      GPUNN_UNROLL
      for (int j = 0; j < Vecs; ++j) put(t.c + i * t.c_row, j, sum[i][j]);
    }
  }
}

using TileFunction = void (*)(const Tile&, int last);

template <int Rows, int Vecs, bool Partial>
__attribute__((noinline)) void tile_function(const Tile& t, int last) {
  if constexpr (Partial) {
    multiply_tile<Rows, Vecs>(t, Tail(last));
  } else {
    multiply_tile<Rows, Vecs>(t, All{});
  }
}

template <int Rows>
constexpr TileFunction pick_tile(int rows, int vecs, bool partial) {
  if constexpr (Rows > 0) {
    if (rows < Rows) return pick_tile<Rows - 1>(rows, vecs, partial);
    if (vecs == 1) return partial ? tile_function<Rows, 1, true> : tile_function<Rows, 1, false>;
    return partial ? tile_function<Rows, 2, true> : tile_function<Rows, 2, false>;
  }
  return nullptr;
}

struct TileFunctions {
  TileFunction f[kTileRows + 1][kTileVecs + 1][2] = {};
  constexpr TileFunctions() {
    for (int rows = 1; rows <= kTileRows; ++rows) {
      for (int vecs = 1; vecs <= kTileVecs; ++vecs) {
        for (int partial = 0; partial < 2; ++partial)
          f[rows][vecs][partial] = pick_tile<kTileRows>(rows, vecs, partial);
      }
    }
  }
};
constexpr TileFunctions kTiles;

// `rows` rows by `columns` <= kPanel columns: tiles of nearly equal height, because a short last one would
// run at latency.
GPUNN_INLINE void multiply_panel(Tile t, int64_t rows, int columns) {
  const int vecs = (columns + kLanes - 1) / kLanes;
  const int last = columns - (vecs - 1) * kLanes;
  const auto run = [&](int64_t height) {
    kTiles.f[height][vecs][last != kLanes](t, last);
    t.a += height * t.a_row;
    t.c += height * t.c_row;
    if (t.kept) t.kept += height * t.kept_row;
    if (t.start) t.start += height * t.start_row;
  };
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows, height = rows / most(tiles, 1);
  const int64_t higher = rows - tiles * height;  // tiles with a row more
  for (int64_t i = 0; i < tiles; ++i) run(height + (i < higher ? 1 : 0));
}

}  // namespace
}  // namespace gpunn::cpu::simd
