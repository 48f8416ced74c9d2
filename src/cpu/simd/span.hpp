// The inner loop of the sparse gradients: rows of contiguous floats held in registers while scaled rows are
// added to them.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

// Accumulators; the sources come straight from memory. Enough chains for two multiply-adds per cycle, and
// three rows of a 3x3 kernel over 32 channels at once; more would only be more code.
constexpr int kSpanVecs = kRegisters == 32 ? 18 : 12;

struct Term {
  float factor;
  int32_t offset;  // of the row to add, from Span::source
};

// For each of `rows` rows r: to[r * to_row] += sum over the terms of factor * source[offset + r *
// source_row], `floats` long.
struct Span {
  float* to;
  ptrdiff_t to_row;
  const float* source;
  ptrdiff_t source_row;
};

template <int Rows, int Vecs, class Last>
GPUNN_INLINE void add_terms(const Span& s, const Term* terms, int64_t count, Last last) {
  const auto get = [last](const float* p, int j) {
    return j == Vecs - 1 ? load(p + j * kLanes, last) : load(p + j * kLanes);
  };
  Vec sum[Rows][Vecs];
  GPUNN_UNROLL
  for (int r = 0; r < Rows; ++r) {
    GPUNN_UNROLL
    for (int j = 0; j < Vecs; ++j) sum[r][j] = get(s.to + r * s.to_row, j);
  }
  for (int64_t i = 0; i < count; ++i) {
    const Vec factor = splat(terms[i].factor);
    const float* source = s.source + terms[i].offset;
    GPUNN_UNROLL
    for (int r = 0; r < Rows; ++r) {
      GPUNN_UNROLL
      for (int j = 0; j < Vecs; ++j) sum[r][j] = fma(factor, get(source + r * s.source_row, j), sum[r][j]);
    }
  }
  GPUNN_UNROLL
  for (int r = 0; r < Rows; ++r) {
    GPUNN_UNROLL
    for (int j = 0; j < Vecs; ++j) {
      float* to = s.to + r * s.to_row + j * kLanes;
      if (j == Vecs - 1) {
        store(to, sum[r][j], last);
      } else {
        store(to, sum[r][j]);
      }
    }
  }
}

using SpanFunction = void (*)(const Span&, const Term*, int64_t count, int last);

template <int Rows, int Vecs>
__attribute__((noinline)) void span_function(const Span& s, const Term* terms, int64_t count, int last) {
  if (kLanes == 4 && last == kLanes) {  // wider levels mask at no cost
    add_terms<Rows, Vecs>(s, terms, count, All{});
  } else {
    add_terms<Rows, Vecs>(s, terms, count, Tail(last));
  }
}

constexpr int kLongSpan = 12;  // vectors of a single row
constexpr int kSpanRows = 3;   // kernel rows at once, while they fit: longer sums of work for each term

template <int Rows, int Vecs>
constexpr SpanFunction pick_span(int vecs) {
  if constexpr (Vecs > 0) return vecs == Vecs ? span_function<Rows, Vecs> : pick_span<Rows, Vecs - 1>(vecs);
  return nullptr;
}

struct SpanFunctions {
  SpanFunction f[kSpanRows + 1][kLongSpan + 1] = {};
  constexpr SpanFunctions() {
    for (int v = 1; v <= kLongSpan; ++v) f[1][v] = pick_span<1, kLongSpan>(v);
    for (int v = 1; v <= kSpanVecs / 2; ++v) f[2][v] = pick_span<2, kSpanVecs / 2>(v);
    for (int v = 1; v <= kSpanVecs / 3; ++v) f[3][v] = pick_span<3, kSpanVecs / 3>(v);
  }
};
constexpr SpanFunctions kSpans;

// The same for any number of rows and floats, in pieces that fit the registers.
GPUNN_INLINE void add_terms(Span s, int64_t rows, int64_t floats, const Term* terms, int64_t count) {
  if (count == 0) return;
  const int64_t vecs = (floats + kLanes - 1) / kLanes, pieces = (vecs + kLongSpan - 1) / kLongSpan;
  const int64_t piece = (vecs + pieces - 1) / pieces, together = most(1, least(kSpanRows, kSpanVecs / piece));
  for (int64_t r = 0; r < rows; r += together) {
    const int64_t height = least(together, rows - r);
    for (int64_t v = 0; v < vecs; v += piece) {
      const int64_t width = least(piece, vecs - v), left = floats - (v + width - 1) * kLanes;
      const Span part{s.to + r * s.to_row + v * kLanes, s.to_row, s.source + r * s.source_row + v * kLanes,
                      s.source_row};
      kSpans.f[height][width](part, terms, count, static_cast<int>(least(kLanes, left)));
    }
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
