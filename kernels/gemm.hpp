// Matrix products of our own: what is used where the library's GEMM cannot be (odd alignments, no fused form
// for an epilogue, no library). Row-major, float, accumulated in float in an order fixed by the shape. 2 m n
// k FLOPs; A is read once per 32 or 64 columns of y, B once per 32 or 64 rows.
#pragma once

#include "kernels/epilogue.hpp"
#include "kernels/gemm_shape.hpp"
#include "kernels/gpu.hpp"

namespace gpunn::kernels {

enum class Layout : std::uint8_t {
  nn,  // a[m, k] b[k, n]
  nt,  // a[m, k] b[n, k]
  tn,  // a[k, m] b[k, n]
};

struct Gemm {
  Layout layout = Layout::nn;
  std::int64_t m = 0, n = 0, k = 0;
};

// y[m, n] as the epilogue says, and, of the layout tn, the sums over k of b's columns in the same launches.
// `scratch`: gemm_scratch_floats(m, n, k, 1, sums) floats. With k = 0 the sums are 0.
void gemm(Gpu gpu, const Gemm& shape, const float* a, const float* b, const Epilogue& epilogue, float* y,
          float* scratch, const ColumnSums& sums = {});

// Both gradients of y = x W: dx = dz W^T as its epilogue says, dw = x^T dz, and the sums of dz's columns; in
// one launch where gemm_pairs() says so of both, else one after the other.
struct GemmGradients {
  std::int64_t rows = 0, in = 0, out = 0;
  const float* x = nullptr;   // [rows, in]
  const float* w = nullptr;   // [in, out]
  const float* dz = nullptr;  // [rows, out]
  float* dx = nullptr;
  float* dw = nullptr;
  Epilogue dx_epilogue;
  Accumulate dw_mode = Accumulate::overwrite;
  ColumnSums sums;
};
constexpr bool gradients_pair(std::int64_t rows, std::int64_t in, std::int64_t out) {
  return gemm_pairs(rows, in, out) && gemm_pairs(in, out, rows);
}
std::int64_t gemm_gradients_scratch_floats(std::int64_t rows, std::int64_t in, std::int64_t out);
void gemm_gradients(Gpu gpu, const GemmGradients& g, float* scratch);

}  // namespace gpunn::kernels
