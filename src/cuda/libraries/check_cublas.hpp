// The status of every call of cuBLASLt goes through check().
#pragma once

#include <cublasLt.h>

#include <string>

#include "kernels/check.hpp"

namespace gpunn {

inline void check(cublasStatus_t code, SourceLocation at = SourceLocation::current()) {
  if (code == CUBLAS_STATUS_SUCCESS) return;
  if (code == CUBLAS_STATUS_ALLOC_FAILED) throw OutOfMemory("cuBLASLt: CUBLAS_STATUS_ALLOC_FAILED", 0, at);
  throw DeviceError(std::string(cublasLtGetStatusName(code)) + ": " + cublasLtGetStatusString(code), at);
}

}  // namespace gpunn
