// The objects that cublasLt.h leaves opaque.
#pragma once

#include <cublasLt.h>

#include <map>

#include "library_call.hpp"

struct cublasLtContext {
  int device = 0;
  simt::library::Branch branch = {};
};

namespace simt::cublaslt {

struct Layout {
  cudaDataType_t type = CUDA_R_32F;
  std::int64_t rows = 0, columns = 0, ld = 0;  // column-major
};
struct Matmul {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType_t scale = CUDA_R_32F;
  std::int32_t pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  std::int32_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
  std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  void* aux = nullptr;
  std::int64_t aux_ld = 0;
};
struct Preference {  // with the library's defaults: most programs must change them
  std::uint64_t workspace = 0;
  std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // A, B, C, D
};

inline Layout* layout(cublasLtMatrixLayout_t raw) {
  return reinterpret_cast<Layout*>(raw);
}
inline Matmul* matmul(cublasLtMatmulDesc_t raw) {
  return reinterpret_cast<Matmul*>(raw);
}
inline Preference* preference(cublasLtMatmulPreference_t raw) {
  return reinterpret_cast<Preference*>(raw);
}

inline constexpr library::Codes<cublasStatus_t> kCodes{
    CUBLAS_STATUS_EXECUTION_FAILED, CUBLAS_STATUS_ALLOC_FAILED, CUBLAS_STATUS_NOT_INITIALIZED};

bool known(const void* object);  // a handle or descriptor that is alive

}  // namespace simt::cublaslt
