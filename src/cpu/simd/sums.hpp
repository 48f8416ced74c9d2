// Sums over rows: gradients of biases.
#pragma once

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

inline void column_sums(int64_t rows, int64_t columns, const float* x, int64_t ldx, float* out, bool add) {
  constexpr int kVecs = 4;  // independent chains of additions
  int64_t j = 0;
  for (; j + kVecs * kLanes <= columns; j += kVecs * kLanes) {
    Vec sum[kVecs];
    GPUNN_UNROLL
    for (int v = 0; v < kVecs; ++v) sum[v] = add ? load(out + j + v * kLanes) : Vec{};
    for (int64_t i = 0; i < rows; ++i) {
      GPUNN_UNROLL
      for (int v = 0; v < kVecs; ++v) sum[v] += load(x + i * ldx + j + v * kLanes);
    }
    GPUNN_UNROLL
    for (int v = 0; v < kVecs; ++v) store(out + j + v * kLanes, sum[v]);
  }
  for_vectors(columns - j, [=](int64_t v, auto part) {
    Vec sum = add ? load(out + j + v, part) : Vec{};
    for (int64_t i = 0; i < rows; ++i) sum += load(x + i * ldx + j + v, part);
    store(out + j + v, sum, part);
  });
}

}  // namespace
}  // namespace gpunn::cpu::simd
