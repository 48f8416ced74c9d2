// Matrix products by cuBLASLt: the one place that calls it. Chosen once, when pointers are final; run many
// times.
//
// cuBLASLt counts columns first. A row-major y[m, n] = a b is its column-major D = B A with operands swapped,
// so its bias, one per row of D, is one per column of y.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "kernels/gemm.hpp"
#include "src/cuda/libraries/check_cublas.hpp"
#include "src/cuda/libraries/handles.hpp"

namespace gpunn::cuda {

using CublasLt = Handle<cublasLtHandle_t, &cublasLtDestroy>;

struct LtGemm {
  kernels::Gemm shape;
  kernels::Accumulate mode = kernels::Accumulate::overwrite;
  bool bias = false;           // y = a b + bias, bias[n]
  bool relu = false;           // y = max(0, a b + bias)
  bool bias_gradient = false;  // layout tn only: also writes db[n] = the sum over k of b[k, n]
  bool tf32 = false;           // float operands may be rounded to TF32; else full fp32 arithmetic
  bool deterministic = true;   // the same bits every time
};

struct LtPointers {
  const float* a = nullptr;
  const float* b = nullptr;
  float* y = nullptr;
  float* bias = nullptr;  // read, or written as db
};

// A product with its algorithm chosen.
class LtPlan {
 public:
  // Nothing where cuBLASLt has no algorithm for this (its heuristic may succeed with no result), or where a
  // rule of ours refuses (why says which): then kernels::gemm does it.
  static std::optional<LtPlan> choose(cublasLtHandle_t handle, const LtGemm& gemm, const LtPointers& pointers,
                                      std::size_t workspace_limit, std::string& why);

  // `workspace`: workspace_bytes(), 256-byte aligned, not shared with another stream.
  void run(void* stream, void* workspace) const;
  std::size_t workspace_bytes() const;
  int algorithm() const;  // cuBLASLt's number of it, for plans and logs

 private:
  struct State;
  std::shared_ptr<State> state_;  // copied into the closures of a bound step
};

}  // namespace gpunn::cuda
