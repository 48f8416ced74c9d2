// The status of every call goes through check(): here that of cuDNN; kernels/check.hpp has the CUDA runtime's
// and check_cublas.hpp cuBLASLt's, so that a build without one of the libraries needs no header of it.
#pragma once

#include <cudnn.h>

#include <string>

#include "kernels/check.hpp"

namespace gpunn {

// cuDNN keeps the reason of the last failure apart from its code.
inline std::string cudnn_reason() {
  char text[512] = "";
  cudnnGetLastErrorString(text, sizeof text);
  return text;
}

inline void check(cudnnStatus_t code, SourceLocation at = SourceLocation::current()) {
  if (code == CUDNN_STATUS_SUCCESS) return;
  if (code == CUDNN_STATUS_ALLOC_FAILED) throw OutOfMemory("cuDNN: CUDNN_STATUS_ALLOC_FAILED", 0, at);
  throw DeviceError(std::string(cudnnGetErrorString(code)) + ": " + cudnn_reason(), at);
}

}  // namespace gpunn
