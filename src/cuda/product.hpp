// How a node computes a product of matrices: by cuBLASLt or by our own kernel. Which, is decided from the
// shape and the device when a step is planned; the library's algorithm when it is bound. Where the library
// then has none, our kernel does it and the plan says so.
#pragma once

#include "gpunn/cuda.hpp"
#include "src/cuda/libraries/cublaslt_gemm.hpp"

namespace gpunn::cuda {

// From here on a product takes so long that the library's speed is worth a launch more: about a launch's 2.5
// us at the difference between 10 and 40 TFLOP/s. Not measured; below it whatever saves launches wins.
inline constexpr double kLaunchFlops = 32e6;

constexpr double flops(const kernels::Gemm& g) {
  return 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
}

struct Product {
  LtGemm gemm;  // what the library would be asked for
  std::function<LtPointers(const Launch&)> pointers;
  std::string why_own;                     // why our kernel does it all the same; empty: the library does
  std::function<void(const Launch&)> own;  // the whole node without the library
  int own_launches = 1;
  std::size_t own_scratch = 0;
  std::function<void(const Launch&)> after = {};  // what a kernel of ours does behind the library's product
  int after_launches = 0;
  std::size_t after_scratch = 0;
};

// Why a product of this shape is our kernel's on any device; empty: it is not.
std::string why_own_gemm(const Target& target, const kernels::Gemm& gemm);

Implementation implement_product(const Target& target, Product product);

}  // namespace gpunn::cuda
