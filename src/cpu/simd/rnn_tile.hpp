// The three matrix products of a recurrent layer as register tiles. Included only by rnn_*.simd.cpp.
//
// Every sum runs over its depth in one order, in one accumulator per result, whatever the tile's height: that
// is why a row's values do not depend on how many rows stand beside it.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

template <int n>
struct Int {
  static constexpr int value = n;
};

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// How many rows the tile of a plain product takes: accumulators, one row of weights and one broadcast value
// fill the registers.
constexpr int tile_rows(int vectors) {
  if (kRegisters == 32) return vectors >= 4 ? 4 : 8;
  return vectors == 1 ? 8 : vectors == 4 ? 2 : 4;
}

// And a tile that ends in activations: the fewest that give 8 accumulators, which is what hides the latency
// of a multiply-add. Higher ones lose: the activations of one tile no longer overlap with the products of the
// next (GRU forward at 64 units, 8 rows: 38 us per sample with tiles of 8 rows, 25 with 4).
constexpr int step_rows(int vectors) {
  return vectors == 1 ? 8 : vectors == 4 ? 2 : 4;
}

// f(Int<rows of the tile>, first row): as many full tiles as fit, then halves.
template <int R, class F>
GPUNN_INLINE void for_row_tiles(int64_t rows, F f, int64_t i = 0) {
  for (; i + R <= rows; i += R) f(Int<R>{}, i);
  if constexpr (R > 1) for_row_tiles<R / 2>(rows, f, i);
}

// acc[r][v] += a[r][k] * b[k][v] over k.
template <int R, int N>
GPUNN_INLINE void multiply_add(Vec (&acc)[R][N], const float* a, int64_t stride, const float* b,
                               int64_t depth) {
  for (int64_t k = 0; k < depth; ++k, b += N * kLanes) {
    Vec w[N];
    GPUNN_UNROLL
    for (int v = 0; v < N; ++v) w[v] = load(b + v * kLanes);
    GPUNN_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec x = splat(a[r * stride + k]);
      GPUNN_UNROLL
      for (int v = 0; v < N; ++v) acc[r][v] = fma(x, w[v], acc[r][v]);
    }
  }
}

// The left operand of a product with the gates' weights. With dropout masks of their own the gates see
// different copies of it, gate_stride apart; else they share one, and gate_stride is 0.
struct Operand {
  const float* data;
  int64_t row_stride;
  int64_t gate_stride;
};

// acc[r][g] += a_g[r][k] * b[k][g].
template <int R, int N>
GPUNN_INLINE void multiply_gates(Vec (&acc)[R][N], const Operand& a, int64_t row, const float* b,
                                 int64_t depth) {
  const float* rows = a.data + row * a.row_stride;
  if (a.gate_stride == 0) return multiply_add(acc, rows, a.row_stride, b, depth);
  for (int64_t k = 0; k < depth; ++k, b += N * kLanes) {
    GPUNN_UNROLL
    for (int v = 0; v < N; ++v) {
      const Vec w = load(b + v * kLanes);
      GPUNN_UNROLL
      for (int r = 0; r < R; ++r) {
        acc[r][v] = fma(splat(rows[v * a.gate_stride + r * a.row_stride + k]), w, acc[r][v]);
      }
    }
  }
}

// out[m][j][slot g] = bias[j][g] + x[m] * panel j, for the G gates of every block of units. The rows go in
// groups, so that one panel serves a whole group from L1.
template <int G>
void project(const Operand& x, int64_t depth, int64_t rows, int64_t blocks, const float* panels,
             const float* bias, float* out, int64_t block_floats, int64_t out_stride) {
  constexpr int64_t kGroup = 64;
  for (int64_t first = 0; first < rows; first += kGroup) {
    const int64_t group = rows - first < kGroup ? rows - first : kGroup;
    for (int64_t j = 0; j < blocks; ++j) {
      for_row_tiles<tile_rows(G)>(group, [&](auto height, int64_t i) {
        constexpr int R = decltype(height)::value;
        Vec acc[R][G];
        GPUNN_UNROLL
        for (int r = 0; r < R; ++r) {
          GPUNN_UNROLL
          for (int g = 0; g < G; ++g) acc[r][g] = load(bias + (j * G + g) * kLanes);
        }
        multiply_gates(acc, x, first + i, panels + j * depth * G * kLanes, depth);
        float* to = out + (first + i) * out_stride + j * block_floats;
        GPUNN_UNROLL
        for (int r = 0; r < R; ++r) {
          GPUNN_UNROLL
          for (int g = 0; g < G; ++g) store(to + r * out_stride + g * kLanes, acc[r][g]);
        }
      });
    }
  }
}

// Gradients of the gates: rows of [blocks][slots][lanes].
struct GateGradients {
  const float* data;
  int64_t row_stride;
  int64_t block_floats;  // slots * lanes
};

// A run of neighbouring slots of each block, and where it stands among the gates of the packed transposed
// weights.
struct SlotRun {
  int first_slot;
  int first_gate;
  int count;
  int gates;  // of a block of the packed weights
};

constexpr int kTransposedVectors =
    3;  // width of a panel of transposed weights; the last ones may be narrower

// Vectors of panel p when `vectors` are cut into equal parts of at most kTransposedVectors.
constexpr int64_t panel_first(int64_t vectors, int64_t p) {
  return vectors * p / ceil_div(vectors, kTransposedVectors);
}

template <int N>
void transposed_panel(const GateGradients& dg, SlotRun run, int64_t rows, int64_t blocks, const float* panel,
                      const float* init, float* out, int64_t out_stride) {
  for_row_tiles<tile_rows(N)>(rows, [&](auto height, int64_t i) {
    constexpr int R = decltype(height)::value;
    Vec acc[R][N];
    GPUNN_UNROLL
    for (int r = 0; r < R; ++r) {
      GPUNN_UNROLL
      for (int v = 0; v < N; ++v) acc[r][v] = init ? load(init + (i + r) * out_stride + v * kLanes) : Vec{};
    }
    const float* a = dg.data + i * dg.row_stride + run.first_slot * kLanes;
    const float* b = panel + run.first_gate * kLanes * N * kLanes;
    for (int64_t j = 0; j < blocks; ++j) {
      multiply_add(acc, a + j * dg.block_floats, dg.row_stride, b, run.count * kLanes);
      b += run.gates * kLanes * N * kLanes;
    }
    GPUNN_UNROLL
    for (int r = 0; r < R; ++r) {
      GPUNN_UNROLL
      for (int v = 0; v < N; ++v) store(out + (i + r) * out_stride + v * kLanes, acc[r][v]);
    }
  });
}

// out[m] = init[m] + dg[m] * weights^T over one run of slots; init null: zeros. out and init share a stride
// and are whole vectors wide.
void multiply_transposed(const GateGradients& dg, SlotRun run, int64_t rows, int64_t blocks,
                         const float* weights, const float* init, float* out, int64_t out_stride,
                         int64_t vectors) {
  const int64_t depth = blocks * run.gates * kLanes;
  for (int64_t p = 0; p < ceil_div(vectors, kTransposedVectors); ++p) {
    const int64_t first = panel_first(vectors, p);
    const int64_t width = panel_first(vectors, p + 1) - first;
    const float* panel = weights + first * kLanes * depth;
    const float* from = init ? init + first * kLanes : nullptr;
    float* to = out + first * kLanes;
    if (width == 3) transposed_panel<3>(dg, run, rows, blocks, panel, from, to, out_stride);
    if (width == 2) transposed_panel<2>(dg, run, rows, blocks, panel, from, to, out_stride);
    if (width == 1) transposed_panel<1>(dg, run, rows, blocks, panel, from, to, out_stride);
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
