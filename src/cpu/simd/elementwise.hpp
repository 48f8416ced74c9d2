// Elementwise arithmetic over flat arrays. Outputs may be one of the inputs.
#pragma once

#include <cstdint>

#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

struct ElementwiseKernels {
  void (*add)(std::int64_t n, const float* a, const float* b, float* out);       // out = a + b
  void (*multiply)(std::int64_t n, const float* a, const float* b, float* out);  // out = a * b
  void (*scale)(std::int64_t n, float alpha, const float* x, float* out);        // out = alpha * x
  void (*axpy)(std::int64_t n, float alpha, const float* x, float* y);           // y += alpha * x
  void (*fill)(std::int64_t n, float value, float* out);
};

GPUNN_SIMD_TABLES(ElementwiseKernels, elementwise_table)

}  // namespace gpunn::cpu::simd
