// Products of matrices in nodes: by cuBLASLt, or by our own kernel.
#pragma once

#include "src/cuda/libraries/cublaslt_gemm.hpp"
#include "src/cuda/library_call.hpp"

namespace gpunn::cuda {

constexpr double flops(const kernels::Gemm& g) {
  return 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
}

struct Product {
  LtGemm gemm;  // what the library is asked for
  std::function<LtPointers(const Launch&)> pointers;
  Afterwards after;
  OwnKernel own;
};

// With `own.why` set where our kernel does products of this shape on any device. `column_sums`: it sums b's
// columns too.
Product product_of(const Target& target, const kernels::Gemm& shape, bool column_sums = false);

Implementation implement_product(const Target& target, Product product);

}  // namespace gpunn::cuda
