#include "src/cpu/simd/dense.hpp"

#include "src/cpu/simd/activate.hpp"
#include "src/cpu/simd/sums.hpp"
#include "src/cpu/simd/tile.hpp"
#include "src/cpu/simd/transpose.hpp"

namespace gpunn::cpu::simd {
namespace {

constexpr int64_t kDepth =
    192;  // k at once: a panel of B (24 KB at 16 lanes) and the rows of A in use fit the first-level cache
constexpr int64_t kRows = 256;  // rows of A at once: with kDepth, half of a small second-level cache

// What is left to do to finished rows: relu and its slope were done by the tiles.
void finish(const Gemm& g, int64_t first, int64_t rows) {
  if (g.activation != Activation::linear && g.activation != Activation::relu) {
    with_activation(g.activation, [&](auto act) {
      for (int64_t i = first; i < first + rows; ++i) {
        float* c = g.c + i * g.ldc;
        for_vectors(
            g.n, [=](int64_t j, auto part) { store(c + j, decltype(act)::value(load(c + j, part)), part); });
      }
    });
  }
  if (g.slope_of != Activation::linear && g.slope_of != Activation::relu) {
    with_activation(g.slope_of, [&](auto act) {
      for (int64_t i = first; i < first + rows; ++i) {
        float* c = g.c + i * g.ldc;
        const float* kept = g.kept + i * g.ldkept;
        for_vectors(g.n, [=](int64_t j, auto part) {
          store(c + j, decltype(act)::backward(load(kept + j, part), load(c + j, part)), part);
        });
      }
    });
  }
}

// Where a panel of B is read from: its row k0 and the distance of its rows.
struct Panel {
  const float* b;
  ptrdiff_t row;
};

// The loop nest of all forms. panel(k0, depth, j0, columns) gives columns [j0, j0 + columns) of B's rows [k0,
// k0 + depth), and is asked once for all rows of A that are in the cache.
template <class PanelOf>
GPUNN_INLINE void product(const Gemm& g, ptrdiff_t a_row, ptrdiff_t a_k, PanelOf panel) {
  for (int64_t i0 = 0; i0 < g.m; i0 += kRows) {
    const int64_t rows = least(kRows, g.m - i0);
    int64_t k0 = 0;
    do {  // once even for k = 0: C is written
      const int64_t depth = least(kDepth, g.k - k0);
      const bool first = k0 == 0, last = k0 + depth == g.k;
      for (int64_t j0 = 0; j0 < g.n; j0 += kPanel) {
        const int columns = static_cast<int>(least(kPanel, g.n - j0));
        float* c = g.c + i0 * g.ldc + j0;
        const Panel b = panel(k0, depth, j0, columns);
        Tile t{.k = depth,
               .a = g.a + i0 * a_row + k0 * a_k,
               .a_row = a_row,
               .a_k = a_k,
               .b = b.b,
               .b_k = b.row,
               .start = c,
               .start_row = g.ldc,
               .c = c,
               .c_row = g.ldc,
               .floor = -kInfinity};
        if (first && !g.add) {
          t.start = g.bias ? g.bias + j0 : nullptr;
          t.start_row = 0;
        }
        if (last && g.activation == Activation::relu) t.floor = 0;
        if (last && g.slope_of == Activation::relu)
          t.kept = g.kept + i0 * g.ldkept + j0, t.kept_row = g.ldkept;
        multiply_panel(t, rows, columns);
      }
      k0 += depth;
    } while (k0 < g.k);
    finish(g, i0, rows);
  }
}

void pack_panel(int64_t depth, int columns, const float* b, ptrdiff_t ldb, float* out) {
  for (int64_t k = 0; k < depth; ++k) {
    const float* row = b + k * ldb;
    float* to = out + k * kPanel;
    GPUNN_UNROLL
    for (int j = 0; j < kPanel; j += kLanes) {
      const int left = columns - j;
      store(to + j, left >= kLanes ? load(row + j) : left > 0 ? load(row + j, Tail(left)) : Vec{});
    }
  }
}

void pack_transposed_panel(int64_t depth, int columns, const float* b, ptrdiff_t ldb, float* out) {
  if (columns <= kPanel - kLanes) {  // the vectors that transpose_into does not write
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = round_up(columns, kLanes); j < kPanel; j += kLanes) store(out + k * kPanel + j, Vec{});
    }
  }
  transpose_into(columns, depth, b, ldb, out, kPanel);
}

// Rows of B far apart fall into few sets of the cache; gathering them pays when several tiles read them.
bool worth_packing(const Gemm& g) {
  constexpr int64_t kFarApart = 128, kFewRows = 3 * kTileRows;
  return g.ldb > kFarApart && g.m > kFewRows;
}

void product_by_rows_of_b(const Gemm& g, ptrdiff_t a_row, ptrdiff_t a_k) {
  if (worth_packing(g)) {
    alignas(64) float packed[kDepth * kPanel];
    product(g, a_row, a_k, [&](int64_t k0, int64_t depth, int64_t j0, int columns) {
      pack_panel(depth, columns, g.b + k0 * g.ldb + j0, g.ldb, packed);
      return Panel{packed, kPanel};
    });
  } else {
    product(g, a_row, a_k, [&](int64_t k0, int64_t, int64_t j0, int) {
      return Panel{g.b + k0 * g.ldb + j0, g.ldb};
    });
  }
}

// One column of C: vectors along k, kLanes rows at a time, whose sums over lanes a transpose makes into one
// vector.
void one_column(const Gemm& g) {
  for (int64_t i0 = 0; i0 < g.m; i0 += kLanes) {
    const int rows = static_cast<int>(least(kLanes, g.m - i0));
    const float* row[kLanes];
    for (int i = 0; i < kLanes; ++i) row[i] = g.a + (i0 + least(i, rows - 1)) * g.lda;
    Vec sum[kLanes] = {};
    for_vectors(g.k, [&](int64_t k, auto part) {
      const Vec b = load(g.b + k, part);
      GPUNN_UNROLL
      for (int i = 0; i < kLanes; ++i) sum[i] = fma(load(row[i] + k, part), b, sum[i]);
    });
    transpose(sum);
    GPUNN_UNROLL
    for (int width = kLanes / 2; width > 0; width /= 2) {
      GPUNN_UNROLL
      for (int i = 0; i < width; ++i) sum[i] += sum[i + width];
    }
    float c[kLanes];
    store(c, sum[0] + (g.bias ? g.bias[0] : 0.0f));
    for (int i = 0; i < rows; ++i) {
      float* to = g.c + (i0 + i) * g.ldc;
      *to = g.add ? *to + c[i] : g.activation == Activation::relu && c[i] < 0 ? 0 : c[i];
    }
  }
  finish(g, 0, g.m);
}

void nn(const Gemm& g) {
  if (g.n == 1 && g.ldb == 1 && !g.kept) return one_column(g);
  product_by_rows_of_b(g, g.lda, 1);
}

void nt(const Gemm& g) {
  if (g.k == 1 && g.ldb == 1) return product_by_rows_of_b(g, g.lda, 1);  // b[n, 1] is the row b[1, n]
  alignas(64) float packed[kDepth * kPanel];
  product(g, g.lda, 1, [&](int64_t k0, int64_t depth, int64_t j0, int columns) {
    pack_transposed_panel(depth, columns, g.b + j0 * g.ldb + k0, g.ldb, packed);
    return Panel{packed, kPanel};
  });
}

void tn(const Gemm& g) {
  if (g.n == 1 && g.ldc == 1 && !g.bias && !g.kept) {  // a column lying as a row: C^T = B^T A
    Gemm row = g;
    row.m = 1, row.n = g.m;
    row.a = g.b, row.b = g.a, row.ldb = g.lda;
    row.ldc = g.m;
    return product_by_rows_of_b(row, 0, g.ldb);
  }
  product_by_rows_of_b(g, 1, g.lda);
}

int64_t packed_floats(int64_t k, int64_t n) {
  return k * round_up(n, kPanel);
}

void pack(int64_t k, int64_t n, const float* b, int64_t ldb, float* packed) {
  for (int64_t j = 0; j < n; j += kPanel) {
    pack_panel(k, static_cast<int>(least(kPanel, n - j)), b + j, ldb, packed + j * k);
  }
}

void pack_transposed(int64_t k, int64_t n, const float* b, int64_t ldb, float* packed) {
  for (int64_t j = 0; j < n; j += kPanel) {
    pack_transposed_panel(k, static_cast<int>(least(kPanel, n - j)), b + j * ldb, ldb, packed + j * k);
  }
}

void nn_packed(const Gemm& g) {
  product(g, g.lda, 1, [&](int64_t k0, int64_t, int64_t j0, int) {
    return Panel{g.b + j0 * g.k + k0 * kPanel, kPanel};
  });
}

}  // namespace

const DenseKernels GPUNN_SIMD_NAME(dense_table) = {
    .nn = nn,
    .nt = nt,
    .tn = tn,
    .packed_floats = packed_floats,
    .pack = pack,
    .pack_transposed = pack_transposed,
    .nn_packed = nn_packed,
    .column_sums = column_sums,
    .transpose = transpose_dense,
};

}  // namespace gpunn::cpu::simd
