// Transposes of kLanes x kLanes blocks in registers.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

#if GPUNN_LANES == 16
#define GPUNN_SHUFFLE_128(a, b, i0, i1, i2, i3)                                                         \
  __builtin_shufflevector(a, b, i0, i1, i2, i3, i0 + 4, i1 + 4, i2 + 4, i3 + 4, i0 + 8, i1 + 8, i2 + 8, \
                          i3 + 8, i0 + 12, i1 + 12, i2 + 12, i3 + 12)
#elif GPUNN_LANES == 8
#define GPUNN_SHUFFLE_128(a, b, i0, i1, i2, i3) \
  __builtin_shufflevector(a, b, i0, i1, i2, i3, i0 + 4, i1 + 4, i2 + 4, i3 + 4)
#else
#define GPUNN_SHUFFLE_128(a, b, i0, i1, i2, i3) __builtin_shufflevector(a, b, i0, i1, i2, i3)
#endif

// Interleave the low or high halves of every 128-bit block, by single floats or by pairs.
GPUNN_INLINE Vec zip_low(Vec a, Vec b) {
  return GPUNN_SHUFFLE_128(a, b, 0, kLanes, 1, kLanes + 1);
}
GPUNN_INLINE Vec zip_high(Vec a, Vec b) {
  return GPUNN_SHUFFLE_128(a, b, 2, kLanes + 2, 3, kLanes + 3);
}
GPUNN_INLINE Vec zip_low_pairs(Vec a, Vec b) {
  return GPUNN_SHUFFLE_128(a, b, 0, 1, kLanes, kLanes + 1);
}
GPUNN_INLINE Vec zip_high_pairs(Vec a, Vec b) {
  return GPUNN_SHUFFLE_128(a, b, 2, 3, kLanes + 2, kLanes + 3);
}
#undef GPUNN_SHUFFLE_128

#if GPUNN_LANES == 16
// 128-bit blocks 0 and 2 (1 and 3) of a, then of b.
GPUNN_INLINE Vec even_blocks(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
GPUNN_INLINE Vec odd_blocks(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
#elif GPUNN_LANES == 8
GPUNN_INLINE Vec even_blocks(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
}
GPUNN_INLINE Vec odd_blocks(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
#endif

// Every 4 x 4 block in place: afterwards block q of r[4g + j] is column 4q + j of rows 4g .. 4g + 3.
GPUNN_INLINE void transpose_blocks(Vec (&r)[kLanes]) {
  GPUNN_UNROLL
  for (int g = 0; g < kLanes; g += 4) {
    const Vec low01 = zip_low(r[g], r[g + 1]), high01 = zip_high(r[g], r[g + 1]);
    const Vec low23 = zip_low(r[g + 2], r[g + 3]), high23 = zip_high(r[g + 2], r[g + 3]);
    r[g] = zip_low_pairs(low01, low23), r[g + 1] = zip_high_pairs(low01, low23);
    r[g + 2] = zip_low_pairs(high01, high23), r[g + 3] = zip_high_pairs(high01, high23);
  }
}

GPUNN_INLINE void transpose(Vec (&r)[kLanes]) {
  transpose_blocks(r);
#if GPUNN_LANES == 8
  GPUNN_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Vec low = even_blocks(r[j], r[4 + j]), high = odd_blocks(r[j], r[4 + j]);
    r[j] = low, r[4 + j] = high;
  }
#elif GPUNN_LANES == 16
  GPUNN_UNROLL
  for (int j = 0; j < 4; ++j) {
    const Vec even01 = even_blocks(r[j], r[4 + j]), odd01 = odd_blocks(r[j], r[4 + j]);
    const Vec even23 = even_blocks(r[8 + j], r[12 + j]), odd23 = odd_blocks(r[8 + j], r[12 + j]);
    r[j] = even_blocks(even01, even23), r[8 + j] = odd_blocks(even01, even23);
    r[4 + j] = even_blocks(odd01, odd23), r[12 + j] = odd_blocks(odd01, odd23);
  }
#endif
}

// out[c, r] = in[r, c] for rows x columns of any size; `out` is padded to whole vectors with zeros: out[c]
// has kLanes-fold length, and only the `columns` rows of it are written.
GPUNN_INLINE void transpose_into(int64_t rows, int64_t columns, const float* in, ptrdiff_t in_row, float* out,
                                 ptrdiff_t out_row) {
  for (int64_t r0 = 0; r0 < rows; r0 += kLanes) {
    for_vectors(columns, [=](int64_t c0, auto part) {
      Vec v[kLanes];
      GPUNN_UNROLL
      for (int i = 0; i < kLanes; ++i) v[i] = r0 + i < rows ? load(in + (r0 + i) * in_row + c0, part) : Vec{};
      transpose(v);
      GPUNN_UNROLL
      for (int i = 0; i < kLanes; ++i) {
        if (c0 + i < columns) store(out + (c0 + i) * out_row + r0, v[i]);
      }
    });
  }
}

// out[columns, rows] = x[rows, columns], both dense.
inline void transpose_dense(int64_t rows, int64_t columns, const float* x, float* out) {
  for (int64_t r0 = 0; r0 < rows; r0 += kLanes) {
    const int height = static_cast<int>(least(kLanes, rows - r0));
    for_vectors(columns, [=](int64_t c0, auto part) {
      Vec v[kLanes];
      GPUNN_UNROLL
      for (int i = 0; i < kLanes; ++i) v[i] = i < height ? load(x + (r0 + i) * columns + c0, part) : Vec{};
      transpose(v);
      GPUNN_UNROLL
      for (int i = 0; i < kLanes; ++i) {
        float* to = out + (c0 + i) * rows + r0;
        if (c0 + i < columns) height == kLanes ? store(to, v[i]) : store(to, v[i], Tail(height));
      }
    });
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd
