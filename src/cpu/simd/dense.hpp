// Matrix products for dense layers and whatever else is a small product: row-major, any size, any row stride.
//
// Every element of C is one chain of multiply-adds in the order of k: a row of C does not depend on the other
// rows of the call, so slices of a batch give the same bits as the whole.
#pragma once

#include <cstdint>

#include "src/cpu/simd/activation.hpp"
#include "src/cpu/simd/tables.hpp"

namespace gpunn::cpu::simd {

// C[m, n] = epilogue(A B), or C += A B. What A and B are stored as depends on the function:
//   nn: a[m, k], b[k, n]     nt: a[m, k], b[n, k]     tn: a[k, m], b[k, n]
// The epilogue adds `bias`, then applies `activation`, then multiplies by slope_of's slope at `kept` (see
// ActivationKernels::backward). REQUIRES: with `add`, no epilogue.
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  std::int64_t lda = 0;
  const float* b = nullptr;
  std::int64_t ldb = 0;
  float* c = nullptr;
  std::int64_t ldc = 0;
  bool add = false;
  const float* bias = nullptr;  // [n]
  Activation activation = Activation::linear;
  Activation slope_of = Activation::linear;
  const float* kept = nullptr;  // [m, n], row stride ldkept; read unless slope_of is linear
  std::int64_t ldkept = 0;
};

struct DenseKernels {
  void (*nn)(const Gemm&);  // y = act(x W + b)
  void (*nt)(const Gemm&);  // dx = (dy W^T) * slope: b is W itself, transposed panel by panel on the way
  void (*tn)(const Gemm&);  // dW (+)= x^T dy

  // B laid out once for many products: `b` of nn_packed is what pack wrote. pack_transposed takes b[n, k], so
  // that nn_packed does nt's work without transposing in every slice.
  std::int64_t (*packed_floats)(std::int64_t k, std::int64_t n);
  void (*pack)(std::int64_t k, std::int64_t n, const float* b, std::int64_t ldb, float* packed);
  void (*pack_transposed)(std::int64_t k, std::int64_t n, const float* b, std::int64_t ldb, float* packed);
  void (*nn_packed)(const Gemm&);

  // out[columns] (+)= sums of x[rows, columns] over the rows, in their order: the gradient of a bias.
  void (*column_sums)(std::int64_t rows, std::int64_t columns, const float* x, std::int64_t ldx, float* out,
                      bool add);
  // out[columns, rows] = x[rows, columns], both dense.
  void (*transpose)(std::int64_t rows, std::int64_t columns, const float* x, float* out);
};

GPUNN_SIMD_TABLES(DenseKernels, dense_table)

}  // namespace gpunn::cpu::simd
