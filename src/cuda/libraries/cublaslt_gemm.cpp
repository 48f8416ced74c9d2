#include "src/cuda/libraries/cublaslt_gemm.hpp"

#include <algorithm>

namespace gpunn::cuda {
namespace {

using Operation = Handle<cublasLtMatmulDesc_t, &cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, &cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, &cublasLtMatmulPreferenceDestroy>;

// Epilogue vectors are read 16 bytes at a time, whatever alignment the operands were declared to have: a bias
// at an odd address faults on the device (an operand's alignment is a preference, a bias's is not).
constexpr std::uintptr_t kEpilogueAlignment = 16;

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, const T& value,
         SourceLocation at = SourceLocation::current()) {
  check(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value), at);
}
template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name, const T& value,
         SourceLocation at = SourceLocation::current()) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value), at);
}

// The largest power of two that divides the address, at most the 256 that the library assumes when not told.
std::uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  return address == 0 ? 256
                      : static_cast<std::uint32_t>(std::min<std::uintptr_t>(256, address & (~address + 1)));
}

Layout layout(std::int64_t rows, std::int64_t columns) {  // column-major, packed
  return make_handle<Layout>([&](cublasLtMatrixLayout_t* raw) {
    return cublasLtMatrixLayoutCreate(raw, CUDA_R_32F, static_cast<std::uint64_t>(rows),
                                      static_cast<std::uint64_t>(columns), rows);
  });
}

cublasLtEpilogue_t epilogue_of(const LtGemm& gemm) {
  // Our b comes first in the library's order, so the gradient of the bias is that of its operand A.
  if (gemm.bias_gradient) return CUBLASLT_EPILOGUE_BGRADA;
  if (gemm.relu) return gemm.bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
  return gemm.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

// Why the library is not even asked; empty: it is.
std::string refusal(const LtGemm& gemm, const LtPointers& p) {
  const kernels::Gemm& s = gemm.shape;
  if (s.m <= 0 || s.n <= 0 || s.k <= 0) return "empty";
  const bool epilogue_vector = gemm.bias || gemm.bias_gradient;
  if (epilogue_vector && reinterpret_cast<std::uintptr_t>(p.bias) % kEpilogueAlignment != 0) {
    return "bias not aligned to 16 bytes";
  }
  // The library's relu would see the old y too.
  if (gemm.mode == kernels::Accumulate::add && gemm.relu) return "relu with accumulation";
  return {};
}

}  // namespace

struct LtPlan::State {
  cublasLtHandle_t handle;
  Operation operation;
  Layout first, second, result;
  cublasLtMatmulAlgo_t algorithm;
  std::size_t workspace = 0;
  LtPointers pointers;
  float beta = 0;  // 0: y is not read, it may be NaN
};

std::optional<LtPlan> LtPlan::choose(cublasLtHandle_t handle, const LtGemm& gemm, const LtPointers& p,
                                     std::size_t workspace_limit, std::string& why) {
  kernels::require(
      !gemm.bias_gradient || (gemm.shape.layout == kernels::Layout::tn && !gemm.bias && !gemm.relu),
      "cublaslt: the gradient of a bias comes with the gradient of weights alone");
  kernels::require(!(gemm.bias || gemm.bias_gradient) || p.bias != nullptr, "cublaslt: no bias is given");
  if (why = refusal(gemm, p); !why.empty()) return std::nullopt;
  const kernels::Gemm& s = gemm.shape;
  auto state = std::make_shared<State>();
  state->handle = handle, state->pointers = p,
  state->beta = gemm.mode == kernels::Accumulate::add ? 1.0f : 0.0f;

  // Stated, not left to defaults or the environment: fp32 sums of fp32 products unless TF32 was asked for.
  const cublasComputeType_t compute = gemm.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  state->operation = make_handle<Operation>(
      [&](cublasLtMatmulDesc_t* raw) { return cublasLtMatmulDescCreate(raw, compute, CUDA_R_32F); });
  cublasLtMatmulDesc_t operation = state->operation.get();
  // Operands swap: first is our b, second our a.
  const bool b_transposed = s.layout == kernels::Layout::nt, a_transposed = s.layout == kernels::Layout::tn;
  set(operation, CUBLASLT_MATMUL_DESC_TRANSA, b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(operation, CUBLASLT_MATMUL_DESC_TRANSB, a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(gemm));
  // Before the heuristic: it reads the pointer's alignment from its value.
  if (p.bias != nullptr && (gemm.bias || gemm.bias_gradient)) {
    set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(p.bias));
  }
  state->first = b_transposed ? layout(s.k, s.n) : layout(s.n, s.k);
  state->second = a_transposed ? layout(s.m, s.k) : layout(s.k, s.m);
  state->result = layout(s.n, s.m);

  const auto preference = make_handle<Preference>(cublasLtMatmulPreferenceCreate);
  // Their defaults are no workspace and 256-byte alignment: the one is slow, the other faults.
  set(preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_limit);
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.b));
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.a));
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.y));
  set(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.y));
  // Split sums only where they are added one after the other: the same bits every time.
  set(preference.get(), CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(gemm.deterministic ? CUBLASLT_REDUCTION_SCHEME_INPLACE
                                                    : CUBLASLT_REDUCTION_SCHEME_MASK));

  constexpr int kAsked = 8;
  cublasLtMatmulHeuristicResult_t found[kAsked];
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle, operation, state->first.get(), state->second.get(), state->result.get(), state->result.get(),
      preference.get(), kAsked, found, &count);
  // What a chip or a release does not have is an answer; which of the two codes says so depends on the
  // release.
  const bool unsupported = status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
  if (unsupported) count = 0;
  if (!unsupported) check(status);
  for (int k = 0; k < count; ++k) {  // success with no result at all is possible too
    if (found[k].state != CUBLAS_STATUS_SUCCESS || found[k].workspaceSize > workspace_limit) continue;
    state->algorithm = found[k].algo;
    state->workspace = found[k].workspaceSize;
    LtPlan plan;
    plan.state_ = std::move(state);
    return plan;
  }
  why = "cuBLASLt has no algorithm for it";
  if (unsupported) why += std::string(" (") + cublasLtGetStatusName(status) + ")";
  return std::nullopt;
}

void LtPlan::run(void* stream, void* workspace) const {
  const State& s = *state_;
  const float alpha = 1;
  kernels::require(s.workspace == 0 || workspace != nullptr, "cublaslt: this plan needs its workspace");
  check(cublasLtMatmul(s.handle, s.operation.get(), &alpha, s.pointers.b, s.first.get(), s.pointers.a,
                       s.second.get(), &s.beta, s.pointers.y, s.result.get(), s.pointers.y, s.result.get(),
                       &s.algorithm, workspace, s.workspace, static_cast<cudaStream_t>(stream)));
}

std::size_t LtPlan::workspace_bytes() const {
  return state_->workspace;
}

int LtPlan::algorithm() const {
  int id = -1;
  std::size_t written = 0;
  check(cublasLtMatmulAlgoConfigGetAttribute(&state_->algorithm, CUBLASLT_ALGO_CONFIG_ID, &id, sizeof id,
                                             &written));
  return id;
}

}  // namespace gpunn::cuda
