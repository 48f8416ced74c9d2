// dW += A^T dG and db += column sums of dG, straight into the weights' own layout. Included only by
// rnn_*.simd.cpp.
#pragma once

#include "src/cpu/simd/rnn_tile.hpp"

namespace gpunn::cpu::simd {
namespace {

// Where each of some neighbouring gates of a weights' matrix finds its gradient among the slots of dG.
struct GateSlots {
  int gates;
  int slot[4];
};

// The gates' part of a weights' gradient [depth, width], of which they are gates * units columns from `data`
// on.
struct WeightGradient {
  float* data;
  int64_t depth;
  int64_t width;
  int64_t units;
  bool add;
};

// One column of vectors: gate g of block j.
struct Column {
  int64_t from;  // in a row of dG
  int64_t to;    // in a row of the weights
  int gate;
  bool whole;  // no lane beyond the last unit
};

GPUNN_INLINE Column column(const GateGradients& dg, const GateSlots& slots, int64_t units, int64_t q) {
  const int64_t j = q / slots.gates;
  const int g = static_cast<int>(q % slots.gates);
  return {j * dg.block_floats + slots.slot[g] * kLanes, g * units + j * kLanes, g, (j + 1) * kLanes <= units};
}

template <int R, int N>
GPUNN_INLINE void gradient_tile(const Operand& a, const GateGradients& dg, int64_t rows,
                                const Column (&columns)[N], const WeightGradient& w, int64_t m) {
  const Tail tail(static_cast<int>(w.units % kLanes));
  float* to = w.data + m * w.width;
  const int64_t valid = w.depth - m < R ? w.depth - m : R;
  Vec acc[R][N];
  GPUNN_UNROLL
  for (int r = 0; r < R; ++r) {
    GPUNN_UNROLL
    for (int v = 0; v < N; ++v) {
      acc[r][v] = Vec{};
      if (!w.add || r >= valid) continue;
      const float* p = to + r * w.width + columns[v].to;
      acc[r][v] = columns[v].whole ? load(p) : load(p, tail);
    }
  }
  const float* x = a.data + columns[0].gate * a.gate_stride + m;
  const float* d = dg.data;
  for (int64_t k = 0; k < rows; ++k, x += a.row_stride, d += dg.row_stride) {
    Vec g[N];
    GPUNN_UNROLL
    for (int v = 0; v < N; ++v) g[v] = load(d + columns[v].from);
    GPUNN_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec broadcast = splat(x[r]);
      GPUNN_UNROLL
      for (int v = 0; v < N; ++v) acc[r][v] = fma(broadcast, g[v], acc[r][v]);
    }
  }
  GPUNN_UNROLL
  for (int r = 0; r < R; ++r) {
    GPUNN_UNROLL
    for (int v = 0; v < N; ++v) {
      if (r >= valid) continue;
      float* p = to + r * w.width + columns[v].to;
      columns[v].whole ? store(p, acc[r][v]) : store(p, acc[r][v], tail);
    }
  }
}

template <int N>
void gradient_columns(const Operand& a, const GateGradients& dg, const GateSlots& slots, int64_t rows,
                      const WeightGradient& w, int64_t first) {
  Column columns[N];
  for (int v = 0; v < N; ++v) columns[v] = column(dg, slots, w.units, first + v);
  constexpr int R = tile_rows(N);
  for (int64_t m = 0; m < w.depth; m += R) {
    gradient_tile<R, N>(a, dg, rows, columns, w, m);
  }
}

// w[m][g * units + u] += sum over the rows of a_g[row][m] * dg[row][slot of g][u]. Rows of `a` can be read up
// to 8 floats beyond w.depth.
void weight_gradient(const Operand& a, const GateGradients& dg, const GateSlots& slots, int64_t rows,
                     const WeightGradient& w) {
  const int64_t columns = ceil_div(w.units, kLanes) * slots.gates;
  int64_t q = 0;
  if (a.gate_stride == 0) {
    for (; q + 3 <= columns; q += 3) gradient_columns<3>(a, dg, slots, rows, w, q);
  }
  for (; q < columns; ++q) gradient_columns<1>(a, dg, slots, rows, w, q);
}

template <int N>
GPUNN_INLINE void column_sums(const GateGradients& dg, const GateSlots& slots, int64_t rows, int64_t units,
                              bool add, int64_t first, float* out) {
  const Tail tail(static_cast<int>(units % kLanes));
  Column columns[N];
  Vec sum[N];
  GPUNN_UNROLL
  for (int v = 0; v < N; ++v) {
    columns[v] = column(dg, slots, units, first + v);
    const float* p = out + columns[v].to;
    sum[v] = !add ? Vec{} : columns[v].whole ? load(p) : load(p, tail);
  }
  for (int64_t k = 0; k < rows; ++k) {
    GPUNN_UNROLL
    for (int v = 0; v < N; ++v) sum[v] += load(dg.data + k * dg.row_stride + columns[v].from);
  }
  GPUNN_UNROLL
  for (int v = 0; v < N; ++v) {
    float* p = out + columns[v].to;
    columns[v].whole ? store(p, sum[v]) : store(p, sum[v], tail);
  }
}

// out[g * units + u] (+)= sum over the rows of dg[row][slot of g][u].
void bias_gradient(const GateGradients& dg, const GateSlots& slots, int64_t rows, int64_t units, bool add,
                   float* out) {
  const int64_t columns = ceil_div(units, kLanes) * slots.gates;
  int64_t q = 0;
  for (; q + 4 <= columns; q += 4) column_sums<4>(dg, slots, rows, units, add, q, out);
  for (; q < columns; ++q) column_sums<1>(dg, slots, rows, units, add, q, out);
}

}  // namespace
}  // namespace gpunn::cpu::simd
